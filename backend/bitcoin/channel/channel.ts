// The channel as one function: which of its parts an input belongs to.
import { absurd } from '../../../channel/errors.js'
import type { LightningMessage } from '../wire/index.js'
import { answerTo, type ChannelMessageKind, isChannelMessage, situationOf } from './answers.js'
import { receivedCommitment, receivedRevocation } from './commit.js'
import { blockReached } from './expiry.js'
import { failed, isHeldBack, refusedCommand, shownText, warned, withCommitment } from './failure.js'
import type { ChannelInput } from './input.js'
import { flush, unwant, want } from './intents.js'
import { offerClosing, receivedClosingSigned } from './legacy-close.js'
import { accept, funded, receivedAccept, receivedFundingCreated, receivedFundingSigned } from './open.js'
import { ANSWER_TICKS, ASKED_TICKS, YOUNG_TICKS } from './policy.js'
import { depthReached, receivedReady } from './ready.js'
import { connected, disconnected, receivedEarlyError, receivedReestablish } from './reestablish.js'
import { isClean, receivedShutdown, shutdown } from './shutdown.js'
import {
  bumpClosing,
  isSimple,
  proposeClosing,
  receivedClosingComplete,
  receivedClosingSig,
} from './simple-close.js'
import { type ChannelState, isLive, type Live } from './state.js'
import { type ChannelEnv, followed, type Step, tell, to } from './step.js'
import { receivedAdd, receivedFail, receivedFee, receivedFulfill, receivedMalformed } from './update.js'

/**
 * What an input does to a channel. Pure, but for the signer's memory.
 *
 * Whatever a peer sends comes back as a step. What is thrown is a mistake of ours or a signer that refuses a record that is
 * too old (PerkunasError INVALID_TRANSITION): the channel must then be stopped and looked at, and never be closed for it.
 */
export function step(state: ChannelState, input: ChannelInput, env: ChannelEnv): Step {
  const result = handle(state, input, env)
  const { next } = result
  // Closing begins by itself as soon as nothing is open.
  if (isLive(next) && next.phase === 'shuttingDown' && isClean(next)) {
    return followed({ ...result, next }, (live) => beginClosing(live, env))
  }
  if (isLive(next) && next.phase === 'negotiating' && isClean(next) && !isLiveUp(state)) {
    return followed({ ...result, next }, (live) => beginClosing(live, env))
  }
  return result
}

function handle(state: ChannelState, input: ChannelInput, env: ChannelEnv): Step {
  switch (input.kind) {
    case 'received':
      return received(state, input.message, env)
    case 'connected':
      return isLive(state) ? connected(state, input.features, env) : to(state)
    case 'disconnected':
      return lost(state, env)
    case 'accept':
      return state.phase === 'asked' ? accept(state, input, env) : refusedCommand(state, ['asked'])
    case 'reject':
      return state.phase === 'asked' || state.phase === 'accepted'
        ? ended(state, input.reason, env)
        : refusedCommand(state, ['asked'])
    case 'funded':
      if (state.phase === 'awaitingFunding') return funded(state, input.outpoint, env)
      // The attempt ended while the wallet was at work.
      return to(state, { effects: [{ kind: 'abortFunding', outpoint: input.outpoint }] })
    case 'fundingFailed':
      return state.phase === 'awaitingFunding' ? ended(state, input.reason, env) : to(state)
    case 'forceClose':
      if (isLive(state) && isHeldBack(state)) return withCommitment(state, 'command', env)
      return state.phase === 'closed' || state.phase === 'failed'
        ? refusedCommand(state, ['normal'])
        : failed(state, env, { cause: 'command', reason: 'closed by its user' })
    case 'resolved':
      return resolved(state)
    case 'tick':
      return ticked(state, env)
    case 'shutdown':
      if (isLive(state)) return shutdown(state, input)
      return state.phase === 'closed' ? refusedCommand(state, ['normal']) : ended(state, 'cancelled', env)
    default:
      return isLive(state) ? handleLive(state, input, env) : handleYoung(state, input)
  }
}

type LiveInput = Extract<
  ChannelInput,
  { kind: 'depth' | 'block' | 'want' | 'unwant' | 'flush' | 'bumpClosing' | 'spent' }
>

function handleLive(live: Live, input: LiveInput, env: ChannelEnv): Step {
  switch (input.kind) {
    case 'depth':
      return depthReached(live, input, env)
    case 'block':
      return blockReached(live, env)
    case 'want':
      return want(live, input.intent)
    case 'unwant':
      return unwant(live, input.reference)
    case 'flush':
      return flush(live, env)
    case 'bumpClosing':
      return bumpClosing(live, input.fee, env)
    case 'spent':
      return input.by === 'closing' || live.phase === 'failed'
        ? to(live)
        : failed(live, env, { cause: 'onChain', reason: 'the funding output is spent' })
    default:
      return absurd(input)
  }
}

function handleYoung(state: ChannelState, input: LiveInput): Step {
  const isCommand = input.kind === 'want' || input.kind === 'unwant' || input.kind === 'bumpClosing'
  return isCommand ? refusedCommand(state, ['normal']) : to(state)
}

function received(state: ChannelState, message: LightningMessage, env: ChannelEnv): Step {
  if (!isChannelMessage(message)) return to(state)
  switch (answerTo(situationOf(state), message.kind)) {
    case 'ignore':
      return to(state)
    case 'warn':
      return warned(state, `${message.kind} is not expected now`)
    case 'fail':
      return failed(state, env, { cause: 'violation', reason: `${message.kind} is not expected now` })
    case 'handle':
      return handled(state, message, env)
  }
}

function handled(
  state: ChannelState,
  message: LightningMessage & { readonly kind: ChannelMessageKind },
  env: ChannelEnv,
): Step {
  if (message.kind === 'warning') {
    return to(state, { effects: [tell({ kind: 'warning', text: shownText(message.data) })] })
  }
  if (message.kind === 'error') {
    const reason = `the peer says: ${shownText(message.data)}`
    return isLive(state) && awaitsNumbers(state)
      ? receivedEarlyError(state, reason, env)
      : failed(state, env, { cause: 'peerError', reason, silent: true })
  }
  if (state.phase === 'opening' && message.kind === 'accept_channel')
    return receivedAccept(state, message, env)
  if (state.phase === 'accepted' && message.kind === 'funding_created')
    return receivedFundingCreated(state, message, env)
  if (state.phase === 'awaitingFundingSigned' && message.kind === 'funding_signed')
    return receivedFundingSigned(state, message, env)
  return isLive(state) ? handledLive(state, message, env) : to(state)
}

function handledLive(live: Live, message: LightningMessage, env: ChannelEnv): Step {
  switch (message.kind) {
    case 'channel_ready':
      return receivedReady(live, message, env)
    case 'channel_reestablish':
      return receivedReestablish(live, message, env)
    case 'update_add_htlc':
      return receivedAdd(live, message, env)
    case 'update_fulfill_htlc':
      return receivedFulfill(live, message, env)
    case 'update_fail_htlc':
      return receivedFail(live, message, env)
    case 'update_fail_malformed_htlc':
      return receivedMalformed(live, message, env)
    case 'update_fee':
      return receivedFee(live, message, env)
    case 'commitment_signed':
      return receivedCommitment(live, message, env)
    case 'revoke_and_ack':
      return receivedRevocation(live, message, env)
    case 'shutdown':
      return receivedShutdown(live, message)
    case 'closing_signed':
      return receivedClosingSigned(live, message, env)
    case 'closing_complete':
      return receivedClosingComplete(live, message, env)
    case 'closing_sig':
      return receivedClosingSig(live, message, env)
    default:
      return to(live)
  }
}

function beginClosing(live: Live, env: ChannelEnv): Step {
  const negotiating: Live = { ...live, phase: 'negotiating' }
  return isSimple(live) ? proposeClosing(negotiating, env) : offerClosing(negotiating, env)
}

/** The connection is gone. What has no first commitments goes with it. */
function lost(state: ChannelState, env: ChannelEnv): Step {
  if (isLive(state)) return to(disconnected(state))
  return failed(state, env, { cause: 'command', reason: 'the connection was lost', silent: true })
}

function ended(state: ChannelState, reason: string, env: ChannelEnv): Step {
  return failed(state, env, { cause: 'command', reason })
}

function resolved(state: ChannelState): Step {
  if (!isLive(state)) return to(state)
  const { channelID, keyIndex } = state.terms
  const reason = state.failure?.reason ?? 'closed in agreement'
  return to({ phase: 'closed', channelID, keyIndex, reason }, { effects: [tell({ kind: 'closed', reason })] })
}

/** Every wait has an end: the peer is disconnected, and an attempt to open given up. */
function ticked(state: ChannelState, env: ChannelEnv): Step {
  if (state.phase === 'closed' || state.phase === 'failed') return to(state)
  if (!isLive(state)) {
    const age = state.age + 1
    const most = state.phase === 'asked' ? ASKED_TICKS : YOUNG_TICKS
    return age >= most ? ended(state, 'it took too long', env) : to({ ...state, age })
  }
  const { link } = state
  const isWaiting = link.kind === 'reestablishing' || (link.kind === 'up' && state.batch !== undefined)
  if (link.kind === 'down' || !isWaiting) return to(state)
  const ticks = link.ticks + 1
  const next: Live = { ...state, link: { ...link, ticks } }
  return ticks < ANSWER_TICKS
    ? to(next)
    : to(next, { effects: [{ kind: 'disconnect', reason: 'the peer does not answer' }] })
}

function awaitsNumbers({ phase, link }: Live): boolean {
  return phase !== 'failed' && link.kind === 'reestablishing' && link.isHeard !== true
}

function isLiveUp(state: ChannelState): boolean {
  return isLive(state) && state.link.kind === 'up'
}
