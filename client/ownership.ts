// Which peers this process serves, where several processes share one client's keys and store.
//
// A peer has one connection with us, whichever process it reaches; so its channels belong to one process, the one that
// holds the lease named like the peer. The peers of one channel are acquired together and stay together. A process
// serves nobody else: a peer that reaches the wrong one is sent away and calls again, until it reaches the right one.
import { PerkunasError } from '../channel/index.js'
import { isPeerID, type PeerID } from '../peer/index.js'
import type { Leases } from '../persistence/index.js'
import type { Channel } from './channel.js'

/** What ownership needs of its client. */
export interface OwnershipHost {
  /** Brings back the channels whose peers are all accepted by `isOurs`, as the store holds them now. */
  restore(isOurs: (peers: readonly PeerID[]) => boolean): Promise<readonly Channel[]>
  /** Whether a peer is connected, or has a channel or a proposal with us. */
  isInUse(peer: PeerID): boolean
  /** The store failed, or this process was declared dead: nothing may go on from memory. */
  fail(cause: unknown): void
}

/** The peers of one process. */
export class Ownership {
  readonly #leases: Leases
  readonly #host: OwnershipHost
  /** Whose channels are all here. */
  readonly #served = new Set<PeerID>()
  /** Who waits to be served: nobody gives up what is being acquired. */
  readonly #asked = new Set<readonly PeerID[]>()
  #last: Promise<unknown> = Promise.resolve()
  #begun: Promise<readonly Channel[]> | undefined
  #isTaking = false
  #stop: (() => void)[]

  constructor(leases: Leases, host: OwnershipHost) {
    this.#leases = leases
    this.#host = host
    const lost = () => host.fail(leases.lost.reason)
    leases.lost.addEventListener('abort', lost)
    this.#stop = [() => leases.lost.removeEventListener('abort', lost)]
  }

  /**
   * Whether this process serves these peers, who have a channel in common or are about to; makes it do so if nobody
   * else does. When it says yes all their channels are here. Never rejects.
   */
  serves(peers: readonly PeerID[]): boolean | Promise<boolean> {
    if (this.#leases.hold(peers) && peers.every((peer) => this.#served.has(peer))) return true
    this.begin().catch(() => undefined)
    this.#asked.add(peers)
    const served = this.#next(async () => {
      const taken = await this.#leases.acquire(peers)
      if (taken === undefined) return false
      await this.#bring(taken)
      for (const peer of peers) this.#served.add(peer)
      return true
    }).catch(() => false)
    return served.then((isServed) => {
      this.#asked.delete(peers)
      if (!isServed) this.sweep(peers)
      return isServed
    })
  }

  /**
   * Takes all channels of the store that nobody serves, now and whenever another process is gone. Comes before anybody
   * is served: a channel of a time without leases is found by reading the store, and by nothing else.
   *
   * @returns those of now @throws what the store or its records throw
   */
  begin(): Promise<readonly Channel[]> {
    this.#begun ??= this.#begin()
    return this.#begun
  }

  #begin(): Promise<readonly Channel[]> {
    this.#stop.push(this.#leases.onFree(() => this.#takeFree()))
    return this.#next(async () => {
      const ours = this.#new(await this.#leases.acquireFree())
      const strange: (readonly PeerID[])[] = []
      const channels = await this.#host.restore((peers) => {
        if (!this.#leases.hold(peers)) strange.push(peers)
        return peers.every((peer) => ours.has(peer))
      })
      this.#serve(ours)
      // Channels of a time without leases, and other processes'.
      const more: PeerID[] = []
      for (const peers of strange) {
        if (this.#leases.hold(peers)) continue
        if ((await this.#leases.acquire(peers)) !== undefined) more.push(...peers)
      }
      return [...channels, ...(await this.#bring(more))]
    })
  }

  /** The lease may have run out while this process stood still: makes sure that it is ours before something is done. */
  confirm(): Promise<void> | undefined {
    return this.#leases.confirm()?.catch((cause) => {
      this.#host.fail(cause)
      throw cause
    })
  }

  /** Gives up peers with whom we have nothing to do any more. */
  sweep(peers: Iterable<PeerID>): void {
    const asked = new Set([...this.#asked].flat())
    const idle = [...peers].filter(
      (peer) => this.#served.has(peer) && !asked.has(peer) && !this.#host.isInUse(peer),
    )
    if (idle.length === 0) return
    for (const peer of idle) this.#served.delete(peer)
    this.#leases.release(idle).catch((cause) => this.#host.fail(cause))
  }

  /**
   * Serves nothing any more, for whatever reason the client has stopped: other processes take all over at once. The store
   * takes no more commits then; whoever goes on here opens it anew.
   */
  async close(): Promise<void> {
    for (const stop of this.#stop.splice(0)) stop()
    await this.#leases.resign()
  }

  #takeFree(): void {
    if (this.#isTaking) return
    this.#isTaking = true
    const taking = this.#next(async () => {
      this.#isTaking = false
      await this.#bring(await this.#leases.acquireFree())
    })
    taking.catch(() => undefined)
  }

  /** Brings back what was taken from a process that is gone. The store is read after that: nobody else writes it now. */
  async #bring(taken: readonly string[]): Promise<readonly Channel[]> {
    const ours = this.#new(taken)
    if (ours.size === 0) return []
    const channels = await this.#host.restore((peers) => peers.every((peer) => ours.has(peer)))
    this.#serve(ours)
    return channels
  }

  /** Without those whose channels are here, and whose written ones are older. */
  #new(names: readonly string[]): ReadonlySet<PeerID> {
    return new Set(names.filter(isPeerID).filter((peer) => !this.#served.has(peer)))
  }

  #serve(peers: ReadonlySet<PeerID>): void {
    for (const peer of peers) this.#served.add(peer)
    this.sweep(peers)
  }

  /** One after another: what one brings back, the next one must not bring back again. What fails ends the client. */
  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work)
    this.#last = done.catch((cause) => this.#host.fail(cause))
    return done
  }
}

/** For whoever wants something with a peer that another process serves. */
export function servedElsewhere(peers: readonly PeerID[]): PerkunasError<'SERVED_ELSEWHERE'> {
  const message = `another process of this client serves one of ${peers.join(', ')}: ask it there`
  return new PerkunasError('SERVED_ELSEWHERE', message, { peers })
}
