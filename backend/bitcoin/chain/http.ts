// HTTP to somebody who may be gone, slow, or mean: every answer is bounded in time and size, and so is the patience.
import type { NamesOf } from '../../../channel/arguments.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { pause } from './pause.js'

/** How a server is asked. Times in milliseconds. */
export interface HttpOptions {
  /** For one answer, from asking to its last byte. Default 30 000: a full block from a slow disk. */
  readonly timeout?: number
  /** For how long a call is tried again while there is no answer. Default 10 000. */
  readonly patience?: number
}

/** The names of {@link HttpOptions}. */
export const HTTP_NAMES: NamesOf<HttpOptions> = { timeout: true, patience: true }

/** One question. */
export interface HttpRequest {
  readonly path: string
  readonly method: 'GET' | 'POST'
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** Bytes of the answer, beyond which no more is read. */
  readonly limit: number
}

/** One answer. */
export interface HttpAnswer {
  readonly status: number
  readonly body: Uint8Array
}

const FIRST_PAUSE = 50
const LAST_PAUSE = 2_000

/** A server. */
export class HttpServer {
  /** Host and port. */
  readonly name: string
  readonly #base: string
  readonly #timeout: number
  readonly #patience: number
  readonly #closing = new AbortController()

  /** @throws PerkunasError INVALID_ARGUMENT if the address is not one of HTTP */
  constructor(url: string, options: HttpOptions = {}) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    if (parsed?.protocol !== 'http:' && parsed?.protocol !== 'https:') {
      throw new PerkunasError('INVALID_ARGUMENT', 'an address beginning with http: or https: expected', {
        argument: 'url',
      })
    }
    this.name = parsed.host
    this.#base = `${parsed.origin}${parsed.pathname}`.replace(/\/+$/, '')
    this.#timeout = options.timeout ?? 30_000
    this.#patience = options.patience ?? 10_000
  }

  /**
   * Asks once.
   *
   * @throws PerkunasError LEDGER_UNREACHABLE, TOO_LARGE, ABORTED, CLOSED
   */
  async ask(request: HttpRequest, signal?: AbortSignal): Promise<HttpAnswer> {
    const { path, method, headers = {}, body, limit } = request
    const timeout = AbortSignal.timeout(this.#timeout)
    const signals = [timeout, this.#closing.signal, ...(signal === undefined ? [] : [signal])]
    try {
      const response = await fetch(`${this.#base}${path}`, {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
        signal: AbortSignal.any(signals),
        // Where else it may point to is not for a server to say.
        redirect: 'error',
      })
      return { status: response.status, body: await readBody(response, limit) }
    } catch (error) {
      this.#demandOpen(signal)
      if (isError(error, 'TOO_LARGE')) throw error
      if (timeout.aborted) throw this.unreachable(`no answer within ${this.#timeout} ms`, error)
      // What fetch says hides the reason in the cause.
      const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
      throw this.unreachable(cause instanceof Error ? cause.message : String(cause), cause)
    }
  }

  /**
   * Does what ends with LEDGER_UNREACHABLE again, with growing pauses.
   *
   * @throws PerkunasError LEDGER_UNREACHABLE after the time of {@link HttpOptions.patience}, ABORTED, CLOSED; what `act` throws
   */
  async patiently<T>(act: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const started = performance.now()
    for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LAST_PAUSE)) {
      this.#demandOpen(signal)
      try {
        return await act()
      } catch (error) {
        if (!isError(error, 'LEDGER_UNREACHABLE')) throw error
        if (performance.now() - started + pause > this.#patience) throw error
      }
      await this.pause(pause, signal)
    }
  }

  /** Waits. @throws PerkunasError ABORTED, CLOSED */
  async pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const signals = [this.#closing.signal, ...(signal === undefined ? [] : [signal])]
    await pause(milliseconds, AbortSignal.any(signals))
    this.#demandOpen(signal)
  }

  /** The error for an answer that is none. */
  unreachable(reason: string, cause?: unknown): PerkunasError<'LEDGER_UNREACHABLE'> {
    return new PerkunasError(
      'LEDGER_UNREACHABLE',
      `no answer from ${this.name}: ${reason.slice(0, 200)}`,
      { ledger: this.name },
      { cause },
    )
  }

  /** Ends all calls. Idempotent. */
  close(): void {
    this.#closing.abort()
  }

  #demandOpen(signal: AbortSignal | undefined): void {
    if (this.#closing.signal.aborted) {
      throw new PerkunasError('CLOSED', `the connection to ${this.name} is closed`, { what: this.name })
    }
    if (signal?.aborted) {
      const message = 'the caller ended the call; a transaction may have been sent'
      throw new PerkunasError('ABORTED', message, { call: 'chain' }, { cause: signal.reason })
    }
  }
}

async function readBody({ body, headers }: Response, limit: number): Promise<Uint8Array> {
  const announced = Number(headers.get('content-length') ?? 0)
  if (announced > limit) {
    await body?.cancel()
    throw tooLarge(limit, announced)
  }
  const chunks: Uint8Array[] = []
  let length = 0
  // Leaving the loop hangs up.
  for await (const chunk of body ?? []) {
    length += chunk.length
    if (length > limit) throw tooLarge(limit, length)
    chunks.push(chunk)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

function tooLarge(limit: number, actual: number): PerkunasError<'TOO_LARGE'> {
  return new PerkunasError('TOO_LARGE', `an answer of at most ${limit} bytes expected`, { limit, actual })
}
