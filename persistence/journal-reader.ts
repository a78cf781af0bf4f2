// A tree and the journal of whoever writes it, for somebody who may not write.
import type { Engine } from './engine.js'
import { type Mark, readJournal } from './journal.js'
import { compareKeys } from './keys.js'
import type { LmdbTree } from './lmdb-tree.js'
import type { Entry, ScanOptions, Write } from './store.js'

/**
 * An engine that only reads: what was durable when it was opened, and of what was committed since as much as the tree
 * has taken.
 */
export class ReadOnlyEngine implements Engine {
  readonly #tree: LmdbTree
  /** How far the journal went when it was read. */
  readonly #reached: Mark | undefined
  /** What the tree had yet to take then: the last write to each key. */
  #rest: ReadonlyMap<string, Write> = new Map()

  /** @throws Error if the journal is missing or damaged */
  constructor(tree: LmdbTree) {
    this.#tree = tree
    this.#reached = tree.mark()
    if (this.#reached === undefined) return
    const { writes, sequence } = readJournal(tree.path, this.#reached)
    this.#reached = { ...this.#reached, sequence }
    this.#rest = new Map(writes.map((write) => [write.key, write]))
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

  /** What the tree still lacks of what was read from the journal. */
  #missing(): ReadonlyMap<string, Write> {
    const mark = this.#rest.size === 0 ? undefined : this.#tree.mark()
    const reached = this.#reached
    const lacks =
      mark !== undefined &&
      reached !== undefined &&
      Buffer.compare(mark.id, reached.id) === 0 &&
      mark.sequence < reached.sequence
    if (!lacks) this.#rest = new Map()
    return this.#rest
  }
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
