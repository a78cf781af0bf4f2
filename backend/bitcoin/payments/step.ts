// What comes of an input: the next state, and what follows from it, all plain data.
//
// Order: `want` and `unwant` go to their channels at once, what those hand off comes back as `handed`, and so on until
// nothing is left. Then the records of all channels, monitors and payments are written in one commit. Then the rest of the
// effects happen. So an HTLC is in the payment's record before any peer hears of it, and a preimage is with the monitors of all
// parts or of none.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { Intent } from '../channel/index.js'
import type { IncomingPayment, OutgoingPayment, PaymentsState } from './state.js'

/** The result of an input. */
export interface PaymentsStep {
  readonly next: PaymentsState
  readonly effects: readonly PaymentsEffect[]
}

/** What is to be done outside. */
export type PaymentsEffect =
  // Before the commit
  | { readonly kind: 'want'; readonly channelID: Hex; readonly intent: Intent }
  /** What has become an HTLC meanwhile can't be taken back: then the channel's refusal means nothing. */
  | { readonly kind: 'unwant'; readonly channelID: Hex; readonly reference: string }
  /** It is over: `pastWrites` are part of the commit. */
  | { readonly kind: 'archive'; readonly payment: OutgoingPayment | IncomingPayment }
  // After it
  | { readonly kind: 'tell'; readonly event: PaymentEvent }
  /** To the command. */
  | { readonly kind: 'answer'; readonly payment: OutgoingPayment | IncomingPayment }
  /** The command can't be done, and nothing was. */
  | { readonly kind: 'refuse'; readonly error: PerkunasError }

/**
 * What our user is told. All but `held` are the end of a payment: each is told again after every restart until it is
 * acknowledged, and no payment has two of them.
 */
export type PaymentEvent =
  | { readonly kind: 'sent'; readonly payment: OutgoingPayment }
  | { readonly kind: 'failed'; readonly payment: OutgoingPayment }
  /** All of it is there: `release` or `cancel`, before its deadline. */
  | { readonly kind: 'held'; readonly payment: IncomingPayment }
  | { readonly kind: 'received'; readonly payment: IncomingPayment }
  /** It was held, and is not any more. */
  | { readonly kind: 'cancelled'; readonly payment: IncomingPayment }

/** A step. */
export function to(next: PaymentsState, effects: readonly PaymentsEffect[] = []): PaymentsStep {
  return { next, effects }
}

/** A command that can't be done. */
export function refused(state: PaymentsState, error: PerkunasError): PaymentsStep {
  return to(state, [{ kind: 'refuse', error }])
}

/** One step after another. */
export function inTurn<T>(
  state: PaymentsState,
  items: Iterable<T>,
  go: (state: PaymentsState, item: T) => PaymentsStep,
): PaymentsStep {
  let next = state
  const effects: PaymentsEffect[] = []
  for (const item of items) {
    const one = go(next, item)
    next = one.next
    effects.push(...one.effects)
  }
  return to(next, effects)
}
