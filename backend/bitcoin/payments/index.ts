// Payments over channels (BOLT 4, BOLT 11) as a pure machine above them: step(state, input, context).
export { isReliableChannel, payableChannel } from './channels.js'
export { openAhead } from './final.js'
export type {
  InvoiceRequest,
  NodeKeys,
  PastPayments,
  PayableChannel,
  PaymentsContext,
  PaymentsInput,
} from './input.js'
export { step } from './payments.js'
export {
  FAIL_BACK_BUFFER,
  MIN_FINAL_CLTV_EXPIRY_DELTA,
  MPP_TIMEOUT,
  PAST_TIMEOUT,
  PAYMENTS_POLICY,
  type PaymentsPolicy,
  paymentsPolicy,
  TRANSIT_BLOCKS,
} from './policy.js'
export {
  PAYMENT_ROWS,
  pastIncoming,
  pastPayments,
  pastRemoval,
  pastWrites,
  paymentWrites,
  restoredPayments,
  writableState,
} from './record.js'
export { type Session, Sessions } from './sessions.js'
export {
  type CancelReason,
  type IncomingPart,
  type IncomingPayment,
  type IncomingStatus,
  type InvoiceTerms,
  NO_PAYMENTS,
  type OutgoingPart,
  type OutgoingPayment,
  type OutgoingStatus,
  type PaymentFailure,
  type PaymentID,
  type PaymentsState,
  type PayRequest,
  type Recent,
  type Recipient,
} from './state.js'
export type { PaymentEvent, PaymentsEffect, PaymentsStep } from './step.js'
export { lookUp, type Table, valuesOf } from './table.js'
