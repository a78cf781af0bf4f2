// How a node's process ends in the middle of something.
import type { TrackedEvent } from '../../../../backend/bitcoin/chain/index.js'
import type { NodeBus, NodeChain } from '../../../../backend/bitcoin/node/index.js'
import type { PeerBus } from '../../../../peer/index.js'
import type { Store } from '../../../../persistence/index.js'

/** What stands between a node and its world: once it has blown, nothing of the node gets through any more. */
export class Fuse {
  isBlown = false
  /** Counts down with every commit and every effect; what it comes to zero at is where the process ends. */
  left: number | undefined
  /** Whether a commit at which it blows is on disk. */
  isWritten = false
  readonly blown: Promise<void>
  #blow: () => void = () => {}

  constructor() {
    this.blown = new Promise((resolve) => {
      this.#blow = resolve
    })
  }

  /** Whether it gets through. */
  pass(): boolean {
    if (!this.isBlown && this.left !== undefined && --this.left <= 0) this.blow()
    return !this.isBlown
  }

  blow(): void {
    this.isBlown = true
    this.#blow()
  }

  store(store: Store): Store {
    const never = new Promise<never>(() => {})
    return {
      get: (key) => store.get(key),
      scan: (prefix, options) => store.scan(prefix, options),
      close: () => store.close(),
      commit: async (batch) => {
        const wasBlown = this.isBlown
        const isPassed = this.pass()
        if (isPassed || (!wasBlown && this.isWritten)) await store.commit(batch)
        if (!isPassed) await never
      },
    }
  }

  bus(bus: PeerBus): NodeBus {
    return {
      id: bus.id,
      identity: bus.identity,
      sendRaw: (to, type, payload) => {
        if (this.pass()) bus.sendRaw(to, type, payload)
      },
      onRaw: (types, handler) =>
        bus.onRaw(types, (from, type, payload) => {
          if (!this.isBlown) return handler(from, type, payload)
        }),
      onPeer: (handler) => bus.onPeer((event) => this.isBlown || handler(event)),
      connect: (peer, address) => bus.connect(peer, address),
      release: (peer) => bus.release(peer),
      connected: () => bus.connected(),
      isConnected: (peer) => bus.isConnected(peer),
      disconnect: (peer, reason) => {
        if (this.pass()) bus.disconnect(peer, reason)
      },
      initsOf: (peer) => bus.initsOf(peer),
      addressOf: (peer) => bus.addressOf(peer),
    }
  }

  chain(chain: NodeChain): NodeChain {
    return {
      chainHash: chain.chainHash,
      feeTable: () => chain.feeTable(),
      mempoolSpends: async (outpoints) => (await chain.mempoolSpends?.(outpoints)) ?? [],
      follow: (known, handler, tell) => {
        const guarded = async (event: TrackedEvent) => {
          if (!this.isBlown) await Promise.race([handler(event), this.blown])
        }
        return chain.follow(known, guarded, tell)
      },
      broadcast: async (transactions) =>
        this.pass() ? await chain.broadcast(transactions) : new Promise<never>(() => {}),
    }
  }
}
