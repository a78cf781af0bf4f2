// The bus over real connections: dials, listens, authenticates, keeps one connection per peer and brings it back.
import { demandNames, givenOf } from '../channel/arguments.js'
import { isError, PerkunasError } from '../channel/errors.js'
import { Backoff } from './backoff.js'
import type { Bus, MessageHandler, PeerEvent, PeerHandler } from './bus.js'
import { BUS_LIMITS, BUS_NAMES, type BusLimits, INIT_NAMES, type PeerBusOptions } from './bus-options.js'
import { type Clock, systemClock } from './clock.js'
import { CONNECTION_LIMITS, Connection, type ConnectionLimits } from './connection.js'
import { Dispatch, type RawHandler } from './dispatch.js'
import type { Init } from './framing.js'
import { faultOfPeerID, type Identity, isPeerID, type PeerID } from './identity.js'
import { Links } from './link.js'
import { Outbox } from './outbox.js'
import type { Listener, Stream } from './stream.js'
import { failedDial, unreachable } from './unreachable.js'

/** A dial, from the call of the dialer until the connection is used or gone. */
interface Attempt {
  readonly address: string
  readonly abort: AbortController
  connection: Connection | undefined
}

/** What is known of a peer. */
interface Peer {
  readonly id: PeerID
  address: string | undefined
  /** How often we dialled it: several addresses have their turns. */
  dials: number
  isWanted: boolean
  /** The one connection that is used. */
  active: Connection | undefined
  activeSince: number
  /** Our attempt to make one. */
  attempt: Attempt | undefined
  /** Sends that wait for it. */
  readonly outbox: Outbox
  readonly backoff: Backoff
  stopRetry: (() => void) | undefined
}

const SENT: Promise<void> = Promise.resolve()

/** The {@link Bus} over dialers and listeners. */
export class PeerBus implements Bus {
  readonly id: PeerID
  /** Our key: what else than connections is made with it goes by this. */
  readonly identity: Identity
  readonly #options: PeerBusOptions
  readonly #limits: BusLimits
  readonly #connectionLimits: Partial<ConnectionLimits>
  readonly #clock: Clock
  readonly #peers = new Map<PeerID, Peer>()
  readonly #listeners = new Set<Listener>()
  /** Every connection from its first byte to its end. */
  readonly #connections = new Set<Connection>()
  /** Incoming ones that are not open, oldest first: keys cost nothing, so who is authenticated counts as well. */
  readonly #handshakes = new Set<Connection>()
  readonly #dispatch = new Dispatch()
  readonly #links: Links
  #isClosed = false
  #onEmpty: (() => void) | undefined
  #closing: Promise<void> | undefined

  /** @throws PerkunasError INVALID_ARGUMENT for options that are missing, unknown, or can't be meant */
  constructor(options: PeerBusOptions) {
    demandNames(options, BUS_NAMES)
    demandNames(options.limits ?? {}, { ...BUS_LIMITS, ...CONNECTION_LIMITS }, 'options.limits')
    demandNames(options.init ?? {}, INIT_NAMES, 'options.init')
    if (options.identity === undefined) {
      const message = 'a bus needs an identity, such as createIdentity() makes'
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'identity' })
    }
    this.id = options.identity.id
    this.identity = options.identity
    this.#links = new Links(this.id)
    this.#options = options
    const limits = givenOf(options.limits ?? {})
    this.#limits = { ...BUS_LIMITS, ...limits }
    const { maxIncoming, maxHandshakes, backoffMin, backoffMax, stableAfter, ...connection } = limits
    this.#connectionLimits = connection
    this.#clock = options.clock ?? systemClock
    for (const [id, address] of Object.entries(options.addresses ?? {})) {
      if (!isPeerID(id)) {
        const argument = 'addresses'
        throw new PerkunasError('INVALID_ARGUMENT', `addresses: ${faultOfPeerID(id)}`, { argument })
      }
      if (id !== this.id) this.#peer(id).address = address
    }
  }

  /** Takes streams from a listener. @returns its address @throws what the listener throws; CLOSED */
  async listen(listener: Listener): Promise<string> {
    this.#mustBeOpen()
    if (typeof listener?.listen !== 'function') {
      const message = 'a listener expected, such as tcpListener({ port: 9735 }) makes'
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'listener' })
    }
    await listener.listen((stream) => this.#accept(stream))
    if (this.#isClosed) {
      await listener.close()
      this.#mustBeOpen()
    }
    this.#listeners.add(listener)
    return listener.address
  }

  send(to: PeerID, payload: Uint8Array): Promise<void> {
    try {
      const peer = this.#known(to)
      if (peer.active !== undefined) {
        peer.active.send(payload)
        return SENT
      }
      return this.#sendLater(peer, payload)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** What peers are shown of us. */
  get init(): Pick<Init, 'features' | 'networks'> {
    const { features = [], networks } = this.#options.init ?? {}
    return { features, ...(networks === undefined ? {} : { networks }) }
  }

  /**
   * Resolves once a connection with that peer is up; dials if there is none, each of its addresses once.
   *
   * @throws PerkunasError PEER_UNREACHABLE, with the reason of the last address, if there is none and none can be made;
   *   CLOSED; INVALID_ARGUMENT for ourselves and for what is no peer ID
   */
  async reach(id: PeerID): Promise<void> {
    const peer = this.#known(id)
    for (let left = peer.address?.split(',').length ?? 1; peer.active === undefined; left--) {
      try {
        await this.#sendLater(peer)
      } catch (error) {
        if (left <= 1 || !isError(error, 'PEER_UNREACHABLE')) throw error
      }
    }
  }

  /**
   * Sends a message of any type over the connection that is up.
   *
   * @throws PerkunasError PEER_UNREACHABLE without one, PEER_OVERLOADED, TOO_LARGE, INVALID_ARGUMENT, CLOSED
   */
  sendRaw(to: PeerID, type: number, payload: Uint8Array): void {
    this.#mustBeOpen()
    const active = this.#peers.get(to)?.active
    if (active === undefined) throw unreachable(to, 'lost', 'none is up')
    active.sendRaw(type, payload)
  }

  /** Where a peer is dialled, if that is known; several separated by commas. */
  addressOf(id: PeerID): string | undefined {
    return this.#peers.get(id)?.address
  }

  connect(id: PeerID, address?: string): void {
    const peer = this.#known(id)
    if (address !== undefined) peer.address = address
    peer.isWanted = true
    if (peer.active === undefined) this.#dial(peer)
  }

  release(id: PeerID): void {
    const peer = this.#peers.get(id)
    if (peer === undefined) return
    peer.isWanted = false
    peer.stopRetry?.()
    peer.stopRetry = undefined
    if (peer.outbox.isEmpty) this.#abandon(peer)
    this.#forget(peer)
  }

  /** Peers with a connection that is up, of whichever side. */
  connected(): readonly PeerID[] {
    return [...this.#peers].flatMap(([id, { active }]) => (active === undefined ? [] : [id]))
  }

  isConnected(id: PeerID): boolean {
    return this.#peers.get(id)?.active !== undefined
  }

  /** What both sides said of themselves on the connection that is up; undefined without one. */
  initsOf(id: PeerID): { readonly local: Init; readonly remote: Init } | undefined {
    const { localInit: local, remoteInit: remote } = this.#peers.get(id)?.active ?? {}
    return local === undefined || remote === undefined ? undefined : { local, remote }
  }

  onMessage(handler: MessageHandler): () => void {
    return this.#dispatch.onMessage(handler)
  }

  onPeer(handler: PeerHandler): () => void {
    return this.#dispatch.onPeer(handler)
  }

  /** Adds a handler of messages of some types, warnings (1) and errors (17) among them; the result removes it. */
  onRaw(types: readonly number[], handler: RawHandler): () => void {
    return this.#dispatch.onRaw(types, handler)
  }

  disconnect(id: PeerID, reason: string): void {
    this.#peers.get(id)?.active?.accuse(reason)
    this.#drop(this.#peers.get(id))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#listeners].map((listener) => listener.close()))
    for (const peer of this.#peers.values()) {
      peer.isWanted = false
      peer.stopRetry?.()
      this.#abandon(peer)
      peer.outbox.fail(new PerkunasError('CLOSED', 'the bus was closed', { what: 'bus' }))
    }
    for (const connection of this.#connections) connection.close()
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve
      })
    }
    this.#peers.clear()
  }

  #mustBeOpen(): void {
    if (this.#isClosed) throw new PerkunasError('CLOSED', 'the bus is closed', { what: 'bus' })
  }

  #known(id: PeerID): Peer {
    this.#mustBeOpen()
    const known = this.#peers.get(id)
    if (known !== undefined) return known
    const fault = id === this.id ? `${id} is this bus's own ID` : faultOfPeerID(id)
    if (fault) throw new PerkunasError('INVALID_ARGUMENT', fault, { argument: 'peer' })
    return this.#peer(id)
  }

  #peer(id: PeerID): Peer {
    let peer = this.#peers.get(id)
    if (peer === undefined) {
      const { backoffMin, backoffMax } = this.#limits
      peer = {
        id,
        address: undefined,
        dials: 0,
        isWanted: false,
        active: undefined,
        activeSince: 0,
        attempt: undefined,
        outbox: new Outbox(),
        backoff: new Backoff(backoffMin, backoffMax, this.#options.random ?? Math.random),
        stopRetry: undefined,
      }
      this.#peers.set(id, peer)
    }
    return peer
  }

  /** Keeps nothing about peers that mean nothing to us, or strangers would fill the memory. */
  #forget(peer: Peer): void {
    if (peer.isWanted || peer.active || peer.attempt || !peer.outbox.isEmpty || peer.address !== undefined)
      return
    this.#peers.delete(peer.id)
  }

  /** @param payload if there is one */
  #sendLater(peer: Peer, payload?: Uint8Array): Promise<void> {
    this.#mustBeOpen()
    if (peer.attempt === undefined && peer.address === undefined) {
      this.#forget(peer)
      const why =
        'no address of that peer is known (`addresses` or `connect` of the bus give one), and it has not called'
      throw unreachable(peer.id, 'noAddress', why)
    }
    const { maxQueueBytes } = { ...CONNECTION_LIMITS, ...this.#connectionLimits }
    if (peer.outbox.bytes + (payload?.length ?? 0) > maxQueueBytes && !peer.outbox.isEmpty) {
      throw new PerkunasError('PEER_OVERLOADED', `too much waits for ${peer.id}`, { peer: peer.id })
    }
    const sent = peer.outbox.add(payload)
    this.#dial(peer) // may fail before it returns
    return sent
  }

  #dial(peer: Peer): void {
    if (peer.address === undefined || peer.attempt !== undefined) return
    peer.stopRetry?.()
    peer.stopRetry = undefined
    const addresses = peer.address.split(',')
    const address = addresses[peer.dials++ % addresses.length] ?? ''
    const attempt: Attempt = { address, abort: new AbortController(), connection: undefined }
    peer.attempt = attempt
    void this.#open(peer, attempt)
  }

  async #open(peer: Peer, attempt: Attempt): Promise<void> {
    const { signal } = attempt.abort
    try {
      const stream = await this.#dialStream(peer.id, attempt.address, signal)
      if (!signal.aborted && peer.active === undefined) {
        attempt.connection = this.#connect(stream, peer)
        return // its onOpen or onClose goes on
      }
      stream.destroy()
      this.#attemptEnded(peer, attempt, unreachable(peer.id, 'aborted', 'it is no longer wanted'))
    } catch (error) {
      if (error instanceof PerkunasError) this.#options.onFailure?.(peer.id, error)
      this.#attemptEnded(peer, attempt, error)
    }
  }

  #abandon({ attempt }: Peer): void {
    attempt?.abort.abort()
    attempt?.connection?.destroy()
  }

  #dialStream(id: PeerID, address: string, signal: AbortSignal): Promise<Stream> {
    const [, scheme, rest] = /^(?:([a-z][a-z0-9+.-]*):\/\/)?(.*)$/.exec(address) ?? []
    const dialers = this.#options.dialers ?? []
    const dialer = scheme === undefined ? dialers[0] : dialers.find((one) => one.scheme === scheme)
    if (dialer === undefined) {
      const known = dialers.map((one) => `${one.scheme}://`).join(', ') || 'none'
      throw unreachable(id, 'noDialer', `no dialer for ${address} (there are: ${known})`)
    }
    return dialer.dial(id, rest ?? '', signal)
  }

  /** An attempt of ours came to its end; a connection may be there all the same, made by the peer. */
  #attemptEnded(peer: Peer, attempt: Attempt, cause: unknown): void {
    if (peer.attempt !== attempt) return
    peer.attempt = undefined
    if (peer.active !== undefined) return
    peer.outbox.fail(failedDial(peer.id, attempt.address, cause))
    this.#retry(peer)
    this.#forget(peer)
  }

  #retry(peer: Peer): void {
    if (!peer.isWanted || this.#isClosed || peer.address === undefined || peer.stopRetry || peer.attempt)
      return
    peer.stopRetry = this.#clock.after(peer.backoff.next(), () => {
      peer.stopRetry = undefined
      if (peer.isWanted && peer.active === undefined) this.#dial(peer)
    })
  }

  #accept(stream: Stream): void {
    if (this.#isClosed) {
      stream.destroy()
      return
    }
    const connection = this.#connect(stream)
    this.#handshakes.add(connection)
    if (this.#handshakes.size > this.#limits.maxHandshakes) {
      // An honest peer needs one round trip; who has been at it the longest is the least likely to be one.
      const [oldest] = this.#handshakes
      oldest?.destroy()
    }
  }

  #connect(stream: Stream, dialled?: Peer): Connection {
    const { identity, understands, clock } = this.#options
    const connection = new Connection(
      stream,
      {
        identity,
        introduce: (id) => this.#introduce(connection, id),
        ...(dialled === undefined ? {} : { remote: dialled.id }),
        ...(understands === undefined ? {} : { understands }),
        limits: this.#connectionLimits,
        ...(clock === undefined ? {} : { clock }),
      },
      {
        onOpen: () => this.#onOpen(connection),
        onPayload: (_, payload) => this.#onPayload(connection, payload),
        onRaw: (_, type, payload) => this.#onRaw(connection, type, payload),
        onClose: (_, error) => this.#onClose(connection, dialled, error),
      },
    )
    this.#connections.add(connection)
    return connection
  }

  #introduce(connection: Connection, id: PeerID): Init | undefined {
    // The peer called while we did: theirs is there already, ours is not needed and nobody has heard of it.
    if (this.#isClosed || (connection.isInitiator && this.isConnected(id))) return undefined
    const { features = [], networks } = this.#options.init ?? {}
    return {
      features,
      ...(networks === undefined ? {} : { networks }),
      link: this.#links.next(),
    }
  }

  #onOpen(connection: Connection): void {
    this.#handshakes.delete(connection)
    const id = connection.remote
    if (id === undefined) return
    const peer = this.#peer(id)
    const old = peer.active
    if (old !== undefined && !this.#links.isNewer(connection, old)) {
      connection.destroy()
      return
    }
    if (old === undefined && !connection.isInitiator && this.#isFull(peer)) {
      connection.dismiss('too many connections')
      this.#forget(peer)
      return
    }
    this.#activate(peer, connection)
  }

  #isFull(peer: Peer): boolean {
    if (peer.isWanted || peer.attempt !== undefined) return false
    let incoming = 0
    for (const { active, isWanted } of this.#peers.values())
      if (active && !active.isInitiator && !isWanted) incoming++
    return incoming >= this.#limits.maxIncoming
  }

  #activate(peer: Peer, connection: Connection): void {
    const old = peer.active
    peer.active = connection
    peer.activeSince = this.#clock.now()
    peer.stopRetry?.()
    peer.stopRetry = undefined
    if (peer.attempt?.connection === connection) peer.attempt = undefined
    if (old !== undefined) {
      old.destroy()
      this.#report('disconnected', peer.id) // what was on its way over the old one is lost
    }
    peer.outbox.flush(connection)
    this.#report('connected', peer.id)
  }

  /** Ends the use of a peer's connection; the connection itself ends elsewhere. */
  #drop(peer: Peer | undefined): void {
    if (peer?.active === undefined) return
    if (this.#clock.now() - peer.activeSince >= this.#limits.stableAfter) peer.backoff.reset()
    peer.active = undefined
    this.#report('disconnected', peer.id)
    if (peer.active !== undefined) return // a handler has made a new one
    this.#retry(peer)
    this.#forget(peer)
  }

  #onClose(connection: Connection, dialled: Peer | undefined, error: PerkunasError | undefined): void {
    this.#connections.delete(connection)
    this.#handshakes.delete(connection)
    const { remote } = connection
    if (error !== undefined) this.#options.onFailure?.(remote, error)
    const peer = remote === undefined ? undefined : this.#peers.get(remote)
    if (peer?.active === connection) this.#drop(peer)
    if (dialled?.attempt?.connection === connection) this.#attemptEnded(dialled, dialled.attempt, error)
    if (this.#connections.size === 0) this.#onEmpty?.()
  }

  #report(kind: PeerEvent['kind'], peer: PeerID): void {
    this.#dispatch.report({ kind, peer }, (cause) => this.#handlerFailed('onPeer', peer, cause))
  }

  /** Whose messages count: what an overtaken connection still brings is as lost as what comes after it. */
  #sender(connection: Connection): PeerID | undefined {
    const { remote } = connection
    return remote !== undefined && this.#peers.get(remote)?.active === connection ? remote : undefined
  }

  #onPayload(connection: Connection, payload: Uint8Array): void | Promise<void> {
    const from = this.#sender(connection)
    if (from === undefined) return
    return this.#dispatch.message(from, payload, (cause) => this.#blame('onMessage', connection, from, cause))
  }

  #onRaw(connection: Connection, type: number, payload: Uint8Array): boolean | Promise<void> {
    const from = this.#sender(connection)
    if (from === undefined) return true
    return this.#dispatch.raw(from, type, payload, (cause) => this.#blame('onRaw', connection, from, cause))
  }

  /** What a handler of messages throws costs the connection; the peer is told if it was its fault. */
  #blame(handler: string, connection: Connection, from: PeerID, cause: unknown): void {
    if (
      isError(cause, 'INVALID_MESSAGE') ||
      isError(cause, 'TOO_LARGE') ||
      isError(cause, 'PEER_MISBEHAVED')
    ) {
      connection.accuse(cause.message)
    } else {
      this.#handlerFailed(handler, from, cause)
      connection.dismiss('internal error')
    }
    if (this.#sender(connection) !== undefined) this.#drop(this.#peers.get(from))
  }

  #handlerFailed(handler: string, peer: PeerID, cause: unknown): void {
    const message = `a handler of ${handler} failed`
    this.#options.onFailure?.(peer, new PerkunasError('HANDLER_FAILED', message, { handler }, { cause }))
  }
}
