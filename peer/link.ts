// Which of two connections with one peer is used.
//
// Two peers may dial each other at once, and one may come back while the other still holds a connection that
// is dead. Both must end up with the same one. So one of them decides, the peer with the lower ID: each time a
// connection is about to be introduced it gives it the next number (`link` of its `init`), and the newest number
// wins. The other one follows: it uses a connection as soon as its number is announced, drops older ones, and
// ignores a number that a newer one has overtaken on its way. The numbers carry 8 random bytes of the running
// bus, so that they start again after a restart. Peers that send no `link` are taken as they come, newest wins.
import { type Hex, toHex } from '../channel/bytes.js'
import type { Connection } from './connection.js'
import type { Link } from './framing.js'
import type { PeerID } from './identity.js'

/** Numbers the connections of one running bus. */
export class Links {
  readonly #self: PeerID
  readonly #instance: Hex = toHex(crypto.getRandomValues(new Uint8Array(8)))
  #order = 0n

  constructor(self: PeerID) {
    this.#self = self
  }

  /** The number of a connection that is about to be introduced. */
  next(): Link {
    this.#order++
    return { instance: this.#instance, order: this.#order }
  }

  /** Whether a connection replaces an older one: as the deciding side says, or else the later one does. */
  isNewer(connection: Connection, old: Connection): boolean {
    const link = this.#linkOf(connection)
    const before = this.#linkOf(old)
    return (
      link === undefined ||
      before === undefined ||
      link.instance !== before.instance ||
      link.order > before.order
    )
  }

  #linkOf({ remote, localInit, remoteInit }: Connection): Link | undefined {
    if (remote === undefined || remoteInit?.link === undefined) return undefined
    return this.#self < remote ? localInit?.link : remoteInit.link
  }
}
