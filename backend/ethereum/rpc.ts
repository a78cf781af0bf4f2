// Talking to a node: one JSON-RPC request at a time, over HTTP, over a WebSocket that is opened anew when it was
// lost, or through a provider of ethers. Nothing here retries: chain.ts does.
import { type JsonRpcApiProvider, Network, WebSocketProvider } from 'ethers'
import { PerkunasError } from '../../channel/index.js'
import { isObject, type JsonObject } from './json.js'

/** A way to a node. */
export interface Rpc {
  /** For messages: host and port without path and credentials. */
  readonly name: string
  /**
   * One request.
   *
   * @throws PerkunasError LEDGER_UNREACHABLE if no answer came; {@link RpcError} if the node answered with an error
   */
  request(method: string, params: readonly unknown[]): Promise<unknown>
  /** Calls back at each new block, where the node tells by itself. Returns what ends it. */
  onHead?(listener: () => void): () => void
  /** Ends it; open requests fail. Idempotent. */
  close(): void
}

/** What a node answered instead of a result. */
export class RpcError extends Error {
  override readonly name = 'RpcError'

  /**
   * @param data what came with it; for a reverted call the revert's data, as each kind of node wraps it
   */
  constructor(
    message: string,
    readonly code: number,
    readonly data: unknown,
  ) {
    super(message)
  }

  /** Whether the call itself failed, not the node (code 3 is geth's; others say it in words). */
  get isRevert(): boolean {
    return this.code === 3 || /revert|\bevm|opcode|out ?of ?gas|stack|jump/i.test(this.message)
  }
}

/** Opens a way to a node by its address: `http:`, `https:`, `ws:` or `wss:`. Connects at the first request. */
export function rpcOf(url: string, requestTimeout: number): Rpc {
  const parsed = URL.canParse(url) ? new URL(url) : undefined
  switch (parsed?.protocol) {
    case 'http:':
    case 'https:':
      return new HttpRpc(parsed, requestTimeout)
    case 'ws:':
    case 'wss:':
      return new WebSocketRpc(parsed, requestTimeout)
    default:
      throw new PerkunasError(
        'INVALID_ARGUMENT',
        "a node's address beginning with http:, https:, ws: or wss: expected, as http://127.0.0.1:8545",
        {
          argument: 'provider',
        },
      )
  }
}

/** Uses a provider of ethers, which stays its owner's to close. */
export function rpcOfProvider(provider: JsonRpcApiProvider): Rpc {
  return {
    name: 'provider',
    async request(method, params) {
      try {
        return await provider.send(method, [...params])
      } catch (error) {
        throw answered(error) ?? unreachable('provider', error)
      }
    },
    onHead(listener) {
      const quiet = () => undefined
      provider.on('block', listener).catch(quiet)
      return () => void provider.off('block', listener).catch(quiet)
    },
    close: () => undefined,
  }
}

/** A failure to reach a node. */
export function unreachable(name: string, cause: unknown): PerkunasError<'LEDGER_UNREACHABLE'> {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError(
    'LEDGER_UNREACHABLE',
    `no answer from the Ethereum node ${name}: ${reason.slice(0, 200)}`,
    { ledger: name },
    { cause },
  )
}

/** ethers wraps what a node answers in errors of its own; the node's error lies inside. */
function answered(error: unknown): RpcError | undefined {
  for (let at = error, depth = 0; isObject(at) && depth < 4; depth++) {
    const inner: unknown = at['error'] ?? at['info']
    if (typeof at['code'] === 'number' && typeof at['message'] === 'string') return rpcError(at)
    at = inner
  }
  return undefined
}

function rpcError(error: JsonObject): RpcError {
  const { message, code, data } = error
  return new RpcError(
    typeof message === 'string' ? message.slice(0, 2000) : 'no message',
    typeof code === 'number' ? code : 0,
    data,
  )
}

/** A result out of a response, or the error that the response is. */
function resultOf(name: string, response: unknown): unknown {
  if (isObject(response)) {
    if (isObject(response['error'])) throw rpcError(response['error'])
    if ('result' in response) return response['result']
  }
  throw unreachable(name, new Error('not a JSON-RPC response'))
}

/** Bytes of an answer: more than any node gives at once for what is asked here, and far less than memory. */
const MAX_ANSWER = 32 * 1024 * 1024
/** JSON-RPC error "limit exceeded" (EIP-1474). */
const LIMIT_EXCEEDED = -32005

/** An answer's text. @throws RpcError if it is too long, as if the node had said so: less can be asked for then */
async function textOf({ headers, body }: Response): Promise<string> {
  const refuse = async (): Promise<never> => {
    await body?.cancel().catch(() => undefined)
    throw new RpcError(`an answer of more than ${MAX_ANSWER} bytes`, LIMIT_EXCEEDED, undefined)
  }
  // Not what a packed answer becomes: that is counted below.
  if (Number(headers.get('content-length') ?? 0) > MAX_ANSWER) return refuse()
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let length = 0
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    length += part.value.length
    if (length > MAX_ANSWER) {
      reader?.releaseLock()
      return refuse()
    }
    text += decoder.decode(part.value, { stream: true })
  }
  return text + decoder.decode()
}

class HttpRpc implements Rpc {
  readonly name: string
  readonly #url: string
  readonly #headers: Record<string, string> = { 'content-type': 'application/json' }
  readonly #closing = new AbortController()
  #id = 0

  constructor(
    url: URL,
    readonly timeout: number,
  ) {
    this.name = url.host
    if (url.username !== '') {
      // fetch refuses addresses with credentials in them.
      const credentials = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
      this.#headers['authorization'] = `Basic ${btoa(credentials)}`
    }
    const bare = new URL(url)
    bare.username = ''
    bare.password = ''
    this.#url = bare.href
  }

  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    let response: unknown
    try {
      const answer = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify({ jsonrpc: '2.0', id: ++this.#id, method, params }),
        signal: AbortSignal.any([this.#closing.signal, AbortSignal.timeout(this.timeout)]),
      })
      const text = await textOf(answer)
      try {
        response = JSON.parse(text)
      } catch {
        throw new Error(`HTTP status ${answer.status}, and its answer is not JSON: is it a node's address?`)
      }
      if (answer.status === 429) throw new Error('too many requests')
    } catch (error) {
      if (error instanceof RpcError) throw error
      // undici says "fetch failed" and hides the reason in the cause.
      throw unreachable(this.name, error instanceof Error && error.cause ? error.cause : error)
    }
    return resultOf(this.name, response)
  }

  close(): void {
    this.#closing.abort()
  }
}

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
  readonly timer: NodeJS.Timeout
}

class WebSocketRpc implements Rpc {
  readonly name: string
  #id = 0
  #closed = false
  #connection: Promise<Connection> | undefined
  readonly #listeners = new Set<() => void>()

  constructor(
    readonly url: URL,
    readonly timeout: number,
  ) {
    this.name = url.host
  }

  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    const connection = await this.#connect()
    return resultOf(this.name, await connection.request(++this.#id, method, params))
  }

  onHead(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    this.#connection?.then(
      (connection) => connection.close(),
      () => undefined,
    )
  }

  #connect(): Promise<Connection> {
    if (this.#closed) throw unreachable(this.name, new Error('closed'))
    if (this.#connection !== undefined) return this.#connection
    const forget = () => {
      if (this.#connection === opening) this.#connection = undefined
    }
    const opening = Connection.open(this.url.href, this.name, this.timeout, {
      lost: forget,
      head: () => {
        for (const listener of this.#listeners) listener()
      },
    }).then((connection) => {
      if (this.#closed) connection.close()
      // Who refuses to tell of new blocks is polled.
      else connection.request(++this.#id, 'eth_subscribe', ['newHeads']).catch(() => undefined)
      return connection
    })
    this.#connection = opening
    opening.catch(forget)
    return opening
  }
}

/** One socket, from its opening to its end. */
class Connection {
  readonly #waiting = new Map<number, Waiting>()

  private constructor(
    readonly name: string,
    readonly timeout: number,
    readonly socket: { send(text: string): void; close(): void },
  ) {}

  static open(
    url: string,
    name: string,
    timeout: number,
    on: { lost(): void; head(): void },
  ): Promise<Connection> {
    return new Promise((resolve, reject) => {
      // ethers knows where each platform keeps its WebSocket. Its own use of the socket ends with these handlers.
      const { websocket } = new WebSocketProvider(url, Network.from(1), { staticNetwork: true })
      const connection = new Connection(name, timeout, websocket)
      const timer = setTimeout(() => end(new Error('no connection in time')), timeout)
      const end = (cause: unknown) => {
        clearTimeout(timer)
        on.lost()
        const error = unreachable(name, cause)
        reject(error)
        connection.#fail(error)
        websocket.close()
      }
      Object.assign(websocket, {
        onopen: () => {
          clearTimeout(timer)
          resolve(connection)
        },
        onmessage: (message: { data: unknown }) => {
          if (connection.#received(message.data)) on.head()
        },
        onerror: (event: unknown) => end(isObject(event) ? event['message'] : 'socket error'),
        onclose: () => end(new Error('the connection was closed')),
      })
    })
  }

  request(id: number, method: string, params: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(unreachable(this.name, new Error(`no answer to ${method} in time`)))
        // A connection that answers no more is as good as lost: the next request opens another.
        this.close()
      }, this.timeout)
      this.#waiting.set(id, { resolve, reject, timer })
      try {
        this.socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
      } catch (error) {
        clearTimeout(timer)
        this.#waiting.delete(id)
        reject(unreachable(this.name, error))
      }
    })
  }

  close(): void {
    this.socket.close()
  }

  /** Whether it was news of a block. */
  #received(data: unknown): boolean {
    let message: unknown
    try {
      message = JSON.parse(String(data))
    } catch {
      return false
    }
    if (!isObject(message)) return false
    if (message['method'] === 'eth_subscription') return true
    const id = message['id']
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined
    if (typeof id !== 'number' || waiting === undefined) return false
    this.#waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.resolve(message)
    return false
  }

  #fail(error: Error): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer)
      reject(error)
    }
    this.#waiting.clear()
  }
}
