// BOLT 12: what strings are read, and that they all say the same.
import { expect } from 'chai'
import { decodeBolt12String } from '../../backend/bitcoin/invoice/bolt12-string.js'
import { formatOffer, parseOffer } from '../../backend/bitcoin/invoice/offer.js'
import { bytes, type Case, digits, load } from './cases.js'
import { reasonOf } from './wire.js'

interface File {
  readonly decoded: string
  readonly vectors: readonly {
    readonly name: string
    readonly valid: boolean
    readonly string: string
    readonly reason?: string
  }[]
}

/** One case for each string. */
export function cases(): readonly Case[] {
  const { decoded, vectors } = load<File>('bolt12-format')
  const [plain] = vectors
  return vectors.map(({ name, valid, string, reason }, i) => ({
    name: `${i}: ${name} -> ${reason ?? 'the recorded bytes'}`,
    run: () => {
      if (!valid) {
        expect(reasonOf(() => decodeBolt12String(string, 'lno', 'offer'))).to.equal(reason)
        return
      }
      expect(digits(decodeBolt12String(string, 'lno', 'offer'))).to.equal(decoded)
      expect(formatOffer(parseOffer(string))).to.equal(plain?.string)
      expect(bytes(decoded).length).to.be.greaterThan(0)
    },
  }))
}
