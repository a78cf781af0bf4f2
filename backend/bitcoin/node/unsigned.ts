// What peers announce and have not signed yet. Until then it binds nobody (BOLT 2, "Normal Operation"), and taken one by one a
// hundred preimages would be a hundred commits. So it waits for its signature, but never for long.
import type { PeerID } from '../../../peer/index.js'
import type { NodeInput } from './input.js'

/** Updates of one peer that wait at most. */
const MAX_UPDATES = 256
/** Turns that they wait at most while others are busy. */
const MAX_TURNS = 16

interface Batch {
  readonly updates: NodeInput[]
  /** How many there were when a turn was last due. */
  seen: number
  turns: number
}

/** See above. What one peer says keeps its order. */
export class Unsigned {
  readonly #batches = new Map<PeerID, Batch>()

  get isEmpty(): boolean {
    return this.#batches.size === 0
  }

  /** How many wait of one peer. */
  waiting(peer: PeerID): number {
    return this.#batches.get(peer)?.updates.length ?? 0
  }

  /** What is to be handled now that a peer has said more: nothing, or all that waited and this. */
  before(peer: PeerID, input: NodeInput): readonly NodeInput[] {
    const { updates, ...rest } = this.#batches.get(peer) ?? { updates: [], seen: 0, turns: 0 }
    updates.push(input)
    if (!isUpdate(input) || updates.length >= MAX_UPDATES) {
      this.#batches.delete(peer)
      return updates
    }
    this.#batches.set(peer, { updates, ...rest })
    return []
  }

  /**
   * Before each turn: what waits no longer.
   *
   * @param isIdle nothing else is to be done; then only what still grows waits on
   */
  due(isIdle: boolean): readonly (readonly [PeerID, readonly NodeInput[]])[] {
    const due: [PeerID, readonly NodeInput[]][] = []
    for (const [peer, batch] of this.#batches) {
      const isGrowing = batch.updates.length > batch.seen
      batch.seen = batch.updates.length
      if (!isIdle) batch.turns += 1
      if (batch.turns < MAX_TURNS && (isGrowing || !isIdle)) continue
      this.#batches.delete(peer)
      due.push([peer, batch.updates])
    }
    return due
  }

  /** Forgets everything. */
  clear(): void {
    this.#batches.clear()
  }
}

function isUpdate(input: NodeInput): boolean {
  return input.kind === 'message' && input.message.kind.startsWith('update_')
}
