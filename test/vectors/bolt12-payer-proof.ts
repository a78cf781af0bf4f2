// BOLT 12, pull request 1295: proofs made from two invoices, and verified.
import { expect } from 'chai'
import { decodeBolt12Invoice } from '../../backend/bitcoin/invoice/bolt12-invoice.js'
import { decodeBolt12String } from '../../backend/bitcoin/invoice/bolt12-string.js'
import { merkleRoot, splitRecords } from '../../backend/bitcoin/invoice/merkle.js'
import { formatPayerProof, parsePayerProof, provePayment } from '../../backend/bitcoin/invoice/payer-proof.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Vector {
  readonly name: string
  readonly invoice_hex: string
  readonly included_types: readonly string[]
  readonly note: string
  readonly leaf_hashes: readonly string[]
  readonly omitted_tlvs: readonly string[]
  readonly missing_hashes: readonly string[]
  readonly merkle_root: string
  readonly bech32: string
  readonly proof_fields: readonly { readonly type: string; readonly hex: string }[]
}

interface File {
  readonly payer_secret: string
  readonly payment_preimage: string
  readonly vectors: readonly Vector[]
}

/** Each is verified, and made again unless it says explicitly that nothing is hidden, which we leave out. */
export function cases(): readonly Case[] {
  const { payer_secret, payment_preimage, vectors } = load<File>('bolt12-payer-proof')
  const verified = vectors.map((vector) => ({
    name: `${vector.name} -> verified, with every record`,
    run: () => {
      const proof = parsePayerProof(vector.bech32)
      expect(formatPayerProof(proof)).to.equal(vector.bech32)
      expect((proof.proofOmittedTlvs ?? []).map(String)).to.deep.equal(vector.omitted_tlvs)
      expect((proof.proofMissingHashes ?? []).map(digits)).to.deep.equal(vector.missing_hashes)
      expect((proof.proofLeafHashes ?? []).map(digits)).to.deep.equal(vector.leaf_hashes)
      expect(proof.proofNote ?? '').to.equal(vector.note)
      const records = splitRecords(decodeBolt12String(vector.bech32, 'lnp', 'proof'), 'proof')
      expect(
        records.map(({ type, bytes: all }, i) => {
          const { length } = bytes(vector.proof_fields[i]?.hex ?? '')
          return { type: String(type), hex: digits(all.subarray(all.length - length)) }
        }),
      ).to.deep.equal(vector.proof_fields)
      expect(digits(merkleRoot(bytes(vector.invoice_hex), 'invoice'))).to.equal(vector.merkle_root)
    },
  }))
  const made = vectors
    .filter(({ name }) => !name.endsWith('explicit'))
    .map((vector) => ({
      name: `${vector.name} -> made from the invoice, the same`,
      run: () => {
        const proof = provePayment({
          invoice: decodeBolt12Invoice(bytes(vector.invoice_hex)),
          preimage: bytes(payment_preimage),
          shown: vector.included_types.map(BigInt),
          ...(vector.note !== '' && { note: vector.note }),
          sign: (digest) => secp256k1.schnorrSign(digest, bytes(payer_secret)),
        })
        expect(formatPayerProof(proof)).to.equal(vector.bech32)
      },
    }))
  return [...verified, ...made]
}
