import { createHmac } from 'node:crypto'
import { chacha20 } from '@noble/ciphers/chacha.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { deriveKey, mac, obfuscate, randomStream } from '../../../../backend/bitcoin/onion/keys.js'

const key = fc.uint8Array({ minLength: 32, maxLength: 32 })
const parts = fc.array(fc.uint8Array({ maxLength: 1400 }), { maxLength: 3 })

const hmacOf = (by: Uint8Array, ...data: readonly Uint8Array[]): Uint8Array => {
  const state = createHmac('sha256', by)
  for (const part of data) state.update(part)
  return Uint8Array.from(state.digest())
}

describe('backend/bitcoin/onion: keys and streams', () => {
  it('mac: any key up to a block, any parts -> what HMAC of OpenSSL says', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), parts, (by, data) => {
        expect(mac(by, ...data)).to.deep.equal(hmacOf(by, ...data))
      }),
    )
  })

  it('deriveKey: each type -> HMAC by its name', () => {
    const types = ['rho', 'mu', 'pad', 'um', 'ammag', 'ammagext', 'blinded_node_id'] as const
    fc.assert(
      fc.property(fc.constantFrom(...types), key, (type, secret) => {
        expect(deriveKey(type, secret)).to.deep.equal(hmacOf(new TextEncoder().encode(type), secret))
      }),
    )
  })

  it('obfuscate and randomStream: any length, whichever library is there -> ChaCha20 with a nonce of zeros', () => {
    fc.assert(
      fc.property(key, fc.uint8Array({ maxLength: 1400 }), (by, data) => {
        const before = data.slice()
        expect(obfuscate(by, data)).to.deep.equal(chacha20(by, new Uint8Array(12), data))
        expect(data).to.deep.equal(before)
        const zeros = new Uint8Array(data.length)
        expect(randomStream(by, data.length)).to.deep.equal(chacha20(by, new Uint8Array(12), zeros))
      }),
    )
  })
})
