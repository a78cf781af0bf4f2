// An LMDB environment as we use it: the entries, who owns it, and how far it has come with a journal. LMDB is a
// memory-mapped tree with copy-on-write pages. A transaction writes new pages, flushes them (fdatasync), then writes
// the root through O_DSYNC: a crash at any moment finds the old root or the new one, hence all of it or nothing.
import { statfsSync } from 'node:fs'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { Mark } from './journal.js'
import { decodeKey, encodeKey, prefixEnd } from './keys.js'
import { prepare } from './lmdb-file.js'
import type { Entry, ScanOptions, Write } from './store.js'

type Bytes = Database<Uint8Array, Uint8Array>

/**
 * The entries, and beside them, out of reach of any scan, what is about the store. The entries are in the root table
 * itself: a transaction in another one writes a page more, the root's, which knows where the other one begins.
 */
interface Tables {
  readonly entries: RootDatabase<Uint8Array, Uint8Array>
  readonly about: Bytes
}

/** Its version counts how often the store was opened for writing. */
const OWNER = encodeKey('owner')
/** Its value is the journal's id and the last record begun (6 bytes), its version the last record taken. */
const JOURNAL = encodeKey('journal')
const JOURNAL_ID = 16
/** Keeps the keys of entries apart from the names of tables, which the root table holds too. */
const ENTRY = '/'
/** The table in which they were at first, as LMDB writes a table's name. */
const FORMER = encodeKey('entries\0')
const TABLE = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const

/** An open environment. */
export class LmdbTree {
  readonly path: string
  readonly #entries: Tables['entries']
  readonly #about: Bytes
  /** The owner's version while we are the owner; 0 if we only read. */
  readonly #term: number

  /**
   * Opens a directory, made if need be unless it is only read; whoever opens it for writing owns it.
   *
   * @throws Error that says why not; also where the disk has no room for the note that we own it
   */
  constructor(path: string, readOnly: boolean) {
    prepare(path, readOnly)
    this.path = path
    const entries = open<Uint8Array, Uint8Array>({
      ...TABLE,
      path,
      noSubdir: false,
      readOnly,
      // Else a transaction is visible, though not resolved, before it is flushed.
      overlappingSync: false,
      // All writes of a transaction are batched by us. With it a large one that fails rejects a promise that nobody has.
      eventTurnBatching: false,
    })
    this.#entries = entries
    try {
      const about: Bytes | undefined = entries.openDB({ ...TABLE, name: 'owner', useVersions: true })
      if (about === undefined) throw new Error('it holds no store of ours')
      this.#about = about
      this.#term = readOnly ? 0 : this.#takeOver()
      if (entries.doesExist(FORMER)) bringOver(entries, readOnly)
    } catch (error) {
      entries.close().catch(() => undefined)
      throw error
    }
  }

  /** A value that the caller may keep and change. */
  get(key: string): Uint8Array | undefined {
    // Not `getBinaryFast`: what it gives is overwritten by the next read, and only pretends to its length.
    const copy = this.#entries.getBinary(encodeEntry(key))
    return copy === undefined ? undefined : new Uint8Array(copy)
  }

  /** A snapshot in key order; `return()` frees what it holds. */
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

  /** Whether nobody else has opened it for writing since, seen anew. */
  isOurs(): boolean {
    this.#entries.resetReadTxn()
    return this.#about.doesExist(OWNER, this.#term)
  }

  /** How far it has come with which journal, seen anew; `undefined` if all that was committed is in it. */
  mark(): Mark | undefined {
    this.#entries.resetReadTxn()
    const found = this.#about.getEntry(JOURNAL)
    if (found === undefined) return undefined
    const value = Buffer.from(found.value)
    const id = new Uint8Array(value.subarray(0, JOURNAL_ID))
    return { id, sequence: found.version ?? 0, begun: value.readUIntBE(JOURNAL_ID, 6) }
  }

  /**
   * Applies all writes in order and atomically; returns when they are durable.
   *
   * @param mark what {@link LmdbTree.mark} is from then on
   * @throws Error that says why not; also if another process owns it, and then nothing is written
   */
  applyHere(writes: readonly Write[], mark: Mark | undefined): void {
    let isOurs: boolean
    try {
      isOurs = this.#entries.transactionSync(() => {
        if (!this.#about.doesExist(OWNER, this.#term)) return false
        for (const write of writes) {
          if (write.kind === 'put') this.#entries.putSync(encodeEntry(write.key), write.value)
          else this.#entries.removeSync(encodeEntry(write.key))
        }
        if (mark === undefined) this.#about.removeSync(JOURNAL)
        else this.#about.putSync(JOURNAL, markValue(mark), mark.sequence)
        return true
      })
    } catch (error) {
      throw this.#explained(error)
    }
    if (!isOurs) throw new NotOurs()
  }

  /**
   * Applies writes on another thread; resolves when they are durable. Not atomic: where one write fails, those after it
   * may be applied all the same. So they must be in a journal, after the mark.
   *
   * @param mark what {@link LmdbTree.mark} is from then on: whatever becomes of the writes
   * @throws Error that says why not; also if another process owns it, and then nothing is written
   */
  async apply(writes: Iterable<Write>, mark: Mark): Promise<void> {
    let isOurs: boolean | undefined
    try {
      // Each write's own promise says no more than the whole's, but must not reject unheard.
      const parts: Promise<boolean>[] = []
      const whole = this.#about.ifVersion(OWNER, this.#term, () => {
        for (const write of writes) {
          const key = encodeEntry(write.key)
          parts.push(write.kind === 'put' ? this.#entries.put(key, write.value) : this.#entries.remove(key))
        }
        parts.push(this.#about.put(JOURNAL, markValue(mark), mark.sequence))
      })
      ;[isOurs] = await Promise.all([whole, ...parts])
    } catch (error) {
      throw this.#explained(await systemError(error))
    }
    if (!isOurs) throw new NotOurs()
  }

  async close(): Promise<void> {
    await this.#entries.close()
  }

  /** LMDB calls a full disk an "Input/output error", since the kernel first writes what still fits. */
  #explained(cause: unknown): Error {
    const message = cause instanceof Error ? cause.message : String(cause)
    return new Error(`${message}, with ${roomAt(this.path)} left on the disk`, { cause })
  }

  #takeOver(): number {
    return this.#entries.transactionSync(() => {
      const term = 1 + (this.#about.getEntry(OWNER)?.version ?? 0)
      this.#about.putSync(OWNER, Uint8Array.of(), term)
      return term
    })
  }
}

/** Somebody else has opened the store for writing. */
export class NotOurs extends Error {
  constructor() {
    super('another process has opened it since and owns it now')
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

function markValue({ id, begun }: Mark): Uint8Array {
  const value = Buffer.alloc(JOURNAL_ID + 6)
  value.set(id)
  value.writeUIntBE(begun, JOURNAL_ID, 6)
  return value
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
