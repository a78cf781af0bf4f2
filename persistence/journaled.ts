// A tree behind a journal. A commit is durable when the journal has it; until the tree has it too it is kept in memory,
// where reads look first.
import { rmSync } from 'node:fs'
import type { Engine } from './engine.js'
import { type Body, encodeBody, fitsJournal, Journal, journalsIn, readJournal } from './journal.js'
import { type LmdbTree, NotOurs } from './lmdb-tree.js'
import type { Pace } from './pace.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** What is gathered for the tree to take at once: commits of so long, or so many. The longer, the fewer rows are left. */
const GATHER = { milliseconds: 1000, bytes: 0x10_0000 }

interface Commit {
  readonly body: Body
  readonly writes: readonly Write[]
  readonly commits: number
}

/** An engine that writes. */
export class JournaledEngine implements Engine {
  readonly #tree: LmdbTree
  readonly #pace: Pace
  #journal: Journal | undefined
  /** The last write to each key that is durable, though not in the tree. */
  #pending = new Map<string, Write>()
  /** Those of them that the tree takes at this moment. */
  #taking = new Map<string, Write>()
  #taken: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  /** Bytes of the records of what is pending. */
  #gathered = 0
  /** Of the last record that is durable and either pending or in the tree. */
  #reached = 0
  /** Of the last record up to which the tree has all. */
  #settled = 0
  /** Why the tree takes no more. */
  #failure: Error | undefined

  /**
   * Brings a tree up to date with the journal of whoever owned it before.
   *
   * @throws Error if that journal is missing or damaged
   */
  constructor(tree: LmdbTree, pace: Pace) {
    this.#tree = tree
    this.#pace = pace
    // Read after the tree became ours: what that owner still adds fails for him, see #append.
    const mark = tree.mark()
    const left = journalsIn(tree.path)
    if (mark !== undefined) tree.applyHere(readJournal(tree.path, mark).writes, undefined)
    // None of those is of a later owner, who may have begun one meanwhile: there was none when we looked.
    else if (!tree.isOurs()) throw new NotOurs()
    for (const path of left) rmSync(path, { force: true })
  }

  get(key: string): Uint8Array | undefined {
    const write = this.#pending.get(key) ?? this.#taking.get(key)
    if (write === undefined) return this.#tree.get(key)
    return write.kind === 'put' ? write.value.slice() : undefined
  }

  peek(key: string): Uint8Array | undefined {
    return this.get(key)
  }

  scan(prefix: string, options: ScanOptions): AsyncIterable<Entry> | Iterable<Entry> {
    return this.#isWhole ? this.#tree.scan(prefix, options) : this.#scanLater(prefix, options)
  }

  write(writes: readonly Write[], commits: number): Promise<void> | void {
    if (this.#failure !== undefined) throw this.#failure
    const body = encodeBody(writes)
    const commit = { body, writes, commits }
    return this.#journal?.fits(body) === true ? this.#append(this.#journal, commit) : this.#makeRoom(commit)
  }

  async close(): Promise<void> {
    const journal = this.#journal
    clearTimeout(this.#timer)
    try {
      await this.#taken
      if (journal === undefined || this.#failure !== undefined) return
      this.#tree.applyHere([...this.#pending.values()], undefined)
      this.#journal = undefined
      journal.remove()
    } finally {
      // What the tree did not take is found in the journal next time.
      this.#journal?.close()
      await this.#tree.close()
    }
  }

  /** Whether the tree has all that is durable. */
  get #isWhole(): boolean {
    return this.#pending.size + this.#taking.size === 0
  }

  #append(journal: Journal, { body, writes, commits }: Commit): Promise<void> | void {
    const started = performance.now()
    const end = () => {
      // Whoever takes over does so first and reads the journal then: either he has found this record, or we find him.
      if (!this.#tree.isOurs()) throw new NotOurs()
      this.#pace.took(commits, performance.now() - started)
      for (const write of writes) this.#pending.set(write.key, write)
      this.#reached = journal.sequence
      this.#gathered += body.length
      this.#timer ??= setTimeout(() => void this.#take(), GATHER.milliseconds).unref()
      if (this.#gathered > GATHER.bytes) void this.#take()
    }
    const appended = journal.append(body, this.#pace.blocks(commits))
    if (appended instanceof Promise) return appended.then(end)
    end()
  }

  /** For a commit that finds no journal, or a full one, or is itself larger than one. */
  async #makeRoom(commit: Commit): Promise<void> {
    await this.#settle()
    const mark = this.#journal && { id: this.#journal.id, sequence: this.#settled, begun: this.#settled }
    if (!fitsJournal(commit.body)) return this.#tree.applyHere(commit.writes, mark)
    if (this.#journal === undefined) this.#journal = this.#begin()
    else {
      this.#tree.applyHere([], mark)
      this.#journal.restart()
    }
    return this.#append(this.#journal, commit)
  }

  /** Made with the first commit: a store that is opened to be read needs none. */
  #begin(): Journal {
    const journal = new Journal(this.#tree.path)
    try {
      this.#tree.applyHere([], { id: journal.id, sequence: 0, begun: 0 })
    } catch (error) {
      journal.remove()
      throw error
    }
    return journal
  }

  async *#scanLater(prefix: string, options: ScanOptions): AsyncGenerator<Entry, void, undefined> {
    await this.#settle()
    yield* this.#tree.scan(prefix, options)
  }

  /** Waits until the tree has all that is durable now. @throws Error if it takes no more */
  async #settle(): Promise<void> {
    await this.#taken
    // Another call may have begun to take it meanwhile.
    await (this.#pending.size > 0 ? this.#take() : this.#taken)
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Has the tree take what is pending, or waits for what it takes. Never rejects. */
  #take(): Promise<void> {
    this.#taken ??= this.#takeAll()
      .catch((error: Error) => {
        this.#failure = error
      })
      .finally(() => {
        this.#taken = undefined
      })
    return this.#taken
  }

  async #takeAll(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#journal === undefined) return
    const reached = this.#reached
    this.#taking = this.#pending
    this.#pending = new Map()
    this.#gathered = 0
    const mark = { id: this.#journal.id, sequence: this.#settled, begun: reached }
    await this.#tree.apply(this.#taking.values(), mark)
    this.#taking = new Map()
    this.#settled = reached
  }
}
