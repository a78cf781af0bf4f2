// The end of a Lightning channel: together with its peer, as long as that is there or comes back in its time, or else alone.
import { isError, type Phase } from '../../../channel/index.js'
import type { Clock } from '../../../client/index.js'
import type { LightningNode, LiveView } from '../node/index.js'
import { isEnding } from './phase.js'

/** A channel that is to come to its end. */
export interface Closing {
  readonly node: LightningNode
  readonly clock: Clock
  /** Its name in the node. */
  readonly channel: bigint
  /** How it stands now. */
  look(): { readonly phase: Phase; readonly live: LiveView }
}

/** How long the peer is waited for. */
export interface Patience {
  /** Milliseconds that the peer has, as often as it comes back. */
  readonly timeout: number
  /** Its time does not run while it is there and HTLCs are open. */
  readonly isPatient: boolean
  readonly signal: AbortSignal
}

/**
 * Closes a channel together with its peer.
 *
 * @returns whether the channel comes to an end by itself now
 * @throws PerkunasError ABORTED, CLOSED
 */
export async function closeTogether(
  { node, clock, channel, look }: Closing,
  { timeout, isPatient, signal }: Patience,
): Promise<boolean> {
  const isUnderWay = () => look().live.isClosingAgreed || isEnding(look().phase)
  const isHeldUp = () => isPatient && look().live.isConnected && look().live.htlcs.length > 0
  let isSaid = false
  const isUnsaid = () => {
    const { phase, live } = look()
    // Once for each connection: it may be refused for reasons that stay.
    isSaid = isSaid && live.isConnected
    return phase === 'acting' && live.isConnected && !isSaid
  }
  for (;;) {
    if (isUnsaid()) {
      isSaid = true
      await sayShutdown(node, channel)
    }
    await node.eventually(() => isUnderWay() || !isHeldUp() || undefined, signal)
    if (isUnderWay()) return true
    const patience = new AbortController()
    const stop = clock.after(timeout, () => patience.abort())
    try {
      const both = AbortSignal.any([signal, patience.signal])
      await node.eventually(() => isUnderWay() || isHeldUp() || isUnsaid() || undefined, both)
    } catch (error) {
      if (signal.aborted || !patience.signal.aborted) throw error
      return false
    } finally {
      stop()
    }
  }
}

/** Publishes our commitment, unless the channel is over or on its way. */
export async function closeAlone(node: LightningNode, channel: bigint): Promise<void> {
  try {
    await node.forceClose(channel)
  } catch (error) {
    if (!isError(error, 'PHASE_MISMATCH') && !isError(error, 'UNKNOWN_CHANNEL')) throw error
  }
}

async function sayShutdown(node: LightningNode, channel: bigint): Promise<void> {
  try {
    await node.close(channel)
  } catch (error) {
    const isHere = isError(error, 'PHASE_MISMATCH') || isError(error, 'UNKNOWN_CHANNEL')
    // The script may be of a form that this peer does not know any more.
    if (!isHere && !isError(error, 'INVALID_PARAMS')) throw error
  }
}
