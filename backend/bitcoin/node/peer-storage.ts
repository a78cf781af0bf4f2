// What peers have us keep for them (BOLT 1, "The `peer_storage` and `peer_storage_retrieval` Messages"): one blob each, for
// those that have channels with us, given back whenever they come again.
//
//     peer_storage      kept at once; another one within a minute waits for the next tick, and takes the place of what waits
//     init              peer_storage_retrieval, before anything is said of channels
//     the last channel  kept for another 2016 blocks
import type { PeerID } from '../../../peer/index.js'
import { isLive } from '../channel/index.js'
import type { FeatureName } from '../features.js'
import type { Machines } from './machines.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** Blocks that a blob is kept after the last channel. */
const KEPT_BLOCKS = 2016

/** See above. */
export class PeerStorage {
  readonly #machines: Machines
  /** Who gave something since the last tick, and what came after that. */
  readonly #recent = new Map<PeerID, Uint8Array | undefined>()
  /** For whom something is kept; until when, if it has no channel any more. */
  readonly #kept: Map<PeerID, number | undefined>

  constructor(machines: Machines, kept: ReadonlyMap<PeerID, number | undefined>) {
    this.#machines = machines
    this.#kept = new Map(kept)
  }

  /** Whether something is kept for a peer. */
  has(peer: PeerID): boolean {
    return this.#kept.has(peer)
  }

  /** A peer is there: it gets back what it gave. @param blob what the store has */
  met(peer: PeerID, blob: Uint8Array | undefined): void {
    if (blob !== undefined && this.#isNegotiated(peer))
      this.#machines.send(peer, { kind: 'peer_storage_retrieval', blob })
  }

  /** A peer gives something to keep. What of it is too much is dropped without a word, as the protocol lets us. */
  received(peer: PeerID, blob: Uint8Array): void {
    if (!this.#isNegotiated(peer) || !this.#hasMoney(peer)) return
    if (this.#recent.has(peer)) this.#recent.set(peer, blob)
    else this.#keep(peer, blob)
  }

  /** A minute went by. */
  ticked(): void {
    const waiting = [...this.#recent]
    this.#recent.clear()
    for (const [peer, blob] of waiting) if (blob !== undefined) this.#keep(peer, blob)
  }

  /** A block more: for some nothing is kept any more. */
  reached(height: number): void {
    for (const [peer, until] of this.#kept) {
      if (until === undefined || height < until) continue
      this.#kept.delete(peer)
      for (const keyOf of [NODE_KEYS.stored, NODE_KEYS.kept])
        this.#machines.draft.write({ kind: 'delete', key: keyOf(peer) })
    }
  }

  /** A channel with money in it has begun or is over. */
  changed(peer: PeerID): void {
    if (!this.#kept.has(peer)) return
    const { entries, env } = this.#machines
    const isOver = entries.of(peer).every(({ state }) => !isLive(state))
    if (isOver === (this.#kept.get(peer) !== undefined)) return
    this.#mark(peer, isOver ? env.height + KEPT_BLOCKS : undefined)
  }

  #mark(peer: PeerID, until: number | undefined): void {
    this.#kept.set(peer, until)
    const row = until === undefined ? {} : { until }
    this.#machines.draft.write(NODE_RECORDS.kept.put(NODE_KEYS.kept(peer), row))
  }

  #keep(peer: PeerID, blob: Uint8Array): void {
    this.#recent.set(peer, undefined)
    if (!this.#kept.has(peer)) this.#mark(peer, undefined)
    this.#machines.draft.write(NODE_RECORDS.stored.put(NODE_KEYS.stored(peer), { blob }))
  }

  #isNegotiated(peer: PeerID): boolean {
    const features: readonly FeatureName[] = this.#machines.peers.get(peer)?.features ?? []
    return features.includes('option_provide_storage')
  }

  /** Whose funding is on the chain, or trusted: others cost nothing to make. */
  #hasMoney(peer: PeerID): boolean {
    return this.#machines.entries
      .of(peer)
      .some(({ state }) => isLive(state) && (state.ready.depth > 0 || state.terms.minimumDepth === 0))
  }
}
