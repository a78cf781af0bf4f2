// Messages of sessions that we have not heard of yet: with three or more participants an answer to a proposal
// can arrive before the proposal. They are kept for a while, a few of each peer.
import type { SessionID } from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Clock } from './environment.js'
import type { SessionMessage } from './messages.js'

/** Most messages kept of one peer: what it can have under way honestly; the oldest goes first. */
const MAX_PER_PEER = 32
/** Most messages kept at all. */
const MAX_TOTAL = 4096

interface Stray {
  readonly from: PeerID
  readonly message: SessionMessage
  readonly at: number
}

/** Keeps early messages until their session begins. */
export class Strays {
  #kept: Stray[] = []
  readonly #clock: Clock
  readonly #lifetime: number

  /** @param lifetime milliseconds that a message is kept */
  constructor(clock: Clock, lifetime: number) {
    this.#clock = clock
    this.#lifetime = lifetime
  }

  /** Keeps a message, dropping what is too old or too much. */
  keep(from: PeerID, message: SessionMessage): void {
    const at = this.#clock.now()
    const fresh = this.#kept.filter((stray) => at - stray.at < this.#lifetime)
    const ofPeer = fresh.filter((stray) => stray.from === from)
    const dropped =
      ofPeer.length >= MAX_PER_PEER ? ofPeer[0] : fresh.length >= MAX_TOTAL ? fresh[0] : undefined
    this.#kept = fresh.filter((stray) => stray !== dropped)
    this.#kept.push({ from, message, at })
  }

  /** Takes out what belongs to a session, in order of arrival. */
  take(id: SessionID): readonly Pick<Stray, 'from' | 'message'>[] {
    const taken = this.#kept.filter(({ message }) => message.session === id)
    if (taken.length > 0) this.#kept = this.#kept.filter(({ message }) => message.session !== id)
    return taken
  }

  /** Forgets all. */
  clear(): void {
    this.#kept = []
  }
}
