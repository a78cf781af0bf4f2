// Watches channels on their ledger: whatever happens there becomes an input of the channel, which refutes,
// progresses and withdraws by its own rules. Nothing that one event or one subscriber does ends the watching.
import type { Adjudicator, ChannelID, LedgerEvent } from '../channel/index.js'

/** Sees what a ledger says about channels. */
export interface Watcher {
  /**
   * Hands every event of a channel to `onEvent`, those after the cursor first; the result ends it.
   *
   * @param cursor of the last event that was handled, from the channel's record
   */
  watch(channelID: ChannelID, cursor: string | undefined, onEvent: (event: LedgerEvent) => void): () => void
}

/** A watcher in this process, over the backend's adjudicator. */
export function localWatcher(adjudicator: Adjudicator): Watcher {
  return {
    watch(channelID, cursor, onEvent) {
      const subscription = adjudicator.subscribe(channelID, cursor === undefined ? {} : { cursor })
      const follow = async () => {
        for await (const event of subscription) onEvent(event)
      }
      // The subscription retries a failing ledger by itself, so this ends only when it is closed.
      void follow()
      return () => subscription.close()
    },
  }
}
