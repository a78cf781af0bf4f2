// BOLT 12: whole signed invoices.
import { sha256 } from '@noble/hashes/sha2.js'
import { expect } from 'chai'
import {
  bolt12ExpiresAt,
  decodeBolt12Invoice,
  encodeBolt12Invoice,
} from '../../backend/bitcoin/invoice/bolt12-invoice.js'
import { invoiceStream } from '../../backend/bitcoin/invoice/bolt12-records.js'
import { merkleRoot, signatureDigest } from '../../backend/bitcoin/invoice/merkle.js'
import { encodeField } from '../../peer/wire/tlv.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'
import { camel } from './wire.js'

interface Vector {
  readonly name: string
  readonly hex: string
  readonly fields: readonly { readonly type: string; readonly name: string; readonly hex: string }[]
  readonly merkle_root: string
  readonly signature_hash: string
  readonly invoice_node_id: string
  readonly signature: string
  readonly payment_preimage: string
}

interface File {
  readonly keys: { readonly invreq_payer_id_secret: string; readonly invoice_node_id_secret: string }
  readonly vectors: readonly Vector[]
}

/** Each read, compared field by field, written again; its root and its signature. */
export function cases(): readonly Case[] {
  const { keys, vectors } = load<File>('bolt12-invoices')
  return vectors.flatMap((vector) => [
    { name: `${vector.name} -> every record, and the same bytes again`, run: () => checkRecords(vector) },
    {
      name: `${vector.name} -> root, digest, signature, preimage`,
      run: () => {
        const stream = bytes(vector.hex)
        const digest = signatureDigest('invoice', stream)
        expect(digits(merkleRoot(stream, 'invoice'))).to.equal(vector.merkle_root)
        expect(digits(digest)).to.equal(vector.signature_hash)
        const secret = bytes(keys.invoice_node_id_secret)
        expect(digits(secp256k1.publicKey(secret))).to.equal(vector.invoice_node_id)
        const key = secp256k1.publicKey(secret).subarray(1)
        expect(secp256k1.schnorrVerify(bytes(vector.signature), digest, key)).to.equal(true)
        const invoice = decodeBolt12Invoice(stream)
        expect(invoice.invoicePaymentHash).to.deep.equal(sha256(bytes(vector.payment_preimage)))
        const payer = secp256k1.publicKey(bytes(keys.invreq_payer_id_secret))
        expect(invoice.invreqPayerID).to.deep.equal(payer)
      },
    },
  ])
}

function checkRecords({ hex, fields }: Vector): void {
  const invoice = decodeBolt12Invoice(bytes(hex))
  expect(digits(encodeBolt12Invoice(invoice))).to.equal(hex)
  const records = Object.entries(invoiceStream.records)
  for (const recorded of fields) {
    const known = records.find(([, { type }]) => type === BigInt(recorded.type))
    if (known === undefined) {
      const unknown = invoice.unknown?.find(({ type }) => type === BigInt(recorded.type))
      expect(unknown && digits(unknown.value)).to.equal(recorded.hex)
      continue
    }
    const [name, { field }] = known
    expect(name).to.equal(camel(recorded.name))
    const value: unknown = invoice[name as keyof typeof invoiceStream.records]
    expect(digits(encodeField<unknown>(field, value, name))).to.equal(recorded.hex)
  }
  expect(bolt12ExpiresAt(invoice) - (invoice.invoiceCreatedAt ?? 0n)).to.equal(7200n)
}
