// A node's peers as far as connections go: who is there, over which connection, and what goes over it.
import { isError } from '../../../channel/errors.js'
import { MESSAGE_TYPE, type PeerEvent, type PeerID } from '../../../peer/index.js'
import { isChannelMessage } from '../channel/index.js'
import type { FeatureName } from '../features.js'
import { lightningMessages } from '../wire/index.js'
import type { NodeEffect } from './effects.js'
import { negotiated } from './init.js'
import type { NodeBus } from './ports.js'
import type { Turns } from './turns.js'

/** All that a Lightning node may say: gossip is taken and not looked at, since its types are even. */
export const LIGHTNING_TYPES: readonly number[] = lightningMessages.schemas
  .map(({ type }) => type)
  .filter((type) => ![MESSAGE_TYPE.init, MESSAGE_TYPE.ping, MESSAGE_TYPE.pong].includes(type))

/** What a peer has us keep, read from the store; undefined if nothing. It never rejects. */
export type StoredOf = (peer: PeerID) => Promise<Uint8Array | undefined> | undefined

/** See above. */
export class Connections {
  readonly #bus: NodeBus
  readonly #turns: Turns
  readonly #stored: StoredOf
  /** Of peers that are there and not met yet: what they have us keep is read first. */
  readonly #meeting = new Map<PeerID, Promise<void>>()
  /** Counts the connections of each peer; absent while there is none. */
  readonly #current = new Map<PeerID, number>()
  #count = 0

  constructor(bus: NodeBus, turns: Turns, stored: StoredOf) {
    this.#stored = stored
    this.#bus = bus
    this.#turns = turns
  }

  /** Looks at peers from now on, those that are there already included. @returns how to end it */
  listen(): readonly (() => void)[] {
    const endings = [
      this.#bus.onPeer((event) => this.#onPeer(event)),
      this.#bus.onRaw(LIGHTNING_TYPES, (from, type, payload) => this.#received(from, type, payload)),
    ]
    for (const peer of this.#bus.connected?.() ?? []) this.#meet(peer)
    return endings
  }

  /** Whether a peer is there. */
  has(peer: PeerID): boolean {
    return this.#current.has(peer)
  }

  /** Wants a connection with a peer, now and whenever it is lost. @param address if the bus does not know it */
  connect(peer: PeerID, address?: string): void {
    this.#bus.connect(peer, address)
    this.#meet(peer)
  }

  /** Over the connection for which it was made; another one it would confuse. */
  send({ peer, connection, message }: NodeEffect & { kind: 'send' }): void {
    if (this.#current.get(peer) !== connection) return
    const bytes = lightningMessages.encode(message)
    try {
      this.#bus.sendRaw(peer, ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), bytes.subarray(2))
    } catch (cause) {
      // One lost message is as bad as a lost connection: after the next one it is said again.
      if (!isError(cause, 'PEER_UNREACHABLE')) this.#bus.disconnect(peer, 'it takes less than it is sent')
    }
  }

  /** The present connection of a peer. */
  of(peer: PeerID): number | undefined {
    return this.#current.get(peer)
  }

  /** Ends that connection, if it has not ended. */
  disconnect({ peer, connection, reason }: NodeEffect & { kind: 'disconnect' }): void {
    if (this.#current.get(peer) === connection) this.#bus.disconnect(peer, reason)
  }

  /** A peer that is connected and that the bus did not tell us of. */
  #meet(peer: PeerID): void {
    if (this.#current.has(peer) || this.#meeting.has(peer)) return
    if (this.#bus.isConnected(peer)) this.#onPeer({ kind: 'connected', peer })
  }

  #onPeer({ kind, peer }: PeerEvent): void {
    if (kind === 'disconnected') {
      this.#meeting.delete(peer)
      if (!this.#current.delete(peer)) return
      return this.#turns.push({ kind: 'peerDown', peer }, peer)
    }
    const inits = this.#bus.initsOf(peer)
    if (inits === undefined) return
    const { features, fault } = negotiated(inits)
    if (fault !== undefined) return this.#bus.disconnect(peer, fault)
    const reading = this.#stored(peer)
    if (reading === undefined) return this.#met(peer, features)
    const meeting: Promise<void> = reading.then((stored) => {
      if (this.#meeting.get(peer) !== meeting) return
      this.#meeting.delete(peer)
      this.#met(peer, features, stored)
    })
    this.#meeting.set(peer, meeting)
  }

  #met(peer: PeerID, features: readonly FeatureName[], stored?: Uint8Array): void {
    const connection = ++this.#count
    this.#current.set(peer, connection)
    const more = stored === undefined ? {} : { stored }
    this.#turns.push({ kind: 'peerUp', peer, connection, features, ...more }, peer)
  }

  /**
   * @returns when the bus may hand out the peer's next message
   * @throws PerkunasError INVALID_MESSAGE, which costs the connection
   */
  #received(peer: PeerID, type: number, payload: Uint8Array): void | Promise<void> {
    if (this.#turns.stopped !== undefined) return
    this.#meet(peer)
    const meeting = this.#meeting.get(peer)
    if (meeting !== undefined) {
      const before = this.#count
      // Of another connection by then it would be no message of this one's.
      return meeting.then(() =>
        this.#count > before && this.#current.has(peer) ? this.#received(peer, type, payload) : undefined,
      )
    }
    const bytes = new Uint8Array(2 + payload.length)
    bytes[0] = type >> 8
    bytes[1] = type & 0xff
    bytes.set(payload, 2)
    const message = lightningMessages.decode(bytes)
    if (message.kind === 'unknown') return
    const isStorage = message.kind === 'peer_storage' || message.kind === 'peer_storage_retrieval'
    if (!isStorage && !isChannelMessage(message)) return
    return this.#turns.receive({ kind: 'message', peer, message }, peer)
  }
}
