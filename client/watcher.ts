// Watches channels on their ledger: whatever happens there becomes an input of the channel, which refutes,
// progresses and withdraws by its own rules. Nothing that one event or one subscriber does ends the watching.
import {
  type Adjudicator,
  type ChannelID,
  type LedgerEvent,
  PerkunasError,
  type SignedState,
  type Subscription,
} from '../channel/index.js'
import type { Clock } from './environment.js'

/** A risk that a watcher sees. */
export interface Unwatched {
  readonly reason: 'unwatched'
  /** The version that nobody but us can refute with. */
  readonly newest: bigint
  /** The newest version that whoever watches for us has; the same one if it lacks a sub-channel's newest state. */
  readonly held: bigint | undefined
}

/** A channel, as a watcher that hands states on sees it. */
export interface WatchedChannel {
  /** The newest state, if it has everybody's signature. */
  newest(): SignedState | undefined
  /** All that its locked funds need, parents before children: the newest state of each sub-channel; none by default. */
  subChannels?(): readonly SignedState[]
  /** The channel's user hears of it. */
  atRisk(risk: Unwatched): void
}

/** Sees what a ledger says about channels. */
export interface Watcher {
  /**
   * Hands every event of a channel to `onEvent`, those after the cursor first, until the result is closed.
   *
   * @param cursor of the last event that was handled, from the channel's record
   */
  watch(
    channelID: ChannelID,
    cursor: string | undefined,
    onEvent: (event: LedgerEvent) => void,
    channel?: WatchedChannel,
  ): Pick<Subscription, 'close'>
  /**
   * A newer state of a channel is durable, or one of a sub-channel: then by the ID of the channel that it is settled with.
   * With a promise, nothing that depends on it leaves before that resolves.
   */
  enabled?(channelID: ChannelID): void | Promise<void>
  /** A channel is over; its watching ends. */
  over?(channelID: ChannelID): void
}

/** Milliseconds before a subscription that broke is made again. */
const PAUSE = 1_000

/**
 * A watcher in this process, over the backend's adjudicator.
 *
 * @param report is told when a subscription broke; it is made again from where it stood
 */
export function localWatcher(
  adjudicator: Adjudicator,
  clock: Clock,
  report: (error: PerkunasError) => void,
): Watcher {
  return {
    watch(channelID, cursor, onEvent) {
      if (adjudicator.listen) {
        return adjudicator.listen(channelID, onEvent, cursor === undefined ? {} : { cursor })
      }
      let newest = cursor
      let end: () => void = () => undefined
      const begin = () => {
        const subscription = adjudicator.subscribe(channelID, newest === undefined ? {} : { cursor: newest })
        end = () => subscription.close()
        const follow = async () => {
          for await (const event of subscription) {
            newest = event.cursor
            onEvent(event)
          }
        }
        follow().catch((cause) => {
          report(
            new PerkunasError('LEDGER_UNREACHABLE', `watching ${channelID} broke`, { ledger: '' }, { cause }),
          )
          end = clock.after(PAUSE, begin)
        })
      }
      begin()
      return { close: () => end() }
    },
  }
}
