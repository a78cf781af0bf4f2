// Payments to us for tests: an invoice, and HTLCs for it.
import type {
  IncomingPayment,
  InvoiceRequest,
  PaymentsPolicy,
} from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { answer, bytes32, Desk, hex32, htlcToUs, type ToUs } from './desk.js'

/** Over which most HTLCs come. */
export const CHANNEL = hex32(0xc0)
/** Another one. */
export const OTHER = hex32(0xc1)
/** Of what is asked for. */
export const PREIMAGE = bytes32(0x9e)
/** Of {@link PREIMAGE}. */
export const HASH = toHex(sha256(PREIMAGE))
/** What invoices are for. */
export const TEXT = { description: { kind: 'text' as const, text: 'tea' } }

/** An invoice, and how it is paid. */
export function asked(request: Partial<InvoiceRequest> = {}, policy: Partial<PaymentsPolicy> = {}) {
  const desk = new Desk({ policy })
  const effects = desk.give({
    kind: 'createInvoice',
    request: { amount: msat(1000n), preimage: PREIMAGE, ...TEXT, ...request },
  })
  const made = incomingOf(answer(effects))
  const { paymentHash, paymentSecret = bytes32(0) } = made
  let next = 0n
  const pay = (to: Partial<ToUs> & { readonly total?: bigint } = {}, channelID: Hex = CHANNEL) => {
    const amount = to.amount ?? 1000n
    const payment = { paymentSecret, total: to.total ?? amount }
    const htlc = htlcToUs({ id: next++, amount, paymentHash, payment, ...to })
    desk.hand(channelID, { kind: 'locked', htlc })
    return { htlc, channelID, removal: () => desk.removalOf(channelID, htlc.id) }
  }
  return { desk, made, paymentHash, paymentSecret, pay }
}

/** An answer as a payment to us. */
export function incomingOf(payment: ReturnType<typeof answer>): IncomingPayment {
  if ('id' in payment) throw new Error('one of ours')
  return payment
}

/** The one failure that strangers get. */
export const details = (htlcMsat = 1000n, height = 100) => ({
  kind: 'incorrect_or_unknown_payment_details',
  htlcMsat,
  height,
})
/** How a part is claimed. */
export const FULFILL = { kind: 'fulfill', preimage: PREIMAGE }
