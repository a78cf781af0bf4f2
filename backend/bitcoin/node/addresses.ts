// Where peers with channels are, so that a node that is started again finds them by itself.
import type { PeerID } from '../../../peer/index.js'
import { isLive } from '../channel/index.js'
import type { Machines } from './machines.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** See above. */
export class Addresses {
  readonly #machines: Machines
  readonly #addressOf: (peer: PeerID) => string | undefined
  /** As the store has them. */
  readonly #kept: Map<PeerID, string>

  /** @param addressOf what the bus knows */
  constructor(
    machines: Machines,
    kept: ReadonlyMap<PeerID, string>,
    addressOf: (peer: PeerID) => string | undefined,
  ) {
    this.#machines = machines
    this.#kept = new Map(kept)
    this.#addressOf = addressOf
  }

  /** What is known of a peer may have changed, or whether we have channels with it. */
  look(peer: PeerID): void {
    const { entries, draft } = this.#machines
    const before = this.#kept.get(peer)
    if (!entries.of(peer).some(({ state }) => isLive(state))) {
      if (this.#kept.delete(peer)) draft.write({ kind: 'delete', key: NODE_KEYS.peer(peer) })
      return
    }
    const address = this.#addressOf(peer)
    if (address === undefined || address === before || address.length > MAX_ADDRESS) return
    this.#kept.set(peer, address)
    draft.write(NODE_RECORDS.peer.put(NODE_KEYS.peer(peer), { address }))
  }
}

/** Several with commas between them. */
const MAX_ADDRESS = 1000
