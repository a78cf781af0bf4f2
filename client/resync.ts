// When a connection stands, both sides say where each common channel stands. With very many of them that is no burst:
// we are only so far ahead of what we hear of the same kind, so who is slow to take it in slows us down.
import type { PeerID } from '../peer/index.js'
import type { Clock } from './environment.js'
import type { Slot } from './slot.js'

/** Channels that we may have spoken of more than the peer has. */
const WINDOW = 256
/** Channels spoken of at a time. */
const BATCH = 64
/** Milliseconds after which we go on all the same: the peer may have nothing to say of its own. */
const PAUSE = 100

interface Round {
  readonly slots: Iterator<Slot>
  said: number
  heard: number
  cancel: () => void
}

/** Tells channels of the connections that concern them. */
export class Resync {
  readonly #clock: Clock
  readonly #rounds = new Map<PeerID, Round>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A connection stands. Channels that come to the set meanwhile are told too. */
  begin(peer: PeerID, slots: ReadonlySet<Slot>): void {
    this.end(peer)
    const round = { slots: busyFirst(slots), said: 0, heard: 0, cancel: () => undefined }
    this.#rounds.set(peer, round)
    this.#tell(peer, round, WINDOW)
  }

  /** The peer has said where a channel stands. */
  heard(peer: PeerID): void {
    const round = this.#rounds.get(peer)
    if (round === undefined) return
    round.heard++
    if (round.said - round.heard <= WINDOW - BATCH) this.#tell(peer, round, BATCH)
  }

  /** The connection is gone. */
  end(peer: PeerID): void {
    this.#rounds.get(peer)?.cancel()
    this.#rounds.delete(peer)
  }

  /** Nobody is told anything any more. */
  close(): void {
    for (const peer of [...this.#rounds.keys()]) this.end(peer)
  }

  #tell(peer: PeerID, round: Round, count: number): void {
    round.cancel()
    for (let i = 0; i < count; i++) {
      const { done, value: slot } = round.slots.next()
      if (this.#rounds.get(peer) !== round) return
      if (done) return this.end(peer)
      round.said++
      slot.connected(peer)
    }
    round.cancel = this.#clock.after(PAUSE, () => this.#tell(peer, round, BATCH))
  }
}

/** Where something is under way, the other side is waited for. */
function* busyFirst(slots: ReadonlySet<Slot>): Generator<Slot, undefined, undefined> {
  const busy = new Set([...slots].filter(({ isAwake }) => isAwake))
  for (const slot of busy) if (slots.has(slot)) yield slot
  for (const slot of slots) if (!busy.has(slot)) yield slot
  return undefined
}
