// A disk that takes its time, and a process's hold on it. What is not durable when the process dies is gone.
import { PerkunasError } from '../../channel/index.js'
import type { Clock } from '../../client/index.js'
import type { Entry, ScanOptions, Store, Write } from '../../persistence/index.js'
import { MemoryStore } from '../../persistence/index.js'
import type { Random } from './random.js'

/** What outlives a process. */
export type Disk = ReadonlyMap<string, Uint8Array>

/** What is to happen at a commit to come. */
export interface StoreFault {
  /** Commits that still go well. */
  commits: number
  /**
   * `before`: the process dies and the batch is lost; `between`: the batch is durable, but the process dies before it
   * hears of it; `after`: it dies after some more effects; `error`: the disk refuses, and the batch may be there or not.
   */
  readonly how: 'before' | 'between' | 'after' | 'error'
  /** For `after`: how many effects still go well. */
  readonly effects: number
}

/** What the store does to its process. */
export interface StoreHost {
  readonly clock: Clock
  readonly random: Random
  isAlive(): boolean
  die(): void
  /** Lets the process die after so many effects. */
  dieAfter(effects: number): void
  /** Something is durable. */
  wrote(batch: readonly Write[]): void
}

interface Waiting {
  readonly batch: readonly Write[]
  readonly resolve: () => void
  readonly reject: (error: PerkunasError) => void
}

/** One process's store over a disk. A dead process's calls never settle. */
export class SimStore implements Store {
  readonly #memory: MemoryStore
  readonly #durable: Map<string, Uint8Array>
  readonly #host: StoreHost
  #queue: Waiting[] = []
  #busy = false
  #failure: PerkunasError | undefined
  fault: StoreFault | undefined

  constructor(disk: Disk, host: StoreHost) {
    this.#memory = new MemoryStore(disk)
    this.#durable = new Map(disk)
    this.#host = host
  }

  /** What a new process would find. */
  get disk(): Disk {
    return this.#durable
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#memory.get(key)
  }

  scan(prefix: string, options?: ScanOptions): AsyncIterable<Entry> {
    return this.#memory.scan(prefix, options)
  }

  commit(batch: readonly Write[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#host.isAlive()) return
      if (this.#failure !== undefined) return reject(this.#failure)
      this.#queue.push({ batch: batch.map(copyOf), resolve, reject })
      if (!this.#busy) this.#next()
    })
  }

  async close(): Promise<void> {}

  #next(): void {
    this.#busy = true
    const { clock, random } = this.#host
    clock.after(random.chance(0.8) ? random.int(3) : random.int(60), () => {
      void this.#write()
    })
  }

  async #write(): Promise<void> {
    const waiting = this.#queue.shift()
    const { fault } = this
    if (waiting === undefined || !this.#host.isAlive()) return
    if (fault !== undefined && fault.commits-- <= 0) {
      this.fault = undefined
      if (fault.how === 'before') return this.#host.die()
      if (fault.how === 'error') return this.#fail(waiting)
      this.#apply(waiting.batch)
      if (fault.how === 'between') return this.#host.die()
      this.#host.dieAfter(fault.effects)
    } else {
      this.#apply(waiting.batch)
    }
    await this.#memory.commit(waiting.batch)
    waiting.resolve()
    if (this.#queue.length > 0) this.#next()
    else this.#busy = false
  }

  #apply(batch: readonly Write[]): void {
    for (const write of batch) {
      if (write.kind === 'put') this.#durable.set(write.key, write.value)
      else this.#durable.delete(write.key)
    }
    this.#host.wrote(batch)
  }

  #fail(waiting: Waiting): void {
    if (this.#host.random.chance(0.5)) this.#apply(waiting.batch)
    this.#failure = new PerkunasError('STORE_FAILED', 'no space left on device', { operation: 'commit' })
    for (const { reject } of [waiting, ...this.#queue]) reject(this.#failure)
    this.#queue = []
  }
}

/** What its writer does with the bytes later changes nothing. */
function copyOf(write: Write): Write {
  return write.kind === 'put' ? { ...write, value: write.value.slice() } : { ...write }
}
