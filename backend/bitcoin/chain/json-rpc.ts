// JSON-RPC to bitcoind over HTTP, several calls in one request where they belong together.
import { base64 } from '@scure/base'
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'
import { HTTP_NAMES, type HttpOptions, HttpServer } from './http.js'
import { isObject, type JsonObject, list, wrong } from './json.js'

/** How to be let in: by the node's cookie file, which it writes anew at each start, or by name and password. */
export type Credentials =
  | { readonly cookieFile: string }
  | { readonly user: string; readonly password: string }

/** Where a node is, and how to be let in. */
export interface RpcOptions extends HttpOptions {
  /** Such as `http://127.0.0.1:8332`; without credentials in it. */
  readonly url: string
  readonly credentials: Credentials
}

/** The names of {@link RpcOptions}. */
export const RPC_NAMES: NamesOf<RpcOptions> = { url: true, credentials: true, ...HTTP_NAMES }
const CREDENTIAL_NAMES: NamesOf<Credentials> = { cookieFile: true, user: true, password: true }

/** One call. */
export interface RpcCall {
  readonly method: string
  readonly params?: readonly unknown[]
}

/** What the node answered instead of a result. */
export class RpcError extends Error {
  override readonly name = 'RpcError'

  /** @param code of `rpc/protocol.h` in Bitcoin Core */
  constructor(
    message: string,
    readonly code: number,
  ) {
    super(message)
  }
}

/** The node is there, but not yet with what it is asked for. */
const WARMING_UP = -28
/** Of a call's answer, unless it says otherwise: lists of a wallet's coins. */
const USUAL_LIMIT = 16_000_000

/** How a call is answered. */
export interface RpcCallOptions {
  readonly signal?: AbortSignal | undefined
  /** Of the answer in bytes. */
  readonly limit?: number
  /** The wallet that is asked. */
  readonly wallet?: string
}

/** One node. */
export class BitcoinRpc {
  readonly http: HttpServer
  readonly #credentials: Credentials
  #authorization: string | undefined
  #id = 0

  /** @throws PerkunasError INVALID_ARGUMENT if the address is not one of HTTP, or there are no credentials */
  constructor(options: RpcOptions) {
    demandCredentials(options.credentials)
    this.http = new HttpServer(options.url, options)
    this.#credentials = options.credentials
  }

  /**
   * One call, tried again while there is no answer.
   *
   * @throws RpcError if the node answered with an error; PerkunasError LEDGER_UNREACHABLE, INVALID_MESSAGE, TOO_LARGE,
   *   ABORTED, CLOSED
   */
  async call(
    method: string,
    params: readonly unknown[] = [],
    options: RpcCallOptions = {},
  ): Promise<unknown> {
    const body = { jsonrpc: '1.0', id: ++this.#id, method, params }
    return this.http.patiently(
      async () => resultOf(this.#known(await this.#post(body, options))),
      options.signal,
    )
  }

  /** Calls in one request. An error of a call is in its place. @throws as {@link call}, but no RpcError */
  async batch(calls: readonly RpcCall[], options: RpcCallOptions = {}): Promise<readonly unknown[]> {
    const bodies = calls.map(({ method, params = [] }) => ({
      jsonrpc: '1.0',
      id: ++this.#id,
      method,
      params,
    }))
    return this.http.patiently(async () => {
      const answers = list(await this.#post(bodies, options), 'batch').filter(isObject)
      return bodies.map(({ id, method }) => {
        const answer = answers.find((one) => one['id'] === id)
        if (answer === undefined) return wrong(method, 'an answer to each call', undefined)
        try {
          return resultOf(this.#known(answer))
        } catch (error) {
          if (error instanceof RpcError) return error
          throw error
        }
      })
    }, options.signal)
  }

  /** A response, unless it only says that the node is starting. */
  #known(response: unknown): JsonObject {
    if (!isObject(response)) return wrong('response', 'an object', response)
    const { error } = response
    if (isObject(error) && error['code'] === WARMING_UP) throw this.http.unreachable(String(error['message']))
    return response
  }

  async #post(body: unknown, options: RpcCallOptions): Promise<unknown> {
    const first = await this.#ask(body, options)
    // A node that was started again has another cookie.
    const answer = first.status === 401 && (await this.#reread()) ? await this.#ask(body, options) : first
    if (answer.status === 401 || answer.status === 403) {
      this.#authorization = undefined
      // Another cookie may come; another password does not.
      if (!('cookieFile' in this.#credentials)) throw badCredentials(`${this.http.name} refuses them`)
      throw this.http.unreachable('it refuses our credentials')
    }
    const said = new TextDecoder().decode(answer.body)
    try {
      return JSON.parse(said)
    } catch (cause) {
      if (answer.status === 200) return wrong('response', 'JSON', said.slice(0, 80))
      throw this.http.unreachable(`status ${answer.status} ${said.slice(0, 80)}`, cause)
    }
  }

  async #ask(body: unknown, { signal, limit = USUAL_LIMIT, wallet }: RpcCallOptions) {
    this.#authorization ??= await this.#login()
    return this.http.ask(
      {
        path: wallet === undefined ? '/' : `/wallet/${encodeURIComponent(wallet)}`,
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: this.#authorization },
        body: JSON.stringify(body),
        limit,
      },
      signal,
    )
  }

  /** Whether there are other credentials now. */
  async #reread(): Promise<boolean> {
    const before = this.#authorization
    this.#authorization = await this.#login()
    return this.#authorization !== before
  }

  async #login(): Promise<string> {
    const given = this.#credentials
    const pair =
      'cookieFile' in given
        ? await contentOf(given.cookieFile).catch((cause: unknown) => {
            throw this.http.unreachable(`its cookie file ${given.cookieFile} is not there (yet)`, cause)
          })
        : `${given.user}:${given.password}`
    return `Basic ${base64.encode(new TextEncoder().encode(pair.trim()))}`
  }
}

/** Whoever calls need not have been compiled against our types. @throws PerkunasError INVALID_ARGUMENT */
function demandCredentials(given: unknown): void {
  const credentials: Partial<Record<string, unknown>> = isObject(given) ? given : {}
  demandNames(credentials, CREDENTIAL_NAMES, 'credentials')
  const { cookieFile, user, password } = credentials
  if (typeof cookieFile === 'string' || (typeof user === 'string' && typeof password === 'string')) return
  throw badCredentials('a cookieFile, or a user and a password expected')
}

function badCredentials(why: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `credentials: ${why}`, { argument: 'credentials' })
}

/** Only who has a file needs a module of Node.js. */
async function contentOf(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  return readFile(path, 'utf8')
}

function resultOf(response: JsonObject): unknown {
  const { error, result } = response
  if (isObject(error)) {
    const { code, message } = error
    throw new RpcError(String(message).slice(0, 1000), typeof code === 'number' ? code : 0)
  }
  return result === undefined ? wrong('response', 'a result', response) : result
}

/** What an error of a node means to a caller that expects none. */
export function unexpected(method: string, error: unknown): unknown {
  if (!(error instanceof RpcError)) return error
  return new PerkunasError(
    'INVALID_MESSAGE',
    `the node refused ${method}: ${error.message.slice(0, 200)} (${error.code})`,
    { path: method, reason: error.message.slice(0, 200) },
    { cause: error },
  )
}
