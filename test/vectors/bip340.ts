// BIP 340: Schnorr signatures, by every provider of the curve.
import { expect } from 'chai'
import { providers } from '../wallet/providers.js'
import { bytes, type Case, digits, load } from './cases.js'

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

/** Each vector is verified, and signed again where its secret is published. */
export function cases(): readonly Case[] {
  return load<{ readonly vectors: readonly Vector[] }>('bip340').vectors.flatMap((vector) =>
    providers.map((curve) => ({
      name: `${vector.index} by ${curve.name}${vector.comment ? `: ${vector.comment}` : ''} -> ${vector.valid ? 'valid' : 'invalid'}`,
      run: () => {
        const { secret, auxiliary, publicKey, valid } = vector
        const message = bytes(vector.message)
        expect(curve.schnorrVerify(bytes(vector.signature), message, bytes(publicKey))).to.equal(valid)
        if (secret === undefined || auxiliary === undefined) return
        expect(digits(curve.schnorrSign(message, bytes(secret), bytes(auxiliary)))).to.equal(vector.signature)
        expect(digits(curve.publicKey(bytes(secret)).subarray(1))).to.equal(publicKey)
      },
    })),
  )
}
