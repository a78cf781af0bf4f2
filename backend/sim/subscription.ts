// The events of one channel as a backend tells them: seen, then final or reorged.
import type {
  ChannelID,
  EventStatus,
  LedgerEvent,
  LedgerEventBody,
  Subscription,
} from '../../channel/index.js'
import { PerkunasError } from '../../channel/index.js'
import type { SimEvent } from './call.js'
import type { SimNode } from './node.js'

/** A place on the chain, behind which all was told as final. */
interface Place {
  readonly number: number
  readonly hash: string
  readonly index: number
}

/** Something that was told as seen and is not final yet. */
interface Told extends Place {
  readonly body: LedgerEventBody
}

const START: Place = { number: 0, hash: 'genesis', index: 0 }

/** Reads the chain on demand, so that a slow consumer costs no memory. */
export class SimSubscription implements Subscription {
  readonly #closed = new AbortController()
  /** Up to where everything is final. */
  #final: Place
  /** What is seen beyond that, oldest first. */
  #seen: Told[] = []

  constructor(
    private readonly options: {
      readonly node: SimNode
      readonly channelID: ChannelID
      readonly finalityDepth: number
      readonly cursor: string | undefined
      readonly closed: AbortSignal
    },
  ) {
    this.#final = options.cursor === undefined ? START : decode(options.cursor)
  }

  close(): void {
    this.#closed.abort()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LedgerEvent, void, undefined> {
    const signal = AbortSignal.any([this.#closed.signal, this.options.closed])
    while (!signal.aborted) {
      let event: LedgerEvent
      try {
        event = await this.options.node.until(() => this.#next(), { call: 'subscribe', signal })
      } catch (error) {
        if (signal.aborted) return
        throw error
      }
      yield event
    }
  }

  #next(): LedgerEvent | undefined {
    const { node, channelID, finalityDepth } = this.options
    const { ledger } = node
    const isThere = ({ number, hash }: Place) => ledger.block(number)?.hash === hash

    const gone = this.#seen.find((told) => !isThere(told))
    if (gone) {
      this.#seen = this.#seen.filter((told) => told !== gone)
      return this.#event(gone.body, 'reorged')
    }
    // A reorg deeper than finality took away what was final: everything is told anew.
    if (!isThere(this.#final)) this.#final = START
    const [oldest] = this.#seen
    if (oldest && ledger.head.number - oldest.number + 1 >= finalityDepth) {
      this.#seen = this.#seen.slice(1)
      this.#final = { number: oldest.number, hash: oldest.hash, index: oldest.index }
      return this.#event(oldest.body, 'final')
    }
    const last = this.#seen.at(-1) ?? this.#final
    for (const { event, block, index } of ledger.logs(channelID, last.number)) {
      if (block.number === last.number && index <= last.index) continue
      const body = bodyOf(event)
      if (body === undefined) continue
      this.#seen.push({ number: block.number, hash: block.hash, index, body })
      return this.#event(body, 'seen')
    }
    return undefined
  }

  #event(body: LedgerEventBody, status: EventStatus): LedgerEvent {
    const { number, hash, index } = this.#final
    return { ...body, channelID: this.options.channelID, status, cursor: `${number}:${index}:${hash}` }
  }
}

function decode(cursor: string): Place {
  const match = /^(\d{1,15}):(\d{1,15}):(\w{1,64})$/.exec(cursor)
  if (!match) {
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `a cursor of this ledger expected, got ${cursor.slice(0, 80)}`,
      {
        argument: 'cursor',
      },
    )
  }
  return { number: Number(match[1]), index: Number(match[2]), hash: match[3] ?? '' }
}

function bodyOf(event: SimEvent): LedgerEventBody | undefined {
  switch (event.kind) {
    case 'registered': {
      const { state, signatures, timeout: deadline } = event
      return { kind: 'registered', version: state.version, deadline, state, signatures }
    }
    case 'progressed': {
      const { state, actor, timeout: deadline } = event
      return { kind: 'progressed', version: state.version, deadline, state, actor }
    }
    case 'cleared': {
      const { version, state, signatures } = event
      return { kind: 'cleared', version, state, signatures }
    }
    case 'concluded':
      return { kind: event.kind, version: event.version }
    case 'deposited':
    case 'withdrawn':
      return undefined
  }
}
