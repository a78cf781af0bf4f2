// BOLT 11: the examples, read, printed, and signed again; and those that are to be refused, each for its reason.
import { sha256 } from '@noble/hashes/sha2.js'
import { Address, NETWORK, TEST_NETWORK } from '@scure/btc-signer'
import { expect } from 'chai'
import { bitsOf } from '../../backend/bitcoin/features.js'
import { decodeInvoice, encodeInvoice, signedDigest } from '../../backend/bitcoin/invoice/bolt11.js'
import type { Fallback } from '../../backend/bitcoin/invoice/fields.js'
import { formatShortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { isError } from '../../channel/errors.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import { bytes, type Case, digits, load } from './cases.js'

interface Valid {
  readonly name: string
  readonly invoice: string
  readonly currency: string
  readonly amount_msat: string | null
  readonly timestamp: number
  readonly fallbacks: readonly {
    readonly version: number
    readonly program: string
    readonly address: string
  }[]
  readonly routes: readonly (readonly {
    readonly pubkey: string
    readonly short_channel_id: string
    readonly fee_base_msat: number
    readonly fee_proportional_millionths: number
    readonly cltv_expiry_delta: number
  }[])[]
  readonly payment_secret: string
  readonly payment_hash: string
  readonly description?: string
  readonly description_hash?: string
  readonly metadata?: string
  readonly expiry?: number
  readonly min_final_cltv_expiry_delta?: number
  readonly features: readonly number[]
  readonly ignored_fields?: readonly unknown[]
  readonly payee: string
  readonly signature: string
  readonly recovery_id: number
  readonly low_s: boolean
  readonly signed_data: string
  readonly signed_hash: string
}

interface File {
  readonly private_key: string
  readonly node_id: string
  readonly description_hash_preimage: string
  readonly valid: readonly Valid[]
  readonly invalid: readonly { readonly name: string; readonly invoice: string; readonly reason: string }[]
}

/** The valid ones, the one of them that the requirements refuse, the invalid ones. */
export function cases(): readonly Case[] {
  const file = load<File>('bolt11')
  const { private_key, valid, invalid } = file
  return [
    {
      name: 'the payee of every example but the one that recovers another, and the text that is hashed',
      run: () => {
        expect(digits(secp256k1.publicKey(bytes(private_key)))).to.equal(file.node_id)
        for (const { payee, low_s } of valid) expect(payee === file.node_id).to.equal(low_s)
        const hash = digits(sha256(new TextEncoder().encode(file.description_hash_preimage)))
        const hashes = valid.flatMap(({ description_hash }) => description_hash ?? [])
        expect(hashes).not.to.deep.equal([])
        for (const one of hashes) expect(one).to.equal(hash)
      },
    },
    ...valid.map((vector) => ({
      name: `${vector.name} -> every field, the same string and the same signature again`,
      run: () => check(vector, bytes(private_key)),
    })),
    ...valid
      .filter(({ ignored_fields }) => ignored_fields !== undefined)
      .map((vector) => ({
        name: `${vector.name} -> refused unless asked for: the requirements say so, the example does not`,
        run: () => refused(vector.invoice, 'wrong-length'),
      })),
    ...invalid.map(({ name, invoice, reason }) => ({
      name: `${name} -> ${reason}`,
      run: () => refused(invoice, reason),
    })),
  ]
}

function check(vector: Valid, key: Uint8Array): void {
  const invoice = decodeInvoice(vector.invoice, vector.ignored_fields && { wrongLengths: 'skip' })
  const { description, signed } = invoice
  expect({
    currency: invoice.currency,
    amount_msat: invoice.amount?.toString() ?? null,
    timestamp: invoice.timestamp,
    fallbacks: invoice.fallbacks.map(fallbackFigures),
    routes: invoice.routes.map((route) =>
      route.map((hop) => ({
        pubkey: hop.nodeID.slice(2),
        short_channel_id: formatShortChannelID(hop.shortChannelID),
        fee_base_msat: Number(hop.feeBaseMsat),
        fee_proportional_millionths: hop.feeProportionalMillionths,
        cltv_expiry_delta: hop.cltvExpiryDelta,
      })),
    ),
    payment_secret: digits(invoice.paymentSecret),
    payment_hash: digits(invoice.paymentHash),
    description: description.kind === 'text' ? description.text : undefined,
    description_hash: description.kind === 'hash' ? digits(description.hash) : undefined,
    metadata: invoice.metadata && digits(invoice.metadata),
    expiry: Number(invoice.expiry),
    min_final_cltv_expiry_delta: invoice.minFinalCltvExpiryDelta,
    features: [...bitsOf(invoice.features)],
    payee: invoice.payee.slice(2),
    signature: digits(signed.signature),
    recovery_id: signed.recovery,
    signed_hash: digits(signedDigest(signed)),
  }).to.deep.equal({
    currency: vector.currency,
    amount_msat: vector.amount_msat,
    timestamp: vector.timestamp,
    fallbacks: vector.fallbacks.map(({ version, program }) => ({ version, program })),
    routes: vector.routes,
    payment_secret: vector.payment_secret,
    payment_hash: vector.payment_hash,
    description: vector.description,
    description_hash: vector.description_hash,
    metadata: vector.metadata,
    expiry: vector.expiry ?? 3600,
    min_final_cltv_expiry_delta: vector.min_final_cltv_expiry_delta ?? 18,
    features: vector.features,
    payee: vector.payee,
    signature: vector.signature,
    recovery_id: vector.recovery_id,
    signed_hash: vector.signed_hash,
  })
  expect(encodeInvoice(invoice)).to.equal(vector.invoice.toLowerCase())
  // The words of the data part without the signature, behind the prefix as text: what is hashed, in full.
  expect(digits(sha256(bytes(vector.signed_data)))).to.equal(vector.signed_hash)
  expect(vector.signed_data.startsWith(digits(new TextEncoder().encode(signed.prefix)))).to.equal(true)
  for (const { address, program } of vector.fallbacks)
    expect(programOf(address, vector.currency)).to.equal(program)
  // That one was signed with its s negated, which we never do: its payee is what is recovered, and was compared.
  if (!vector.low_s) return
  expect(vector.payee).to.equal(digits(secp256k1.publicKey(key)))
  expect(secp256k1.sign(signedDigest(signed), key)).to.deep.equal({
    signature: signed.signature,
    recovery: signed.recovery,
  })
}

function programOf(address: string, currency: string): string {
  const decoded = Address(currency === 'bc' ? NETWORK : TEST_NETWORK).decode(address)
  if ('hash' in decoded) return digits(decoded.hash)
  return 'pubkey' in decoded ? digits(decoded.pubkey) : decoded.type
}

function fallbackFigures(fallback: Fallback): { readonly version: number; readonly program: string } {
  return fallback.kind === 'witness'
    ? { version: fallback.version, program: digits(fallback.program) }
    : { version: fallback.kind === 'pubkeyHash' ? 17 : 18, program: digits(fallback.hash) }
}

function refused(invoice: string, reason: string): void {
  expect(() => decodeInvoice(invoice))
    .to.throw()
    .that.satisfies((error: unknown) => isError(error, 'INVALID_MESSAGE') && error.facts.reason === reason)
}
