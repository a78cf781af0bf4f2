// One channel's place in its client. While nothing concerns it, nothing more is in memory: its record is enough to
// go on from, instead of a machine, its queues and its ledger work.
import type { AppID, ChannelID, PerkunasError } from '../channel/index.js'
import type { Account } from '../wallet/index.js'
import { Channel, type ChannelHost, type ChannelTimeouts } from './channel.js'
import type { ChannelContext, ChannelRecord } from './conversation.js'
import { asStoreError, ChannelRuntime } from './runtime.js'
import type { Kept, Shelf } from './shelf.js'
import { Streams } from './streams.js'
import type { World } from './world.js'

/** What all slots of a client share. */
export interface SlotHost {
  readonly world: World
  readonly timeouts: ChannelTimeouts
  readonly shelf: Shelf
  context(app: AppID): ChannelContext
  /** Its channel runs now. */
  woke(slot: Slot): void
  /** It, or another one, may have nothing to do any more. */
  rested(): void
  /** Its user wants no more of it. */
  close(slot: Slot): void
}

/** One channel, running or at rest. */
export class Slot implements ChannelHost {
  readonly #host: SlotHost
  #kept: Kept | undefined
  #runtime: ChannelRuntime | undefined
  #streams: Streams | undefined
  #channel: Channel | undefined
  #ended: PerkunasError | undefined
  /** Ends the watching of its ledger. */
  stopWatching: (() => void) | undefined

  /** @param record what it runs with, or, for one that is at rest, what was kept when it was laid away */
  constructor(
    readonly id: ChannelID,
    readonly account: Account,
    host: SlotHost,
    record: ChannelRecord | Kept,
  ) {
    this.#host = host
    if (typeof record === 'string') this.#kept = record
    else this.#run(record)
  }

  /** The running channel; one at rest is woken. Whoever keeps it beyond this turn must `hold()` it. */
  get runtime(): ChannelRuntime {
    return this.#runtime ?? this.#wake()
  }

  /** Whether it is running. */
  get isAwake(): boolean {
    return this.#runtime !== undefined
  }

  /** What users call. The same one as long as this client has the channel. */
  get channel(): Channel {
    this.#channel ??= new Channel(this)
    return this.#channel
  }

  get timeouts(): ChannelTimeouts {
    return this.#host.timeouts
  }

  get streams(): Streams {
    if (this.#streams === undefined) {
      this.#streams = new Streams()
      if (this.#ended !== undefined || this.#runtime?.ended.aborted) this.#streams.complete()
    }
    return this.#streams
  }

  close(): void {
    this.#host.close(this)
  }

  /** Ends this object's life: calls under way and those to come are answered with the error. */
  end(error: PerkunasError): void {
    this.#ended ??= error
    this.stopWatching?.()
    this.stopWatching = undefined
    this.#runtime?.stop(error)
    this.#streams?.complete()
  }

  /** Lets the running channel go, if nothing is under way and nothing has concerned it since the last time. */
  rest(): boolean {
    const runtime = this.#runtime
    if (runtime === undefined) return true
    if (runtime.takeFresh() || !runtime.isAtRest) return false
    if (this.#kept === undefined || !runtime.isUnchanged)
      this.#kept = this.#host.shelf.lay(runtime.state.record)
    this.#runtime = undefined
    runtime.release()
    return true
  }

  #wake(): ChannelRuntime {
    if (this.#kept === undefined) throw new Error(`channel ${this.id} neither runs nor rests`)
    return this.#run(this.#take(this.#kept))
  }

  #take(kept: Kept): ChannelRecord {
    const { shelf, world } = this.#host
    try {
      return shelf.take(this.id, kept)
    } catch (cause) {
      // Nobody can know what is on a disk that fails, so nothing goes on from it.
      const error = asStoreError(cause)
      if (this.#ended === undefined) world.fail(error)
      throw error
    }
  }

  #run(record: ChannelRecord): ChannelRuntime {
    const { world } = this.#host
    const context = this.#host.context(record.machine.params.app)
    const runtime = new ChannelRuntime(record, world, context, this.account, {
      streams: () => this.#streams,
      rested: () => this.#host.rested(),
    })
    this.#runtime = runtime
    if (this.#ended === undefined) this.#host.woke(this)
    else runtime.stop(this.#ended)
    return runtime
  }
}
