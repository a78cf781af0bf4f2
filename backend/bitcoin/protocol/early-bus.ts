// A bus for a node that is still starting: what peers say meanwhile waits for it. Lightning's messages are such that whoever
// does not know them hangs up, so without this a peer that is quick would lose its connection, and with it its opening.
import type { PeerID, RawHandler } from '../../../peer/index.js'
import { LIGHTNING_TYPES, type NodeBus } from '../node/index.js'

/** A bus that hears from now on, and hands on once its node listens. Each peer's next message waits for its last one. */
export function earlyBus(bus: NodeBus): { readonly bus: NodeBus; stop(): void } {
  const waiting: (() => void)[] = []
  let handler: RawHandler | undefined
  const hear = (from: PeerID, type: number, payload: Uint8Array): void | Promise<void> => {
    if (handler !== undefined) return handler(from, type, payload)
    return new Promise((resolve, reject) => {
      waiting.push(() => Promise.resolve(handler?.(from, type, payload)).then(resolve, reject))
    })
  }
  const unhear = bus.onRaw(LIGHTNING_TYPES, hear)
  const stop = () => {
    unhear()
    for (const goOn of waiting.splice(0)) goOn()
  }
  const early: NodeBus = {
    id: bus.id,
    identity: bus.identity,
    sendRaw: (to, type, payload) => bus.sendRaw(to, type, payload),
    onRaw(_, take) {
      handler = take
      for (const goOn of waiting.splice(0)) goOn()
      return stop
    },
    onPeer: (take) => bus.onPeer(take),
    connect: (peer, address) => bus.connect(peer, address),
    release: (peer) => bus.release(peer),
    isConnected: (peer) => bus.isConnected(peer),
    disconnect: (peer, reason) => bus.disconnect(peer, reason),
    initsOf: (peer) => bus.initsOf(peer),
    ...(bus.connected && { connected: () => bus.connected?.() ?? [] }),
    ...(bus.addressOf && { addressOf: (peer: PeerID) => bus.addressOf?.(peer) }),
  }
  return { bus: early, stop }
}
