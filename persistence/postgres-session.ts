// A connection with PostgreSQL that comes back: made when it is first needed, and again when it was lost.
import { Client, type ClientConfig, DatabaseError } from 'pg'

/** A query; all that is not SQL of ours travels as a parameter. */
export interface Query {
  /** Under which the server keeps its plan, for those that are repeated often. */
  readonly name?: string
  readonly text: string
  readonly values?: readonly (Uint8Array | string | number | bigint | readonly string[] | null)[]
}

/** What a query gave. */
export interface Rows {
  /** Rows given, or changed. */
  readonly count: number
  /** By column; `unknown`, since it comes from outside. */
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

/** Runs queries on one connection, in order. */
export type Run = (query: Query) => Promise<Rows>

/** How a {@link Session} behaves. */
export interface SessionOptions {
  readonly url: string
  /** Milliseconds that the server may be unreachable before work on it fails. */
  readonly patience: number
  /** Milliseconds that one query may take before its connection counts as lost. */
  readonly timeout: number
  /** SQL for each new connection. */
  readonly prepare: string
}

/** Milliseconds before a lost connection is made again: doubling from the first to the last. */
const RETRY = { first: 20, last: 1_000 }

/** A connection that comes back. */
export class Session {
  readonly #options: SessionOptions
  #client: Promise<Client> | undefined
  /** Settled when the connection is free: one piece of work has it at a time. */
  #last: Promise<void> = Promise.resolve()
  #isClosed = false

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** Runs one query; as {@link Session.work}. */
  query(query: Query): Promise<Rows> {
    return this.work((run) => run(query))
  }

  /**
   * Does some work on the connection, after what was asked before. If that is lost, the whole work is done once more on a new one, so it must
   * come to the same when it is done twice.
   *
   * @throws what the server says to a query; the last failure once the server was away for longer than our patience
   */
  work<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const done = this.#last.then(() => this.#work(work))
    this.#last = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }

  async #work<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const started = performance.now()
    let wait = RETRY.first
    while (true) {
      const current = this.#connected()
      try {
        const client = await current
        return await work((query) => ask(client, query))
      } catch (error) {
        if (!(error instanceof LostError)) throw error
        this.#discard(current)
        if (this.#isClosed || performance.now() - started > this.#options.patience) throw error
      }
      await new Promise((resolve) => setTimeout(resolve, wait))
      wait = Math.min(2 * wait, RETRY.last)
    }
  }

  /** Ends the connection; queries under way fail. */
  async close(): Promise<void> {
    this.#isClosed = true
    const client = this.#client
    this.#client = undefined
    await client?.then(end, () => undefined)
  }

  #connected(): Promise<Client> {
    if (this.#isClosed) return Promise.reject(new Error('the connection is closed'))
    this.#client ??= connect(this.#options)
    return this.#client
  }

  #discard(client: Promise<Client>): void {
    if (this.#client === client) this.#client = undefined
    client.then(end, () => undefined)
  }
}

async function connect({ url, timeout, prepare }: SessionOptions): Promise<Client> {
  const config: ClientConfig = {
    connectionString: url,
    connectionTimeoutMillis: timeout,
    query_timeout: timeout,
    keepAlive: true,
    application_name: 'perkunas',
  }
  const client = new Client(config)
  // A connection that breaks between two queries is noticed by the next one.
  client.on('error', () => undefined)
  try {
    await client.connect()
    await client.query(prepare)
    return client
  } catch (error) {
    void end(client)
    throw explained(error)
  }
}

async function end(client: Client): Promise<void> {
  await client.end().catch(() => undefined)
}

async function ask(client: Client, { name, text, values = [] }: Query): Promise<Rows> {
  const parameters = values.map((value) => (value instanceof Uint8Array ? asBuffer(value) : value))
  try {
    const { rows, rowCount } = await client.query<Record<string, unknown>>({
      text,
      values: parameters,
      ...(name === undefined ? {} : { name }),
    })
    return { rows, count: rowCount ?? 0 }
  } catch (error) {
    throw explained(error)
  }
}

/** Only Buffers travel as the bytes they are. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** The connection is lost, or nobody knows where it stands. */
class LostError extends Error {}

/** What the server says to a query carries a code; whatever else goes wrong is the connection's. */
function explained(error: unknown): unknown {
  if (error instanceof DatabaseError && !PASSING.test(error.code ?? '')) return error
  return new LostError(error instanceof Error ? error.message : String(error), { cause: error })
}

/** Whether the server refused a query with that code (SQLSTATE). */
export function isRefused(error: unknown, code: string): boolean {
  return error instanceof DatabaseError && error.code === code
}

/**
 * Codes of what passes: broken connections (08), a server that shuts down or starts (57P01 to 57P03), too many
 * clients (53300), deadlocks and the like (40), a transaction that idled for too long (25P03).
 *
 * @see PostgreSQL, "PostgreSQL Error Codes"
 */
const PASSING = /^(08|40|57P0[123]|53300|25P03)/
