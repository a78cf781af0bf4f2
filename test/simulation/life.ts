// What every simulated process is, whatever its client's ledger: a clock and a disk that end with it, calls of its user, and a
// death that may come at any effect.
import type { Clock } from '../../client/index.js'
import { type Disk, SimStore, type StoreHost } from './disk.js'
import type { Oracle } from './oracle.js'
import type { Random } from './random.js'
import type { VirtualTime } from './time.js'

/** Who runs it. */
export interface LifeOwner {
  readonly name: string
  readonly isHonest: boolean
  /** The process died by itself. */
  onDeath(disk: Disk): void
}

/** Where it lives. */
export interface LifeScene {
  readonly time: VirtualTime
  readonly oracle: Pick<Oracle, 'violated'>
  tell(words: string): void
}

/** What it begins with. */
export interface LifeStart {
  readonly disk: Disk
  readonly random: Random
  readonly wrote?: StoreHost['wrote']
}

/** A process that may die. */
export abstract class Life<O extends LifeOwner, S extends LifeScene> {
  /** Of nobody after the end. */
  readonly clock: Clock
  readonly store: SimStore
  /** Calls of the user that have not come to an end. */
  readonly calls = new Map<number, string>()
  isAlive = true
  #effectsLeft = Number.POSITIVE_INFINITY
  #lastCall = 0

  constructor(
    readonly owner: O,
    readonly scene: S,
    { disk, random, wrote = () => undefined }: LifeStart,
  ) {
    this.clock = {
      now: () => scene.time.now(),
      after: (ms, callback) =>
        scene.time.after(ms, () => {
          if (this.isAlive) callback()
        }),
    }
    this.store = new SimStore(disk, {
      clock: this.clock,
      random: random.fork('disk'),
      isAlive: () => this.isAlive,
      die: () => this.die(),
      dieAfter: (effects) => {
        this.#effectsLeft = effects
      },
      wrote,
    })
  }

  /** The process is replaced by another one. */
  abstract end(): void

  /** Whether the next effect still happens. */
  effect(): boolean {
    if (this.isAlive && this.#effectsLeft-- <= 0) this.die()
    return this.isAlive
  }

  /** Nothing goes wrong any more that was planned. */
  defuse(): void {
    this.store.fault = undefined
    this.#effectsLeft = Number.POSITIVE_INFINITY
  }

  /** The end: from here on nothing that this process does has an effect. */
  die(): void {
    if (!this.isAlive) return
    this.scene.tell(`${this.owner.name} dies`)
    this.end()
    this.owner.onDeath(this.store.disk)
  }

  /** Follows a call of the user to its end. */
  call<T>(words: string, result: Promise<T>, onEnd?: (value: T) => void): void {
    const { owner, scene } = this
    const id = ++this.#lastCall
    this.calls.set(id, words)
    const ended = (how: string) => {
      this.calls.delete(id)
      if (this.effect()) scene.tell(`${owner.name} ${words}: ${how}`)
    }
    result.then(
      (value) => {
        ended('ok')
        if (this.isAlive) onEnd?.(value)
      },
      (error) => {
        const code =
          typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'untyped'
        ended(`${code} ${error instanceof Error ? error.message : ''}`)
        if (!this.isAlive || !owner.isHonest) return
        if (code === 'untyped' || code === 'INTERNAL')
          scene.oracle.violated('no mistake of ours', `${owner.name} ${words}: ${String(error)}`)
      },
    )
  }
}
