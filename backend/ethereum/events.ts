// Events of channels out of the adjudicator's logs, for all subscribed channels by one reader.
//
// At each new block the logs of the newest blocks are read again, as deep as blocks may still change and somewhat
// deeper, and compared with what was told before: a log that is new is told as `seen`, one deep enough as `final`,
// and one whose block is no longer in the chain as `reorged`. So nothing has to be remembered of the chain itself,
// and it does not matter how many blocks went by meanwhile.
import {
  type ChannelID,
  type Hex,
  isError,
  isHex,
  type LedgerEvent,
  type LedgerEventBody,
  PerkunasError,
  type Subscription,
} from '../../channel/index.js'
import type { Chain, Head, Log } from './chain.js'
import type { Deployment } from './contracts.js'
import { decodeCursor, keyOf, type Position, type SeenEvent } from './cursor.js'
import { type LogFilter, scanLogs } from './logs.js'
import { Listener, OVERLAP, Queue, type Reader } from './readers.js'
import { CHANNEL_UPDATE, CHECKPOINT, shownBy } from './registered.js'

/** Channels whose IDs go into the filter; with more, all of the adjudicator's logs are read. */
const MAX_FILTERED = 100
/** Reads the adjudicator's logs for all who subscribe. */
export class EventFeed {
  readonly #chain: Chain
  /** By channel; further readers of a channel hang on the first. */
  readonly #readers = new Map<ChannelID, Reader>()
  /** Counts the passes over the newest blocks, so that a reader who comes during one has no part in it. */
  #pass = 0
  readonly #onClose = (reader: Reader) => this.#remove(reader)
  #running = false
  /** The newest block when all had been told everything; undefined if somebody has not. */
  #readAt: Hex | undefined

  constructor(readonly deployment: Pick<Deployment, 'chain' | 'adjudicator' | 'firstBlock'>) {
    this.#chain = deployment.chain
  }

  /**
   * Events of a channel after the cursor, or from the deployment's first block.
   *
   * @throws PerkunasError INVALID_ARGUMENT if the cursor is not one of this backend
   */
  subscribe(channelID: ChannelID, cursor?: string): Subscription {
    return this.#add(new Queue(channelID, this.#position(channelID, cursor), this.#onClose))
  }

  /** The same events, told to a function until the result is closed. @throws as {@link subscribe} */
  listen(channelID: ChannelID, onEvent: (event: LedgerEvent) => void, cursor?: string): Reader {
    return this.#add(new Listener(channelID, this.#position(channelID, cursor), this.#onClose, onEvent))
  }

  /** Ends all subscriptions. */
  close(): void {
    for (const reader of [...this.#all()]) reader.close()
    this.#readers.clear()
  }

  #position(channelID: ChannelID, cursor: string | undefined): Position {
    if (!isHex(channelID, 32)) {
      throw new PerkunasError('INVALID_ARGUMENT', 'a channel ID of 32 bytes expected', {
        argument: 'channelID',
      })
    }
    const start = { done: this.deployment.firstBlock - 1, pending: [] }
    const position = cursor === undefined ? start : decodeCursor(cursor)
    if (position !== undefined) return position
    throw new PerkunasError('INVALID_ARGUMENT', 'a cursor of an earlier event expected', {
      argument: 'cursor',
    })
  }

  #add<R extends Reader>(reader: R): R {
    reader.next = this.#readers.get(reader.channelID)
    this.#readers.set(reader.channelID, reader)
    this.#readAt = undefined
    void this.#run()
    return reader
  }

  #remove(reader: Reader): void {
    const { channelID, next } = reader
    const first = this.#readers.get(channelID)
    if (first === reader && next === undefined) this.#readers.delete(channelID)
    else if (first === reader && next !== undefined) this.#readers.set(channelID, next)
    for (let one = first; one !== undefined; one = one.next) if (one.next === reader) one.next = next
  }

  *#all(): Generator<Reader, void, undefined> {
    for (const first of this.#readers.values()) {
      for (let reader: Reader | undefined = first; reader !== undefined; reader = reader.next) yield reader
    }
  }

  async #run(): Promise<void> {
    if (this.#running) return
    this.#running = true
    try {
      let head: Head | undefined
      while (this.#readers.size > 0 && !this.#chain.closed.aborted) {
        try {
          head ??= await this.#chain.head()
          if (head.hash !== this.#readAt) {
            this.#readAt = head.hash
            await this.#read(head)
          }
          head = await this.#chain.tick()
        } catch (error) {
          if (isError(error, 'CLOSED')) break
          this.#readAt = undefined
          // A node that is gone or refuses is asked again at the next block.
          head = await this.#chain.tick().catch(() => undefined)
        }
      }
    } finally {
      this.#running = false
    }
  }

  async #read(head: Head): Promise<void> {
    const final = head.number - this.#chain.finalityDepth + 1
    const low = Math.max(this.deployment.firstBlock, final - OVERLAP + 1)
    const pass = ++this.#pass
    const behind: Reader[] = []
    for (const reader of this.#all()) {
      if (reader.isFull) this.#readAt = undefined
      else reader.pass = pass
      if (!reader.isFull && reader.done < low - 1) behind.push(reader)
    }
    // Those that are behind first, each from where it stands, by one scan.
    if (behind.length > 0) {
      const from = behind.reduce((least, { done }) => Math.min(least, done + 1), low)
      await scanLogs(this.#chain, this.#filter(behind), { from, to: low - 1 }, async (logs, upTo) => {
        await this.#tellAll((reader) => reader.pass === pass && reader.done < upTo, logs, final)
        for (const reader of behind) if (!reader.isFull) reader.advance(upTo)
      })
    }
    const isReady = (reader: Reader) => reader.pass === pass && !reader.isFull && reader.done >= low - 1
    let ready = 0
    for (const reader of this.#all()) {
      if (isReady(reader)) ready++
      else reader.pass = 0
    }
    if (ready === 0 || head.number < low) return
    const logs: Log[] = []
    const span = { from: low, to: head.number }
    await scanLogs(this.#chain, this.#filter(this.#all()), span, (part) => void logs.push(...part))
    for (const reader of this.#all()) {
      if (reader.pass === pass && reader.pending.size > 0) await this.#withdrawGone(reader, logs, head)
    }
    await this.#tellAll((reader) => reader.pass === pass, logs, final)
    for (const reader of this.#all()) if (reader.pass === pass) reader.advance(Math.max(final, low - 1))
  }

  #filter(readers: Iterable<Reader>): LogFilter {
    const channels = new Set<ChannelID>()
    for (const { channelID } of readers) {
      channels.add(channelID)
      if (channels.size > MAX_FILTERED) break
    }
    return {
      address: this.deployment.adjudicator,
      topics: [[CHANNEL_UPDATE, CHECKPOINT], channels.size > MAX_FILTERED ? null : [...channels]],
    }
  }

  /** Tells each reader the logs of its channel that it does not know, and those that have become final. */
  async #tellAll(isConcerned: (reader: Reader) => boolean, logs: readonly Log[], final: number) {
    for (const [i, log] of logs.entries()) {
      const place = { ...log, logIndex: log.index }
      let event: SeenEvent | undefined
      let next: Reader | undefined
      for (let reader = this.#readers.get(channelOf(log)); reader !== undefined; reader = next) {
        next = reader.next
        if (!isConcerned(reader)) continue
        const key = keyOf({ ...place, body: NOTHING })
        // What a reader has behind it and does not know any more it was told long ago.
        if (log.blockNumber <= Math.max(reader.start, reader.done - OVERLAP)) continue
        if (!reader.knows(key)) {
          event ??= await this.#decode(log, reader.channelID)
          if (event === undefined) break
          reader.tell(event, 'seen', reader.done)
        }
        const pending = reader.pending.get(key)
        if (pending !== undefined && log.blockNumber <= final) {
          // The cursor must not skip further logs of the same block.
          const follows = logs.some(
            (other, j) => j > i && other.blockNumber === log.blockNumber && other.topics[1] === log.topics[1],
          )
          reader.tell(pending, 'final', Math.max(reader.done, log.blockNumber - (follows ? 1 : 0)))
        }
      }
    }
  }

  /** Tells what was told before and is in no block of the chain any more. */
  async #withdrawGone(reader: Reader, logs: readonly Log[], head: Head): Promise<void> {
    const present = new Set(logs.map((log) => keyOf({ ...log, logIndex: log.index, body: NOTHING })))
    for (const [key, event] of reader.pending) {
      if (present.has(key)) continue
      // Only a block that was replaced proves it: a node that lags behind knows neither block nor log.
      const hash =
        event.blockNumber > head.number ? undefined : await this.#chain.blockHash(event.blockNumber)
      const isGone = hash === undefined ? event.blockNumber > head.number + OVERLAP : hash !== event.blockHash
      if (isGone) reader.tell(event, 'reorged', reader.done)
    }
  }

  /** Undefined for a log that is not as the contract writes it. */
  async #decode(log: Log, channelID: ChannelID): Promise<SeenEvent | undefined> {
    const body = await this.#bodyOf(log, channelID)
    if (body === undefined) return undefined
    const { blockNumber, blockHash, transactionHash, index } = log
    return { body, blockNumber, blockHash, transactionHash, logIndex: index }
  }

  async #bodyOf(log: Log, channelID: ChannelID): Promise<LedgerEventBody | undefined> {
    const word = (i: number) => BigInt(`0x${log.data.slice(2 + 64 * i, 66 + 64 * i)}`)
    if (log.topics[0] === CHECKPOINT) {
      return log.data.length === 66 ? { kind: 'cleared', version: word(0) } : undefined
    }
    if (log.data.length !== 2 + 3 * 64) return undefined
    const [version, phase, deadline] = [word(0), word(1), word(2)]
    if (phase === 2n) return { kind: 'concluded', version }
    // What can't be shown is no reason to keep silent.
    const shown = await shownBy(this.deployment, log, channelID, version).catch((error: unknown) => {
      if (isError(error, 'CLOSED') || isError(error, 'LEDGER_UNREACHABLE')) throw error
      return undefined
    })
    if (phase === 1n)
      return { kind: 'progressed', version, deadline, state: shown?.state, actor: shown?.actor }
    return { kind: 'registered', version, deadline, state: shown?.state, signatures: shown?.signatures }
  }
}

const NOTHING: LedgerEventBody = { kind: 'concluded', version: 0n }

/** The channel that a log speaks of. */
function channelOf(log: Log): ChannelID {
  return log.topics[1] ?? '0x'
}
