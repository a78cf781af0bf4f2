// A bus of the simulated network as a Lightning node sees it: message types and payloads, and what both sides support.

import type { NodeBus } from '../../../backend/bitcoin/node/index.js'
import { PerkunasError } from '../../../channel/index.js'
import type { Bus, Identity, Init, PeerHandler, PeerID, RawHandler } from '../../../peer/index.js'
import type { SimBus } from '../network.js'

/** Lightning messages over a simulated bus: two bytes of type, then the payload. Every peer shows the same `init`. */
export class RawBus implements Bus, NodeBus {
  readonly identity: Identity
  readonly #bus: SimBus
  readonly #init: Init

  constructor(bus: SimBus, identity: Identity, init: Init) {
    this.#bus = bus
    this.identity = identity
    this.#init = init
  }

  get id(): PeerID {
    return this.#bus.id
  }

  /** What is said without a connection is lost. */
  sendRaw(to: PeerID, type: number, payload: Uint8Array): void {
    if (!this.isConnected(to)) return
    const bytes = new Uint8Array(2 + payload.length)
    new DataView(bytes.buffer).setUint16(0, type)
    bytes.set(payload, 2)
    void this.#bus.send(to, bytes)
  }

  onRaw(types: readonly number[], handler: RawHandler): () => void {
    const wanted = new Set(types)
    return this.#bus.onMessage((from, bytes) => {
      const type = typeOf(bytes)
      return wanted.has(type) ? handler(from, type, bytes.subarray(2)) : undefined
    })
  }

  async send(): Promise<void> {
    throw new PerkunasError('UNSUPPORTED', 'nothing but Lightning here', { what: 'payloads' })
  }

  onMessage(): () => void {
    return () => undefined
  }

  onPeer(handler: PeerHandler): () => void {
    return this.#bus.onPeer(handler)
  }

  connect(peer: PeerID): void {
    this.#bus.connect(peer)
  }

  release(peer: PeerID): void {
    this.#bus.release(peer)
  }

  isConnected(peer: PeerID): boolean {
    return this.#bus.isConnected(peer)
  }

  disconnect(peer: PeerID): void {
    this.#bus.disconnect(peer)
  }

  initsOf(peer: PeerID): { readonly local: Init; readonly remote: Init } | undefined {
    return this.isConnected(peer) ? { local: this.#init, remote: this.#init } : undefined
  }

  async close(): Promise<void> {
    this.#bus.kill()
  }
}

/** The type of a message with its two bytes of type. */
export function typeOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint16(0)
}
