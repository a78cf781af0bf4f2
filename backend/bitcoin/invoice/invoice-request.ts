// Invoice requests (BOLT 12, "Invoice Requests"): a payer asks for an invoice for an offer, or announces without one that
// it wants to pay somebody.
import type { Hex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { encodeStream } from '../../../peer/wire/tlv.js'
import type { Msat } from '../units.js'
import {
  BITCOIN_CHAIN,
  decodeRanged,
  haveSameRecords,
  type InvoiceRequest,
  invoiceRequestStream,
  OFFER_TYPES,
  type Offer,
  REQUEST_TYPES,
  SIGNATURE_TYPES,
} from './bolt12-records.js'
import { decodeBolt12String, encodeBolt12String } from './bolt12-string.js'
import { checkFeatures } from './features.js'
import { isSignedBy, type SchnorrSign, signatureDigest } from './merkle.js'
import { amountAsked, encodeOffer, isOfferedOn } from './offer.js'
import { refuse } from './refuse.js'

/** What a payer says beside what the offer says. */
export interface RequestTerms {
  /** Unpredictable bytes, different for every request. */
  readonly metadata: Uint8Array
  /** A key for this request only, compressed; who has its secret can prove to have been the payer. */
  readonly payerID: Uint8Array
  /** Must be given if the offer names no amount. */
  readonly amount?: Msat
  /** Must be given if, and only if, the offer has a maximum (be it 0: as many as one likes). */
  readonly quantity?: bigint
  /** Bitcoin's main chain if not given. */
  readonly chain?: Hex
  readonly features?: Uint8Array
  readonly note?: string
  /** Ways to the payer, for requests without an offer. */
  readonly paths?: NonNullable<InvoiceRequest['invreqPaths']>
  /** The name of BIP 353 that the offer was found under. */
  readonly bip353Name?: NonNullable<InvoiceRequest['invreqBip353Name']>
}

/**
 * Asks for an invoice for an offer.
 *
 * @param sign by the secret of `payerID`
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE; INVALID_MESSAGE if the payee would refuse it
 */
export function requestInvoice(offer: Offer, terms: RequestTerms, sign: SchnorrSign): InvoiceRequest {
  const draft = { ...offer, ...recordsOf(terms) }
  const signature = sign(signatureDigest('invoice_request', encode(draft)))
  const request = { ...draft, signature }
  decodeInvoiceRequest(encode(request))
  return request
}

/**
 * Offers to pay, without an offer of the other side: for refunds and withdrawals.
 *
 * @param terms `amount` must be given
 * @throws PerkunasError as {@link requestInvoice}
 */
export function offerToPay(
  shown: Pick<Offer, 'offerAbsoluteExpiry' | 'offerIssuer'> & { readonly offerDescription: string },
  terms: RequestTerms,
): InvoiceRequest {
  const { offerDescription, offerAbsoluteExpiry, offerIssuer } = shown
  const request = {
    offerDescription,
    ...(offerAbsoluteExpiry !== undefined && { offerAbsoluteExpiry }),
    ...(offerIssuer !== undefined && { offerIssuer }),
    ...recordsOf(terms),
  }
  decodeInvoiceRequest(encode(request))
  return request
}

/** Whether a request answers an offer. */
export function answersOffer(request: InvoiceRequest): boolean {
  return request.offerIssuerID !== undefined || request.offerPaths !== undefined
}

/** Reads a request. @throws PerkunasError TOO_LARGE; INVALID_MESSAGE as {@link decodeInvoiceRequest} */
export function parseInvoiceRequest(text: string): InvoiceRequest {
  return decodeInvoiceRequest(decodeBolt12String(text, 'lnr', 'invoiceRequest'))
}

/** Prints a request. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function formatInvoiceRequest(request: InvoiceRequest): string {
  return encodeBolt12String('lnr', encode(request))
}

/** Writes a request's records. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodeInvoiceRequest(request: InvoiceRequest): Uint8Array {
  return encode(request)
}

/**
 * Reads a request's records and checks all that does not depend on the reader: signature, amounts, quantity, features.
 * A payee checks {@link isRequestFor} its offer as well, and that the request came along a path of that offer.
 *
 * @throws PerkunasError INVALID_MESSAGE: empty, type-out-of-range, missing-metadata, missing-payer-id,
 *   unknown-even-feature, no-paths, invalid-bip353-name, missing-quantity, invalid-quantity, unexpected-quantity,
 *   amount-too-low, missing-amount, wrong-chain, unexpected-offer-field, missing-signature, bad-signature, or what is
 *   wrong with a record
 */
export function decodeInvoiceRequest(bytes: Uint8Array): InvoiceRequest {
  const request = decodeRanged(invoiceRequestStream, bytes, PATH, [...REQUEST_TYPES, SIGNATURE_TYPES])
  checkRequest(request)
  const { signature, invreqPayerID } = request
  if (signature !== undefined) {
    const key = invreqPayerID ?? refuse(PATH, 'missing-payer-id')
    if (!isSignedBy('invoice_request', bytes, signature, key)) return refuse(PATH, 'bad-signature')
  } else if (answersOffer(request)) return refuse(PATH, 'missing-signature')
  return request
}

/** Whether a request has all fields of an offer, and no others in their place. */
export function isRequestFor(request: InvoiceRequest, offer: Offer): boolean {
  return haveSameRecords(encode(request), encodeOffer(offer), OFFER_TYPES)
}

/** The chain that is to be paid on. */
export function chainOf(request: InvoiceRequest): Hex {
  return request.invreqChain ?? BITCOIN_CHAIN
}

const PATH = 'invoiceRequest'
// What a request without an offer must not have, as its reader sees it.
const NOT_WITHOUT_OFFER = ['offerChains', 'offerFeatures', 'offerQuantityMax'] as const

/**
 * What every reader of a request, and of the invoice that it became, checks.
 *
 * @throws PerkunasError INVALID_MESSAGE as {@link decodeInvoiceRequest}
 */
function checkRequest(request: InvoiceRequest): void {
  const { invreqMetadata, invreqPayerID, invreqFeatures, invreqBip353Name, invreqPaths } = request
  if (invreqMetadata === undefined) return refuse(PATH, 'missing-metadata')
  if (invreqPayerID === undefined) return refuse(PATH, 'missing-payer-id')
  checkFeatures('offer', invreqFeatures ?? new Uint8Array(0), `${PATH}.invreqFeatures`)
  if (invreqPaths?.length === 0) return refuse(`${PATH}.invreqPaths`, 'no-paths')
  if (invreqBip353Name !== undefined && !isName(invreqBip353Name))
    return refuse(`${PATH}.invreqBip353Name`, 'invalid-bip353-name')
  if (answersOffer(request)) checkAnswer(request)
  else {
    for (const name of NOT_WITHOUT_OFFER)
      if (request[name] !== undefined) return refuse(`${PATH}.${name}`, 'unexpected-offer-field')
    if (request.invreqAmount === undefined) return refuse(PATH, 'missing-amount')
  }
}

function checkAnswer(request: InvoiceRequest): void {
  const { offerQuantityMax: max, invreqQuantity: quantity, invreqAmount } = request
  if (max === undefined) {
    if (quantity !== undefined) return refuse(PATH, 'unexpected-quantity')
  } else {
    if (quantity === undefined) return refuse(PATH, 'missing-quantity')
    if (quantity === 0n || (max !== 0n && quantity > max)) return refuse(PATH, 'invalid-quantity')
  }
  if (!isOfferedOn(request, chainOf(request))) return refuse(PATH, 'wrong-chain')
  if (request.offerAmount === undefined) {
    if (invreqAmount === undefined) return refuse(PATH, 'missing-amount')
    return
  }
  const asked = askedFor(request, quantity)
  if (asked !== undefined && invreqAmount !== undefined && invreqAmount < asked)
    return refuse(PATH, 'amount-too-low')
}

// More than all bitcoins is asked for: nothing that is paid can be enough.
function askedFor(request: InvoiceRequest, quantity: bigint | undefined): Msat | undefined {
  try {
    return amountAsked(request, quantity)
  } catch (error) {
    if (isError(error, 'INVALID_AMOUNT')) return refuse(PATH, 'amount-too-low')
    throw error
  }
}

function isName({ name, domain }: NonNullable<InvoiceRequest['invreqBip353Name']>): boolean {
  const allowed = /^[0-9a-zA-Z._-]*$/
  return [name, domain].every((part) => allowed.test(String.fromCharCode(...part)))
}

function recordsOf(terms: RequestTerms): InvoiceRequest {
  const { metadata, payerID, amount, quantity, chain, features, note, paths, bip353Name } = terms
  if (metadata.length === 0)
    throw new PerkunasError('INVALID_ARGUMENT', 'metadata: unpredictable bytes expected, got none', {
      argument: 'metadata',
    })
  return {
    invreqMetadata: metadata,
    invreqPayerID: payerID,
    ...(amount !== undefined && { invreqAmount: amount }),
    ...(quantity !== undefined && { invreqQuantity: quantity }),
    // Bitcoin is meant where nothing is said, and saying it would only make the request recognisable.
    ...(chain !== undefined && chain !== BITCOIN_CHAIN && { invreqChain: chain }),
    ...(features !== undefined && { invreqFeatures: features }),
    ...(note !== undefined && { invreqPayerNote: note }),
    ...(paths !== undefined && { invreqPaths: paths }),
    ...(bip353Name !== undefined && { invreqBip353Name: bip353Name }),
  }
}

function encode(request: InvoiceRequest): Uint8Array {
  return encodeStream(invoiceRequestStream, request, PATH)
}
