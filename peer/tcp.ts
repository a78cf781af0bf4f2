// Streams over TCP: the only file that knows Node.js sockets.
import { createServer, type Server, type Socket, connect as tcpConnect } from 'node:net'
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError, type UnreachableReason } from '../channel/errors.js'
import type { PeerID } from './identity.js'
import type { Dialer, Listener, Stream, StreamReceiver } from './stream.js'
import { unreachable } from './unreachable.js'

/** Where to listen. */
export interface TcpListenerOptions {
  /** Default `127.0.0.1`: whoever wants to be reached from elsewhere says so. */
  readonly host?: string
  /** Default 0: the system chooses. */
  readonly port?: number
}

/** How to dial. */
export interface TcpDialerOptions {
  /** Milliseconds until a connection must be there. Default 10 000. */
  readonly timeout?: number
}

const LISTENER_NAMES: NamesOf<TcpListenerOptions> = { host: true, port: true }
const DIALER_NAMES: NamesOf<TcpDialerOptions> = { timeout: true }

/** A dialer of `tcp://host:port`; IPv6 hosts in brackets. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function tcpDialer(options: TcpDialerOptions = {}): Dialer {
  demandNames(options, DIALER_NAMES)
  const { timeout = 10_000 } = options
  return {
    scheme: 'tcp',
    dial: async (peer: PeerID, address: string, signal?: AbortSignal) => {
      const { host, port } = parse(address)
      return new Promise((resolve, reject) => {
        const socket = tcpConnect({ host, port, noDelay: true })
        const fail = (reason: UnreachableReason, why: string, cause?: unknown): void => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
          socket.destroy()
          reject(unreachable(peer, reason, `tcp://${address}: ${why}`, cause))
        }
        const onAbort = (): void => fail('aborted', 'aborted')
        const onError = (error: NodeJS.ErrnoException): void => fail(reasonOf(error), error.message, error)
        const timer = setTimeout(() => fail('timedOut', `no answer within ${timeout} ms`), timeout)
        signal?.addEventListener('abort', onAbort, { once: true })
        socket.once('error', onError)
        socket.once('connect', () => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
          socket.removeListener('error', onError)
          resolve(new TcpStream(socket))
        })
        if (signal?.aborted) onAbort()
      })
    },
  }
}

/**
 * A listener on a TCP port. `listen` throws INVALID_ARGUMENT, with the cause, if the port can't be had.
 *
 * @throws PerkunasError INVALID_ARGUMENT if an option is unknown
 */
export function tcpListener(options: TcpListenerOptions = {}): Listener {
  demandNames(options, LISTENER_NAMES)
  return new TcpListener(options)
}

class TcpListener implements Listener {
  readonly #host: string
  readonly #port: number
  #server: Server | undefined
  #address = ''

  constructor({ host = '127.0.0.1', port = 0 }: TcpListenerOptions) {
    this.#host = host
    this.#port = port
  }

  get address(): string {
    return this.#address
  }

  listen(onStream: (stream: Stream) => void): Promise<void> {
    // Paused on connect, so that nothing is read before somebody is told.
    const server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) =>
      onStream(new TcpStream(socket)),
    )
    this.#server = server
    const { host, port } = { host: this.#host, port: this.#port }
    return new Promise((resolve, reject) => {
      const fail = (cause: Error) => {
        const message = `can't listen at tcp://${host}:${port}: ${cause.message}`
        reject(new PerkunasError('INVALID_ARGUMENT', message, { argument: 'listener' }, { cause }))
      }
      if (!Number.isInteger(port) || port < 0 || port > 65535) return fail(new Error('no such port'))
      server.once('error', fail)
      server.listen({ host, port }, () => {
        server.removeListener('error', fail)
        server.on('error', () => undefined) // a failed accept costs that connection only
        const bound = server.address()
        if (typeof bound === 'object' && bound !== null) {
          const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
          this.#address = `tcp://${host}:${bound.port}`
        }
        resolve()
      })
    })
  }

  close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    return new Promise((resolve) => {
      if (server === undefined) return resolve()
      // The callback waits for streams to end, which have owners of their own; the port is free at once.
      server.close()
      resolve()
    })
  }
}

class TcpStream implements Stream {
  readonly #socket: Socket

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', () => undefined) // 'close' follows; before `start` there is nobody to tell
    socket.pause()
  }

  start(receiver: StreamReceiver): void {
    const socket = this.#socket
    socket.on('data', (bytes: Uint8Array) => receiver.onData(bytes))
    socket.on('drain', () => receiver.onDrain())
    if (socket.closed) setImmediate(() => receiver.onClose())
    else socket.once('close', () => receiver.onClose())
    socket.resume()
  }

  write(bytes: Uint8Array): boolean {
    return this.#socket.writable ? this.#socket.write(bytes) : true
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}

function reasonOf({ code }: NodeJS.ErrnoException): UnreachableReason {
  if (code === 'ECONNREFUSED') return 'refused'
  return code === 'ETIMEDOUT' ? 'timedOut' : 'failed'
}

function parse(address: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(address)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port < 1 || port > 65535) {
    throw new PerkunasError('INVALID_ARGUMENT', `host:port expected, got ${address.slice(0, 100)}`, {
      argument: 'address',
    })
  }
  return { host, port }
}
