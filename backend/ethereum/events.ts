// Events of channels out of the adjudicator's logs, for all subscribed channels by one reader.
//
// At each new block the logs of the newest blocks are read again, as deep as blocks may still change and somewhat
// deeper, and compared with what was told before: a log that is new is told as `seen`, one deep enough as `final`,
// and one whose block is no longer in the chain as `reorged`. So nothing has to be remembered of the chain itself,
// and it does not matter how many blocks went by meanwhile.
import {
  type ChannelID,
  type EventStatus,
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
import { decodeCursor, encodeCursor, keyOf, type SeenEvent } from './cursor.js'
import { type LogFilter, scanLogs } from './logs.js'
import { CHANNEL_UPDATE, CHECKPOINT, shownBy } from './registered.js'

/** Blocks that are read again though they are final: a node behind others may have had none of their logs. */
const OVERLAP = 8
/** Channels whose IDs go into the filter; with more, all of the adjudicator's logs are read. */
const MAX_FILTERED = 100
/** Events that wait for a slow consumer; beyond them its channel is not read on. */
const MAX_WAITING = 256

/** What one subscription has been told. */
class Reader implements Subscription {
  /** Logs up to this block are told and final. */
  done: number
  /** Where the cursor stood: nothing up to there is told again. */
  readonly start: number
  readonly pending = new Map<string, SeenEvent>()
  /** Told as final, but within the overlap: not to be told again. */
  readonly #told = new Map<string, number>()
  readonly #queue: LedgerEvent[] = []
  #wake: (() => void) | undefined
  #closed = false

  constructor(
    readonly channelID: ChannelID,
    position: { readonly done: number; readonly pending: readonly SeenEvent[] },
    readonly onClose: (reader: Reader) => void,
  ) {
    this.done = position.done
    this.start = position.done
    for (const event of position.pending) this.pending.set(keyOf(event), event)
  }

  get isFull(): boolean {
    return this.#queue.length >= MAX_WAITING
  }

  knows(key: string): boolean {
    return this.pending.has(key) || this.#told.has(key)
  }

  /** Tells an event; `done` is the block up to which all is told and final once this one is. */
  tell(event: SeenEvent, status: EventStatus, done: number): void {
    const key = keyOf(event)
    if (status === 'seen') this.pending.set(key, event)
    else this.pending.delete(key)
    if (status === 'final') this.#told.set(key, event.blockNumber)
    const cursor = encodeCursor({ done, pending: [...this.pending.values()] })
    this.#queue.push({ ...event.body, channelID: this.channelID, status, cursor })
    this.#wake?.()
  }

  advance(done: number): void {
    this.done = Math.max(this.done, done)
    for (const [key, block] of this.#told) if (block <= this.done - OVERLAP) this.#told.delete(key)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue.length = 0
    this.onClose(this)
    this.#wake?.()
  }

  async *[Symbol.asyncIterator](): AsyncIterator<LedgerEvent> {
    try {
      for (;;) {
        const event = this.#queue.shift()
        if (event !== undefined) yield event
        if (this.#closed) return
        if (this.#queue.length > 0) continue
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      this.close()
    }
  }
}

/** Reads the adjudicator's logs for all who subscribe. */
export class EventFeed {
  readonly #chain: Chain
  readonly #readers = new Set<Reader>()
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
    if (!isHex(channelID, 32)) {
      throw new PerkunasError('INVALID_ARGUMENT', 'a channel ID of 32 bytes expected', {
        argument: 'channelID',
      })
    }
    const start = { done: this.deployment.firstBlock - 1, pending: [] }
    const position = cursor === undefined ? start : decodeCursor(cursor)
    if (position === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', 'a cursor of an earlier event expected', {
        argument: 'cursor',
      })
    }
    const reader = new Reader(channelID, position, (closing) => void this.#readers.delete(closing))
    this.#readers.add(reader)
    this.#readAt = undefined
    void this.#run()
    return reader
  }

  /** Ends all subscriptions. */
  close(): void {
    for (const reader of [...this.#readers]) reader.close()
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
    const readers = [...this.#readers].filter((reader) => !reader.isFull)
    if (readers.length < this.#readers.size) this.#readAt = undefined
    // Those that are behind first, each from where it stands, by one scan.
    const behind = readers.filter((reader) => reader.done < low - 1)
    if (behind.length > 0) {
      const from = Math.min(...behind.map(({ done }) => done + 1))
      await scanLogs(this.#chain, this.#filter(behind), { from, to: low - 1 }, async (logs, upTo) => {
        await this.#tellAll(
          behind.filter((reader) => reader.done < upTo),
          logs,
          final,
        )
        for (const reader of behind) if (!reader.isFull) reader.advance(upTo)
      })
    }
    const ready = readers.filter((reader) => !reader.isFull && reader.done >= low - 1)
    if (ready.length === 0 || head.number < low) return
    const logs: Log[] = []
    const span = { from: low, to: head.number }
    await scanLogs(this.#chain, this.#filter(ready), span, (part) => void logs.push(...part))
    for (const reader of ready) await this.#withdrawGone(reader, logs, head)
    await this.#tellAll(ready, logs, final)
    for (const reader of ready) reader.advance(Math.max(final, low - 1))
  }

  #filter(readers: readonly Reader[]): LogFilter {
    const channels = [...new Set(readers.map(({ channelID }) => channelID))]
    return {
      address: this.deployment.adjudicator,
      topics: [[CHANNEL_UPDATE, CHECKPOINT], channels.length > MAX_FILTERED ? null : channels],
    }
  }

  /** Tells each reader the logs of its channel that it does not know, and those that have become final. */
  async #tellAll(readers: readonly Reader[], logs: readonly Log[], final: number): Promise<void> {
    const byChannel = new Map<string, Reader[]>()
    for (const reader of readers) {
      const same = byChannel.get(reader.channelID)
      if (same) same.push(reader)
      else byChannel.set(reader.channelID, [reader])
    }
    for (const [i, log] of logs.entries()) {
      const interested = byChannel.get(log.topics[1] ?? '') ?? []
      const place = { ...log, logIndex: log.index }
      let event: SeenEvent | undefined
      for (const reader of interested) {
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
    if (reader.pending.size === 0) return
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
