// Why the last channels came to their end, for whoever waits for something else of them.
import { PerkunasError } from '../../../channel/errors.js'
import type { Entry } from './entries.js'

/** Channels that are over of which is remembered why. */
const MAX_ENDS = 1000

/** See above. */
export class Ends {
  readonly #all = new Map<bigint, PerkunasError>()

  get(channel: bigint): PerkunasError | undefined {
    return this.#all.get(channel)
  }

  /** What our side knows better than the reason that the channel will end with. */
  blame(channel: bigint, error: PerkunasError): void {
    this.#all.set(channel, error)
  }

  /** A channel is over, unless it was told before why. */
  add({ keyIndex, peer }: Entry, { reason, isConnected }: { reason: string; isConnected: boolean }): void {
    if (this.#all.has(keyIndex)) return
    const message = `channel ${keyIndex} is over: ${reason}`
    this.#all.set(
      keyIndex,
      isConnected
        ? new PerkunasError('PEER_REJECTED', message, { peer, participant: 1, reason })
        : new PerkunasError('PEER_UNREACHABLE', message, { peer, reason: 'lost' }),
    )
    const [oldest] = this.#all.keys()
    if (this.#all.size > MAX_ENDS && oldest !== undefined) this.#all.delete(oldest)
  }
}
