// From funding to use: the funding output is checked and waited for, then both sides say channel_ready (BOLT 2, "The
// channel_ready Message").
import { equalBytes } from '../../../channel/bytes.js'
import { fundingOutput } from '../script/index.js'
import type { ChannelReady } from '../wire/index.js'
import { failed } from './failure.js'
import type { ChannelInput } from './input.js'
import { COINBASE_MATURITY, FALSE_DEPTH, FUNDING_DEADLINE } from './policy.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Effect, type Step, send, tell, to } from './step.js'
import { fundingKeys, type Terms } from './terms.js'

/** What the chain says of the funding output. */
export function depthReached(live: Live, input: ChannelInput & { kind: 'depth' }, env: ChannelEnv): Step {
  const { terms, ready } = live
  const { output, isCoinbase = false, shortChannelID } = input
  if (live.phase === 'failed') {
    if (isFalse(live) && input.confirmations >= FALSE_DEPTH) {
      return forgotten(live, live.failure?.reason ?? 'the funding is not what was agreed on')
    }
    // Of use only to who may forget it, and no reason to write with every block.
    const isSame = (ready.depth === 0) === (input.confirmations === 0)
    return to(isSame ? live : { ...live, ready: { ...ready, depth: input.confirmations } })
  }
  const expected = fundingOutput(terms.capacity, fundingKeys(terms.local, terms.remote))
  if (
    output !== undefined &&
    (output.amount !== expected.amount || !equalBytes(output.script, expected.script))
  ) {
    return failed(live, env, {
      cause: 'funding',
      reason: 'the funding output is not the one that was agreed on',
    })
  }
  const immature = isCoinbase && input.confirmations < COINBASE_MATURITY
  const depth = immature ? 0 : input.confirmations
  const wasReady = ready.isSent && ready.depth > 0
  const next: Live = {
    ...live,
    ready: { ...ready, depth, ...(shortChannelID === undefined ? {} : { shortChannelID }) },
  }
  const gone: readonly Effect[] =
    depth === 0 && wasReady && terms.minimumDepth > 0 ? [tell({ kind: 'unconfirmed' })] : []
  const step = fundedReady(next, env)
  return { ...step, effects: [...gone, ...step.effects] }
}

/** channel_ready, if it is time and was not said on this connection's way here. */
export function fundedReady(live: Live, env: ChannelEnv): Step {
  if (live.ready.isSent || !isDeep(live) || live.phase !== 'awaitingReady' || live.link.kind !== 'up')
    return to(live)
  return becameReady({ ...live, ready: { ...live.ready, isSent: true } }, [
    send(readyMessage(live.terms, env)),
  ])
}

/** The message, which is the same however often it is sent. */
export function readyMessage(terms: Terms, env: ChannelEnv): ChannelReady {
  const { channelID, keyIndex, alias } = terms
  return {
    kind: 'channel_ready',
    channelID,
    secondPerCommitmentPoint: env.keys(keyIndex).commitmentPoint(1n),
    ...(alias === undefined ? {} : { shortChannelID: alias }),
  }
}

/** `channel_ready`. A repeated one may bring a new alias, and nothing else. */
export function receivedReady(live: Live, message: ChannelReady, env: ChannelEnv): Step {
  const { secondPerCommitmentPoint: point, shortChannelID: alias } = message
  const ready = { ...live.ready, ...(alias === undefined ? {} : { remoteAlias: alias }) }
  if (live.ready.isReceived) {
    const { remoteNextPoint, signer } = live
    if (signer.signed === 1n && (remoteNextPoint === undefined || !equalBytes(remoteNextPoint, point))) {
      return failed(live, env, {
        cause: 'violation',
        reason: 'channel_ready again, with another second_per_commitment_point',
      })
    }
    return to({ ...live, ready })
  }
  return becameReady({ ...live, remoteNextPoint: point, ready: { ...ready, isReceived: true } }, [])
}

/** Nothing of it is waited for any more. What HTLCs it has end with it: no commitment that has them can be in a block. */
export function forgotten({ terms, book }: Live, reason: string): Step {
  const { channelID, keyIndex } = terms
  return to(
    { phase: 'closed', channelID, keyIndex, reason },
    {
      handoffs: book.htlcs.map((htlc) => ({ kind: 'forgotten', htlc })),
      effects: [tell({ kind: 'closed', reason })],
    },
  )
}

/**
 * Whether who did not fund may forget the channel, whatever else became of it, since it never confirmed. One that was used
 * without confirmations has failed before, and its commitment gets as long again: nobody else has an interest in the funding.
 */
export function isForgotten(live: Live, { height }: Pick<ChannelEnv, 'height'>): boolean {
  const { terms, ready, phase, failure } = live
  if (terms.opener !== 'remote' || ready.depth > 0 || height < ready.since + FUNDING_DEADLINE) return false
  if (!ready.isSent) return true
  const isHopeless = phase === 'failed' && failure?.cause !== 'dataLoss'
  return terms.minimumDepth === 0 && isHopeless && height >= ready.since + 2 * FUNDING_DEADLINE
}

/** Whether a peer's channel was used without confirmations for so long that its funding can't be trusted to get any. */
export function isTrustOver({ terms, ready }: Live, { height }: Pick<ChannelEnv, 'height'>): boolean {
  const isTrusted = terms.opener === 'remote' && terms.minimumDepth === 0 && ready.depth === 0
  return isTrusted && height >= ready.since + FUNDING_DEADLINE
}

/** Whether a peer that did not fund has forgotten the channel by now, for all that we know. Nobody may use it any more. */
export function isAbandoned({ terms, ready, phase }: Live, { height }: ChannelEnv): boolean {
  return (
    terms.opener === 'local' &&
    phase === 'awaitingReady' &&
    ready.depth === 0 &&
    !ready.isReceived &&
    height >= ready.since + FUNDING_DEADLINE
  )
}

/**
 * Whether a peer's funding was found not to be what was agreed on. A transaction's ID names its outputs, so it never will be,
 * and neither commitment can spend it.
 */
export function isFalse({ terms, failure }: Live): boolean {
  return terms.opener === 'remote' && failure?.cause === 'funding'
}

/** Whether the funding has as many confirmations as were agreed on, or needs none. */
export function isDeep({ terms, ready }: Pick<Live, 'terms' | 'ready'>): boolean {
  return ready.depth >= terms.minimumDepth
}

/** Whether the funding is on the chain, or was never expected to be. */
export function isConfirmed({ terms, ready }: Pick<Live, 'terms' | 'ready'>): boolean {
  return terms.minimumDepth === 0 || ready.depth > 0
}

/**
 * Whether what comes over the channel may be relied on. Who did not fund needs all the confirmations that it asked for, again
 * if they were undone: the opener can spend its coins otherwise, and what it pays over their funding is then nothing. A channel
 * that has failed counts no more than one; it is paid on chain, where nothing is without the funding.
 */
export function isReliable(live: Pick<Live, 'terms' | 'ready' | 'phase'>): boolean {
  const isOurs = live.terms.opener === 'local' || live.phase === 'failed'
  return isOurs ? isConfirmed(live) : isDeep(live)
}

function becameReady(live: Live, effects: readonly Effect[]): Step {
  const { isSent, isReceived } = live.ready
  if (live.phase !== 'awaitingReady' || !isSent || !isReceived) return to(live, { effects })
  return to({ ...live, phase: 'normal' }, { effects: [...effects, tell({ kind: 'ready' })] })
}
