// Offers (BOLT 12, "Offers"): what a payee publishes once, for invoices to be asked for.
import type { Hex } from '../../../channel/bytes.js'
import { encodeStream } from '../../../peer/wire/tlv.js'
import { type Msat, msat } from '../units.js'
import { BITCOIN_CHAIN, decodeRanged, OFFER_TYPES, type Offer, offerStream } from './bolt12-records.js'
import { decodeBolt12String, encodeBolt12String } from './bolt12-string.js'
import { checkFeatures } from './features.js'
import { refuse } from './refuse.js'

/**
 * Reads an offer.
 *
 * @throws PerkunasError TOO_LARGE; INVALID_MESSAGE with a reason of `decodeBolt12String`, {@link decodeOffer}
 */
export function parseOffer(text: string): Offer {
  return decodeOffer(decodeBolt12String(text, 'lno', 'offer'))
}

/** Prints an offer. @throws PerkunasError as {@link encodeOffer} */
export function formatOffer(offer: Offer): string {
  return encodeBolt12String('lno', encodeOffer(offer))
}

/**
 * Reads an offer's records and checks all that does not depend on who asks and when.
 *
 * @throws PerkunasError INVALID_MESSAGE: empty, type-out-of-range, the reasons of {@link checkOffer}, or what is wrong
 *   with a record
 */
export function decodeOffer(bytes: Uint8Array): Offer {
  const offer = decodeRanged(offerStream, bytes, 'offer', OFFER_TYPES)
  checkOffer(offer)
  return offer
}

/**
 * Writes an offer's records.
 *
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE; INVALID_MESSAGE if its readers would refuse it
 */
export function encodeOffer(offer: Offer): Uint8Array {
  const bytes = encodeStream(offerStream, offer, 'offer')
  decodeOffer(bytes)
  return bytes
}

/**
 * What every reader of an offer checks.
 *
 * @throws PerkunasError INVALID_MESSAGE: unknown-even-feature, no-chains, amount-without-description, zero-amount,
 *   currency-without-amount, invalid-currency, no-issuer-id-nor-path, no-paths
 */
export function checkOffer(offer: Offer): void {
  checkFeatures('offer', offer.offerFeatures ?? new Uint8Array(0), 'offer.offerFeatures')
  if (offer.offerChains?.length === 0) return refuse('offer.offerChains', 'no-chains')
  if (offer.offerAmount !== undefined) {
    if (offer.offerDescription === undefined) return refuse('offer', 'amount-without-description')
    if (offer.offerAmount === 0n) return refuse('offer.offerAmount', 'zero-amount')
  }
  if (offer.offerCurrency !== undefined) {
    if (offer.offerAmount === undefined) return refuse('offer', 'currency-without-amount')
    if (!/^[A-Z]{3}$/.test(offer.offerCurrency)) return refuse('offer.offerCurrency', 'invalid-currency')
  }
  if (offer.offerPaths?.length === 0) return refuse('offer.offerPaths', 'no-paths')
  if (offer.offerIssuerID === undefined && offer.offerPaths === undefined)
    return refuse('offer', 'no-issuer-id-nor-path')
}

/** Whether an offer may be paid for on a chain. */
export function isOfferedOn(offer: Offer, chain: Hex): boolean {
  return (offer.offerChains ?? [BITCOIN_CHAIN]).includes(chain)
}

/** Whether no request should be sent any more. @param now seconds since 1970 */
export function isOfferExpired(offer: Offer, now: bigint): boolean {
  return offer.offerAbsoluteExpiry !== undefined && now > offer.offerAbsoluteExpiry
}

/**
 * What is asked for so many items.
 *
 * @returns undefined if the payer chooses, or if it takes a rate of exchange to tell
 * @throws PerkunasError INVALID_AMOUNT beyond all bitcoins
 */
export function amountAsked(offer: Offer, quantity = 1n): Msat | undefined {
  if (offer.offerAmount === undefined || offer.offerCurrency !== undefined) return undefined
  return msat(offer.offerAmount * quantity)
}
