// The default store of a process of its own: LMDB, a memory-mapped tree with copy-on-write pages. A commit
// writes new pages, flushes them (fdatasync), then writes the root through O_DSYNC: a crash at any moment
// finds the old root or the new one, hence all of a batch or nothing.
import { statfsSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import { PerkunasError } from '../channel/errors.js'
import { type Engine, EngineStore } from './engine.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import { prepare } from './lmdb-file.js'
import { Pace } from './pace.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** How an {@link LmdbStore} behaves. */
export interface LmdbOptions {
  /**
   * A commit that nobody else waits for runs on the event loop's own thread while such commits have lately
   * taken less than so many milliseconds (default 1, 0 for never): it saves two thread switches, a third
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
 *
 * One process at a time may write: whoever opens a directory last owns it, and from then on every commit of an
 * earlier owner fails with STORE_FAILED. Two clients with the same keys would sign two states of one version;
 * so the earlier one stops, and the later one has read all that the earlier one ever committed.
 */
export class LmdbStore extends EngineStore {
  /**
   * @param path of a directory, made if it does not exist, unless it is only read
   * @throws PerkunasError STORE_FAILED if it can't be made or opened, or holds a file that is foreign or was cut off; INVALID_ARGUMENT if the path is empty or none
   */
  constructor(path: string, { blockUpTo = 1, readOnly = false }: LmdbOptions = {}) {
    // Without one the library would make a temporary directory, and everything be lost with it.
    if (typeof path !== 'string' || path === '') {
      const message = `the path of a directory for the LMDB store expected, got ${JSON.stringify(path)}`
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'path' })
    }
    super(`LMDB store at ${path}`, opened(path, readOnly, blockUpTo))
  }
}

type Bytes = Database<Uint8Array, Uint8Array>

/**
 * An open environment: the entries, and beside them, out of reach of any scan, who owns it. The entries are in the
 * root table itself: a commit to another one writes a page more, the root's, which knows where the other one begins.
 */
interface Tables {
  readonly entries: RootDatabase<Uint8Array, Uint8Array>
  /** One key whose version counts how often the store was opened for writing. */
  readonly owner: Bytes
}

const OWNER = encodeKey('owner')
/** Keeps the keys of entries apart from the names of tables, which the root table holds too. */
const ENTRY = '/'
/** The table in which they were at first, as LMDB writes a table's name. */
const FORMER = encodeKey('entries\0')
const TABLE = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const

/** @throws PerkunasError STORE_FAILED, also where the disk has no room for the note that we own it */
function opened(path: string, readOnly: boolean, blockUpTo: number): LmdbEngine {
  let entries: Tables['entries'] | undefined
  try {
    prepare(path, readOnly)
    entries = open<Uint8Array, Uint8Array>({
      ...TABLE,
      path,
      noSubdir: false,
      readOnly,
      // Else a commit is visible, though not resolved, before it is flushed, for a throughput that
      // grouping gives us already.
      overlappingSync: false,
    })
    const owner: Bytes | undefined = entries.openDB({ ...TABLE, name: 'owner', useVersions: true })
    if (owner === undefined) throw new Error('it holds no store of ours')
    if (entries.doesExist(FORMER)) bringOver(entries, readOnly)
    return new LmdbEngine({ entries, owner }, { path, readOnly, blockUpTo })
  } catch (error) {
    entries?.close().catch(() => undefined)
    throw new PerkunasError(
      'STORE_FAILED',
      `the LMDB store at ${path} can't be opened: ${error instanceof Error ? error.message : String(error)}`,
      { operation: 'open' },
      { cause: error },
    )
  }
}

/** Moves entries from the table of their own in which they were at first. */
function bringOver(entries: Tables['entries'], readOnly: boolean): void {
  if (readOnly) {
    throw new Error('it has an older form, which whoever opens it for writing brings up to date')
  }
  const former: Bytes = entries.openDB({ ...TABLE, name: 'entries' })
  entries.transactionSync(() => {
    for (const { key, value } of former.getRange()) entries.putSync(encodeEntry(decodeKey(key)), value)
    former.dropSync()
  })
}

class LmdbEngine implements Engine {
  readonly #entries: Tables['entries']
  readonly #owner: Bytes
  readonly #path: string
  /** The owner's version while we are the owner; `undefined` if we only read. */
  readonly #term: number | undefined
  readonly #pace: Pace

  constructor(tables: Tables, options: { path: string; readOnly: boolean; blockUpTo: number }) {
    this.#entries = tables.entries
    this.#owner = tables.owner
    this.#path = options.path
    this.#pace = new Pace(options.blockUpTo)
    this.#term = options.readOnly ? undefined : this.#takeOver()
  }

  get(key: string): Uint8Array | undefined {
    // Not `getBinaryFast`: what it gives is overwritten by the next read, and only pretends to its length.
    const copy = this.#entries.getBinary(encodeEntry(key))
    return copy === undefined ? undefined : new Uint8Array(copy)
  }

  peek(key: string): Uint8Array | undefined {
    return this.get(key)
  }

  *scan(prefix: string, { after, limit }: ScanOptions): Generator<Entry, void, undefined> {
    const first = encodeEntry(prefix)
    const last = after === undefined ? undefined : encodeEntry(after)
    const paged = last !== undefined && Buffer.compare(last, first) >= 0
    const end = prefixEnd(first)
    const transaction = this.#entries.useReadTransaction()
    try {
      const range = this.#entries.getRange({
        transaction,
        start: paged ? last : first,
        exclusiveStart: paged,
        ...(end === undefined ? {} : { end }),
        ...(limit === undefined ? {} : { limit }),
      })
      for (const { key, value } of range) yield [decodeKey(key).slice(ENTRY.length), new Uint8Array(value)]
    } finally {
      transaction.done()
    }
  }

  write(writes: readonly Write[], commits: number): Promise<void> | void {
    const term = this.#term
    if (term === undefined) throw new Error('it is open for reading only')
    const started = performance.now()
    const end = (owned: boolean) => {
      if (!owned) throw new Error('another process has opened it since and owns it now')
      this.#pace.took(commits, performance.now() - started)
    }
    if (!this.#pace.blocks(commits)) return this.#writeInBackground(term, writes).then(end)
    let owned: boolean
    try {
      owned = this.#writeHere(term, writes)
    } catch (error) {
      return this.#explained(error)
    }
    end(owned)
  }

  async close(): Promise<void> {
    await this.#entries.close()
  }

  #takeOver(): number {
    return this.#entries.transactionSync(() => {
      const term = 1 + (this.#owner.getEntry(OWNER)?.version ?? 0)
      this.#owner.putSync(OWNER, Uint8Array.of(), term)
      return term
    })
  }

  /** @returns whether we still own the store; else nothing was written */
  #writeHere(term: number, writes: readonly Write[]): boolean {
    return this.#entries.transactionSync(() => {
      if (!this.#owner.doesExist(OWNER, term)) return false
      for (const write of writes) {
        if (write.kind === 'put') this.#entries.putSync(encodeEntry(write.key), write.value)
        else this.#entries.removeSync(encodeEntry(write.key))
      }
      return true
    })
  }

  /** @returns whether we still own the store; else nothing was written */
  async #writeInBackground(term: number, writes: readonly Write[]): Promise<boolean> {
    try {
      // Each write's own promise says no more than the batch's, but must not reject unheard.
      const parts: Promise<boolean>[] = []
      const whole = this.#owner.ifVersion(OWNER, term, () => {
        for (const write of writes) {
          const key = encodeEntry(write.key)
          parts.push(write.kind === 'put' ? this.#entries.put(key, write.value) : this.#entries.remove(key))
        }
      })
      const [owned] = await Promise.all([whole, ...parts])
      return owned
    } catch (error) {
      return this.#explained(error)
    }
  }

  /**
   * LMDB calls a full disk an "Input/output error", since the kernel first writes what still fits.
   *
   * @throws Error always, that says what happened
   */
  async #explained(error: unknown): Promise<never> {
    const cause = await systemError(error)
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${message}, with ${roomAt(this.#path)} left on the disk`, { cause })
  }
}

function encodeEntry(key: string): Uint8Array {
  return encodeKey(ENTRY + key)
}

function roomAt(path: string): string {
  try {
    const { bavail, bsize } = statfsSync(path)
    return `${Math.floor((bavail * bsize) / 1024)} kB`
  } catch {
    return 'an unknown amount of room'
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
