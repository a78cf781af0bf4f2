// The store of operators who run several processes: one schema of a PostgreSQL database. A commit is one statement,
// hence one transaction, which the server has flushed to its disk before it answers.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { isError, PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import type { Leases } from './leases.js'
import { expiry, PostgresLeases } from './postgres-leases.js'
import { Session, type SessionOptions } from './postgres-session.js'
import { byteArrays, checkLayout, prepareTables, type Tables, tablesOf } from './postgres-tables.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** How a {@link PostgresStore} behaves. */
export interface PostgresOptions {
  /** Schema that holds the tables, made if it does not exist; one for each client. Default 'perkunas'. */
  readonly schema?: string
  /** Opens a store that other processes may be writing, to look at it; commits are refused. Default false. */
  readonly readOnly?: boolean
  /** Milliseconds that the server may be unreachable before the store fails. Default 10 000. */
  readonly patience?: number
  /**
   * Opens it together with other processes that do the same, each of which serves what its {@link PostgresStore.leases}
   * hold. `ttl`: milliseconds after which a process that is not heard of may be declared dead, 6 000 by default; it
   * should be longer than any pause of a process that lives, and than any answer of the server takes.
   */
  readonly share?: { readonly ttl?: number }
}

const OPTION_NAMES: NamesOf<PostgresOptions> = { schema: true, readOnly: true, patience: true, share: true }
const SHARE_NAMES: NamesOf<NonNullable<PostgresOptions['share']>> = { ttl: true }

/**
 * A durable store in a PostgreSQL database. Needs the package `pg`, and a role that may make the schema or owns it.
 *
 * Commits of one turn of the event loop, and those that come while the server is busy, share one transaction. A lost
 * connection is made again, and what was asked over it is asked again: a commit sets whole values, and nobody else
 * may write, so that it can be applied twice. Only a scan that has begun can't go on, since its snapshot is gone.
 *
 * One process at a time may write: whoever opens the store last owns it, and from then on every commit of an earlier
 * owner fails with STORE_FAILED. That is checked within the transaction of each commit, by a row that the next owner
 * deletes: the earlier owner's last commit is either before that, so that the next owner reads it, or refused.
 *
 * With `share` several processes write at a time, each what it holds by {@link PostgresStore.leases}. The same row
 * fences them: who declares a process dead deletes its row, and takes over what it held.
 */
export class PostgresStore extends EngineStore {
  readonly #leases: PostgresLeases | undefined

  private constructor(name: string, engine: Engine, leases: PostgresLeases | undefined) {
    super(name, engine, setImmediate)
    this.#leases = leases
  }

  /** Who serves what, if the store was opened with `share`. */
  get leases(): Leases | undefined {
    return this.#leases
  }

  /**
   * @param url postgres://user:password@host:port/database, with the options of libpq that the package `pg` knows
   * @throws PerkunasError STORE_FAILED if it can't be opened, or not in a durable way; INVALID_ARGUMENT if it is no such URL, or an option is unknown
   */
  static async open(url: string, options: PostgresOptions = {}): Promise<PostgresStore> {
    demandNames(options, OPTION_NAMES)
    if (options.share !== undefined) demandNames(options.share, SHARE_NAMES, 'options.share')
    const { schema = 'perkunas', readOnly = false, patience = 10_000 } = options
    const name = `PostgreSQL store ${schema}`
    // With none, the package `pg` would open whatever database is the user's own, and find no channels there.
    if (!/^postgres(ql)?:\/\//i.test(url)) {
      const message = 'a URL expected that begins with postgres:// or postgresql://' // what came may hold a password
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'url' })
    }
    const session = { url, patience, timeout: QUERY_TIMEOUT, prepare: readOnly ? READING : WRITING }
    try {
      const tables = tablesOf(schema)
      const ttl = options.share && (options.share.ttl ?? LEASE)
      const begun = performance.now()
      const token = readOnly ? await looked(session, tables) : await owned(session, tables, ttl)
      const isShared = ttl !== undefined && token !== undefined
      const leases = isShared
        ? new PostgresLeases({ session, tables, token, ttl, store: name }, begun)
        : undefined
      return new PostgresStore(name, new PostgresEngine({ session, tables, token, leases }), leases)
    } catch (error) {
      throw failedToOpen(name, error)
    }
  }
}

/** Milliseconds for one query: a batch of hundreds of megabytes over a slow network is in time. */
const QUERY_TIMEOUT = 60_000
/** Milliseconds of a lease. */
const LEASE = 6_000
/** Entries that a scan reads at once, and from which size on it reads a value by itself: it never holds much. */
const SCAN_ROWS = 64
const SCAN_VALUE = 65_536
/** Bytes of writes in one statement. */
const STATEMENT_BYTES = 0x80_0000

const READING = 'SET default_transaction_read_only TO on'
// "remote_apply" waits for more than "on"; what waits for less is raised. A transaction of several statements whose
// process stands still ends, or it would keep the next owner waiting.
const WRITING = `SELECT set_config('synchronous_commit', 'on', false)
  WHERE current_setting('synchronous_commit') IN ('off', 'local');
  SET idle_in_transaction_session_timeout TO '2s'`

/** Checks what is there. */
async function looked(options: SessionOptions, { schema }: Tables): Promise<undefined> {
  const session = new Session(options)
  try {
    await session.work((run) => checkLayout(run, schema))
  } finally {
    await session.close()
  }
}

/** Checks the server, makes the tables, and makes us an owner, beside those that share it too. @returns our token */
async function owned(options: SessionOptions, tables: Tables, ttl: number | undefined): Promise<bigint> {
  const session = new Session(options)
  const { owners } = tables
  try {
    return await session.work(async (run) => {
      const { rows } = await run({ text: "SELECT current_setting('fsync') AS fsync" })
      if (rows[0]?.['fsync'] !== 'on')
        throw new Error('its server runs with fsync off, so nothing is durable')
      await run({ text: 'BEGIN' })
      await prepareTables(run, tables)
      const others = ttl === undefined ? 'true' : 'expires IS NULL OR expires < clock_timestamp()'
      await run({ text: `DELETE FROM ${owners} WHERE ${others}` })
      const taken = await run({
        text: `INSERT INTO ${owners} (expires) SELECT ${expiry('$1')} RETURNING token`,
        values: [ttl ?? null],
      })
      await run({ text: 'COMMIT' })
      return bigint(taken.rows[0]?.['token'])
    })
  } finally {
    await session.close()
  }
}

interface EngineOptions {
  readonly session: SessionOptions
  readonly tables: Tables
  /** Our row of `owners`; none if we only read. */
  readonly token: bigint | undefined
  readonly leases: PostgresLeases | undefined
}

class PostgresEngine implements Engine {
  readonly #options: SessionOptions
  readonly #tables: Tables
  readonly #token: bigint | undefined
  readonly #leases: PostgresLeases | undefined
  readonly #writer: Session
  readonly #reader: Session
  #commits = 0n

  constructor({ session, tables, token, leases }: EngineOptions) {
    this.#options = session
    this.#tables = tables
    this.#token = token
    this.#leases = leases
    this.#writer = new Session(session)
    this.#reader = new Session(session)
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const { rows } = await this.#reader.query(this.#valueOf(encodeKey(key)))
    const [row] = rows
    return row === undefined ? undefined : bytes(row['value'])
  }

  async *scan(prefix: string, options: ScanOptions): AsyncGenerator<Entry, void, undefined> {
    // A connection of its own: others go on while its transaction is open.
    const session = new Session(this.#options)
    try {
      // Once begun it is bound to this connection.
      const run = await session.work(async (begun) => {
        await begun({ text: 'BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY' })
        await begun(this.#cursor(prefix, options))
        return begun
      })
      while (true) {
        const { rows } = await run({ text: `FETCH ${SCAN_ROWS} FROM scan` })
        if (rows.length === 0) return
        for (const { key, value } of rows) {
          const known = bytes(key)
          // Large ones are read one by one, whatever they are and however many.
          const read = value ?? (await run(this.#valueOf(known))).rows[0]?.['value']
          yield [decodeKey(known), bytes(read)]
        }
      }
    } finally {
      await session.close()
    }
  }

  async write(writes: readonly Write[]): Promise<void> {
    const token = this.#token
    if (token === undefined) throw new Error('it is open for reading only')
    // Of several writes to one key the last one counts; then their order is of no account.
    const parts = split([...new Map(writes.map((write) => [write.key, write])).values()])
    const number = ++this.#commits
    const isOurs = await this.#writer.work(async (run) => {
      const [first, ...more] = parts
      if (first === undefined) return true
      if (more.length === 0) return (await run(this.#commit(token, number, first))).count === 1
      await run({ text: 'BEGIN' })
      for (const part of parts) {
        if ((await run(this.#commit(token, number, part))).count === 1) continue
        await run({ text: 'ROLLBACK' })
        return false
      }
      await run({ text: 'COMMIT' })
      return true
    })
    if (isOurs) return
    this.#leases?.lose()
    this.#leases?.lost.throwIfAborted()
    throw new Error('another process has opened it since and owns it now')
  }

  async close(): Promise<void> {
    if (this.#leases !== undefined && !this.#leases.lost.aborted) await this.#leases.resign()
    await Promise.all([this.#leases?.close(), this.#writer.close(), this.#reader.close()])
  }

  /** Applies writes if we are an owner, else nothing: as many rows as owners that we are. */
  #commit(token: bigint, number: bigint, writes: readonly Write[]) {
    const { entries, owners } = this.#tables
    const puts = writes.filter((write) => write.kind === 'put')
    const deletes = writes.filter((write) => write.kind === 'delete')
    return {
      name: 'commit',
      // The lock on our row keeps the next owner waiting until this is committed. What was asked again over another
      // connection may still be on its way over the lost one: after a later commit it comes too late.
      text: `WITH fence AS (
          UPDATE ${owners} SET commits = $5 WHERE token = $1 AND commits <= $5 RETURNING token),
        deleted AS (DELETE FROM ${entries} USING fence WHERE key = ANY ($2::bytea[])),
        kept AS (
          INSERT INTO ${entries} SELECT put.key, put.value
          FROM fence, unnest($3::bytea[], $4::bytea[]) AS put (key, value)
          ON CONFLICT (key) DO UPDATE SET value = excluded.value)
        SELECT FROM fence`,
      values: [
        token,
        byteArrays(deletes.map(({ key }) => encodeKey(key))),
        byteArrays(puts.map(({ key }) => encodeKey(key))),
        byteArrays(puts.map(({ value }) => value)),
        number,
      ],
    }
  }

  #valueOf(key: Uint8Array) {
    return { name: 'get', text: `SELECT value FROM ${this.#tables.entries} WHERE key = $1`, values: [key] }
  }

  #cursor(prefix: string, { after, limit }: ScanOptions) {
    const first = encodeKey(prefix)
    const last = after === undefined ? undefined : encodeKey(after)
    return {
      text: `DECLARE scan NO SCROLL CURSOR FOR
        SELECT key, CASE WHEN octet_length(value) <= ${SCAN_VALUE} THEN value END AS value
        FROM ${this.#tables.entries}
        WHERE key >= $1 AND ($2::bytea IS NULL OR key < $2) AND ($3::bytea IS NULL OR key > $3)
        ORDER BY key LIMIT $4`,
      values: [first, prefixEnd(first) ?? null, last ?? null, limit ?? null],
    }
  }
}

/** Writes in their order, in parts of some size each. */
function split(writes: readonly Write[]): Write[][] {
  const parts: Write[][] = []
  let room = 0
  for (const write of writes) {
    const size = write.kind === 'put' ? write.value.length : 0
    const part = parts.at(-1)
    if (part === undefined || size > room) {
      parts.push([write])
      room = STATEMENT_BYTES
    } else part.push(write)
    room -= size
  }
  return parts
}

/** A copy of our own of what the server gave; the package `pg` gives views of what it received. */
function bytes(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return new Uint8Array(value)
  throw new Error('the database holds something that this store did not write')
}

function bigint(value: unknown): bigint {
  if (typeof value === 'string') return BigInt(value)
  throw new Error('the server gave no token')
}

function failedToOpen(name: string, error: unknown): PerkunasError<'STORE_FAILED'> {
  if (isError(error, 'STORE_FAILED')) return error
  const reason = error instanceof Error ? error.message : String(error)
  return new PerkunasError(
    'STORE_FAILED',
    `the ${name} can't be opened: ${reason}`,
    { operation: 'open' },
    { cause: error },
  )
}
