// The default store of a process of its own: LMDB, a memory-mapped tree with copy-on-write pages. A commit
// writes new pages, flushes them (fdatasync), then writes the root through O_DSYNC: a crash at any moment
// finds the old root or the new one, hence all of a batch or nothing.
import { statfsSync } from 'node:fs'
import { open, type RootDatabase } from 'lmdb'
import { PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** How an {@link LmdbStore} behaves. */
export interface LmdbOptions {
  /**
   * A commit that nobody else waits for runs on the event loop's own thread while such commits have lately
   * taken less than so many milliseconds (default 0.5, 0 for never): it saves two thread switches, a third
   * of the time on a fast disk and nothing on a slow one, where it would only keep other channels waiting.
   */
  readonly blockUpTo?: number
  /** Opens a store that another process may be writing, to look at it; commits are refused. Default false. */
  readonly readOnly?: boolean
}

/**
 * A durable store in a directory.
 *
 * Commits of one turn of the event loop, and those that come while the disk is busy, share one transaction.
 */
export class LmdbStore extends EngineStore {
  /**
   * @param path of a directory, made if it does not exist
   * @throws PerkunasError STORE_FAILED if it can't be opened
   */
  constructor(path: string, { blockUpTo = 0.5, readOnly = false }: LmdbOptions = {}) {
    const engine = new LmdbEngine(openDatabase(path, readOnly), { path, readOnly, blockUpTo })
    super(`LMDB store at ${path}`, engine, setImmediate)
  }
}

type Bytes = RootDatabase<Uint8Array, Uint8Array>

function openDatabase(path: string, readOnly: boolean): Bytes {
  try {
    return open<Uint8Array, Uint8Array>({
      path,
      noSubdir: false,
      readOnly,
      encoding: 'binary',
      keyEncoding: 'binary',
      cache: false,
      // Else a commit is visible, though not resolved, before it is flushed, for a throughput that
      // grouping gives us already.
      overlappingSync: false,
    })
  } catch (error) {
    throw new PerkunasError(
      'STORE_FAILED',
      `the LMDB store at ${path} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
      { operation: 'open' },
      { cause: error },
    )
  }
}

class LmdbEngine implements Engine {
  readonly #database: Bytes
  readonly #path: string
  readonly #readOnly: boolean
  readonly #pace: Pace

  constructor(database: Bytes, options: { path: string; readOnly: boolean; blockUpTo: number }) {
    this.#database = database
    this.#path = options.path
    this.#readOnly = options.readOnly
    this.#pace = new Pace(options.blockUpTo)
  }

  get(key: string): Uint8Array | undefined {
    // Not `getBinaryFast`: what it gives is overwritten by the next read, and only pretends to its length.
    const copy = this.#database.getBinary(encodeKey(key))
    return copy === undefined ? undefined : new Uint8Array(copy)
  }

  *scan(prefix: string, { after, limit }: ScanOptions): Generator<Entry, void, undefined> {
    const first = encodeKey(prefix)
    const last = after === undefined ? undefined : encodeKey(after)
    const paged = last !== undefined && Buffer.compare(last, first) >= 0
    const end = prefixEnd(first)
    const transaction = this.#database.useReadTransaction()
    try {
      const range = this.#database.getRange({
        transaction,
        start: paged ? last : first,
        exclusiveStart: paged,
        ...(end === undefined ? {} : { end }),
        ...(limit === undefined ? {} : { limit }),
      })
      for (const { key, value } of range) yield [decodeKey(key), new Uint8Array(value)]
    } finally {
      transaction.done()
    }
  }

  async write(writes: readonly Write[], commits: number): Promise<void> {
    if (this.#readOnly) throw new Error('it is open for reading only')
    const started = performance.now()
    try {
      if (this.#pace.blocks(commits)) this.#writeHere(writes)
      else await this.#writeInBackground(writes)
    } catch (error) {
      throw await this.#explain(error)
    }
    this.#pace.took(commits, performance.now() - started)
  }

  async close(): Promise<void> {
    await this.#database.close()
  }

  #writeHere(writes: readonly Write[]): void {
    this.#database.transactionSync(() => {
      for (const write of writes) {
        if (write.kind === 'put') this.#database.putSync(encodeKey(write.key), write.value)
        else this.#database.removeSync(encodeKey(write.key))
      }
    })
  }

  async #writeInBackground(writes: readonly Write[]): Promise<void> {
    // Each write's own promise says no more than the batch's, but must not reject unheard.
    const parts: Promise<boolean>[] = []
    const whole = this.#database.batch(() => {
      for (const write of writes) {
        const key = encodeKey(write.key)
        parts.push(write.kind === 'put' ? this.#database.put(key, write.value) : this.#database.remove(key))
      }
    })
    await Promise.all([whole, ...parts])
  }

  /** LMDB calls a full disk an "Input/output error", since the kernel first writes what still fits. */
  async #explain(error: unknown): Promise<Error> {
    const cause = await systemError(error)
    const { bavail, bsize } = statfsSync(this.#path)
    const message = cause instanceof Error ? cause.message : String(cause)
    return new Error(`${message}, with ${Math.floor((bavail * bsize) / 1024)} kB left on the disk`, { cause })
  }
}

/** The error that lmdb hides behind "see commitError": a promise, which must not reject unheard either. */
async function systemError(error: unknown): Promise<unknown> {
  const hidden: unknown = error instanceof Error ? Reflect.get(error, 'commitError') : undefined
  if (!(hidden instanceof Promise)) return error
  const known = hidden.then(
    () => error,
    (reason: unknown) => reason,
  )
  // It is rejected by now; if ever it is not, no commit may hang for the sake of a better message.
  const unknown = new Promise((resolve) => {
    setImmediate(() => resolve(error))
  })
  return Promise.race([known, unknown])
}

/** Decides whether a commit blocks the event loop, from what the last lone commits have taken. */
class Pace {
  readonly #limit: number
  /** Moving average of lone commits, in milliseconds. */
  #lone = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  blocks(commits: number): boolean {
    return commits === 1 && this.#lone < this.#limit
  }

  took(commits: number, milliseconds: number): void {
    if (commits === 1) this.#lone += (milliseconds - this.#lone) / 8
  }
}
