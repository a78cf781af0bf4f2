// BOLT 8 over a stream: shakes hands, then seals and opens messages. The driver of noise.ts.
//
// Reading goes in short turns, so that two busy peers overlap instead of waiting for each other; what is
// sent by one turn's handlers leaves as one write. Nothing is buffered without a bound in either direction.
import { PerkunasError } from '../channel/errors.js'
import { TAG_BYTES } from './aead.js'
import { ByteQueue } from './byte-queue.js'
import type { Clock } from './clock.js'
import type { Identity, PeerID } from './identity.js'
import {
  ACT_BYTES,
  CipherState,
  type Handshake,
  initiate,
  openLength,
  respond,
  SEALED_LENGTH_BYTES,
  type SessionKeys,
  sealMessage,
  step,
} from './noise.js'
import type { Stream, StreamReceiver } from './stream.js'
import { nextTurn } from './turn.js'
import { unreachable } from './unreachable.js'

/** What a session tells its user. */
export interface SessionHandlers {
  /**
   * The other side has proved to hold that key. As initiator this comes before the act that tells who we are:
   * `false` ends the session there and then.
   */
  onAuthenticated(remote: PeerID): boolean
  /** A message, valid for ever. The next one waits for a returned promise, which must not reject. */
  onMessage(message: Uint8Array): void | Promise<void>
  /** The session is over; said once, last. Without an error it was we who closed it. */
  onClose(error: PerkunasError | undefined): void
}

/** What a session needs. */
export interface SessionOptions {
  readonly identity: Identity
  /** Whom we dialled; absent for an incoming stream. */
  readonly remote?: PeerID
  /** A fresh secret for this handshake. */
  readonly ephemeral: Uint8Array
  readonly clock: Clock
  /** Bytes that may wait to be sent before `send` refuses more. */
  readonly maxQueueBytes: number
  /** Milliseconds that a closing session waits for the other side to take what it is told. */
  readonly linger: number
}

/** Messages handled in one turn, and milliseconds after which a turn ends early. */
const TURN_MESSAGES = 8
const TURN_MS = 1
/** Bytes sealed in one turn: about 1 ms of work at worst. */
const TURN_WRITE_BYTES = 256 * 1024
/** Bytes that may wait to be read before the stream is told to pause; more than one message. */
const READ_AHEAD_BYTES = 128 * 1024
/** What a waiting message is counted as beside its bytes. */
const MESSAGE_OVERHEAD = 64

/** One authenticated, sealed conversation over a stream. */
export class Session implements StreamReceiver {
  readonly #stream: Stream
  readonly #options: SessionOptions
  readonly #handlers: SessionHandlers
  readonly #incoming = new ByteQueue()
  #handshake: Handshake | undefined
  /** Who has proved to be there. */
  #remote: PeerID | undefined
  #receive: CipherState | undefined
  #send: CipherState | undefined
  /** Length of the message whose body is awaited. */
  #awaited: number | undefined
  #turn: 'idle' | 'reading' | 'scheduled' | 'behind' = 'idle'
  #isPaused = false
  #outgoing: Uint8Array[] = []
  #queued = 0
  #isWritable = true
  #isFlushScheduled = false
  #state: 'open' | 'closing' | 'closed' = 'open'
  #error: PerkunasError | undefined
  #stopLinger: (() => void) | undefined

  /**
   * Takes over a stream and begins the handshake.
   *
   * @throws PerkunasError INVALID_ARGUMENT if `remote` is no public key
   */
  constructor(stream: Stream, options: SessionOptions, handlers: SessionHandlers) {
    this.#stream = stream
    this.#options = options
    this.#handlers = handlers
    const { identity, remote, ephemeral } = options
    if (remote === undefined) {
      this.#handshake = respond(identity, ephemeral)
      stream.start(this)
    } else {
      const { next, send } = initiate(remote, ephemeral)
      this.#handshake = next
      stream.start(this)
      this.#write(send)
    }
  }

  /** Whether messages wait for the handler rather than for the other side. */
  get isBehind(): boolean {
    return this.#turn === 'behind' || this.#turn === 'scheduled'
  }

  /** Whether it takes messages. */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  /** Bytes that wait to be sent. */
  get queuedBytes(): number {
    return this.#queued
  }

  /**
   * Queues a message of at most 65535 bytes, which nobody may change afterwards. It leaves after the running microtasks.
   *
   * @returns false if too much waits already, or the session is over; then nothing is queued
   */
  send(...messages: readonly Uint8Array[]): boolean {
    if (this.#state !== 'open') return false
    let size = 0
    for (const message of messages) size += message.length + MESSAGE_OVERHEAD
    if (this.#queued + size > this.#options.maxQueueBytes && this.#queued > 0) return false
    this.#enqueue(messages, size)
    return true
  }

  /**
   * Ends the session: what was queued and then `farewell` are sent first, if the other side takes them in time.
   * Messages that still come are not handled. Can be called again.
   *
   * @param error what `onClose` is told
   */
  close(error?: PerkunasError, farewell?: Uint8Array): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#error = error
    this.#incoming.clear()
    if (this.#isPaused) this.#resume() // or the end of the stream would never be seen
    this.#stopLinger = this.#options.clock.after(this.#options.linger, () => this.#stream.destroy())
    if (this.#send === undefined) {
      this.#stream.close()
      return
    }
    if (farewell !== undefined) this.#enqueue([farewell], farewell.length + MESSAGE_OVERHEAD)
    this.#scheduleFlush()
  }

  /** Ends the session at once. */
  destroy(error?: PerkunasError): void {
    if (this.#state === 'open') this.#error = error
    if (this.#state !== 'closed') this.#stream.destroy()
  }

  /** @internal */
  onData(bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    this.#incoming.push(bytes)
    if (this.#turn === 'idle') this.#read()
    else this.#throttle()
  }

  /** @internal */
  onDrain(): void {
    this.#isWritable = true
    this.#flush()
  }

  /** @internal */
  onClose(): void {
    if (this.#state === 'closed') return
    if (this.#state === 'open') this.#error ??= this.#lost()
    this.#state = 'closed'
    this.#stopLinger?.()
    this.#incoming.clear()
    this.#outgoing = []
    this.#queued = 0
    this.#handlers.onClose(this.#error)
  }

  #lost(): PerkunasError {
    const peer = this.#remote
    if (peer !== undefined) return unreachable(peer, 'lost', 'the connection was lost')
    // Who is called by an ID that is not his can't read the first act, and hangs up.
    return handshakeFailed(
      this.#options.remote === undefined
        ? 'the stream ended'
        : 'the stream ended; the other side may have another ID',
    )
  }

  /** One turn of reading. */
  #read(): void {
    const { clock } = this.#options
    const started = clock.now()
    this.#turn = 'reading'
    for (let count = 0; this.#state === 'open'; count++) {
      if (count >= TURN_MESSAGES || (count > 0 && clock.now() - started >= TURN_MS)) {
        this.#readLater()
        break
      }
      const message = this.#next()
      if (message === undefined) {
        this.#turn = 'idle'
        break
      }
      const handled = this.#handlers.onMessage(message)
      if (handled !== undefined) {
        this.#turn = 'behind'
        void handled.then(() => this.#readLater())
        break
      }
    }
    this.#throttle()
  }

  #readLater(): void {
    this.#turn = 'scheduled'
    nextTurn(() => {
      if (this.#state === 'open') this.#read()
    })
  }

  /** Lets the stream run when there is little to read, and stops it when there is much. */
  #throttle(): void {
    if (this.#state !== 'open') return
    const isFull = this.#incoming.length >= READ_AHEAD_BYTES
    if (isFull && !this.#isPaused) {
      this.#isPaused = true
      this.#stream.pause()
    } else if (!isFull && this.#isPaused) this.#resume()
  }

  #resume(): void {
    this.#isPaused = false
    this.#stream.resume()
  }

  /** The next message, once the handshake is over and all of it is there. */
  #next(): Uint8Array | undefined {
    while (this.#handshake !== undefined) {
      const act = this.#incoming.take(ACT_BYTES[this.#handshake.phase])
      if (act === undefined) return undefined
      this.#shake(this.#handshake, act)
      if (this.#state !== 'open') return undefined
    }
    const cipher = this.#receive
    if (cipher === undefined) return undefined
    if (this.#awaited === undefined) {
      const sealed = this.#incoming.take(SEALED_LENGTH_BYTES)
      if (sealed === undefined) return undefined
      this.#awaited = openLength(cipher, sealed)
      if (this.#awaited === undefined) return this.#notAuthentic()
    }
    const body = this.#incoming.take(this.#awaited + TAG_BYTES)
    if (body === undefined) return undefined
    this.#awaited = undefined
    return cipher.open(body) ?? this.#notAuthentic()
  }

  #notAuthentic(): undefined {
    const peer = this.#remote
    if (peer === undefined) return
    this.destroy(
      new PerkunasError('PEER_MISBEHAVED', 'a message is not authentic', { peer, reason: 'not authentic' }),
    )
  }

  #shake(handshake: Handshake, act: Uint8Array): void {
    const { identity } = this.#options
    const result = step(handshake, identity, act)
    switch (result.kind) {
      case 'failed':
        this.destroy(handshakeFailed(result.reason))
        return
      case 'reply':
        this.#handshake = result.next
        this.#write(result.send)
        return
      case 'done':
        this.#begin(result.keys, result.send)
    }
  }

  #begin(keys: SessionKeys, act: Uint8Array | undefined): void {
    if (keys.remote === this.#options.identity.id) {
      this.destroy(handshakeFailed('the other side is ourselves'))
      return
    }
    this.#handshake = undefined
    this.#remote = keys.remote
    this.#receive = new CipherState(keys.chaining, keys.receive)
    const isWanted = this.#handlers.onAuthenticated(keys.remote)
    if (this.#state !== 'open') return
    if (!isWanted) {
      this.#state = 'closing'
      this.#stream.destroy()
      return
    }
    if (act !== undefined) this.#write(act)
    this.#send = new CipherState(keys.chaining, keys.send)
    this.#scheduleFlush()
  }

  #enqueue(messages: readonly Uint8Array[], size: number): void {
    this.#outgoing.push(...messages)
    this.#queued += size
    this.#scheduleFlush()
  }

  #scheduleFlush(schedule: (task: () => void) => void = queueMicrotask): void {
    if (this.#isFlushScheduled || !this.#isWritable || this.#send === undefined) return
    this.#isFlushScheduled = true
    schedule(() => {
      this.#isFlushScheduled = false
      this.#flush()
    })
  }

  /** Seals what waits, as much as one turn allows, and writes it at once. */
  #flush(): void {
    const cipher = this.#send
    if (this.#state === 'closed' || cipher === undefined || !this.#isWritable) return
    let count = 0
    let size = 0
    for (const message of this.#outgoing) {
      if (size >= TURN_WRITE_BYTES) break
      size += message.length + SEALED_LENGTH_BYTES + TAG_BYTES
      count++
    }
    if (count > 0) {
      const messages = this.#outgoing.splice(0, count)
      const out = new Uint8Array(size)
      let at = 0
      for (const message of messages) {
        at = sealMessage(cipher, message, out, at)
        this.#queued -= message.length + MESSAGE_OVERHEAD
      }
      this.#write(out)
    }
    if (this.#outgoing.length > 0) this.#scheduleFlush(nextTurn)
    else if (this.#state === 'closing') this.#stream.close()
  }

  #write(bytes: Uint8Array): void {
    this.#isWritable = this.#stream.write(bytes)
  }
}

function handshakeFailed(reason: string): PerkunasError<'HANDSHAKE_FAILED'> {
  return new PerkunasError('HANDSHAKE_FAILED', `the handshake failed: ${reason}`, { reason })
}
