// One channel's place in its client. While nothing concerns it, nothing more is in memory: its record is enough to
// go on from, instead of a machine, its queues and its ledger work.
import { type AppID, type ChannelID, PerkunasError, type Subscription } from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Account } from '../wallet/index.js'
import type { Channel } from './channel.js'
import { type ChannelHost, type ChannelTimeouts, UnanimousChannel } from './controller.js'
import type { ChannelContext, ChannelRecord } from './conversation.js'
import type { ChannelMessage } from './messages.js'
import { afterRestart } from './reservation.js'
import { asStoreError, ChannelRuntime } from './runtime.js'
import type { Kept, Shelf } from './shelf.js'
import { type Standing, standingOf, syncOf } from './standing.js'
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

/** What is left of a channel at rest. */
export interface AtRest {
  readonly kept: Kept
  readonly standing: Standing | undefined
  /** What its record reserves was reserved by an earlier process; see reservation.ts. */
  readonly isForgetful: boolean
}

/** What is left of a channel that is kept so. */
export function atRestAs(record: ChannelRecord, kept: Kept): AtRest {
  return { kept, standing: standingOf(record), isForgetful: record.forgotten !== undefined }
}

/** One channel, running or at rest. */
export class Slot implements ChannelHost {
  readonly #host: SlotHost
  #kept: Kept | undefined
  #runtime: ChannelRuntime | undefined
  #streams: Streams | undefined
  #channel: Channel | undefined
  #ended: PerkunasError | undefined
  /** Where it stands while it is at rest, -1 if there is more to say of it; see {@link Standing}. */
  #version = -1
  #used = -1
  #isForgetful = false
  /** The watching of its ledger. */
  watching: Pick<Subscription, 'close'> | undefined

  /** @param record what it runs with, or what is left of it if it is at rest */
  constructor(
    readonly id: ChannelID,
    readonly account: Account,
    host: SlotHost,
    record: ChannelRecord | AtRest,
  ) {
    this.#host = host
    if ('kept' in record) this.#lay(record)
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
    this.#channel ??= new UnanimousChannel(this)
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

  /** A connection to a peer stands. */
  connected(peer: PeerID): void {
    if (this.#runtime === undefined && this.#version >= 0) {
      return this.#host.world.send(peer, syncOf(this.id, { version: this.#version, used: this.#used }))
    }
    const { runtime } = this
    runtime.dispatch({ kind: 'connected', peer: runtime.state.record.peers.indexOf(peer) })
  }

  /** Whether a participant says no more than where we stand, too: then there is nothing to do. */
  isEcho(message: ChannelMessage): boolean {
    return (
      this.#runtime === undefined &&
      message.kind === 'channelSync' &&
      message.version === BigInt(this.#version) &&
      message.usedVersion === BigInt(this.#used)
    )
  }

  /** Ends this object's life: calls under way and those to come are answered with the error. */
  end(error: PerkunasError): void {
    this.#ended ??= error
    this.watching?.close()
    this.watching = undefined
    this.#runtime?.stop(error)
    this.#streams?.complete()
  }

  /** Lets the running channel go, if nothing is under way and nothing has concerned it since the last time. */
  rest(): boolean {
    const runtime = this.#runtime
    if (runtime === undefined) return true
    if (runtime.takeFresh() || !runtime.isAtRest) return false
    if (this.#kept === undefined || !runtime.isUnchanged) {
      const { record } = runtime.state
      this.#lay(atRestAs(record, this.#host.shelf.lay(record)))
    }
    this.#runtime = undefined
    runtime.release()
    return true
  }

  #lay({ kept, standing, isForgetful }: AtRest): void {
    this.#kept = kept
    this.#isForgetful = isForgetful
    this.#version = standing?.version ?? -1
    this.#used = standing?.used ?? -1
  }

  #wake(): ChannelRuntime {
    if (this.#kept === undefined) throw new Error(`channel ${this.id} neither runs nor rests`)
    return this.#run(this.#take(this.#kept))
  }

  #take(kept: Kept): ChannelRecord {
    const { shelf, world } = this.#host
    try {
      const read = shelf.take(this.id, kept)
      const record = this.#isForgetful ? afterRestart(read) : read
      const now = standingOf(record)
      if (this.#version < 0 || (now?.version === this.#version && now.used === this.#used)) return record
      // To sign from an older one could be a second state of one version.
      const text = `the store gives another record of channel ${this.id} than what was written last`
      throw new PerkunasError('STORE_FAILED', text, { operation: 'get' })
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
