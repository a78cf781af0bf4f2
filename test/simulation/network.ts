// A network that is late, breaks, repeats itself, and falls apart. Within one connection order is kept, as TCP
// does; what is on its way when a connection breaks is lost, and each side notices in its own time. In bad weather it
// is worse than TCP: messages also vanish from a connection that stands, come twice, and overtake each other.
import { PerkunasError } from '../../channel/index.js'
import type { Clock } from '../../client/index.js'
import type { Bus, MessageHandler, PeerHandler, PeerID } from '../../peer/index.js'
import type { Random } from './random.js'

/** How bad the network is, as shares of messages. */
export interface Weather {
  /** Breaks the connection with the message. */
  lost: number
  /** Arrives again later. */
  repeated: number
  /** Vanishes, and the connection stands: nobody notices before the next one. */
  dropped: number
  /** Keeps no order with the others. */
  reordered: number
  /** Milliseconds that most messages need at most. */
  latency: number
}

/** What becomes of what a peer says: a cheating peer says something else, or more, or nothing. */
export type Outgoing = (to: PeerID, payload: Uint8Array) => readonly Uint8Array[]

/** What a bus tells its process. */
export interface BusHost {
  /** Whether an effect still happens: a process that dies says nothing more. */
  effect(): boolean
  readonly outgoing?: Outgoing
  readonly incoming?: (from: PeerID, payload: Uint8Array) => void
}

interface Link {
  readonly ends: readonly [PeerID, PeerID]
  /** Which sides believe that the connection stands. */
  readonly believers: Set<PeerID>
  /** Whether it does. */
  up: boolean
  epoch: number
  dialling: boolean
  /** Something was lost or overtaken on it, and neither side can know. */
  harmed: boolean
}

interface Pipe {
  lastArrival: number
  readonly arrived: Uint8Array[]
  busy: boolean
}

/** All buses, and what is between them. */
export class SimNetwork {
  readonly weather: Weather = { lost: 0, repeated: 0, dropped: 0, reordered: 0, latency: 50 }
  /** Whether connections may lose something and stand: most runs must do without what repairs it in the end. */
  isTreacherous = false
  readonly #buses = new Map<PeerID, SimBus>()
  readonly #links = new Map<string, Link>()
  readonly #pipes = new Map<string, Pipe>()
  readonly #cuts = new Set<string>()
  /** Told of each connection that breaks, but for those that one of the two has ended. */
  onBreak: (a: PeerID, b: PeerID) => void = () => undefined

  constructor(
    readonly clock: Clock,
    readonly random: Random,
    readonly tell: (words: string) => void,
  ) {}

  /** A process's bus; the one before it with that ID must have been {@link SimBus.kill}ed. */
  bus(id: PeerID, host: BusHost): SimBus {
    const bus = new SimBus(id, this, host)
    this.#buses.set(id, bus)
    for (const other of this.#buses.values()) if (other.wants(id)) this.dial(id, other.id)
    return bus
  }

  /** Breaks a connection; it comes back by itself if it is wanted. @param byOne one of the two ends it */
  disconnect(a: PeerID, b: PeerID, byOne = false): void {
    const link = this.#link(a, b)
    if (!byOne) this.onBreak(a, b)
    if (!link.up) return
    link.up = false
    link.epoch++
    for (const end of link.ends) {
      this.#pipes.delete(`${end}>${link.ends[0] === end ? link.ends[1] : link.ends[0]}`)
      this.clock.after(this.random.int(200), () => this.#noticed(link, end))
    }
  }

  /** No connection between the two until {@link heal}. */
  cut(a: PeerID, b: PeerID): void {
    this.#cuts.add(pair(a, b))
    this.disconnect(a, b)
  }

  /** Ends all cuts and all bad weather. Connections that lost something in silence are made anew, and only those. */
  heal(): void {
    Object.assign(this.weather, { lost: 0, repeated: 0, dropped: 0, reordered: 0, latency: 50 })
    this.#cuts.clear()
    for (const { ends, harmed } of this.#links.values()) {
      this.onBreak(...ends)
      if (harmed) this.disconnect(...ends)
      this.dial(...ends)
    }
  }

  /** Ends one cut. */
  mend(a: PeerID, b: PeerID): void {
    this.onBreak(a, b)
    this.#cuts.delete(pair(a, b))
    this.dial(a, b)
  }

  /** Whether there can be no connection. */
  isCut(a: PeerID, b: PeerID): boolean {
    return this.#cuts.has(pair(a, b))
  }

  isUp(a: PeerID, b: PeerID): boolean {
    return this.#link(a, b).believers.has(a)
  }

  /** Tries for a connection, now and until there is one or nobody wants it. */
  dial(a: PeerID, b: PeerID): void {
    const link = this.#link(a, b)
    if (link.up || link.dialling) return
    link.dialling = true
    this.clock.after(this.random.between(5, 300), () => {
      link.dialling = false
      const [one, other] = [this.#buses.get(a), this.#buses.get(b)]
      const wanted = (one?.wants(b) ?? false) || (other?.wants(a) ?? false)
      if (link.up || !wanted) return
      // Not before both have noticed the end of the last one.
      if (one === undefined || other === undefined || this.#cuts.has(pair(a, b)) || link.believers.size > 0) {
        return this.dial(a, b)
      }
      link.up = true
      link.harmed = false
      for (const end of link.ends) link.believers.add(end)
      this.tell(`net ${name(a)}=${name(b)} up`)
      for (const end of link.ends) this.#buses.get(end)?.report('connected', end === a ? b : a)
    })
  }

  transmit(from: PeerID, to: PeerID, payload: Uint8Array): void {
    const link = this.#link(from, to)
    if (!link.up) return // believed in, but gone
    const { lost, repeated, dropped, reordered, latency } = this.weather
    if (this.random.chance(lost)) {
      this.tell(`net ${name(from)}>${name(to)} lost`)
      return this.disconnect(from, to)
    }
    if (this.random.chance(dropped)) {
      link.harmed = true
      return this.tell(`net ${name(from)}>${name(to)} dropped`)
    }
    const ms = this.random.chance(0.9)
      ? this.random.between(1, latency)
      : this.random.between(1, 20 * latency)
    const pipe = this.#pipe(from, to)
    const at = this.clock.now() + ms
    if (this.random.chance(reordered)) {
      link.harmed = true
      this.#arrive(link, from, to, payload, at)
    } else {
      pipe.lastArrival = Math.max(at, pipe.lastArrival)
      this.#arrive(link, from, to, payload, pipe.lastArrival)
    }
    if (this.random.chance(repeated)) {
      // A repetition comes at any time later and holds up nothing.
      const later = this.random.int(this.random.chance(0.5) ? 100 : 10_000)
      this.#arrive(link, from, to, payload, pipe.lastArrival + later)
    }
  }

  /** A process is gone: its connections break. */
  remove(bus: SimBus): void {
    if (this.#buses.get(bus.id) !== bus) return
    this.#buses.delete(bus.id)
    for (const link of this.#links.values()) {
      if (!link.ends.includes(bus.id)) continue
      this.disconnect(...link.ends)
      link.believers.delete(bus.id)
    }
  }

  #noticed(link: Link, end: PeerID): void {
    if (link.up || !link.believers.delete(end)) return
    const [a, b] = link.ends
    this.#buses.get(end)?.report('disconnected', end === a ? b : a)
    this.dial(a, b)
  }

  #arrive(link: Link, from: PeerID, to: PeerID, payload: Uint8Array, at: number): void {
    const { epoch } = link
    const pipe = this.#pipe(from, to)
    this.clock.after(at - this.clock.now(), () => {
      if (link.epoch !== epoch) return
      pipe.arrived.push(payload)
      if (!pipe.busy) void this.#deliver(link, from, to, pipe)
    })
  }

  async #deliver(link: Link, from: PeerID, to: PeerID, pipe: Pipe): Promise<void> {
    const { epoch } = link
    pipe.busy = true
    for (let payload = pipe.arrived.shift(); payload !== undefined; payload = pipe.arrived.shift()) {
      try {
        await this.#buses.get(to)?.handle(from, payload)
      } catch (error) {
        this.tell(`net ${name(to)} drops ${name(from)}: ${error instanceof Error ? error.message : error}`)
        this.disconnect(from, to, true)
      }
      if (link.epoch !== epoch) return
    }
    pipe.busy = false
  }

  #link(a: PeerID, b: PeerID): Link {
    const key = pair(a, b)
    let link = this.#links.get(key)
    if (link === undefined) {
      const ends = a < b ? ([a, b] as const) : ([b, a] as const)
      link = { ends, believers: new Set(), up: false, epoch: 0, dialling: false, harmed: false }
      this.#links.set(key, link)
    }
    return link
  }

  #pipe(from: PeerID, to: PeerID): Pipe {
    const key = `${from}>${to}`
    let pipe = this.#pipes.get(key)
    if (pipe === undefined) {
      pipe = { lastArrival: 0, arrived: [], busy: false }
      this.#pipes.set(key, pipe)
    }
    return pipe
  }
}

/** One process's end of the network. */
export class SimBus implements Bus {
  readonly #network: SimNetwork
  readonly #host: BusHost
  readonly #wanted = new Set<PeerID>()
  readonly #messages = new Set<MessageHandler>()
  readonly #peers = new Set<PeerHandler>()
  /** What waits for a connection, at most so many of each peer. */
  readonly #waiting = new Map<PeerID, { payload: Uint8Array; done: (error?: PerkunasError) => void }[]>()
  #closed = false

  constructor(
    readonly id: PeerID,
    network: SimNetwork,
    host: BusHost,
  ) {
    this.#network = network
    this.#host = host
  }

  send(to: PeerID, payload: Uint8Array): Promise<void> {
    if (to === this.id || this.#closed) {
      return Promise.reject(new PerkunasError('CLOSED', 'the bus is closed', { what: 'bus' }))
    }
    // A process that is dead never hears of it.
    if (!this.#host.effect()) return new Promise(() => undefined)
    const payloads = this.#host.outgoing?.(to, payload) ?? [payload]
    if (this.#network.isUp(this.id, to)) {
      for (const said of payloads) this.#network.transmit(this.id, to, said)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(to) ?? []
      this.#waiting.set(to, waiting)
      for (const said of payloads) waiting.push({ payload: said, done: () => undefined })
      waiting.push({
        payload: new Uint8Array(0),
        done: (error) => (error ? reject(error) : resolve()),
      })
      this.#network.dial(this.id, to)
      this.#network.clock.after(5_000, () => this.#giveUp(to))
    })
  }

  /** Says something whatever the process thinks: for a cheat. */
  say(to: PeerID, payload: Uint8Array): void {
    if (this.#network.isUp(this.id, to)) this.#network.transmit(this.id, to, payload)
  }

  connect(peer: PeerID): void {
    this.#wanted.add(peer)
    this.#network.dial(this.id, peer)
  }

  release(peer: PeerID): void {
    this.#wanted.delete(peer)
  }

  isConnected(peer: PeerID): boolean {
    return this.#network.isUp(this.id, peer)
  }

  onMessage(handler: MessageHandler): () => void {
    this.#messages.add(handler)
    return () => this.#messages.delete(handler)
  }

  onPeer(handler: PeerHandler): () => void {
    this.#peers.add(handler)
    return () => this.#peers.delete(handler)
  }

  disconnect(peer: PeerID): void {
    this.#network.disconnect(this.id, peer, true)
  }

  async close(): Promise<void> {
    this.kill()
  }

  /** The process is dead. */
  kill(): void {
    if (this.#closed) return
    this.#closed = true
    this.#wanted.clear()
    this.#messages.clear()
    this.#peers.clear()
    this.#waiting.clear()
    this.#network.remove(this)
  }

  /** Whether a connection is to be kept up, or something waits for one. */
  wants(peer: PeerID): boolean {
    return !this.#closed && (this.#wanted.has(peer) || this.#waiting.has(peer))
  }

  report(kind: 'connected' | 'disconnected', peer: PeerID): void {
    for (const handler of [...this.#peers]) handler({ kind, peer })
    if (kind === 'disconnected') return
    const waiting = this.#waiting.get(peer) ?? []
    this.#waiting.delete(peer)
    for (const { payload, done } of waiting) {
      if (payload.length > 0) this.#network.transmit(this.id, peer, payload)
      done()
    }
  }

  async handle(from: PeerID, payload: Uint8Array): Promise<void> {
    this.#host.incoming?.(from, payload)
    for (const handler of [...this.#messages]) await handler(from, payload)
  }

  #giveUp(peer: PeerID): void {
    const waiting = this.#waiting.get(peer)
    if (waiting === undefined || this.#closed) return
    this.#waiting.delete(peer)
    const error = new PerkunasError('PEER_UNREACHABLE', `no connection to ${peer}`, { peer, reason: 'lost' })
    for (const { done } of waiting) done(error)
  }
}

/** The last byte names a simulated peer. */
export function name(peer: PeerID): string {
  return 'abcdefgh'[Number.parseInt(peer.slice(-2), 16) - 1] ?? peer
}

function pair(a: PeerID, b: PeerID): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`
}
