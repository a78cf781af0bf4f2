// Asking to be paid: invoices of BOLT 11, and the offers, requests and invoices of BOLT 12.
export {
  createInvoice,
  decodeInvoice,
  encodeInvoice,
  expiresAt,
  type Invoice,
  type InvoiceTerms,
  type NewInvoice,
  type SignedWords,
} from './bolt11.js'
export {
  answerRequest,
  bolt12ExpiresAt,
  decodeBolt12Invoice,
  decodeInvoiceError,
  encodeBolt12Invoice,
  encodeInvoiceError,
  faultOfAnswer,
  type InvoiceAnswer,
  type InvoiceError,
  type PayablePath,
  usableFallbacks,
  usablePaths,
} from './bolt12-invoice.js'
export { BITCOIN_CHAIN, type Bolt12Invoice, type InvoiceRequest, type Offer } from './bolt12-records.js'
export type { Description, Fallback, FieldValues, RoutingHop, TaggedField } from './fields.js'
export {
  answersOffer,
  chainOf,
  decodeInvoiceRequest,
  encodeInvoiceRequest,
  formatInvoiceRequest,
  isRequestFor,
  offerToPay,
  parseInvoiceRequest,
  type RequestTerms,
  requestInvoice,
} from './invoice-request.js'
export type { SchnorrSign } from './merkle.js'
export {
  amountAsked,
  decodeOffer,
  encodeOffer,
  formatOffer,
  isOfferExpired,
  isOfferedOn,
  parseOffer,
} from './offer.js'
export {
  decodePayerProof,
  encodePayerProof,
  formatPayerProof,
  type PayerProof,
  type ProofRequest,
  parsePayerProof,
  provePayment,
} from './payer-proof.js'
export type { Currency } from './prefix.js'
