// Streams in memory: two ends of a pipe, and a place where dialers and listeners meet. For tests and simulation.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import type { PeerID } from './identity.js'
import type { Dialer, Listener, Stream, StreamReceiver } from './stream.js'
import { nextTurn } from './turn.js'
import { unreachable } from './unreachable.js'

/** Options of streams in memory. */
export interface MemoryStreamOptions {
  /** Runs each delivery later; tasks may be delayed but must run in the order given. Default: next turn. */
  readonly schedule?: (task: () => void) => void
  /** Bytes on their way in one direction from which `write` asks to stop. Default 64 KiB. */
  readonly highWaterMark?: number
}

const OPTION_NAMES: NamesOf<MemoryStreamOptions> = { schedule: true, highWaterMark: true }

/** One end of a pipe, with what only a test may do. */
export interface MemoryStream extends Stream {
  /** Bytes that were written here and not yet taken by the other end. */
  readonly bytesOnTheirWay: number
  /** From now on nothing gets through in either direction, and neither end notices. */
  stall(): void
}

/** Two ends of a pipe. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function memoryStreams(options: MemoryStreamOptions = {}): readonly [MemoryStream, MemoryStream] {
  demandNames(options, OPTION_NAMES)
  const a = new End(options)
  const b = new End(options)
  a.connect(b)
  b.connect(a)
  return [a, b]
}

class End implements MemoryStream {
  readonly #schedule: (task: () => void) => void
  readonly #highWaterMark: number
  /** What the other end has written and we have not handed on. */
  readonly #incoming: Uint8Array[] = []
  #size = 0
  #other: End | undefined
  #receiver: StreamReceiver | undefined
  #isScheduled = false
  #isPaused = false
  #isStalled = false
  #mustDrain = false
  #state: 'open' | 'ended' | 'closed' = 'open'
  #isOver = false

  constructor({ schedule = nextTurn, highWaterMark = 64 * 1024 }: MemoryStreamOptions) {
    this.#schedule = schedule
    this.#highWaterMark = highWaterMark
  }

  connect(other: End): void {
    this.#other = other
  }

  get bytesOnTheirWay(): number {
    return this.#other?.incomingBytes ?? 0
  }

  get incomingBytes(): number {
    return this.#size
  }

  start(receiver: StreamReceiver): void {
    this.#receiver = receiver
    this.#wake()
  }

  write(bytes: Uint8Array): boolean {
    if (this.#state !== 'open' || this.#other === undefined) return true
    const size = this.#other.accept(bytes)
    this.#mustDrain = size >= this.#highWaterMark
    return !this.#mustDrain
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#wake()
  }

  close(): void {
    if (this.#state !== 'open') return
    this.#state = 'ended'
    this.#other?.end()
    this.#wake()
  }

  destroy(): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#incoming.length = 0
    this.#size = 0
    this.#other?.end()
    this.#wake()
  }

  stall(): void {
    this.#isStalled = true
    if (this.#other !== undefined) this.#other.#isStalled = true
  }

  accept(bytes: Uint8Array): number {
    if (this.#state === 'closed') return 0
    this.#incoming.push(bytes)
    this.#size += bytes.length
    this.#wake()
    return this.#size
  }

  /** The other end writes no more. */
  end(): void {
    this.#isOver = true
    this.#wake()
  }

  #wake(): void {
    if (this.#isScheduled || this.#receiver === undefined) return
    this.#isScheduled = true
    this.#schedule(() => {
      this.#isScheduled = false
      this.#deliver()
    })
  }

  #deliver(): void {
    const receiver = this.#receiver
    if (receiver === undefined) return
    if (this.#state === 'closed') {
      this.#receiver = undefined
      receiver.onClose()
      return
    }
    if (this.#isStalled) return
    const next = this.#isPaused ? undefined : this.#incoming.shift()
    if (next !== undefined) {
      this.#size -= next.length
      receiver.onData(next)
      this.#other?.drained(this.#size)
      this.#wake()
    } else if (this.#isOver && this.#incoming.length === 0) {
      this.destroy()
    }
  }

  drained(size: number): void {
    if (!this.#mustDrain || size > 0 || this.#state === 'closed') return
    this.#mustDrain = false
    this.#receiver?.onDrain()
  }
}

/** Where memory dialers and listeners of one test meet. */
export interface MemoryTransport {
  readonly dialer: Dialer
  /** A listener at `memory://<name>`. */
  listener(name: string): Listener
  /** Called with both ends of each new pipe, to stall or to count. */
  onPipe(handler: (dialled: MemoryStream, accepted: MemoryStream) => void): void
}

/** Makes a place where streams in memory can be dialled. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function memoryTransport(options: MemoryStreamOptions = {}): MemoryTransport {
  demandNames(options, OPTION_NAMES)
  const { schedule = nextTurn } = options
  const listening = new Map<string, (stream: Stream) => void>()
  const watchers: ((dialled: MemoryStream, accepted: MemoryStream) => void)[] = []
  return {
    onPipe: (handler) => {
      watchers.push(handler)
    },
    listener: (name) => ({
      address: `memory://${name}`,
      listen: async (onStream) => {
        if (listening.has(name)) {
          throw new PerkunasError('INVALID_ARGUMENT', `${name} is taken`, { argument: 'name' })
        }
        listening.set(name, onStream)
      },
      close: async () => {
        listening.delete(name)
      },
    }),
    dialer: {
      scheme: 'memory',
      dial: (peer: PeerID, name: string, signal?: AbortSignal) =>
        new Promise((resolve, reject) => {
          schedule(() => {
            const accept = listening.get(name)
            if (accept === undefined || signal?.aborted) {
              reject(unreachable(peer, 'refused', `nobody listens at memory://${name}`))
              return
            }
            const [dialled, accepted] = memoryStreams(options)
            for (const watch of watchers) watch(dialled, accepted)
            resolve(dialled)
            accept(accepted)
          })
        }),
    },
  }
}
