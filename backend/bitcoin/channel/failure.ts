// How a channel ends badly, and what the peer is told. A broken rule costs the connection or the channel, never more; what
// is told are our own words and never what was received.
import type { Hex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import type { FailureCause } from '../monitor/record.js'
import type { LightningMessage } from '../wire/index.js'
import { currentLocal, signerOf } from './commitments.js'
import type { ChannelState, Live } from './state.js'
import { isLive } from './state.js'
import { type ChannelEnv, type Effect, type Step, send, tell, to } from './step.js'

/** Most of a peer's text that is shown. */
const MAX_TEXT = 500
const OLD = 'our record may be older than yours; please close the channel'

/** The ID by which the peer knows a channel now. */
export function wireID(state: ChannelState): Hex {
  if (state.phase === 'closed') return state.channelID
  return 'channelID' in state.terms ? state.terms.channelID : state.terms.temporaryID
}

/** `error`, which ends the channel for the peer too. */
export function errorMessage(channelID: Hex, text: string): LightningMessage {
  return { kind: 'error', channelID, data: new TextEncoder().encode(text) }
}

/** `warning`, after which the connection is closed: both start again from what they have signed. */
export function warned(state: ChannelState, text: string): Step {
  return to(state, { effects: warning(state, text) })
}

/** The effects of {@link warned}. */
export function warning(state: ChannelState, text: string): readonly Effect[] {
  return [
    send({ kind: 'warning', channelID: wireID(state), data: new TextEncoder().encode(text) }),
    { kind: 'disconnect', reason: text },
  ]
}

/** What a peer said in error or warning, fit to be shown: control characters and what is not ASCII are left out. */
export function shownText(data: Uint8Array): string {
  const text = Array.from(data.subarray(0, MAX_TEXT), (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '?',
  )
  return text.join('')
}

/**
 * Ends a channel at once: before its first commitments it is forgotten, later our newest commitment is published, unless
 * that would be wrong, or the peer is to blame after both signed a closing, which gets its time first.
 *
 * @param how `silent`: the peer is not told, since it told us or can't hear
 */
export function failed(
  state: ChannelState,
  env: ChannelEnv,
  how: { readonly cause: FailureCause; readonly reason: string; readonly silent?: boolean },
): Step {
  const { cause, reason, silent = false } = how
  const error = silent ? [] : [send(errorMessage(wireID(state), reason))]
  if (state.phase === 'closed') return to(state)
  if (!isLive(state)) {
    const event = tell({ kind: 'closed', reason })
    const abort: readonly Effect[] =
      state.phase === 'awaitingFunding' || state.phase === 'awaitingFundingSigned'
        ? [
            {
              kind: 'abortFunding',
              ...(state.phase === 'awaitingFundingSigned' ? { outpoint: state.terms.funding.outpoint } : {}),
            },
          ]
        : []
    const { keyIndex } = state.terms
    return to(
      { phase: 'closed', channelID: wireID(state), keyIndex, reason },
      { effects: [...error, ...abort, event] },
    )
  }
  return failedLive(state, env, { cause, reason }, error)
}

function failedLive(
  live: Live,
  env: ChannelEnv,
  failure: { readonly cause: FailureCause; readonly reason: string },
  error: readonly Effect[],
): Step {
  if (live.phase === 'failed') return to(live, { effects: error })
  const why = isOld(live, failure.cause, env) ? { cause: 'dataLoss' as const, reason: OLD } : failure
  const { cause, reason } = why
  const event = tell({ kind: 'failed', cause, reason })
  const { batch: _, ...rest } = live
  const next: Live = { ...rest, phase: 'failed', failure: why, intents: [] }
  const refused = live.intents.flatMap((intent) =>
    intent.kind === 'add' ? [refusal(live, intent.reference, 'the channel failed')] : [],
  )
  if (cause === 'dataLoss' || cause === 'onChain' || cause === 'funding') {
    return to(next, {
      monitor: [{ kind: 'failed', cause }],
      handoffs: refused,
      effects: [...error, event],
    })
  }
  const { complete } = live.closing
  if (complete !== undefined && (cause === 'peerError' || cause === 'violation')) {
    // Both agreed on how it ends, and nothing is open: for a while that is better for both than a commitment.
    return to(next, {
      monitor: [{ kind: 'failed', cause }],
      handoffs: refused,
      effects: [...error, { kind: 'publish', what: 'closing', transaction: complete }, event],
    })
  }
  const { next: ended, monitor, effects } = withCommitment(next, cause, env)
  return to(ended, { monitor, handoffs: refused, effects: [...error, ...effects, event] })
}

/** Whether what we would publish may be revoked: who does not know asks the peer to close, as who knows that it is. */
function isOld({ terms }: Live, cause: FailureCause, { isDoubted }: ChannelEnv): boolean {
  return cause !== 'onChain' && cause !== 'funding' && isDoubted?.(terms.keyIndex) === true
}

/** Whether a channel has failed, and its commitment waits for a closing that both signed. */
export function isHeldBack({ phase, failure, closing, signer }: Live): boolean {
  const { cause } = failure ?? {}
  const isOurs = cause === 'peerError' || cause === 'violation'
  return phase === 'failed' && isOurs && closing.complete !== undefined && signer.published === undefined
}

/**
 * Our newest commitment goes to the monitor, beside whatever closing both signed: a closing may be such that no block ever
 * takes it, and only one of them can confirm.
 */
export function withCommitment(live: Live, cause: FailureCause, env: ChannelEnv): Step {
  const signed = signerOf(live.terms, env).signLocal(live.signer, currentLocal(live), live.signatures)
  const { transaction } = signed
  const { number } = signed.commitment.params
  return to(
    { ...live, signer: signed.next },
    {
      monitor: [{ kind: 'failed', cause, publish: { number, transaction } }],
      effects: [{ kind: 'publish', what: 'commitment', transaction }],
    },
  )
}

/** What was wanted does not become an HTLC. */
export function refusal(
  live: Pick<Live, 'phase' | 'terms'>,
  reference: string,
  why: string,
): Step['handoffs'][number] {
  const error = new PerkunasError('UNSUPPORTED', `channel ${live.terms.channelID}: ${why}`, { what: why })
  return { kind: 'refused', reference, error }
}

/** A command that can't be done. */
export function refusedWith(state: ChannelState, error: PerkunasError): Step {
  return to(state, { effects: [{ kind: 'refuse', error }] })
}

/** A command that can't be done now. */
export function refusedCommand(state: ChannelState, expected: readonly string[]): Step {
  const channel = wireID(state)
  if (isLive(state) && state.failure?.cause === 'dataLoss') {
    const { reason } = state.failure
    const message = `channel ${channel} is the peer's to close: ${reason}`
    const lost = new PerkunasError('DATA_LOSS', message, { channel })
    return refusedWith(state, lost)
  }
  const actual = state.phase
  const error = new PerkunasError(
    'PHASE_MISMATCH',
    `channel ${channel} is ${actual}, and should be ${expected.join(' or ')}`,
    { channel, expected, actual },
  )
  return refusedWith(state, error)
}

/**
 * Runs what a signer may refuse. What the peer is to blame for fails the channel; anything else is ours and is thrown on.
 */
export function guarded(state: ChannelState, env: ChannelEnv, run: () => Step): Step {
  try {
    return run()
  } catch (error) {
    if (isError(error, 'INVALID_SIGNATURE') || isError(error, 'INVALID_MESSAGE')) {
      return failed(state, env, { cause: 'violation', reason: error.message })
    }
    throw error
  }
}
