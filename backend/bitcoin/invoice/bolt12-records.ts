// The records of BOLT 12. An offer's are copied into the request, the request's into the invoice: each has types of its
// own, so that nothing is in the way of anything.
import { equalBytes, type Hex } from '../../../channel/bytes.js'
import {
  bip340Signature,
  chainHash,
  type Field,
  point,
  rest,
  restBytes,
  restText,
  sha256Hash,
  sizedBytes,
  struct,
  tu32,
  tu64,
  u8,
} from '../../../peer/wire/fields.js'
import {
  decodeStream,
  type Records,
  record,
  type Stream,
  type StreamOf,
  stream,
} from '../../../peer/wire/tlv.js'
import { blindedPaths, blindedPayInfo } from '../onion/blinded-path.js'
import type { Msat } from '../units.js'
import { truncatedAmount } from '../wire/fields.js'
import { isSignatureType, type RawRecord, splitRecords } from './merkle.js'
import { refuse } from './refuse.js'

/** Bitcoin's main chain, which is meant where no chain is named. */
export const BITCOIN_CHAIN: Hex = '0x6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000'

/** Bytes with their length in one byte before them. */
const shortBytes: Field<Uint8Array> = {
  format: 'u8*byte',
  least: 1,
  read: (from) => from.bytes(from.u8()),
  write: (to, value) => {
    to.u8(value.length)
    to.bytes(value)
  },
}

const offerRecords = {
  offerChains: record(2, rest(chainHash)),
  offerMetadata: record(4, restBytes),
  offerCurrency: record(6, restText),
  offerAmount: record(8, tu64),
  offerDescription: record(10, restText),
  offerFeatures: record(12, restBytes),
  offerAbsoluteExpiry: record(14, tu64),
  offerPaths: record(16, blindedPaths),
  offerIssuer: record(18, restText),
  offerQuantityMax: record(20, tu64),
  offerIssuerID: record(22, point),
}

const requestRecords = {
  invreqMetadata: record(0, restBytes),
  ...offerRecords,
  invreqChain: record(80, chainHash),
  invreqAmount: record(82, truncatedAmount<Msat>()),
  invreqFeatures: record(84, restBytes),
  invreqQuantity: record(86, tu64),
  invreqPayerID: record(88, point),
  invreqPayerNote: record(89, restText),
  invreqPaths: record(90, blindedPaths),
  invreqBip353Name: record(91, struct('bip_353_name', { name: shortBytes, domain: shortBytes })),
  signature: record(240, bip340Signature),
}

const invoiceRecords = {
  ...requestRecords,
  invoicePaths: record(160, blindedPaths),
  invoiceBlindedpay: record(162, rest(blindedPayInfo)),
  invoiceCreatedAt: record(164, tu64),
  invoiceRelativeExpiry: record(166, tu32),
  invoicePaymentHash: record(168, sha256Hash),
  invoiceAmount: record(170, truncatedAmount<Msat>()),
  invoiceFallbacks: record(172, rest(struct('fallback_address', { version: u8, address: sizedBytes }))),
  invoiceFeatures: record(174, restBytes),
  invoiceNodeID: record(176, point),
}

/** `offer`. */
export const offerStream = stream(offerRecords)
/** `invoice_request`. */
export const invoiceRequestStream = stream(requestRecords)
/** `invoice`. */
export const invoiceStream = stream(invoiceRecords)

/** The records of an offer. */
export type Offer = StreamOf<typeof offerRecords>
/** The records of an invoice request, those of its offer among them. */
export type InvoiceRequest = StreamOf<typeof requestRecords>
/** The records of an invoice, those of its request among them. */
export type Bolt12Invoice = StreamOf<typeof invoiceRecords>

/** Types from one to another, both included. */
export type TypeRange = readonly [from: bigint, to: bigint]

/** What offers may have; no signature, as nobody signs them. */
export const OFFER_TYPES: readonly TypeRange[] = [
  [1n, 79n],
  [1_000_000_000n, 1_999_999_999n],
]
/** What requests may have, signatures aside. */
export const REQUEST_TYPES: readonly TypeRange[] = [
  [0n, 159n],
  [1_000_000_000n, 2_999_999_999n],
]
/** Signatures: what `isSignatureType` says. */
export const SIGNATURE_TYPES: TypeRange = [240n, 1000n]

/**
 * Reads a stream whose types lie in certain ranges.
 *
 * @param ranges `all` for any type
 *
 * @throws PerkunasError INVALID_MESSAGE: empty, type-out-of-range, and whatever is wrong with a record
 */
export function decodeRanged<R extends Records>(
  schema: Stream<R>,
  bytes: Uint8Array,
  path: string,
  ranges: readonly TypeRange[] | 'all',
): StreamOf<R> {
  const records = splitRecords(bytes, path)
  if (records.length === 0) return refuse(path, 'empty')
  for (const { type } of records) {
    if (ranges === 'all' || isWithin(type, ranges)) continue
    return refuse(path, 'type-out-of-range', `type ${type}`)
  }
  return decodeStream(schema, bytes, path)
}

/** Whether two streams have the same records in certain ranges. */
export function haveSameRecords(a: Uint8Array, b: Uint8Array, ranges: readonly TypeRange[]): boolean {
  const of = (bytes: Uint8Array): readonly RawRecord[] =>
    splitRecords(bytes, 'records').filter(({ type }) => isWithin(type, ranges))
  const [left, right] = [of(a), of(b)]
  return (
    left.length === right.length &&
    left.every(({ bytes }, i) => equalBytes(bytes, right[i]?.bytes ?? new Uint8Array(0)))
  )
}

/** The records without any signature: what is copied from a request into its invoice. */
export function withoutSignatures(records: InvoiceRequest): InvoiceRequest {
  const { signature: _, unknown, ...others } = records
  const kept = unknown?.filter(({ type }) => !isSignatureType(type)) ?? []
  return kept.length === 0 ? others : { ...others, unknown: kept }
}

function isWithin(type: bigint, ranges: readonly TypeRange[]): boolean {
  return ranges.some(([from, to]) => type >= from && type <= to)
}
