// Who is told the events of a channel, and what of them it was told. There may be very many who have never been told
// anything, so what is only needed for telling is made when it is.
import type { ChannelID, EventStatus, LedgerEvent, Subscription } from '../../channel/index.js'
import { encodeCursor, keyOf, type Position, type SeenEvent } from './cursor.js'

/** Blocks that are read again though they are final: a node behind others may have had none of their logs. */
export const OVERLAP = 8
/** Events that wait for a slow consumer; beyond them its channel is not read on. */
const MAX_WAITING = 256

const NO_EVENTS: ReadonlyMap<string, SeenEvent> = new Map()

/** What one subscriber has been told. */
export abstract class Reader {
  /** Logs up to this block are told and final. */
  done: number
  /** Where the cursor stood: nothing up to there is told again. */
  readonly start: number
  /** Of the same channel. */
  next: Reader | undefined = undefined
  /** In which pass over the newest blocks it has a part. */
  pass = 0
  #pending: Map<string, SeenEvent> | undefined
  /** Told as final, but within the overlap: not to be told again. */
  #told: Map<string, number> | undefined

  constructor(
    readonly channelID: ChannelID,
    position: Position,
  ) {
    this.done = position.done
    this.start = position.done
    if (position.pending.length > 0) {
      this.#pending = new Map(position.pending.map((event) => [keyOf(event), event]))
    }
  }

  /** Whether nothing more may be told for now. */
  abstract get isFull(): boolean

  /** Takes an event. */
  abstract take(event: LedgerEvent): void

  /** Is told nothing more. */
  abstract close(): void

  /** What was told and is not final. */
  get pending(): ReadonlyMap<string, SeenEvent> {
    return this.#pending ?? NO_EVENTS
  }

  knows(key: string): boolean {
    return this.pending.has(key) || this.#told?.has(key) === true
  }

  /** Tells an event; `done` is the block up to which all is told and final once this one is. */
  tell(event: SeenEvent, status: EventStatus, done: number): void {
    const key = keyOf(event)
    this.#pending ??= new Map()
    if (status === 'seen') this.#pending.set(key, event)
    else this.#pending.delete(key)
    if (status === 'final') {
      this.#told ??= new Map()
      this.#told.set(key, event.blockNumber)
    }
    const cursor = encodeCursor({ done, pending: [...this.#pending.values()] })
    this.take({ ...event.body, channelID: this.channelID, status, cursor })
  }

  advance(done: number): void {
    if (done > this.done) this.done = done
    if (this.#told === undefined) return
    for (const [key, block] of this.#told) if (block <= this.done - OVERLAP) this.#told.delete(key)
  }
}

/** Hands events to a function. */
export class Listener extends Reader {
  readonly #onEvent: (event: LedgerEvent) => void

  readonly #onClose: (reader: Reader) => void

  constructor(
    channelID: ChannelID,
    position: Position,
    onClose: (reader: Reader) => void,
    onEvent: (event: LedgerEvent) => void,
  ) {
    super(channelID, position)
    this.#onClose = onClose
    this.#onEvent = onEvent
  }

  get isFull(): boolean {
    return false
  }

  take(event: LedgerEvent): void {
    this.#onEvent(event)
  }

  close(): void {
    this.#onClose(this)
  }
}

/** Keeps events for whoever iterates over them. */
export class Queue extends Reader implements Subscription {
  readonly #onClose: (reader: Reader) => void
  readonly #queue: LedgerEvent[] = []
  #wake: (() => void) | undefined
  #closed = false

  constructor(channelID: ChannelID, position: Position, onClose: (reader: Reader) => void) {
    super(channelID, position)
    this.#onClose = onClose
  }

  get isFull(): boolean {
    return this.#queue.length >= MAX_WAITING
  }

  take(event: LedgerEvent): void {
    this.#queue.push(event)
    this.#wake?.()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue.length = 0
    this.#onClose(this)
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
