// The channel conversation as one pure function: which of its parts an input belongs to.
import { absurd, type Index } from '../channel/index.js'
import {
  type ChannelContext,
  type ChannelInput,
  type ChannelState,
  type ChannelStep,
  newestOf,
  stay,
} from './conversation.js'
import { dispute, force, funded, progressFailed } from './dispute.js'
import { ledgerEvent } from './ledger-event.js'
import type { ChannelMessage } from './messages.js'
import { pursue } from './pursue.js'
import { reserving } from './reservation.js'
import { connected, recall, receivedSignedState, receivedSync } from './sync.js'
import { authorized, paid, patienceOver, receivedAuthorization, settle, withdrawing } from './together.js'
import { accept, expired, propose, receivedAcc, receivedRej, receivedUpdate, reject } from './update.js'

/** What an input does to a channel. Pure and total. */
export function step(state: ChannelState, input: ChannelInput, context: ChannelContext): ChannelStep {
  const { next, effects } = continued(state, handle(state, input, context), context)
  if (next.record === state.record) return { next, effects }
  const record = reserving(next.record)
  return { next: record === next.record ? next : { ...next, record }, effects }
}

function handle(state: ChannelState, input: ChannelInput, context: ChannelContext): ChannelStep {
  switch (input.kind) {
    case 'recall':
      return recall(state)
    case 'propose':
      return propose(state, input, context)
    case 'accept':
      return accept(state, input, context)
    case 'reject':
      return reject(state, input)
    case 'received':
      return received(state, input.from, input.message, context)
    case 'connected':
      return connected(state, input.peer)
    case 'expired':
      return expired(state, input)
    case 'funded':
      return funded(state, context)
    case 'fundingFailed':
      return dispute(state, { kind: 'dispute', wanted: 'refund' }, context)
    case 'settle':
      return settle(state, context)
    case 'dispute':
      return dispute(state, input, context)
    case 'force':
      return force(state, input, context)
    case 'authorized':
      return authorized(state, input, context)
    case 'patienceOver':
      return patienceOver(state, context)
    case 'closeEnded':
      return withdrawing(state, context)
    case 'progressFailed':
      return progressFailed(state, context)
    case 'paid':
      return paid(state, context)
    case 'ledger':
      return ledgerEvent(state, input.event, context)
    default:
      return absurd(input)
  }
}

function received(
  state: ChannelState,
  from: Index,
  message: ChannelMessage,
  context: ChannelContext,
): ChannelStep {
  switch (message.kind) {
    case 'channelUpdate':
      return receivedUpdate(state, from, message, context)
    case 'channelUpdateAcc':
      return receivedAcc(state, from, message, context)
    case 'channelUpdateRej':
      return receivedRej(state, from, message)
    case 'closeAuthorization':
      return receivedAuthorization(state, from, message, context)
    case 'channelSync':
      return receivedSync(state, from, message)
    case 'signedState':
      return receivedSignedState(state, from, message, context)
    default:
      return absurd(message)
  }
}

/** What a change of phase brings with it, whichever part of the conversation made it. */
function continued(before: ChannelState, result: ChannelStep, context: ChannelContext): ChannelStep {
  const { next, effects } = result
  const was = before.record.machine
  const is = next.record.machine
  if (was.phase === is.phase && was.current === is.current && was.staging === is.staging) return result
  if (is.phase === 'acting' && next.held !== undefined) {
    const from = next.held.actor
    const more = receivedUpdate({ ...next, held: undefined }, from, next.held, context)
    return { next: more.next, effects: [...effects, ...more.effects] }
  }
  // Everybody has signed the end: authorize being paid together, so that any participant can close at once.
  if (is.phase === 'final' && was.phase !== 'final') {
    return { next, effects: [...effects, ...pursue(next.record, context)] }
  }
  // A newer state came while an older one is registered: it refutes.
  const isDisputed = is.phase === was.phase && (is.phase === 'registering' || is.phase === 'registered')
  const told = effects.some((effect) => effect.kind === 'register')
  if (isDisputed && !told && newestOf(next.record) !== newestOf(before.record)) {
    return { next, effects: [...effects, ...pursue(next.record, context)] }
  }
  return stay(next, ...effects)
}
