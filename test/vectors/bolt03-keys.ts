// BOLT 3, Appendix E: key derivation, with the values on the way.
import { expect } from 'chai'
import {
  commitmentPoint,
  derivePublicKey,
  deriveRevocationKey,
  deriveRevocationSecret,
  deriveSecret,
} from '../../backend/bitcoin/keys/derive.js'
import { sha256 } from '../../backend/bitcoin/script/hash.js'
import { concat } from '../../channel/bytes.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface File {
  readonly base_secret: string
  readonly per_commitment_secret: string
  readonly base_point: string
  readonly per_commitment_point: string
  readonly derivation: Readonly<Record<'tweak_hash' | 'localpubkey' | 'localprivkey', string>>
  readonly revocation: Readonly<
    Record<
      | 'hash_base_first'
      | 'hash_point_first'
      | 'term_basepoint'
      | 'term_point'
      | 'revocationpubkey'
      | 'term_base_secret'
      | 'term_commitment_secret'
      | 'revocationprivkey',
      string
    >
  >
}

/** The four derivations. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt03-keys')
  const { derivation, revocation } = file
  const baseSecret = bytes(file.base_secret)
  const secret = bytes(file.per_commitment_secret)
  const base = bytes(file.base_point)
  const point = bytes(file.per_commitment_point)
  const pointFirst = sha256(concat(point, base))
  const baseFirst = sha256(concat(base, point))
  return [
    {
      name: 'points of both secrets',
      run: () => {
        expect(digits(secp256k1.publicKey(baseSecret))).to.equal(file.base_point)
        expect(digits(commitmentPoint(secret))).to.equal(file.per_commitment_point)
      },
    },
    {
      name: 'localpubkey from basepoint and per-commitment point',
      run: () => {
        expect(digits(pointFirst)).to.equal(derivation.tweak_hash)
        expect(digits(derivePublicKey(base, point))).to.equal(derivation.localpubkey)
      },
    },
    {
      name: 'localprivkey from basepoint secret and per-commitment point',
      run: () => {
        expect(digits(deriveSecret(baseSecret, point))).to.equal(derivation.localprivkey)
      },
    },
    {
      name: 'revocationpubkey from revocation basepoint and per-commitment point',
      run: () => {
        expect(digits(baseFirst)).to.equal(revocation.hash_base_first)
        expect(digits(pointFirst)).to.equal(revocation.hash_point_first)
        expect(digits(secp256k1.multiply(base, baseFirst))).to.equal(revocation.term_basepoint)
        expect(digits(secp256k1.multiply(point, pointFirst))).to.equal(revocation.term_point)
        expect(digits(deriveRevocationKey(base, point))).to.equal(revocation.revocationpubkey)
      },
    },
    {
      name: 'revocationprivkey from both secrets',
      run: () => {
        expect(digits(secp256k1.multiplySecret(baseSecret, baseFirst))).to.equal(revocation.term_base_secret)
        expect(digits(secp256k1.multiplySecret(secret, pointFirst))).to.equal(
          revocation.term_commitment_secret,
        )
        expect(digits(deriveRevocationSecret(baseSecret, secret))).to.equal(revocation.revocationprivkey)
      },
    },
  ]
}
