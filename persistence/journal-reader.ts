// A tree and the journal of whoever writes it, for somebody who may not write.
import type { Engine } from './engine.js'
import { type Mark, readJournal } from './journal.js'
import { compareKeys } from './keys.js'
import type { LmdbTree } from './lmdb-tree.js'
import type { Entry, ScanOptions, Write } from './store.js'

/**
 * How often a journal is read before it is called damaged: whoever writes it may begin it again, or delete it, between
 * our look at the tree and that, or add two records while we read, of which we see the second one only.
 */
const TRIES = 20

/**
 * An engine that only reads: what was durable when it was opened, and what was committed since once the tree has begun
 * to take it.
 */
export class ReadOnlyEngine implements Engine {
  readonly #tree: LmdbTree
  /** How far the tree was when the journal was read. */
  #mark: Mark | undefined
  /** What the tree had yet to take then: the last write to each key. */
  #rest: ReadonlyMap<string, Write> = new Map()

  /** @throws Error if the journal is missing or damaged */
  constructor(tree: LmdbTree) {
    this.#tree = tree
    this.#missing()
  }

  get(key: string): Uint8Array | undefined {
    const write = this.#missing().get(key)
    if (write === undefined) return this.#tree.get(key)
    return write.kind === 'put' ? write.value.slice() : undefined
  }

  peek(key: string): Uint8Array | undefined {
    return this.get(key)
  }

  *scan(prefix: string, { after, limit = Infinity }: ScanOptions): Generator<Entry, void, undefined> {
    const missing = this.#missing()
    const page = after === undefined ? {} : { after }
    const added = [...missing.values()]
      .filter(({ key }) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0))
      .sort((a, b) => compareKeys(a.key, b.key))
    let left = limit
    for (const entry of merged(this.#tree.scan(prefix, page), missing, added)) {
      if (left-- <= 0) return
      yield entry
    }
  }

  write(): never {
    throw new Error('it is open for reading only')
  }

  close(): Promise<void> {
    return this.#tree.close()
  }

  /**
   * What the tree lacks as it is now, and as what is read of it in this turn of the event loop will be: the journal is
   * read after the tree is looked at, so it has all that the tree has begun to take.
   *
   * @throws Error if the journal is missing or damaged
   */
  #missing(): ReadonlyMap<string, Write> {
    for (let left = TRIES; ; left--) {
      const mark = this.#tree.mark()
      if (isSame(mark, this.#mark)) return this.#rest
      try {
        const writes = mark === undefined ? [] : readJournal(this.#tree.path, mark).writes
        this.#rest = new Map(writes.map((write) => [write.key, write]))
        this.#mark = mark
        return this.#rest
      } catch (error) {
        if (left === 1) throw error
      }
    }
  }
}

function isSame(one: Mark | undefined, other: Mark | undefined): boolean {
  if (one === undefined || other === undefined) return one === other
  const isJournal = Buffer.compare(one.id, other.id) === 0
  return isJournal && one.sequence === other.sequence && one.begun === other.begun
}

/** Entries of a tree, changed by what it lacks. */
function* merged(
  tree: Iterable<Entry>,
  missing: ReadonlyMap<string, Write>,
  added: readonly Write[],
): Generator<Entry, void, undefined> {
  const rest = added.values()
  let next = rest.next().value
  for (const entry of tree) {
    for (; next !== undefined && compareKeys(next.key, entry[0]) < 0; next = rest.next().value) {
      if (next.kind === 'put') yield [next.key, next.value.slice()]
    }
    if (!missing.has(entry[0])) yield entry
  }
  for (; next !== undefined; next = rest.next().value) {
    if (next.kind === 'put') yield [next.key, next.value.slice()]
  }
}
