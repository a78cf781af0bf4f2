// Payments as one function: which of their two sides an input belongs to.
import { toHex } from '../../../channel/bytes.js'
import { absurd } from '../../../channel/errors.js'
import type { Handoff } from '../channel/index.js'
import { sha256 } from '../script/index.js'
import {
  acknowledgeIncoming,
  cancel,
  incomingAtHeight,
  incomingResumed,
  incomingTicked,
  partGone,
  partLocked,
  partResolved,
  release,
} from './incoming.js'
import type { PaymentsContext, PaymentsInput } from './input.js'
import { invoiceCreated } from './invoices.js'
import {
  abandon,
  acknowledgeOutgoing,
  findOffered,
  findPart,
  outgoingAtHeight,
  outgoingResumed,
  outgoingTicked,
  partAdded,
  partFailed,
  partFulfilled,
  partRefused,
  partReturned,
  pay,
} from './outgoing.js'
import type { PaymentsState } from './state.js'
import { type PaymentsStep, to } from './step.js'

/**
 * What an input does to payments. Pure.
 *
 * What a command can't do comes back as `refuse`, what a peer sends as an effect on its HTLC. Nothing is thrown but mistakes of
 * ours.
 */
export function step(state: PaymentsState, input: PaymentsInput, context: PaymentsContext): PaymentsStep {
  switch (input.kind) {
    case 'pay':
      return pay(state, input, context)
    case 'abandon':
      return abandon(state, input.id, context)
    case 'createInvoice':
      return invoiceCreated(state, input, context)
    case 'release':
      return release(state, input, context)
    case 'cancel':
      return cancel(state, input.paymentHash, context)
    case 'acknowledge':
      return input.of === 'outgoing'
        ? acknowledgeOutgoing(state, input.key)
        : acknowledgeIncoming(state, input.key)
    case 'handed':
      return handed(state, input, context)
    case 'learned':
      return learned(state, input, context)
    case 'resolved':
      return resolved(state, input, context)
    case 'block': {
      const first = incomingAtHeight(state, context)
      const second = outgoingAtHeight(first.next, context)
      return to(second.next, [...first.effects, ...second.effects])
    }
    case 'tick': {
      const first = outgoingTicked(state, context)
      const second = incomingTicked(first.next, context)
      return to(second.next, [...first.effects, ...second.effects])
    }
    case 'resumed':
      return to(state, [...outgoingResumed(state), ...incomingResumed(state)])
    default:
      return absurd(input)
  }
}

type Of<K extends PaymentsInput['kind']> = PaymentsInput & { readonly kind: K }

function handed(
  state: PaymentsState,
  { channelID, handoff }: { readonly channelID: Of<'handed'>['channelID']; readonly handoff: Handoff },
  context: PaymentsContext,
): PaymentsStep {
  switch (handoff.kind) {
    case 'added':
      return partAdded(state, handoff.reference, handoff.htlc.id)
    case 'refused':
      return partRefused(state, handoff, context)
    case 'fulfilled':
      return partFulfilled(state, findPart(state, handoff.htlc.reference), handoff, context)
    case 'failed':
      return partFailed(state, findPart(state, handoff.htlc.reference), handoff.removal, context)
    case 'locked':
      return handoff.htlc.offerer === 'remote'
        ? partLocked(state, { channelID, ...handoff }, context)
        : to(state)
    case 'removed':
      return handoff.htlc.offerer === 'remote' ? partGone(state, channelID, handoff.htlc) : to(state)
    case 'forgotten': {
      const { htlc } = handoff
      const isPaid = htlc.offerer === 'local' && htlc.preimage !== undefined
      const winner = isPaid ? 'receiver' : 'offerer'
      return resolved(state, { kind: 'resolved', channelID, htlc, to: winner }, context)
    }
    default:
      return absurd(handoff)
  }
}

function learned(
  state: PaymentsState,
  { channelID, htlc, preimage }: Of<'learned'>,
  context: PaymentsContext,
): PaymentsStep {
  if (htlc.offerer !== 'local') return to(state)
  const found = findOffered(state, { channelID, htlcID: htlc.id }, toHex(sha256(preimage)))
  return partFulfilled(state, found, { preimage }, context)
}

function resolved(state: PaymentsState, input: Of<'resolved'>, context: PaymentsContext): PaymentsStep {
  const { channelID, htlc, to: winner } = input
  if (htlc.offerer === 'remote') return partResolved(state, { channelID, htlc, to: winner }, context)
  // With the receiver's money comes its preimage. Until it does, nobody can say that the payment failed.
  if (winner === 'receiver') return to(state)
  return partReturned(state, findOffered(state, { channelID, htlcID: htlc.id }), context)
}
