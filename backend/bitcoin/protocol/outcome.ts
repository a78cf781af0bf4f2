// What became of a lock of ours, by the payment that it is in Lightning's words.
import { type Hex, toHex } from '../../../channel/index.js'
import type { ChannelEvent } from '../../../client/index.js'
import type { OutgoingPayment, PaymentFailure } from '../payments/index.js'

/** The channel whose lock a payment was, by its name in the node; undefined for every other payment. */
export function lockedIn({ request }: OutgoingPayment): Hex | undefined {
  return request.kind === 'hash' ? request.channel : undefined
}

/** What our user is told of a lock whose payment is over; undefined as long as it is not. */
export function unlocked(payment: OutgoingPayment): ChannelEvent | undefined {
  const { paymentHash: hash, amount, status } = payment
  switch (status.kind) {
    case 'succeeded':
      return {
        kind: 'unlocked',
        hash,
        amount,
        outcome: { kind: 'released', preimage: toHex(status.preimage) },
      }
    case 'failed':
      return {
        kind: 'unlocked',
        hash,
        amount,
        outcome: { kind: 'cancelled', reason: reasonOf(status.failure) },
      }
    default:
      return undefined
  }
}

function reasonOf(failure: PaymentFailure): string {
  switch (failure.kind) {
    case 'rejected':
    case 'malformed':
      return `the other side gave it back with failure code ${failure.code}`
    case 'unreadable':
      return 'the other side gave it back without a reason that can be read'
    case 'timedOutOnChain':
      return 'nobody took it on the ledger before its deadline'
    case 'noChannel':
      return `the channel did not take it: ${failure.rule}`
    default:
      return 'it was given up before it stood'
  }
}
