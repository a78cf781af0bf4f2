// A store in memory, for tests, simulation and clients that need not survive their process.
import { type Engine, EngineStore } from './engine.js'
import { compareKeys } from './keys.js'
import type { Entry, ScanOptions, Write } from './store.js'

/** The whole content of a store at one moment. Values are never changed in place, so it is cheap to take. */
export type Snapshot = ReadonlyMap<string, Uint8Array>

/**
 * A store that forgets everything with its process, but keeps all other promises: commits take effect in a
 * microtask of their own, so that a caller who does not await them is found out.
 */
export class MemoryStore extends EngineStore {
  readonly #engine: MemoryEngine

  /** @param snapshot what it holds at first: what a crashed client would find on its disk */
  constructor(snapshot: Snapshot = new Map()) {
    const engine = new MemoryEngine(snapshot)
    super('memory store', engine)
    this.#engine = engine
  }

  /** What is committed now, whatever happens to this store later; also of a closed one. */
  snapshot(): Snapshot {
    return this.#engine.snapshot()
  }

  /** An independent store with the same content. */
  clone(): MemoryStore {
    return new MemoryStore(this.snapshot())
  }
}

class MemoryEngine implements Engine {
  readonly #values: Map<string, Uint8Array>
  /** All keys in order; rebuilt at the next scan after a key came or went. */
  #sorted: readonly string[] | undefined

  constructor(snapshot: Snapshot) {
    this.#values = new Map(snapshot)
  }

  snapshot(): Snapshot {
    return new Map(this.#values)
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key)?.slice()
  }

  peek(key: string): Uint8Array | undefined {
    return this.get(key)
  }

  *scan(prefix: string, { after, limit = Infinity }: ScanOptions): Generator<Entry, void, undefined> {
    this.#sorted ??= [...this.#values.keys()].sort(compareKeys)
    const matching = this.#sorted.filter(
      (key) => key.startsWith(prefix) && (after === undefined || compareKeys(key, after) > 0),
    )
    const entries = matching.slice(0, limit).flatMap((key) => {
      const value = this.#values.get(key)
      return value === undefined ? [] : [[key, value] as const]
    })
    for (const [key, value] of entries) yield [key, value.slice()]
  }

  write(writes: readonly Write[]): void {
    for (const write of writes) {
      if (write.kind === 'put') {
        if (!this.#values.has(write.key)) this.#sorted = undefined
        this.#values.set(write.key, write.value)
      } else if (this.#values.delete(write.key)) this.#sorted = undefined
    }
  }

  close(): void {}
}
