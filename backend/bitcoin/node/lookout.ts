// Channels that can't be read, as blocks come: of one that nobody defends it shows there that its money is moving, and of each
// our user must know in time what is lost unless it is mended.
import { type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Write } from '../../../persistence/index.js'
import { outpointKey } from '../chain/outpoint.js'
import { displayID } from '../script/index.js'
import type { Sat } from '../units.js'
import type { NodeEvent } from './effects.js'
import type { NodeInput } from './input.js'
import type { QuarantinedChannel } from './quarantine.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** What spent a funding output. */
export interface Spending {
  readonly height: number
  readonly txid: Uint8Array
}

/** A channel that must be mended for its HTLCs. */
export interface MendObligation {
  readonly kind: 'mend'
  /** From which on `value` may be lost. */
  readonly height: number
  readonly value: Sat
}

/** What comes of a block. */
export interface Looked {
  readonly writes: readonly Write[]
  readonly events: readonly NodeEvent[]
}

/** Blocks before a deadline at which our user is told of it, beside the start: a week, and then ever more often. */
const REMINDERS = [1008, 432, 144, 72, 36, 18, 6, 3, 1, 0]

const NOTHING: Looked = { writes: [], events: [] }

/** See above. */
export class Lookout {
  readonly #all: readonly QuarantinedChannel[]
  readonly #byFunding = new Map<Hex, QuarantinedChannel[]>()
  readonly #spent: Map<bigint, Spending>
  /** What each of them was reminded of last. */
  readonly #told = new Map<bigint, string>()
  #hasBegun = false

  /** @param spent of each whose funding output was spent before, as the store has it */
  constructor(all: readonly QuarantinedChannel[], spent: ReadonlyMap<bigint, Spending>) {
    this.#all = all
    this.#spent = new Map([...spent].filter(([channel]) => all.some((one) => one.channel === channel)))
    for (const one of all) {
      if (one.funding === undefined) continue
      const key = outpointKey(one.funding.outpoint)
      this.#byFunding.set(key, [...(this.#byFunding.get(key) ?? []), one])
    }
  }

  /** All that our user must know at the start: from now on it is told as it happens. */
  begin(height: number): readonly NodeEvent[] {
    this.#hasBegun = true
    const spent = this.#all.flatMap((one) => {
      const spending = this.#spent.get(one.channel)
      return spending === undefined ? [] : undefended(one, spending)
    })
    return [...spent, ...this.#all.flatMap((one) => this.#reminded(one, height, true))]
  }

  connected({ block, isTip }: NodeInput & { readonly kind: 'connected' }): Looked {
    if (this.#all.length === 0) return NOTHING
    const writes: Write[] = []
    const events: NodeEvent[] = []
    for (const { spends, txid } of this.#byFunding.size === 0 ? [] : block.transactions) {
      for (const one of spends.flatMap((outpoint) => this.#byFunding.get(toHex(outpoint)) ?? [])) {
        const spending = { height: block.height, txid }
        this.#spent.set(one.channel, spending)
        writes.push(NODE_RECORDS.spent.put(NODE_KEYS.spent(one.channel), spending))
        if (this.#hasBegun) events.push(...undefended(one, spending))
      }
    }
    if (isTip && this.#hasBegun)
      for (const one of this.#all) events.push(...this.#reminded(one, block.height, false))
    return { writes, events }
  }

  disconnected({ block }: Pick<NodeInput & { readonly kind: 'disconnected' }, 'block'>): Looked {
    const gone = [...this.#spent].filter(([, { height }]) => height >= block.height)
    for (const [channel] of gone) this.#spent.delete(channel)
    return {
      writes: gone.map(([channel]) => ({ kind: 'delete', key: NODE_KEYS.spent(channel) })),
      events: [],
    }
  }

  /** What only mending it can save. @param channel only of that one */
  obligations(channel?: bigint): readonly (MendObligation & { readonly channel: bigint })[] {
    return this.#all
      .filter((one) => channel === undefined || one.channel === channel)
      .flatMap((one) =>
        this.#deadlines(one).map(
          (deadline) => ({ kind: 'mend', channel: one.channel, ...deadline }) as const,
        ),
      )
  }

  /** Once the chain has it, what is to be done follows from there. */
  #deadlines({ channel, deadlines }: QuarantinedChannel): QuarantinedChannel['deadlines'] {
    return this.#spent.has(channel) ? [] : deadlines
  }

  #reminded(one: QuarantinedChannel, now: number, isFirst: boolean): readonly NodeEvent[] {
    const deadlines = this.#deadlines(one)
    const next = deadlines.find(({ height }) => height >= now) ?? deadlines.at(-1)
    if (next === undefined) return []
    const { channel } = one
    const passed = REMINDERS.filter((blocks) => next.height - now <= blocks).length
    const name = `${next.height} ${passed}`
    if (this.#told.get(channel) === name || (passed === 0 && !isFirst)) return []
    this.#told.set(channel, name)
    return [{ kind: 'mustMend', channel, ...peerOf(one), ...next, error: mustMend(one, next) }]
  }
}

function undefended(one: QuarantinedChannel, { height, txid }: Spending): readonly NodeEvent[] {
  const { channel, isDefended, funding, error: cause } = one
  if (isDefended || funding === undefined) return []
  const until = height + funding.delay
  const { key } = cause.facts
  const reason = `transaction ${displayID(txid)} of block ${height} has closed channel ${channel}, whose monitor can't be read: unless it is mended before block ${until}, nothing is punished or claimed`
  const error = new PerkunasError('INVALID_RECORD', `record ${key}: ${reason}`, { key, reason }, { cause })
  return [{ kind: 'undefended', channel, ...peerOf(one), txid: toHex(txid), height, until, error }]
}

function mustMend({ channel, error: cause }: QuarantinedChannel, { height, value }: Deadline) {
  const { key } = cause.facts
  const reason = `HTLCs of channel ${channel} worth ${value} sat may be lost from block ${height} on: mend it before, or ask its peer to close it`
  return new PerkunasError('INVALID_RECORD', `record ${key}: ${reason}`, { key, reason }, { cause })
}

type Deadline = QuarantinedChannel['deadlines'][number]

function peerOf({ peer }: QuarantinedChannel): Pick<QuarantinedChannel, 'peer'> {
  return peer === undefined ? {} : { peer }
}
