import { createHmac } from 'node:crypto'
import { sha256 } from '@noble/hashes/sha2.js'
import { hexToBytes } from '@noble/hashes/utils.js'
import { expect } from 'chai'
import { toHex } from '../../channel/bytes.js'
import { js, providers } from './providers.js'

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const scalar = (value: bigint) => hexToBytes(value.toString(16).padStart(64, '0'))
const number = (bytes: Uint8Array) => BigInt(toHex(bytes))

/** The nonce by RFC 6979 section 3.2 over node:crypto's HMAC, for this curve and SHA-256. */
function nonce(digest: Uint8Array, secret: Uint8Array): bigint {
  const hmac = (key: Uint8Array, ...parts: readonly Uint8Array[]) =>
    parts.reduce((mac, part) => mac.update(part), createHmac('sha256', key)).digest()
  const seed = [secret, scalar(number(digest) % ORDER)]
  let v: Uint8Array = new Uint8Array(32).fill(1)
  let k = hmac(new Uint8Array(32), v, Uint8Array.of(0), ...seed)
  v = hmac(k, v)
  k = hmac(k, v, Uint8Array.of(1), ...seed)
  v = hmac(k, v)
  return number(hmac(k, v))
}

for (const curve of providers) {
  describe(`RFC 6979 on secp256k1 by ${curve.name}`, () => {
    it('r is the x coordinate of the nonce point, for digests below and above the group order', () => {
      for (const digest of [0n, 7n, ORDER - 1n, ORDER, ORDER + 1n, 2n ** 256n - 1n].map(scalar)) {
        for (const secret of [1n, 2n, ORDER - 1n].map(scalar)) {
          const r = js.publicKey(scalar(nonce(digest, secret))).slice(1)
          expect(curve.sign(digest, secret).signature.slice(0, 32)).to.deep.equal(r)
        }
      }
    })

    it('gives the signature that other implementations publish for a known text', () => {
      const { signature } = curve.sign(sha256(new TextEncoder().encode('Satoshi Nakamoto')), scalar(1n))
      expect(toHex(signature)).to.equal(
        '0x934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d82442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5',
      )
    })
  })
}
