// Session keys of onions to come. What each shares with the first hop costs more than the rest of a packet, so it is made
// while there is nothing else to do: for each peer as many as were lately asked for.
import { fromHex } from '../../../channel/bytes.js'
import type { PeerID } from '../../../peer/index.js'
import { type Agreement, agree } from '../onion/index.js'
import { freshKey } from './secrets.js'

/** Kept for one peer at most. */
const MOST = 64
/** Peers that some are kept for at most. */
const PEERS = 64

/** The secret of one onion. */
export interface Session {
  /** Never used for a second one. */
  readonly sessionKey: Uint8Array
  /** With the first hop. */
  readonly agreement: Agreement
}

interface Pool {
  readonly ready: Session[]
  /** How many are to be ready. */
  wanted: number
}

/** See above. Nothing of it outlives the process: what was not used is forgotten. */
export class Sessions {
  readonly #entropy: (bytes: number) => Uint8Array
  readonly #pools = new Map<PeerID, Pool>()

  /** @param entropy random bytes */
  constructor(entropy: (bytes: number) => Uint8Array) {
    this.#entropy = entropy
  }

  /** One for an onion whose first hop is that peer, if any is ready; whoever takes one will want more. */
  take(peer: PeerID): Session | undefined {
    const pool = this.#pools.get(peer) ?? { ready: [], wanted: 0 }
    pool.wanted = Math.min(pool.wanted + 1, MOST)
    this.#pools.delete(peer)
    this.#pools.set(peer, pool)
    const [oldest] = this.#pools.keys()
    if (this.#pools.size > PEERS && oldest !== undefined) this.#pools.delete(oldest)
    return pool.ready.pop()
  }

  /**
   * Makes some ready for a peer.
   *
   * @param most how many
   * @returns whether more are wanted
   */
  prepare(peer: PeerID, most: number): boolean {
    const pool = this.#pools.get(peer)
    if (pool === undefined) return false
    for (let count = 0; pool.ready.length < pool.wanted; count++) {
      if (count === most) return true
      const sessionKey = freshKey(this.#entropy(32), 'session')
      pool.ready.push({ sessionKey, agreement: agree(sessionKey, fromHex(peer)) })
    }
    return false
  }
}
