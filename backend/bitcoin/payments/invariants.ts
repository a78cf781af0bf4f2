// What holds of payments after every step, whatever happened.
import { toHex } from '../../../channel/bytes.js'
import { sha256 } from '../script/index.js'
import type { IncomingPayment, OutgoingPayment, PaymentsState } from './state.js'
import { lookUp, valuesOf } from './table.js'

/** The rule that a state breaks. @param isBlind the chain was not known up to now: what is complete may wait for it */
export function faultOfPayments(state: PaymentsState, isBlind = false): string | undefined {
  const { outgoing, paying, incoming } = state
  if (paying.size !== outgoing.size) return 'two payments of ours have one payment hash'
  for (const one of valuesOf(outgoing)) {
    if (lookUp(paying, one.paymentHash) !== one.id) return `${one.id}: not found by its payment hash`
    const fault = faultOfOutgoing(one)
    if (fault !== undefined) return `${one.id}: ${fault}`
  }
  for (const one of valuesOf(incoming)) {
    const fault = faultOfIncoming(one, isBlind)
    if (fault !== undefined) return `${one.paymentHash}: ${fault}`
  }
  return undefined
}

function faultOfOutgoing({ status, parts, amount, paymentHash, tried }: OutgoingPayment): string | undefined {
  const sum = parts.reduce((all, part) => all + part.amount, 0n)
  if (sum > amount) return 'more is under way than is to be paid'
  if (new Set(parts.map(({ number }) => number)).size !== parts.length) return 'two parts have one number'
  if (parts.some(({ number }) => number >= tried)) return 'a part has a number that is still to come'
  switch (status.kind) {
    case 'pending':
      if (status.abandoned === undefined) return sum === amount ? undefined : 'not all of it is under way'
      return parts.length > 0 ? undefined : 'it is given up, nothing is left, and it has not failed'
    case 'failed':
      return parts.length === 0 ? undefined : 'it has failed, and a part may still be fulfilled'
    case 'succeeded':
      if (toHex(sha256(status.preimage)) !== paymentHash) return 'its preimage is not of its hash'
      return status.sent <= amount ? undefined : 'more was paid than was to be paid'
  }
}

function faultOfIncoming(payment: IncomingPayment, isBlind: boolean): string | undefined {
  const { status, parts, preimage, paymentHash, invoice, total } = payment
  const sum = parts.reduce((all, part) => all + part.intended, 0n)
  if (preimage !== undefined && toHex(sha256(preimage)) !== paymentHash)
    return 'its preimage is not of its hash'
  if (parts.some(({ amount, intended }) => amount < intended)) return 'a part is less than was meant'
  switch (status.kind) {
    case 'awaited':
      if (parts.length > 0 && (total === undefined || (sum >= total && !isBlind))) return 'all of it is there'
      return parts.length > 0 || invoice !== undefined ? undefined : 'nobody asked for it'
    case 'held':
      return total !== undefined && sum >= total ? undefined : 'it is held, and not all of it is there'
    case 'claimed':
      if (preimage === undefined) return 'it is claimed without a preimage'
      if (invoice?.amount !== undefined && status.received < invoice.amount) return 'too little was taken'
      return status.lost <= status.received ? undefined : 'more was lost than received'
    case 'cancelled':
      return parts.length === 0 ? undefined : 'it is cancelled, and a part is kept'
  }
}
