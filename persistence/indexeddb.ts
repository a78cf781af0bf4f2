// The store of a browser: one IndexedDB database with one object store. Keys are stored as UTF-8 bytes,
// which IndexedDB orders as all our stores do; its string keys would be ordered by UTF-16 units.
import { PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import type { Factory, IDBase, KeyRanges, Request } from './idb-types.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** Where IndexedDB is found. By default the page's or worker's own globals. */
export interface IndexedDBOptions {
  readonly indexedDB?: Factory
  readonly IDBKeyRange?: KeyRanges
}

const TABLE = 'entries'

/**
 * A durable store in an IndexedDB database.
 *
 * A commit is one transaction of durability "strict": its `complete` event comes after the flush to disk.
 * A scan reads all that it will give at once, since a transaction of IndexedDB ends as soon as it is idle.
 */
export class IndexedDBStore extends EngineStore {
  private constructor(name: string, engine: Engine) {
    super(`IndexedDB store ${name}`, engine)
  }

  /**
   * Opens a database, or makes it.
   *
   * @param name of the database, unique within the page's origin
   * @throws PerkunasError UNSUPPORTED where there is no IndexedDB, STORE_FAILED if the database can't be opened
   */
  static async open(name: string, options: IndexedDBOptions = {}): Promise<IndexedDBStore> {
    const factory = options.indexedDB ?? globalOf<Factory>('indexedDB')
    const ranges = options.IDBKeyRange ?? globalOf<KeyRanges>('IDBKeyRange')
    return new IndexedDBStore(name, new IndexedDBEngine(await openDatabase(name, factory), ranges))
  }
}

function globalOf<T>(name: string): T {
  const value: T | undefined = Reflect.get(globalThis, name)
  if (value === undefined) {
    throw new PerkunasError('UNSUPPORTED', `no ${name} here; this store is for browsers`, { what: name })
  }
  return value
}

async function openDatabase(name: string, factory: Factory): Promise<IDBase> {
  const request = factory.open(name, 1)
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE)
  try {
    const database = await done(request)
    // Another page wants to delete or upgrade the database: from here on every call fails.
    database.onversionchange = () => database.close()
    return database
  } catch (error) {
    throw new PerkunasError(
      'STORE_FAILED',
      `the IndexedDB database ${name} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
      { operation: 'open' },
      { cause: error },
    )
  }
}

class IndexedDBEngine implements Engine {
  readonly #database: IDBase
  readonly #ranges: KeyRanges

  constructor(database: IDBase, ranges: KeyRanges) {
    this.#database = database
    this.#ranges = ranges
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const table = this.#database.transaction(TABLE, 'readonly').objectStore(TABLE)
    const value = await done(table.get(encodeKey(key)))
    return value === undefined ? undefined : bytes(value)
  }

  async *scan(prefix: string, options: ScanOptions): AsyncGenerator<Entry, void, undefined> {
    const table = this.#database.transaction(TABLE, 'readonly').objectStore(TABLE)
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
    const transaction = this.#database.transaction(TABLE, 'readwrite', { durability: 'strict' })
    const complete = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error ?? new Error('the transaction was aborted'))
    })
    const table = transaction.objectStore(TABLE)
    for (const write of writes) {
      const key = encodeKey(write.key)
      if (write.kind === 'put') table.put(write.value, key)
      else table.delete(key)
    }
    await complete
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
