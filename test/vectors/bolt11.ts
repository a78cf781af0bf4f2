// BOLT 11: the examples, read, printed, and signed again; and those that are to be refused, each for its reason.
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
  readonly fallbacks: readonly { readonly version: number; readonly program: string }[]
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
  readonly signed_hash: string
}

interface File {
  readonly private_key: string
  readonly valid: readonly Valid[]
  readonly invalid: readonly { readonly name: string; readonly invoice: string; readonly reason: string }[]
}

/** The valid ones, the one of them that the requirements refuse, the invalid ones. */
export function cases(): readonly Case[] {
  const { private_key, valid, invalid } = load<File>('bolt11')
  return [
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
  if (!vector.low_s || vector.payee !== digits(secp256k1.publicKey(key))) return
  expect(secp256k1.sign(signedDigest(signed), key)).to.deep.equal({
    signature: signed.signature,
    recovery: signed.recovery,
  })
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
