import { readFileSync } from 'node:fs'
import { hexToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { toHex } from '../../channel/bytes.js'
import { providers } from './providers.js'

interface Vector {
  readonly index: number
  readonly secret?: string
  readonly auxiliary?: string
  readonly publicKey: string
  readonly message: string
  readonly signature: string
  readonly valid: boolean
  readonly comment?: string
}
const file = new URL('../../../test/vectors/bip340.json', import.meta.url)
const recorded: { readonly vectors: readonly Vector[] } = JSON.parse(readFileSync(file, 'utf8'))

for (const curve of providers) {
  describe(`BIP 340 by ${curve.name}`, () => {
    for (const {
      index,
      secret,
      auxiliary,
      publicKey,
      message,
      signature,
      valid,
      comment,
    } of recorded.vectors) {
      const wanted = hexToBytes(signature)
      const signed = hexToBytes(message)
      it(`vector ${index}${comment ? ` (${comment})` : ''} -> ${valid ? 'valid' : 'invalid'}`, () => {
        expect(curve.schnorrVerify(wanted, signed, hexToBytes(publicKey))).to.equal(valid)
      })
      if (secret === undefined || auxiliary === undefined) continue
      it(`vector ${index} -> the same signature and public key`, () => {
        expect(toHex(curve.schnorrSign(signed, hexToBytes(secret), hexToBytes(auxiliary)))).to.equal(
          `0x${signature}`,
        )
        expect(toHex(curve.publicKey(hexToBytes(secret)).subarray(1))).to.equal(`0x${publicKey}`)
      })
    }
  })
}
