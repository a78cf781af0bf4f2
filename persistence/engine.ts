// What all stores have in common, so that an engine is only reading and one atomic write: arguments are
// checked and copied, commits are grouped, a failure is final, closing is orderly.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { isError, PerkunasError } from '../channel/errors.js'
import { checkKey, checkPrefix } from './keys.js'
import { type Entry, MAX_VALUE_BYTES, type ScanOptions, type Store, type Write } from './store.js'

/** The part of a store that knows a disk. Arguments are checked already; anything it throws ends the store. */
export interface Engine {
  /** A value that the caller may keep and change. */
  get(key: string): Promise<Uint8Array | undefined> | Uint8Array | undefined
  /** The same at once, where nothing has to be waited for. */
  peek?(key: string): Uint8Array | undefined
  /** A snapshot in key order; `return()` frees what it holds. */
  scan(prefix: string, options: ScanOptions): AsyncIterable<Entry> | Iterable<Entry>
  /**
   * Applies all writes in order and atomically; returns when they are durable. Never called concurrently.
   *
   * @param commits how many commits are waiting for it
   */
  write(writes: readonly Write[], commits: number): Promise<void> | void
  /** Called once, when no write is under way and all scans have been returned. */
  close(): Promise<void> | void
}

/** Runs a function later in or right after this turn of the event loop, so that more commits can join. */
export type Gather = (flush: () => void) => void

interface Waiting {
  readonly batch: readonly Write[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** A {@link Store} over an {@link Engine}. */
export class EngineStore implements Store {
  readonly #name: string
  readonly #engine: Engine
  readonly #gather: Gather
  #waiting: Waiting[] = []
  #flushing = false
  #idle: (() => void) | undefined
  #failure: PerkunasError<'STORE_FAILED'> | undefined
  #closed: Promise<void> | undefined
  readonly peek?: (key: string) => Uint8Array | undefined
  readonly #scans = new Set<AsyncIterator<Entry> | Iterator<Entry>>()

  /**
   * @param name for messages: "LMDB store at ./data"
   * @param gather how long the first commit after idleness waits for others; by default for the running
   *   microtasks only
   */
  constructor(name: string, engine: Engine, gather: Gather = queueMicrotask) {
    this.#name = name
    this.#engine = engine
    this.#gather = gather
    if (engine.peek !== undefined) this.peek = (key) => this.#peek(key)
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    checkKey(key)
    this.#checkUsable()
    return this.#guard('get', async () => this.#engine.get(key))
  }

  #peek(key: string): Uint8Array | undefined {
    checkKey(key)
    this.#checkUsable()
    try {
      return this.#engine.peek?.(key)
    } catch (error) {
      throw this.#fail('get', error)
    }
  }

  async *scan(prefix: string, options: ScanOptions = {}): AsyncGenerator<Entry, void, undefined> {
    checkScan(prefix, options)
    this.#checkUsable()
    const iterator = await this.#guard('scan', async () => iterate(this.#engine.scan(prefix, options)))
    this.#scans.add(iterator)
    try {
      while (true) {
        this.#checkUsable()
        const result = await this.#guard('scan', async () => iterator.next())
        // The store may have been closed while the engine was reading.
        this.#checkUsable()
        if (result.done === true) return
        yield result.value
      }
    } finally {
      if (this.#scans.delete(iterator)) await release(iterator)
    }
  }

  commit(batch: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const copy = batch.map(checkWrite) // what it throws rejects
      this.#checkUsable()
      this.#waiting.push({ batch: copy, resolve, reject })
      if (this.#flushing) return
      this.#flushing = true
      this.#gather(() => void this.#flush())
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Writes group after group until none is waiting. Never rejects. */
  async #flush(): Promise<void> {
    while (this.#waiting.length > 0) {
      const group = this.#waiting
      this.#waiting = []
      try {
        const writes = group.flatMap(({ batch }) => batch)
        if (writes.length > 0) {
          const written = this.#write(writes, group.length)
          if (written instanceof Promise) await written
        }
        for (const { resolve } of group) resolve()
      } catch (error) {
        const refused = [...group, ...this.#waiting]
        this.#waiting = []
        for (const { reject } of refused) reject(error)
      }
    }
    this.#flushing = false
    this.#idle?.()
  }

  /** Gives a promise only if the engine does: one that writes at once is not waited for, turn by turn. */
  #write(writes: readonly Write[], commits: number): Promise<void> | void {
    if (this.#failure !== undefined) throw this.#failure
    const failed = (error: unknown): never => {
      throw this.#fail('commit', error)
    }
    try {
      const written = this.#engine.write(writes, commits)
      if (written instanceof Promise) return written.catch(failed)
    } catch (error) {
      failed(error)
    }
  }

  async #close(): Promise<void> {
    if (this.#flushing) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
    const scans = [...this.#scans]
    this.#scans.clear()
    for (const scan of scans) await release(scan)
    try {
      await this.#engine.close()
    } catch {
      // What was promised is durable already; there is nothing that the caller could do about the rest.
    }
  }

  #checkUsable(): void {
    if (this.#closed !== undefined) {
      throw new PerkunasError('CLOSED', `the ${this.#name} is closed`, { what: this.#name })
    }
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Runs a call of the engine; the first failure is what every later call rejects with. */
  async #guard<T>(operation: string, call: () => Promise<T>): Promise<T> {
    if (this.#failure !== undefined) throw this.#failure
    try {
      return await call()
    } catch (error) {
      throw this.#fail(operation, error)
    }
  }

  #fail(operation: string, error: unknown): PerkunasError<'STORE_FAILED'> {
    this.#failure ??= isError(error, 'STORE_FAILED') ? error : this.#describe(operation, error)
    return this.#failure
  }

  #describe(operation: string, error: unknown): PerkunasError<'STORE_FAILED'> {
    const reason = error instanceof Error ? error.message : String(error)
    return new PerkunasError(
      'STORE_FAILED',
      `the ${this.#name} failed to ${operation} (${reason}); stop this process and start again from what is on disk`,
      { operation },
      { cause: error },
    )
  }
}

/** Ends an engine's scan, also after a failure: an engine may not be closed before its scans. */
async function release(scan: AsyncIterator<Entry> | Iterator<Entry>): Promise<void> {
  try {
    await scan.return?.()
  } catch {
    // Reading is over; what was read stands.
  }
}

const SCAN_NAMES: NamesOf<ScanOptions> = { after: true, limit: true }

function checkScan(prefix: string, options: ScanOptions): void {
  demandNames(options, SCAN_NAMES)
  const { after, limit } = options
  checkPrefix(prefix, 'prefix')
  if (after !== undefined) checkPrefix(after, 'after')
  if (limit !== undefined && !(Number.isSafeInteger(limit) && limit > 0)) {
    throw new PerkunasError('INVALID_ARGUMENT', `limit: a positive integer expected, got ${limit}`, {
      argument: 'limit',
    })
  }
}

/** A copy of a write that is none of the caller's. */
function checkWrite(write: Write): Write {
  checkKey(write.key)
  if (write.kind === 'delete') return { kind: 'delete', key: write.key }
  if (write.kind !== 'put' || !(write.value instanceof Uint8Array)) {
    throw new PerkunasError('INVALID_ARGUMENT', `key ${write.key}: a put of bytes or a delete expected`, {
      argument: 'batch',
    })
  }
  const { length } = write.value
  if (length > MAX_VALUE_BYTES) {
    throw new PerkunasError(
      'TOO_LARGE',
      `key ${write.key}: at most ${MAX_VALUE_BYTES} bytes expected, got ${length}`,
      { limit: MAX_VALUE_BYTES, actual: length },
    )
  }
  return { kind: 'put', key: write.key, value: new Uint8Array(write.value) }
}

function iterate(entries: AsyncIterable<Entry> | Iterable<Entry>): AsyncIterator<Entry> | Iterator<Entry> {
  return Symbol.asyncIterator in entries ? entries[Symbol.asyncIterator]() : entries[Symbol.iterator]()
}
