// The end of a Lightning channel: together with its peer, as long as that is there or comes back in its time, or else alone.
import { isError, type Phase } from '../../../channel/index.js'
import type { Clock, SettleOptions } from '../../../client/index.js'
import type { OpenHtlc } from '../channel/index.js'
import { MAX_EXPIRY_DISTANCE } from '../channel/policy.js'
import type { LightningNode, LiveView } from '../node/index.js'
import { isEnding } from './phase.js'

/** A channel that is to come to its end. */
export interface Closing {
  readonly node: Pick<LightningNode, 'close' | 'eventually' | 'height'>
  readonly clock: Clock
  /** Its name in the node. */
  readonly channel: bigint
  /** How it stands now. */
  look(): {
    readonly phase: Phase
    readonly live: Pick<LiveView, 'isClosingAgreed' | 'isConnected'> & {
      readonly htlcs: readonly Pick<OpenHtlc, 'cltvExpiry'>[]
    }
  }
}

/** How long the peer is waited for. */
export interface Patience {
  /** Milliseconds that the peer has, as often as it comes back; while no HTLC is waited for, {@link COMEBACKS} times that in all. */
  readonly timeout: number
  /** With `wait`, its time does not run while it is there and HTLCs are open that it may yet do something about. */
  readonly locks: NonNullable<SettleOptions['locks']>
  readonly signal: AbortSignal
}

/** So many times the time that it has may pass in all, for whoever comes back and goes again. */
export const COMEBACKS = 5
/** Blocks after the expiry of an HTLC in which it should be gone: its channel fails before, if it is worth that. */
export const OVERDUE_BLOCKS = 6

/**
 * Closes a channel together with its peer.
 *
 * @returns whether the channel comes to an end by itself now
 * @throws PerkunasError INVALID_TRANSITION if HTLCs are open when it would begin, and `locks` says `refuse`; ABORTED, CLOSED
 */
export async function closeTogether(
  { node, clock, channel, look }: Closing,
  { timeout, locks, signal }: Patience,
): Promise<boolean> {
  const isUnderWay = () => look().live.isClosingAgreed || isEnding(look().phase)
  // A peer may add some after that, of whatever expiry.
  const latest = node.height + MAX_EXPIRY_DISTANCE
  const isAwaited = () => {
    const expiries = look().live.htlcs.map(({ cltvExpiry }) => Math.min(cltvExpiry, latest))
    return locks === 'wait' && node.height < Math.max(0, ...expiries) + OVERDUE_BLOCKS && expiries.length > 0
  }
  const isHeldUp = () => isAwaited() && look().live.isConnected
  let isSaid = false
  const isUnsaid = () => {
    const { phase, live } = look()
    // Once for each connection: it may be refused for reasons that stay.
    isSaid = isSaid && live.isConnected
    return phase === 'acting' && live.isConnected && !isSaid
  }
  const end = new AbortController()
  let stopEnd: (() => void) | undefined
  try {
    for (;;) {
      if (isUnsaid()) {
        isSaid = true
        await sayShutdown(node, channel, locks === 'refuse')
      }
      await node.eventually(() => isUnderWay() || !isHeldUp() || undefined, signal)
      if (isUnderWay()) return true
      if (!isAwaited()) stopEnd ??= clock.after(COMEBACKS * timeout, () => end.abort())
      const patience = new AbortController()
      const stop = clock.after(timeout, () => patience.abort())
      try {
        const all = AbortSignal.any([signal, patience.signal, end.signal])
        await node.eventually(() => isUnderWay() || isHeldUp() || isUnsaid() || undefined, all)
      } catch (error) {
        if (signal.aborted || !(patience.signal.aborted || end.signal.aborted)) throw error
        return false
      } finally {
        stop()
      }
    }
  } finally {
    stopEnd?.()
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

async function sayShutdown(node: Closing['node'], channel: bigint, isIdle: boolean): Promise<void> {
  try {
    await node.close(channel, { isIdle })
  } catch (error) {
    const isHere = isError(error, 'PHASE_MISMATCH') || isError(error, 'UNKNOWN_CHANNEL')
    // The script may be of a form that this peer does not know any more.
    if (!isHere && !isError(error, 'INVALID_PARAMS')) throw error
  }
}
