// One authenticated connection with a peer: BOLT 1 over a sealed session. Introduces itself, keeps the connection
// alive, holds the peer to its limits, splits and joins long payloads.
import { demandNames, givenOf, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import { type Clock, systemClock } from './clock.js'
import {
  decodeMessage,
  decodeText,
  encodeInit,
  encodeMessage,
  encodePayload,
  encodePing,
  encodePong,
  encodeWarning,
  type Init,
  Joiner,
  MAX_PAYLOAD,
  MESSAGE_TYPE,
  type Message,
} from './framing.js'
import { type Identity, type PeerID, randomSecret } from './identity.js'
import { RateLimit } from './rate.js'
import { Session } from './session.js'
import type { Stream } from './stream.js'
import { nextTurn } from './turn.js'
import { unreachable } from './unreachable.js'

/** What a connection puts up with. Times in milliseconds. */
export interface ConnectionLimits {
  /** From the first byte to the peer's `init`. */
  readonly handshakeTimeout: number
  /** Silence after which the peer is pinged. */
  readonly pingInterval: number
  /** Silence after a ping after which the connection is given up. */
  readonly pingTimeout: number
  /** Messages received per second on average; twice as many at once. More is misbehaviour. */
  readonly messagesPerSecond: number
  /** Bytes received per second on average; twice as many at once. Answers that pings ask for count too. */
  readonly bytesPerSecond: number
  /** Longest Perun payload, sent or received, in bytes. */
  readonly maxPayload: number
  /** Bytes that may wait to be sent before PEER_OVERLOADED; one payload is always taken. */
  readonly maxQueueBytes: number
  /** How long a closing connection waits for the peer to take what it is told. */
  readonly linger: number
}

/** What applies to each connection unless something else is said. */
export const CONNECTION_LIMITS: ConnectionLimits = {
  handshakeTimeout: 10_000,
  pingInterval: 30_000,
  pingTimeout: 15_000,
  messagesPerSecond: 50_000,
  bytesPerSecond: 64 * 1024 * 1024,
  maxPayload: 4 * 1024 * 1024,
  maxQueueBytes: 16 * 1024 * 1024,
  linger: 1_000,
}

/** What a connection needs. */
export interface ConnectionOptions {
  readonly identity: Identity
  /** Whom we dialled; absent for an incoming stream. */
  readonly remote?: PeerID
  /**
   * Our `init` for a peer that has proved who it is; undefined ends the connection without a word. As initiator
   * this comes before the peer learns who we are.
   */
  readonly introduce: (remote: PeerID) => Init | undefined
  /** Even feature bits of a peer that we can live with. */
  readonly understands?: (feature: number) => boolean
  readonly limits?: Partial<ConnectionLimits>
  readonly clock?: Clock
  /** Fresh secrets for handshakes; replaced only to test. */
  readonly entropy?: () => Uint8Array
}

/** What a connection tells its user. A returned promise holds back the peer's next message, and must not reject. */
export interface ConnectionHandlers {
  /** The peer is authenticated and has introduced itself. Said once, before any message. */
  onOpen(connection: Connection): void
  /** A Perun payload, valid for ever. */
  onPayload(connection: Connection, payload: Uint8Array): void | Promise<void>
  /**
   * A message of another type, or a warning (1) or an error (17). `false`: nobody knows the type; the peer is cut
   * off if it is even.
   */
  onRaw(connection: Connection, type: number, payload: Uint8Array): boolean | Promise<void>
  /** The connection, opened or not, is over; said once. Without an error it was we who closed it. */
  onClose(connection: Connection, error: PerkunasError | undefined): void
}

const OPTION_NAMES: NamesOf<ConnectionOptions> = {
  identity: true,
  remote: true,
  introduce: true,
  understands: true,
  limits: true,
  clock: true,
  entropy: true,
}

/** How many bytes we ask a peer to answer a ping with. */
const PONG_BYTES = 0

/** A connection, from its first byte on. Of use between `onOpen` and `onClose`. */
export class Connection {
  /** Whether we dialled. */
  readonly isInitiator: boolean
  readonly #handlers: ConnectionHandlers
  readonly #options: ConnectionOptions
  readonly #limits: ConnectionLimits
  readonly #clock: Clock
  readonly #session: Session
  readonly #joiner: Joiner
  readonly #messages: RateLimit
  readonly #bytes: RateLimit
  #remote: PeerID | undefined
  #localInit: Init | undefined
  #remoteInit: Init | undefined
  #heardAt: number
  #isPongAwaited = false
  #isClosed = false
  #stopTimer: () => void

  /**
   * Takes over a stream and begins the handshake.
   *
   * @throws PerkunasError INVALID_ARGUMENT if `remote` is no public key, or an option is unknown
   */
  constructor(stream: Stream, options: ConnectionOptions, handlers: ConnectionHandlers) {
    demandNames(options, OPTION_NAMES)
    demandNames(options.limits ?? {}, CONNECTION_LIMITS, 'options.limits')
    const { identity, remote, clock = systemClock, entropy = randomSecret } = options
    const limits = { ...CONNECTION_LIMITS, ...givenOf(options.limits ?? {}) }
    const now = clock.now()
    this.isInitiator = remote !== undefined
    this.#handlers = handlers
    this.#options = options
    this.#limits = limits
    this.#clock = clock
    this.#joiner = new Joiner(limits.maxPayload)
    this.#messages = new RateLimit(limits.messagesPerSecond, 2 * limits.messagesPerSecond, now)
    this.#bytes = new RateLimit(limits.bytesPerSecond, 2 * limits.bytesPerSecond, now)
    this.#heardAt = now
    this.#session = new Session(
      stream,
      {
        identity,
        ...(remote === undefined ? {} : { remote }),
        ephemeral: entropy(),
        clock,
        maxQueueBytes: limits.maxQueueBytes,
        linger: limits.linger,
      },
      {
        onAuthenticated: (peer) => this.#introduce(peer),
        onMessage: (message) => this.#onMessage(message),
        onClose: (error) => this.#onClose(error),
      },
    )
    this.#stopTimer = clock.after(limits.handshakeTimeout, () => this.#tooSlow())
  }

  /** Who proved to be there; undefined before. */
  get remote(): PeerID | undefined {
    return this.#remote
  }

  /** Our introduction, once it was sent. */
  get localInit(): Init | undefined {
    return this.#localInit
  }

  /** The peer's introduction, once it came. */
  get remoteInit(): Init | undefined {
    return this.#remoteInit
  }

  /**
   * Queues a Perun payload, which nobody may change afterwards. It leaves at the end of this turn.
   *
   * @throws PerkunasError TOO_LARGE; PEER_OVERLOADED if too much waits already; PEER_UNREACHABLE if it is over
   */
  send(payload: Uint8Array): void {
    const { maxPayload } = this.#limits
    if (payload.length > maxPayload) throw tooLarge(maxPayload, payload.length)
    this.#send(...encodePayload(payload))
  }

  /** Queues a message of any type with at most 65533 bytes behind it. @throws as {@link send} */
  sendRaw(type: number, payload: Uint8Array): void {
    if (!Number.isInteger(type) || type < 0 || type > 0xffff) {
      throw new PerkunasError('INVALID_ARGUMENT', 'a message type is 0 to 65535', { argument: 'type' })
    }
    if (payload.length > MAX_PAYLOAD) throw tooLarge(MAX_PAYLOAD, payload.length)
    this.#send(encodeMessage(type, payload))
  }

  /** Ends the connection in peace; what was queued is sent first. Can be called again. */
  close(): void {
    this.#stopTimer()
    this.#session.close()
  }

  /** Ends the connection because of what the peer did, and tells it. */
  accuse(reason: string): void {
    const peer = this.#remote
    if (peer === undefined) this.#session.destroy(notInTime(reason))
    else this.#end(new PerkunasError('PEER_MISBEHAVED', `${peer}: ${reason}`, { peer, reason }), reason)
  }

  /** Ends the connection for a reason of our own that the peer may know. */
  dismiss(reason: string): void {
    this.#stopTimer()
    this.#session.close(undefined, encodeWarning(reason))
  }

  /** Ends the connection at once and without a word. */
  destroy(error?: PerkunasError): void {
    this.#stopTimer()
    this.#session.destroy(error)
  }

  #send(...messages: readonly Uint8Array[]): void {
    const peer = this.#remote
    if (this.#isClosed || peer === undefined) {
      throw unreachable(peer ?? '0x', 'lost', 'the connection is over')
    }
    if (this.#session.send(...messages)) return
    if (this.#session.isOpen) {
      throw new PerkunasError('PEER_OVERLOADED', `${peer} takes less than it is sent`, { peer })
    }
    throw unreachable(peer, 'lost', 'the connection is over')
  }

  #end(error: PerkunasError, reason: string): void {
    this.#stopTimer()
    this.#session.close(error, encodeWarning(reason))
  }

  #introduce(remote: PeerID): boolean {
    this.#remote = remote
    const init = this.#options.introduce(remote)
    if (init === undefined) return false
    this.#localInit = init
    this.#session.send(encodeInit(init))
    return true
  }

  #onMessage(bytes: Uint8Array): void | Promise<void> {
    const now = this.#clock.now()
    this.#heardAt = now
    if (!this.#messages.take(1, now)) return this.accuse('too many messages')
    if (!this.#bytes.take(bytes.length, now)) return this.accuse('too many bytes')
    try {
      const message = decodeMessage(bytes)
      if (this.#remoteInit !== undefined) return this.#dispatch(message, now)
      if (message.kind === 'init') return this.#onInit(message.init)
      // Some nodes warn and hang up instead of introducing themselves.
      if (message.kind === 'other' && message.type === MESSAGE_TYPE.warning) return
      this.accuse('init expected')
    } catch (error) {
      if (!(error instanceof PerkunasError)) throw error
      this.accuse(error.message)
    }
  }

  #onInit(init: Init): void {
    const { understands = () => false } = this.#options
    const unknown = init.features.find((bit) => bit % 2 === 0 && !understands(bit))
    if (unknown !== undefined) {
      this.accuse(`unknown required feature ${unknown}`)
      return
    }
    const ours = this.#localInit?.networks
    if (
      ours !== undefined &&
      init.networks !== undefined &&
      !init.networks.some((one) => ours.includes(one))
    ) {
      this.accuse('no network in common')
      return
    }
    this.#remoteInit = init
    this.#stopTimer()
    this.#watch(this.#limits.pingInterval)
    this.#handlers.onOpen(this)
  }

  #dispatch(message: Message, now: number): void | Promise<void> {
    switch (message.kind) {
      case 'payload':
        if (this.#joiner.isJoining) return this.accuse('a payload inside another one')
        if (message.payload.length > this.#limits.maxPayload) return this.accuse('payload too long')
        return this.#handlers.onPayload(this, message.payload)
      case 'fragment': {
        const payload = this.#joiner.take(message.total, message.offset, message.part)
        return payload === undefined ? undefined : this.#handlers.onPayload(this, payload)
      }
      case 'ping':
        return this.#onPing(message.answer, now)
      case 'pong':
        if (this.#isPongAwaited && message.length === PONG_BYTES) this.#isPongAwaited = false
        return
      case 'init':
        return this.accuse('init twice')
      case 'other':
        return this.#onOther(message.type, message.payload)
    }
  }

  #onPing(answer: number | undefined, now: number): void {
    if (answer === undefined) return
    if (!this.#bytes.take(answer, now)) this.accuse('too many bytes')
    // A peer that asks and does not read gets no further answers: they would only fill the queue.
    else if (this.#session.queuedBytes < this.#limits.maxQueueBytes / 4)
      this.#session.send(encodePong(answer))
  }

  #onOther(type: number, payload: Uint8Array): void | Promise<void> {
    if (type === MESSAGE_TYPE.warning || type === MESSAGE_TYPE.error) decodeText(payload)
    const known = this.#handlers.onRaw(this, type, payload)
    if (known instanceof Promise) return known
    if (!known && type % 2 === 0) this.accuse(`unknown message type ${type}`)
  }

  /** Looks again after `ms` whether the peer is still there. */
  #watch(ms: number): void {
    this.#stopTimer = this.#clock.after(ms, () => {
      const { pingInterval, pingTimeout } = this.#limits
      // While it is we who do not read, silence means nothing.
      if (this.#session.isBehind) this.#heardAt = this.#clock.now()
      const silence = this.#clock.now() - this.#heardAt
      if (this.#isPongAwaited && silence >= pingTimeout) return this.#giveUp()
      if (silence < pingInterval && !this.#isPongAwaited) return this.#watch(pingInterval - silence)
      if (!this.#isPongAwaited) {
        this.#isPongAwaited = true
        this.#session.send(encodePing(PONG_BYTES))
        return this.#watch(pingTimeout)
      }
      return this.#watch(pingTimeout - silence)
    })
  }

  /** Timers come before sockets in a turn: after a stop of our own the answer may be there, not yet read. */
  #giveUp(): void {
    const { pingTimeout } = this.#limits
    nextTurn(() => {
      if (this.#isClosed) return
      if (this.#clock.now() - this.#heardAt < pingTimeout) {
        this.#watch(pingTimeout)
        return
      }
      const peer = this.#remote ?? '0x'
      this.destroy(unreachable(peer, 'timedOut', 'it does not answer'))
    })
  }

  #tooSlow(): void {
    this.#session.destroy(notInTime('not finished in time'))
  }

  #onClose(error: PerkunasError | undefined): void {
    this.#isClosed = true
    this.#stopTimer()
    this.#handlers.onClose(this, error)
  }
}

function tooLarge(limit: number, actual: number): PerkunasError<'TOO_LARGE'> {
  return new PerkunasError('TOO_LARGE', `a payload of ${actual} bytes, at most ${limit} allowed`, {
    limit,
    actual,
  })
}

function notInTime(reason: string): PerkunasError<'HANDSHAKE_FAILED'> {
  return new PerkunasError('HANDSHAKE_FAILED', `the handshake failed: ${reason}`, { reason })
}
