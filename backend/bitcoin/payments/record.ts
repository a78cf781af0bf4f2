// Payments on disk: one row each, under another key once they are over, so that a restart reads only those that are not.
//
//     payment/open/out/<ID>              ours
//     payment/open/in/<payment hash>     to us
//     payment/past/out/<ID>
//     payment/past/in/<payment hash>     invoices; behind the hash a time for what came without one
//     payment/paid/<payment hash>        the ID of the payment of ours that has paid it
import { type Hex, isHex, toHex } from '../../../channel/bytes.js'
import { isError, type PerkunasError } from '../../../channel/errors.js'
import { hex } from '../../../peer/index.js'
import type { RecordType, Store, Write } from '../../../persistence/index.js'
import { isNewerRecord } from '../../../persistence/record.js'
import { decodeInvoice } from '../invoice/index.js'
import { invalidRow, rowType } from '../rows.js'
import type { PastPayments, PaymentsInput } from './input.js'
import { faultOfForm } from './plan.js'
import { incomingPayment, outgoingPayment } from './schemas.js'
import type { IncomingPayment, OutgoingPayment, PaymentsState, PayRequest } from './state.js'
import { NO_PAYMENTS } from './state.js'
import { differences, lookUp, put, remove } from './table.js'

/** All keys of payments that are not over start so. */
export const PAYMENT_ROWS = 'payment/open/'

const MAX_BYTES = 1024 * 1024
const ROWS = {
  outgoing: rowType<OutgoingPayment>('lightning-payment', outgoingPayment, MAX_BYTES),
  incoming: rowType<IncomingPayment>('lightning-incoming', incomingPayment, MAX_BYTES),
  paid: rowType<Hex>('lightning-paid', hex(32), MAX_BYTES),
}

/**
 * What steps write: the difference between what is on disk and a state. The writes of their `archive` effects come
 * with it, see {@link pastWrites}.
 */
export function paymentWrites(before: PaymentsState, after: PaymentsState): readonly Write[] {
  const writes: Write[] = []
  for (const [id, , payment] of differences(before.outgoing, after.outgoing)) {
    const key = `${PAYMENT_ROWS}out/${id}`
    writes.push(payment === undefined ? { kind: 'delete', key } : ROWS.outgoing.put(key, payment))
  }
  for (const [hash, , payment] of differences(before.incoming, after.incoming)) {
    const key = `${PAYMENT_ROWS}in/${hash}`
    writes.push(payment === undefined ? { kind: 'delete', key } : ROWS.incoming.put(key, payment))
  }
  return writes
}

/**
 * The state after steps, with each payment that has no encoding as it was before them: a mistake of ours costs that payment.
 *
 * @param broken called for each, with why it has none
 */
export function writableState(
  before: PaymentsState,
  after: PaymentsState,
  broken: (cause: unknown) => void,
): PaymentsState {
  let { outgoing, paying, incoming } = after
  for (const [id, old, payment] of differences(before.outgoing, after.outgoing)) {
    if (payment === undefined || hasEncoding(ROWS.outgoing, payment, broken)) continue
    outgoing = old === undefined ? remove(outgoing, id) : put(outgoing, id, old)
    if (old === undefined) paying = remove(paying, payment.paymentHash)
  }
  for (const [hash, old, payment] of differences(before.incoming, after.incoming)) {
    if (payment === undefined || hasEncoding(ROWS.incoming, payment, broken)) continue
    incoming = old === undefined ? remove(incoming, hash) : put(incoming, hash, old)
  }
  return { ...after, outgoing, paying, incoming }
}

/** The writes for a payment that is over. */
export function pastWrites(payment: OutgoingPayment | IncomingPayment): readonly Write[] {
  const { paymentHash } = payment
  if (!('id' in payment)) return [ROWS.incoming.put(pastKey(payment), payment)]
  const { id, status } = payment
  const put = ROWS.outgoing.put(`payment/past/out/${id}`, payment)
  return status.kind === 'succeeded' ? [put, ROWS.paid.put(`payment/paid/${paymentHash}`, id)] : [put]
}

/** The writes that forget a payment that is over: its ID means nothing from then on, and its invoice could be paid again. */
export function pastRemoval(payment: OutgoingPayment | IncomingPayment): readonly Write[] {
  if (!('id' in payment)) return [{ kind: 'delete', key: pastKey(payment) }]
  return [
    { kind: 'delete', key: `payment/past/out/${payment.id}` },
    ...(payment.status.kind === 'succeeded'
      ? [{ kind: 'delete' as const, key: `payment/paid/${payment.paymentHash}` }]
      : []),
  ]
}

/**
 * The payments of a store's rows.
 *
 * @param rows everything that begins with {@link PAYMENT_ROWS}
 * @param broken called for a row that is damaged, misplaced or of another payment with the same hash: it costs that payment;
 *   without it, it is thrown
 * @throws PerkunasError INVALID_RECORD if a row is of a newer version
 */
export function restoredPayments(
  rows: Iterable<readonly [string, Uint8Array]>,
  broken: (error: PerkunasError<'INVALID_RECORD'>, key: string) => void = (error) => {
    throw error
  },
): PaymentsState {
  const { recent } = NO_PAYMENTS
  let { outgoing, paying, incoming }: PaymentsState = NO_PAYMENTS
  for (const [key, value] of rows) {
    const [, , way, name] = key.split('/')
    try {
      if (way === 'out' && isHex(name, 32)) {
        const payment = ROWS.outgoing.open(key, value)
        if (payment.id !== name || lookUp(paying, payment.paymentHash) !== undefined)
          throw invalidRow(key, 'it is another one’s')
        outgoing = put(outgoing, payment.id, payment)
        paying = put(paying, payment.paymentHash, payment.id)
      } else if (way === 'in' && isHex(name, 32)) {
        const payment = ROWS.incoming.open(key, value)
        if (payment.paymentHash !== name) throw invalidRow(key, 'it is another one’s')
        incoming = put(incoming, payment.paymentHash, payment)
      } else throw invalidRow(key, 'no key of a payment')
    } catch (cause) {
      // Of another release nothing is damaged.
      if (!isError(cause, 'INVALID_RECORD') || isNewerRecord(cause)) throw cause
      broken(cause, key)
    }
  }
  return { outgoing, paying, incoming, recent }
}

/**
 * What the input `pay` must know of payments that are over.
 *
 * @param now milliseconds since 1970, before this is called
 * @throws PerkunasError INVALID_RECORD, and as `Store.get` does
 */
export async function pastPayments(
  store: Pick<Store, 'get'>,
  { id, request }: Pick<PaymentsInput & { readonly kind: 'pay' }, 'id' | 'request'>,
  now: number,
): Promise<PastPayments> {
  if (!isHex(id, 32)) return { at: now }
  const paymentHash = hashOf(request)
  const [payment, paidBy] = await Promise.all([
    read(store, ROWS.outgoing, `payment/past/out/${id}`),
    paymentHash && read(store, ROWS.paid, `payment/paid/${paymentHash}`),
  ])
  return { at: now, ...(payment && { payment }), ...(paidBy && { paidBy }) }
}

/** The payment to us that is over, by the hash of its invoice. */
export async function pastIncoming(
  store: Pick<Store, 'get'>,
  paymentHash: Hex,
): Promise<IncomingPayment | undefined> {
  return isHex(paymentHash, 32) ? read(store, ROWS.incoming, `payment/past/in/${paymentHash}`) : undefined
}

function hasEncoding<T>(type: RecordType<T>, value: T, broken: (cause: unknown) => void): boolean {
  try {
    type.put(PAYMENT_ROWS, value)
    return true
  } catch (cause) {
    broken(cause)
    return false
  }
}

function pastKey({ paymentHash, invoice, since }: IncomingPayment): string {
  return `payment/past/in/${paymentHash}${invoice === undefined ? `/${since}` : ''}`
}

/** If it can be said without paying. */
function hashOf(request: PayRequest): Hex | undefined {
  if (faultOfForm(request) !== undefined) return undefined
  if (request.kind === 'hash') return isHex(request.paymentHash, 32) ? request.paymentHash : undefined
  if (request.kind === 'spontaneous') return undefined
  try {
    return toHex(decodeInvoice(request.invoice).paymentHash)
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE') || isError(error, 'TOO_LARGE')) return undefined
    throw error
  }
}

async function read<T>(store: Pick<Store, 'get'>, type: RecordType<T>, key: string): Promise<T | undefined> {
  const value = await store.get(key)
  return value === undefined ? undefined : type.open(key, value)
}
