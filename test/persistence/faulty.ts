// A store whose disk fails, or whose process dies, at a commit of the test's choice.
import { PerkunasError } from '../../channel/errors.js'
import type { Entry, ScanOptions, Store, Write } from '../../persistence/index.js'

/** What happens at one commit. */
export type Fault =
  /** The process dies: this call and all others never settle. Before the batch is durable, or right after. */
  | { readonly kind: 'crash'; readonly batch: 'lost' | 'kept' }
  /** The disk refuses. The batch may be there all the same: a failed fsync tells nothing. */
  | { readonly kind: 'error'; readonly code: 'ENOSPC' | 'EIO'; readonly batch: 'lost' | 'kept' }

/** Chooses the fault of a commit, if any: `number` counts the calls from 1. */
export type Plan = (number: number, batch: readonly Write[]) => Fault | undefined

/**
 * A store over another one (which is the disk: look there for what is left after a crash).
 *
 * A crash or an error at one commit is the last thing that happens: commits called after it never reach the
 * disk, those called before it do.
 */
export class FaultyStore implements Store {
  readonly #disk: Store
  readonly #plan: Plan
  readonly #onCrash: () => void
  #count = 0
  #state: 'working' | 'dead' | PerkunasError<'STORE_FAILED'> = 'working'

  /** @param onCrash called when the process dies; with `batch: 'kept'` once the batch is on the disk */
  constructor(disk: Store, plan: Plan, onCrash: () => void = () => {}) {
    this.#disk = disk
    this.#plan = plan
    this.#onCrash = onCrash
  }

  /** How many commits were called. */
  get commits(): number {
    return this.#count
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    const value = this.#state === 'working' ? await this.#disk.get(key) : undefined
    return this.#end() ?? value
  }

  async *scan(prefix: string, options?: ScanOptions): AsyncGenerator<Entry, void, undefined> {
    await this.#end()
    for await (const entry of this.#disk.scan(prefix, options)) {
      await this.#end()
      yield entry
    }
  }

  async commit(batch: readonly Write[]): Promise<void> {
    if (this.#state !== 'working') return this.#end()
    const fault = this.#plan(++this.#count, batch)
    if (fault === undefined) {
      // If a later commit meets a fault meanwhile, this one is on the disk, but nobody hears of it.
      await this.#disk.commit(batch)
      return this.#end()
    }
    this.#state = fault.kind === 'crash' ? 'dead' : failure(fault.code)
    // An empty batch still waits for the commits that were called before this one.
    await this.#disk.commit(fault.batch === 'kept' ? batch : [])
    if (fault.kind === 'crash') this.#onCrash()
    return this.#end()
  }

  /** Closes the disk, unless the process is dead: then it is somebody else's. */
  async close(): Promise<void> {
    if (this.#state !== 'dead') await this.#disk.close()
  }

  /** What every call comes to after a fault; `undefined` before. */
  #end(): Promise<never> | undefined {
    if (this.#state === 'working') return undefined
    return this.#state === 'dead' ? new Promise(() => {}) : Promise.reject(this.#state)
  }
}

function failure(code: 'ENOSPC' | 'EIO'): PerkunasError<'STORE_FAILED'> {
  const cause = Object.assign(new Error(code === 'EIO' ? 'input/output error' : 'no space left on device'), {
    code,
  })
  return new PerkunasError(
    'STORE_FAILED',
    `the store failed to commit (${cause.message})`,
    { operation: 'commit' },
    { cause },
  )
}
