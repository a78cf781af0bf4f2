// Channels whose records can't be read: each costs itself and no other. Nothing is said for one, nothing is published but what
// its monitor does where that can be read (`defence.ts`), its rows stay as they are, and as long as there is one no backup takes the place of what its user has: that would lack it. What only mending can save
// our user is told (`lookout.ts`).
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { Remains } from './remains.js'

/** A channel whose records can't be read. */
export interface QuarantinedChannel {
  /** Its name here. */
  readonly channel: bigint
  /** Node ID, if that can be read. */
  readonly peer?: PeerID
  readonly error: PerkunasError<'INVALID_RECORD'>
  /** Whether its monitor can be read: then what the peer publishes is punished and claimed all the same. */
  readonly isDefended: boolean
  /** The output that has its money, if that can be read: once it is spent, and nobody defends the channel, our user is told. */
  readonly funding?: NonNullable<Remains['funding']>
  /** Of HTLCs that are lost unless it is mended, as far as they can be read; the soonest first. */
  readonly deadlines: Remains['deadlines']
}

/** See above. */
export class Quarantine {
  readonly #all: ReadonlyMap<bigint, QuarantinedChannel>

  constructor(channels: readonly QuarantinedChannel[]) {
    this.#all = new Map(channels.map((one) => [one.channel, one]))
  }

  /** All of them. */
  get all(): readonly QuarantinedChannel[] {
    return [...this.#all.values()]
  }

  get isEmpty(): boolean {
    return this.#all.size === 0
  }

  has(channel: bigint): boolean {
    return this.#all.has(channel)
  }

  /** @throws PerkunasError INVALID_RECORD if it is one of them */
  demandNot(channel: bigint): void {
    const found = this.#all.get(channel)
    if (found !== undefined) throw found.error
  }

  /** @throws PerkunasError INVALID_RECORD, that of the first, if there is any */
  demandNone(): void {
    for (const { error } of this.#all.values()) throw error
  }

  /** Whether what a peer says of a channel that we don't know may be about one of them: an answer would have it closed. */
  mayBeOf(peer: PeerID): boolean {
    return this.all.some((one) => one.peer === undefined || one.peer === peer)
  }
}
