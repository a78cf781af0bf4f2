// The store of a browser: one IndexedDB database with one object store. Keys are stored as UTF-8 bytes,
// which IndexedDB orders as all our stores do; its string keys would be ordered by UTF-16 units.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import type { Factory, IDBase, KeyRanges, Request, Transaction } from './idb-types.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** Where IndexedDB is found. By default the page's or worker's own globals. */
export interface IndexedDBOptions {
  readonly indexedDB?: Factory
  readonly IDBKeyRange?: KeyRanges
}

const OPTION_NAMES: NamesOf<IndexedDBOptions> = { indexedDB: true, IDBKeyRange: true }

const ENTRIES = 'entries'
/** One key: how often the database was opened. */
const OWNER = 'owner'
const OWNER_KEY = encodeKey(OWNER)

/**
 * A durable store in an IndexedDB database.
 *
 * A commit is one transaction of durability "strict": its `complete` event comes after the flush to disk.
 * A scan reads all that it will give at once, since a transaction of IndexedDB ends as soon as it is idle.
 *
 * One page or worker at a time may write: whoever opens the database last owns it, and every later commit of
 * an earlier owner fails with STORE_FAILED, so that two tabs never sign for the same channels.
 */
export class IndexedDBStore extends EngineStore {
  private constructor(name: string, engine: Engine) {
    super(`IndexedDB store ${name}`, engine)
  }

  /**
   * Opens a database, or makes it.
   *
   * @param name of the database, unique within the page's origin
   * @throws PerkunasError UNSUPPORTED where there is no IndexedDB, STORE_FAILED if the database can't be opened,
   *   INVALID_ARGUMENT if an option is unknown
   */
  static async open(name: string, options: IndexedDBOptions = {}): Promise<IndexedDBStore> {
    demandNames(options, OPTION_NAMES)
    const factory = options.indexedDB ?? globalOf<Factory>('indexedDB')
    const ranges = options.IDBKeyRange ?? globalOf<KeyRanges>('IDBKeyRange')
    const { database, term } = await openDatabase(name, factory)
    return new IndexedDBStore(name, new IndexedDBEngine(database, term, ranges))
  }
}

function globalOf<T>(name: string): T {
  const value: T | undefined = Reflect.get(globalThis, name)
  if (value === undefined) {
    throw new PerkunasError('UNSUPPORTED', `no ${name} here; this store is for browsers`, { what: name })
  }
  return value
}

interface Opened {
  readonly database: IDBase
  /** Who we are among all that ever opened the database. */
  readonly term: number
}

async function openDatabase(name: string, factory: Factory): Promise<Opened> {
  const request = factory.open(name, 1)
  request.onupgradeneeded = () => {
    request.result.createObjectStore(ENTRIES)
    request.result.createObjectStore(OWNER)
  }
  try {
    const database = await done(request)
    // Another page wants to delete or upgrade the database: from here on every call fails.
    database.onversionchange = () => database.close()
    return { database, term: await takeOver(database) }
  } catch (error) {
    throw new PerkunasError(
      'STORE_FAILED',
      `the IndexedDB database ${name} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
      { operation: 'open' },
      { cause: error },
    )
  }
}

/** Raises the owner's term, in one transaction. */
async function takeOver(database: IDBase): Promise<number> {
  const transaction = database.transaction([OWNER], 'readwrite', { durability: 'strict' })
  const complete = completion(transaction)
  const table = transaction.objectStore(OWNER)
  const stored = await done(table.get(OWNER_KEY))
  const term = typeof stored === 'number' ? stored + 1 : 1
  table.put(term, OWNER_KEY)
  await complete
  return term
}

class IndexedDBEngine implements Engine {
  readonly #database: IDBase
  readonly #term: number
  readonly #ranges: KeyRanges

  constructor(database: IDBase, term: number, ranges: KeyRanges) {
    this.#database = database
    this.#term = term
    this.#ranges = ranges
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const table = this.#database.transaction([ENTRIES], 'readonly').objectStore(ENTRIES)
    const value = await done(table.get(encodeKey(key)))
    return value === undefined ? undefined : bytes(value)
  }

  async *scan(prefix: string, options: ScanOptions): AsyncGenerator<Entry, void, undefined> {
    const table = this.#database.transaction([ENTRIES], 'readonly').objectStore(ENTRIES)
    const range = this.#range(prefix, options.after)
    if (range === 'none') return
    // Both requests are made in one turn, hence in one transaction, hence of one snapshot.
    const [keys, values] = await Promise.all([
      done(table.getAllKeys(range, options.limit)),
      done(table.getAll(range, options.limit)),
    ])
    for (const [i, key] of keys.entries()) yield [decodeKey(bytes(key)), bytes(values[i])]
  }

  async write(writes: readonly Write[]): Promise<void> {
    const transaction = this.#database.transaction([ENTRIES, OWNER], 'readwrite', { durability: 'strict' })
    const complete = completion(transaction)
    // The answer comes before the transaction may complete, which it can't while requests are pending.
    let owned = true
    const owner = transaction.objectStore(OWNER).get(OWNER_KEY)
    owner.onsuccess = () => {
      owned = owner.result === this.#term
      if (!owned) transaction.abort()
    }
    const table = transaction.objectStore(ENTRIES)
    for (const write of writes) {
      const key = encodeKey(write.key)
      if (write.kind === 'put') table.put(write.value, key)
      else table.delete(key)
    }
    try {
      await complete
    } catch (error) {
      throw owned ? error : new Error('another page has opened it since and owns it now')
    }
  }

  close(): void {
    this.#database.close()
  }

  /** The keys to scan; IndexedDB refuses ranges that end before they start, and has no name for all keys. */
  #range(prefix: string, after: string | undefined): object | undefined | 'none' {
    const first = encodeKey(prefix)
    const end = prefixEnd(first)
    const last = after === undefined ? undefined : encodeKey(after)
    if (last === undefined || compareBytes(last, first) < 0) {
      return end === undefined ? undefined : this.#ranges.bound(first, end, false, true)
    }
    if (end === undefined) return this.#ranges.lowerBound(last, true)
    return compareBytes(last, end) < 0 ? this.#ranges.bound(last, end, true, true) : 'none'
  }
}

/** Settles with a transaction: resolved means on disk. */
function completion(transaction: Transaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'))
  })
}

/** Waits for a request. Its failure also aborts its transaction. */
function done<T>(request: Request<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error ?? new Error('the request failed'))
  })
}

/** IndexedDB gives binary keys as ArrayBuffers, values as they were put. */
function bytes(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer || value instanceof Uint8Array) return new Uint8Array(value)
  throw new Error('the database holds something that this store did not write')
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const differing = a.findIndex((byte, i) => byte !== b[i])
  if (differing < 0) return a.length - b.length
  return (a[differing] ?? 0) - (b[differing] ?? -1)
}
