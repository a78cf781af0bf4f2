// A network of buses in memory for tests: no keys, no bytes on a wire, but the same promises as the real
// bus, and everything that may go wrong with it at the test's command.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import type { Bus, MessageHandler, PeerHandler } from './bus.js'
import type { PeerID } from './identity.js'
import { nextTurn } from './turn.js'
import { unreachable } from './unreachable.js'

/** Buses that reach each other, and the hand of fate above them. */
export interface MemoryNetwork {
  /** A new bus on this network. @throws PerkunasError INVALID_ARGUMENT if there is one with that ID that is open */
  bus(id: PeerID): Bus
  /** Breaks a connection; what is on its way is lost. Both sides may connect again at once. */
  disconnect(a: PeerID, b: PeerID): void
  /** Breaks the connection and lets none be made between the two until {@link heal}. */
  cut(a: PeerID, b: PeerID): void
  /** Ends {@link cut}; wanted connections come up again. */
  heal(a: PeerID, b: PeerID): void
  /** Keeps payloads of one direction back until {@link resume}. */
  hold(from: PeerID, to: PeerID): void
  /** Ends {@link hold}; what was kept back arrives in order. */
  resume(from: PeerID, to: PeerID): void
  /** Loses payloads of one direction for which `lose` says so, without breaking the connection; the result ends it. */
  drop(from: PeerID, to: PeerID, lose: (payload: Uint8Array) => boolean): () => void
  /** How many payloads were handed to handlers so far. */
  readonly delivered: number
}

/** Options of {@link memoryNetwork}. */
export interface MemoryNetworkOptions {
  /** Runs each delivery later; default: the next turn of the event loop. A simulator puts its own clock here. */
  readonly schedule?: (task: () => void) => void
}

const OPTION_NAMES: NamesOf<MemoryNetworkOptions> = { schedule: true }

/** What is on its way from one bus to another. */
interface Pipe {
  readonly queue: Uint8Array[]
  readonly filters: Set<(payload: Uint8Array) => boolean>
  held: boolean
  /** A delivery is scheduled or a handler still works. */
  busy: boolean
}

/** Makes an empty network. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function memoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  demandNames(options, OPTION_NAMES)
  return new Network(options.schedule ?? nextTurn)
}

class Network implements MemoryNetwork {
  readonly #buses = new Map<PeerID, MemoryBus>()
  readonly #pipes = new Map<string, Pipe>()
  /** Connections that are up, by {@link pair}. */
  readonly #links = new Set<string>()
  readonly #cuts = new Set<string>()
  delivered = 0

  constructor(readonly schedule: (task: () => void) => void) {}

  bus(id: PeerID): Bus {
    if (this.#buses.has(id))
      throw new PerkunasError('INVALID_ARGUMENT', `${id} is there already`, { argument: 'id' })
    const bus = new MemoryBus(id, this)
    this.#buses.set(id, bus)
    this.schedule(() => {
      for (const other of this.#buses.values()) if (other.wants(id)) this.establish(id, other.id)
    })
    return bus
  }

  disconnect(a: PeerID, b: PeerID): void {
    if (!this.sever(a, b)) return
    this.schedule(() => this.#revive(a, b))
  }

  cut(a: PeerID, b: PeerID): void {
    this.#cuts.add(pair(a, b))
    this.sever(a, b)
  }

  heal(a: PeerID, b: PeerID): void {
    this.#cuts.delete(pair(a, b))
    this.schedule(() => this.#revive(a, b))
  }

  hold(from: PeerID, to: PeerID): void {
    this.#pipe(from, to).held = true
  }

  resume(from: PeerID, to: PeerID): void {
    const pipe = this.#pipe(from, to)
    pipe.held = false
    this.#pump(from, to, pipe)
  }

  drop(from: PeerID, to: PeerID, lose: (payload: Uint8Array) => boolean): () => void {
    const { filters } = this.#pipe(from, to)
    filters.add(lose)
    return () => filters.delete(lose)
  }

  isThere(id: PeerID): boolean {
    return this.#buses.has(id)
  }

  isLinked(a: PeerID, b: PeerID): boolean {
    return this.#links.has(pair(a, b))
  }

  /** Connects two buses unless they are or can't be. Whether they are connected afterwards. */
  establish(a: PeerID, b: PeerID): boolean {
    if (this.isLinked(a, b)) return true
    const one = this.#buses.get(a)
    const other = this.#buses.get(b)
    if (one === undefined || other === undefined || this.#cuts.has(pair(a, b))) return false
    this.#links.add(pair(a, b))
    one.report('connected', b)
    other.report('connected', a)
    return this.isLinked(a, b)
  }

  /** Breaks a connection. Whether there was one. */
  sever(a: PeerID, b: PeerID): boolean {
    if (!this.#links.delete(pair(a, b))) return false
    this.#replace(a, b)
    this.#replace(b, a)
    this.#buses.get(a)?.report('disconnected', b)
    this.#buses.get(b)?.report('disconnected', a)
    return true
  }

  transmit(from: PeerID, to: PeerID, payload: Uint8Array): void {
    const pipe = this.#pipe(from, to)
    for (const lose of pipe.filters) if (lose(payload)) return
    pipe.queue.push(Uint8Array.from(payload))
    this.#pump(from, to, pipe)
  }

  remove(id: PeerID): void {
    for (const other of this.#buses.keys()) this.sever(id, other)
    this.#buses.delete(id)
  }

  #revive(a: PeerID, b: PeerID): void {
    if (this.#buses.get(a)?.wants(b) || this.#buses.get(b)?.wants(a)) this.establish(a, b)
  }

  /** A handler at work holds on to the old pipe, which leads nowhere. What the test has ordered stays in force. */
  #replace(from: PeerID, to: PeerID): void {
    const { filters, held } = this.#pipe(from, to)
    this.#pipes.set(`${from}>${to}`, { queue: [], filters, held, busy: false })
  }

  #pipe(from: PeerID, to: PeerID): Pipe {
    const key = `${from}>${to}`
    let pipe = this.#pipes.get(key)
    if (pipe === undefined) {
      pipe = { queue: [], filters: new Set(), held: false, busy: false }
      this.#pipes.set(key, pipe)
    }
    return pipe
  }

  #pump(from: PeerID, to: PeerID, pipe: Pipe): void {
    if (pipe.busy || pipe.held || pipe.queue.length === 0) return
    pipe.busy = true
    this.schedule(() => {
      void this.#deliver(from, to, pipe)
    })
  }

  async #deliver(from: PeerID, to: PeerID, pipe: Pipe): Promise<void> {
    const receiver = this.#buses.get(to)
    const payload = pipe.held ? undefined : pipe.queue.shift()
    if (receiver !== undefined && payload !== undefined && this.#pipes.get(`${from}>${to}`) === pipe) {
      this.delivered++
      try {
        await receiver.handle(from, payload)
      } catch {
        if (this.#pipes.get(`${from}>${to}`) === pipe) this.sever(from, to)
      }
    }
    pipe.busy = false
    if (this.#pipes.get(`${from}>${to}`) === pipe) this.#pump(from, to, pipe)
  }
}

class MemoryBus implements Bus {
  readonly #network: Network
  readonly #wanted = new Set<PeerID>()
  readonly #messageHandlers = new Set<MessageHandler>()
  readonly #peerHandlers = new Set<PeerHandler>()
  /** Sends that wait for a connection: they keep their order. */
  readonly #dialling = new Map<PeerID, Promise<void>>()
  #closed = false

  constructor(
    readonly id: PeerID,
    network: Network,
  ) {
    this.#network = network
  }

  async send(to: PeerID, payload: Uint8Array): Promise<void> {
    this.#check(to)
    const before = this.#dialling.get(to)
    if (before === undefined && this.#network.isLinked(this.id, to)) {
      this.#network.transmit(this.id, to, payload)
      return
    }
    const copy = Uint8Array.from(payload)
    const sent = (async () => {
      await (before?.catch(() => undefined) ?? this.#turn())
      this.#check(to)
      if (!this.#network.establish(this.id, to)) {
        throw this.#network.isThere(to)
          ? unreachable(to, 'timedOut', 'the line is cut')
          : unreachable(to, 'refused', 'nobody of that ID is on this network')
      }
      this.#network.transmit(this.id, to, copy)
    })()
    this.#dialling.set(to, sent)
    try {
      await sent
    } finally {
      if (this.#dialling.get(to) === sent) this.#dialling.delete(to)
    }
  }

  connect(peer: PeerID): void {
    this.#check(peer)
    this.#wanted.add(peer)
    this.#network.schedule(() => {
      if (this.wants(peer)) this.#network.establish(this.id, peer)
    })
  }

  release(peer: PeerID): void {
    this.#wanted.delete(peer)
  }

  isConnected(peer: PeerID): boolean {
    return this.#network.isLinked(this.id, peer)
  }

  onMessage(handler: MessageHandler): () => void {
    this.#messageHandlers.add(handler)
    return () => this.#messageHandlers.delete(handler)
  }

  onPeer(handler: PeerHandler): () => void {
    this.#peerHandlers.add(handler)
    return () => this.#peerHandlers.delete(handler)
  }

  /** As on the real bus, but a wanted connection comes back only when somebody connects, sends or heals. */
  disconnect(peer: PeerID): void {
    if (!this.#closed) this.#network.sever(this.id, peer)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#wanted.clear()
    this.#network.remove(this.id)
  }

  /** Whether a connection with that peer is to be kept up. */
  wants(peer: PeerID): boolean {
    return this.#wanted.has(peer)
  }

  report(kind: 'connected' | 'disconnected', peer: PeerID): void {
    for (const handler of [...this.#peerHandlers]) {
      try {
        handler({ kind, peer })
      } catch (error) {
        queueMicrotask(() => {
          throw error // ignored as on the real bus, but a test should fail by it
        })
      }
    }
  }

  async handle(from: PeerID, payload: Uint8Array): Promise<void> {
    for (const handler of [...this.#messageHandlers]) await handler(from, payload)
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#network.schedule(resolve)
    })
  }

  #check(peer: PeerID): void {
    if (this.#closed) throw new PerkunasError('CLOSED', 'the bus is closed', { what: 'bus' })
    if (peer === this.id) {
      throw new PerkunasError('INVALID_ARGUMENT', 'we are not our own peer', { argument: 'peer' })
    }
  }
}

function pair(a: PeerID, b: PeerID): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`
}
