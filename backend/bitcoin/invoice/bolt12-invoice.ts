// Invoices of BOLT 12 ("Invoices"): what a payee answers a request with. All that the request said is in it, so that it
// proves by itself what was paid for.
import { equalBytes } from '../../../channel/bytes.js'
import { restBytes, restText, tu64 } from '../../../peer/wire/fields.js'
import { decodeStream, encodeStream, record, type StreamOf, stream } from '../../../peer/wire/tlv.js'
import { bitsOf } from '../features.js'
import type { BlindedPath, BlindedPayInfo } from '../onion/blinded-path.js'
import type { Msat } from '../units.js'
import {
  type Bolt12Invoice,
  decodeRanged,
  haveSameRecords,
  type InvoiceRequest,
  invoiceStream,
  REQUEST_TYPES,
  withoutSignatures,
} from './bolt12-records.js'
import { checkFeatures } from './features.js'
import { type Fallback, isWitnessProgram } from './fields.js'
import { encodeInvoiceRequest } from './invoice-request.js'
import { isSignedBy, type SchnorrSign, signatureDigest } from './merkle.js'
import { refuse } from './refuse.js'

const PATH = 'bolt12Invoice'
const DEFAULT_EXPIRY = 7200n

/** A way to the payee and what it costs. */
export interface PayablePath {
  readonly path: BlindedPath
  readonly payInfo: BlindedPayInfo
}

/** What a payee says beside what the request says. */
export interface InvoiceAnswer {
  /** The key that signs, compressed: the offer's issuer ID, or the last blinded node of the path the request came by. */
  readonly nodeID: Uint8Array
  readonly paymentHash: Uint8Array
  /** At least one, in order of preference. */
  readonly paths: readonly PayablePath[]
  /** Seconds since 1970. */
  readonly createdAt: bigint
  /** Seconds; 7200 if not given. */
  readonly relativeExpiry?: number
  /** What the request leaves open; must not differ from what it says. */
  readonly amount: Msat
  readonly fallbacks?: NonNullable<Bolt12Invoice['invoiceFallbacks']>
  readonly features?: Uint8Array
}

/**
 * Answers a request.
 *
 * @param sign by the secret of `nodeID`
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE; INVALID_MESSAGE if the payer would refuse it
 */
export function answerRequest(
  request: InvoiceRequest,
  answer: InvoiceAnswer,
  sign: SchnorrSign,
): Bolt12Invoice {
  const draft: Bolt12Invoice = {
    ...withoutSignatures(request),
    invoicePaths: answer.paths.map(({ path }) => path),
    invoiceBlindedpay: answer.paths.map(({ payInfo }) => payInfo),
    invoiceCreatedAt: answer.createdAt,
    ...(answer.relativeExpiry !== undefined && { invoiceRelativeExpiry: answer.relativeExpiry }),
    invoicePaymentHash: answer.paymentHash,
    invoiceAmount: answer.amount,
    ...(answer.fallbacks !== undefined && { invoiceFallbacks: answer.fallbacks }),
    ...(answer.features !== undefined && { invoiceFeatures: answer.features }),
    invoiceNodeID: answer.nodeID,
  }
  const signature = sign(signatureDigest('invoice', encodeBolt12Invoice(draft)))
  const invoice = { ...draft, signature }
  decodeBolt12Invoice(encodeBolt12Invoice(invoice))
  return invoice
}

/** Writes an invoice's records. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodeBolt12Invoice(invoice: Bolt12Invoice): Uint8Array {
  return encodeStream(invoiceStream, invoice, PATH)
}

/**
 * Reads an invoice's records and checks all that does not depend on the reader. A payer checks {@link faultOfAnswer} to
 * its request as well, and that it came by the reply path of that request.
 *
 * @throws PerkunasError INVALID_MESSAGE: empty, missing-amount, missing-created-at, missing-payment-hash,
 *   missing-node-id, missing-paths, missing-payinfo, payinfo-count, no-usable-path, unknown-even-feature, wrong-amount,
 *   wrong-node-id, missing-signature, bad-signature, or what is wrong with a record
 */
export function decodeBolt12Invoice(bytes: Uint8Array): Bolt12Invoice {
  const invoice = decodeRanged(invoiceStream, bytes, PATH, 'all')
  const { invoiceNodeID, invoicePaths, invoiceBlindedpay, signature } = invoice
  if (invoice.invoiceAmount === undefined) return refuse(PATH, 'missing-amount')
  if (invoice.invoiceCreatedAt === undefined) return refuse(PATH, 'missing-created-at')
  if (invoice.invoicePaymentHash === undefined) return refuse(PATH, 'missing-payment-hash')
  if (invoiceNodeID === undefined) return refuse(PATH, 'missing-node-id')
  checkFeatures('offer invoice', invoice.invoiceFeatures ?? new Uint8Array(0), `${PATH}.invoiceFeatures`)
  if (invoicePaths === undefined || invoicePaths.length === 0) return refuse(PATH, 'missing-paths')
  if (invoiceBlindedpay === undefined) return refuse(PATH, 'missing-payinfo')
  if (invoiceBlindedpay.length !== invoicePaths.length) return refuse(PATH, 'payinfo-count')
  if (usablePaths(invoice).length === 0) return refuse(PATH, 'no-usable-path')
  if (invoice.invreqAmount !== undefined && invoice.invreqAmount !== invoice.invoiceAmount)
    return refuse(PATH, 'wrong-amount')
  if (invoice.offerIssuerID !== undefined && !equalBytes(invoice.offerIssuerID, invoiceNodeID))
    return refuse(PATH, 'wrong-node-id')
  if (signature === undefined) return refuse(PATH, 'missing-signature')
  if (!isSignedBy('invoice', bytes, signature, invoiceNodeID)) return refuse(PATH, 'bad-signature')
  return invoice
}

/**
 * Why an invoice does not answer a request; undefined if it does.
 *
 * @param sentTo the last blinded node of the offer's path that the request was sent along, if the offer has no issuer ID
 */
export function faultOfAnswer(
  invoice: Bolt12Invoice,
  request: InvoiceRequest,
  sentTo?: Uint8Array,
): 'other-request' | 'wrong-node-id' | undefined {
  const [ours, theirs] = [encodeInvoiceRequest(request), encodeBolt12Invoice(invoice)]
  if (!haveSameRecords(ours, theirs, REQUEST_TYPES)) return 'other-request'
  const expected = request.offerIssuerID ?? (request.offerPaths === undefined ? undefined : sentTo)
  const { invoiceNodeID } = invoice
  if (expected === undefined) return request.offerPaths === undefined ? undefined : 'wrong-node-id'
  return invoiceNodeID !== undefined && equalBytes(invoiceNodeID, expected) ? undefined : 'wrong-node-id'
}

/** The ways to the payee of which every demanded feature is known. */
export function usablePaths({
  invoicePaths = [],
  invoiceBlindedpay = [],
}: Bolt12Invoice): readonly PayablePath[] {
  return invoicePaths.flatMap((path, i) => {
    const payInfo = invoiceBlindedpay[i]
    return payInfo !== undefined && hasOnlyOdd(payInfo.features) ? [{ path, payInfo }] : []
  })
}

/** The addresses on Bitcoin's chain that are valid ones of a known version. */
export function usableFallbacks({ invoiceFallbacks = [] }: Bolt12Invoice): readonly Fallback[] {
  return invoiceFallbacks.flatMap(({ version, address }) =>
    isWitnessProgram(version, address) ? [{ kind: 'witness', version, program: address } as const] : [],
  )
}

/** When an invoice ends, in seconds since 1970: no payment should be begun later. */
export function bolt12ExpiresAt({ invoiceCreatedAt = 0n, invoiceRelativeExpiry }: Bolt12Invoice): bigint {
  return (
    invoiceCreatedAt + (invoiceRelativeExpiry === undefined ? DEFAULT_EXPIRY : BigInt(invoiceRelativeExpiry))
  )
}

/** `invoice_error`: what was wrong with a request or an invoice. */
export const invoiceErrorStream = stream({
  erroneousField: record(1, tu64),
  suggestedValue: record(3, restBytes),
  error: record(5, restText),
})
/** The records of an invoice error. */
export type InvoiceError = StreamOf<typeof invoiceErrorStream.records>

/** Writes an invoice error. @throws PerkunasError INVALID_ARGUMENT, TOO_LARGE */
export function encodeInvoiceError(error: InvoiceError): Uint8Array {
  return encodeStream(invoiceErrorStream, error, 'invoiceError')
}

/** Reads an invoice error. @throws PerkunasError INVALID_MESSAGE */
export function decodeInvoiceError(bytes: Uint8Array): InvoiceError {
  return decodeStream(invoiceErrorStream, bytes, 'invoiceError')
}

// No feature of blinded payments is known.
function hasOnlyOdd(features: Uint8Array): boolean {
  for (const bit of bitsOf(features)) if (bit % 2 === 0) return false
  return true
}
