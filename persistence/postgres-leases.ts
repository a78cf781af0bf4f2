// Leases in PostgreSQL. A process is a row of `owners`, which it keeps alive; what it holds are rows of `leases` that
// refer to it. Declaring it dead is deleting its row: that frees what it held (ON DELETE SET NULL), refuses its
// commits (which lock that row), and lets it acquire nothing more (the reference is checked).
import { PerkunasError } from '../channel/errors.js'
import type { Leases } from './leases.js'
import { isRefused, type Run, Session, type SessionOptions } from './postgres-session.js'
import type { Tables } from './postgres-tables.js'

/** What leases are made of. */
export interface PostgresLeasesOptions {
  /** Its `patience` counts for what the leases are asked, too. */
  readonly session: SessionOptions
  readonly tables: Tables
  /** Our row of `owners`. */
  readonly token: bigint
  /** Milliseconds after which others may declare us dead. */
  readonly ttl: number
  /** For messages. */
  readonly store: string
}

/** How often a lease is renewed while it runs. */
const RENEWALS = 4

/** The {@link Leases} of a PostgreSQL store. */
export class PostgresLeases implements Leases {
  readonly #options: PostgresLeasesOptions
  /** For what is acquired and released, which may have to wait for others. */
  readonly #session: Session
  /** For renewals, which must not wait for that. */
  readonly #renewing: Session
  readonly #lost = new AbortController()
  readonly #handlers = new Set<() => void>()
  /** What we hold, and of which party it is. */
  readonly #held = new Map<string, string>()
  /** Until when nobody can have declared us dead, by our own clock. */
  #validUntil: number
  #timer: NodeJS.Timeout
  #confirming: Promise<void> | undefined
  #isClosed = false

  /** @param begun when our row was made, or earlier, by `performance.now()` */
  constructor(options: PostgresLeasesOptions, begun: number) {
    this.#options = options
    const { session, ttl } = options
    this.#session = new Session({ ...session, timeout: session.patience })
    // The answer to a renewal that comes after the lease has run out helps nobody: the next one may be faster.
    this.#renewing = new Session({ ...session, timeout: ttl })
    this.#validUntil = begun + options.ttl
    this.#timer = this.#later()
  }

  get lost(): AbortSignal {
    return this.#lost.signal
  }

  hold(names: readonly string[]): boolean {
    const parties = new Set(names.map((name) => this.#held.get(name)))
    return parties.size <= 1 && !parties.has(undefined)
  }

  async acquire(names: readonly string[]): Promise<readonly string[] | undefined> {
    if (this.hold(names)) return []
    const { leases } = this.#options.tables
    const { token } = this.#options
    const rows = await this.#transaction(async (run) => {
      const found = await run({
        text: `SELECT name, party, owner FROM ${leases}
          WHERE party IN (SELECT party FROM ${leases} WHERE name = ANY ($1::text[]))`,
        values: [names],
      })
      if (found.rows.some(({ owner }) => owner !== null && owner !== String(token))) return undefined
      const parties = [...new Set(found.rows.map(({ party }) => String(party)))]
      const next = `SELECT nextval('${this.#options.tables.schema}.parties') AS party`
      const party = parties[0] ?? String((await run({ text: next })).rows[0]?.['party'])
      await run({
        text: `UPDATE ${leases} SET owner = $1, party = $2 WHERE party = ANY ($3::bigint[])`,
        values: [token, party, parties],
      })
      await run({
        text: `INSERT INTO ${leases} (name, party, owner) SELECT name, $2, $3 FROM unnest($1::text[]) AS name
          ON CONFLICT DO NOTHING`,
        values: [names, party, token],
      })
      const known = found.rows.map(({ name, owner }) => ({ name: String(name), isTaken: owner === null }))
      const all = new Map(
        [...names.map((name) => ({ name, isTaken: false })), ...known].map((one) => [one.name, one]),
      )
      return [...all.values()].map((one) => ({ ...one, party }))
    })
    for (const { name, party } of rows ?? []) this.#held.set(name, party)
    return rows?.flatMap(({ name, isTaken }) => (isTaken ? [name] : []))
  }

  async acquireFree(): Promise<readonly string[]> {
    const { tables, token } = this.#options
    const { rows } = await this.#transaction((run) =>
      run({
        text: `UPDATE ${tables.leases} SET owner = $1 WHERE owner IS NULL RETURNING name, party`,
        values: [token],
      }),
    )
    for (const { name, party } of rows) this.#held.set(String(name), String(party))
    return rows.map(({ name }) => String(name))
  }

  async release(names: readonly string[]): Promise<void> {
    for (const name of names) this.#held.delete(name)
    const { tables, token } = this.#options
    // In a transaction: what a lost connection still brings the server is never committed, or it could come after we
    // had acquired a name again.
    await this.#transaction((run) =>
      run({
        text: `DELETE FROM ${tables.leases} WHERE name = ANY ($1::text[]) AND owner = $2`,
        values: [names, token],
      }),
    )
  }

  onFree(handler: () => void): () => void {
    this.#handlers.add(handler)
    return () => this.#handlers.delete(handler)
  }

  confirm(): Promise<void> | undefined {
    if (this.#isValid) return undefined
    this.#confirming ??= this.#confirm().finally(() => {
      this.#confirming = undefined
    })
    return this.#confirming
  }

  async resign(): Promise<void> {
    if (this.#isClosed || this.lost.aborted) return this.close()
    const { tables, token, session: options } = this.#options
    await this.close()
    // Others need not wait for our lease to run out. Where the server is away they must.
    const session = new Session({ ...options, patience: 0, timeout: options.patience })
    const text = `DELETE FROM ${tables.owners} WHERE token = $1`
    await session.query({ text, values: [token] }).catch(() => undefined)
    await session.close()
  }

  /** The store has learned that we are no owner any more. */
  lose(): void {
    const { store } = this.#options
    const how = this.#isClosed ? 'has given it up' : 'was taken for dead'
    const message = `the ${store} is served by others: this process ${how}`
    this.#lost.abort(new PerkunasError('STORE_FAILED', message, { operation: 'lease' }))
    clearTimeout(this.#timer)
  }

  /** Renews no more. */
  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#handlers.clear()
    await Promise.all([this.#session.close(), this.#renewing.close()])
  }

  /** Whether nobody can have declared us dead. */
  get #isValid(): boolean {
    return !this.#isClosed && !this.lost.aborted && performance.now() < this.#validUntil
  }

  /** Renews until an answer comes in time: by a later one others may have taken all since. */
  async #confirm(): Promise<void> {
    const until = performance.now() + this.#options.session.patience
    do {
      await this.#asked(() => this.#renew())
      this.lost.throwIfAborted()
      if (this.#isValid) return
    } while (performance.now() < until)
    throw this.#failed('its answers come too late')
  }

  #later(): NodeJS.Timeout {
    const tick = async () => {
      // Without the server nobody can declare us dead either; the next commit notices, too.
      await this.#renew().catch(() => undefined)
      if (!this.#isClosed && !this.lost.aborted) this.#timer = this.#later()
    }
    return setTimeout(() => void tick(), this.#options.ttl / RENEWALS).unref()
  }

  async #renew(): Promise<void> {
    const { tables, token, ttl } = this.#options
    const asked = performance.now()
    const { rows } = await this.#renewing.query({
      name: 'renew',
      text: `WITH renewed AS (UPDATE ${tables.owners} SET expires = ${expiry('$2')} WHERE token = $1 RETURNING token)
        SELECT (SELECT count(*)::integer FROM renewed) AS owners,
          EXISTS (SELECT FROM ${tables.owners} WHERE expires < clock_timestamp() AND token <> $1)
          OR EXISTS (SELECT FROM ${tables.leases} WHERE owner IS NULL) AS free`,
      values: [token, ttl],
    })
    if (rows[0]?.['owners'] !== 1) return this.lose()
    this.#validUntil = asked + ttl
    if (rows[0]?.['free'] === true) for (const handler of [...this.#handlers]) handler()
  }

  /** In one transaction, one at a time, after what the dead held was freed. Else two could merge parties past each other. */
  #transaction<T>(work: (run: Run) => Promise<T>): Promise<T> {
    const { tables, token } = this.#options
    return this.#asked(() =>
      this.#session.work(async (run) => {
        await run({ text: 'BEGIN' })
        await run({ text: `LOCK TABLE ${tables.leases} IN SHARE ROW EXCLUSIVE MODE` })
        await run({
          text: `DELETE FROM ${tables.owners} WHERE expires < clock_timestamp() AND token <> $1`,
          values: [token],
        })
        const result = await work(run)
        await run({ text: 'COMMIT' })
        return result
      }),
    )
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    this.lost.throwIfAborted()
    if (this.#isClosed) throw this.#failed('they were given up, open the store anew')
    try {
      return await ask()
    } catch (cause) {
      // The reference to our row failed: it is not there any more.
      if (isRefused(cause, FOREIGN_KEY)) this.lose()
      this.lost.throwIfAborted()
      throw this.#failed(cause)
    }
  }

  #failed(cause: unknown): PerkunasError<'STORE_FAILED'> {
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `the leases of the ${this.#options.store} can't be asked: ${reason}`
    return new PerkunasError('STORE_FAILED', message, { operation: 'lease' }, { cause })
  }
}

/** SQLSTATE foreign_key_violation. */
const FOREIGN_KEY = '23503'

/** SQL for the moment at which a lease that is taken now runs out. */
export function expiry(milliseconds: string): string {
  return `clock_timestamp() + ${milliseconds}::double precision * interval '1 millisecond'`
}
