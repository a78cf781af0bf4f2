// What a turn has come to so far: which channels changed, what is to be written, and what is to happen after that.
import type { Write } from '../../../persistence/index.js'
import { isLive } from '../channel/index.js'
import { REVOKED_ROWS } from '../monitor/rows.js'
import type { NodeEffect, Turn } from './effects.js'
import type { Entry } from './entries.js'
import { entryRemoval, entryWrites } from './entry-rows.js'

/** See above. */
export class Draft {
  #writes: Write[] = []
  #effects: NodeEffect[] = []
  readonly #changed = new Set<Entry>()

  /** A new turn. What changed in the one before is kept until it is {@link takeChanged}. */
  begin(): void {
    this.#writes = []
    this.#effects = []
  }

  /** What is to happen when the turn is durable. */
  effect(...effects: readonly NodeEffect[]): void {
    this.#effects.push(...effects)
  }

  /** What else is to be written with the turn. */
  write(...writes: readonly Write[]): void {
    this.#writes.push(...writes)
  }

  /** The channel's records are to be written. */
  change(entry: Entry): void {
    this.#changed.add(entry)
  }

  /** Which channels changed so far. */
  get changed(): Iterable<Entry> {
    return this.#changed
  }

  /** The turn is over. @param others to be written with it */
  finish(others: readonly Write[]): Pick<Turn, 'writes' | 'effects'> {
    for (const entry of this.#changed) this.#record(entry)
    return { writes: [...this.#writes, ...others], effects: this.#effects }
  }

  /** The turn is durable: which channels it changed. */
  takeChanged(): readonly Entry[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }

  #record(entry: Entry): void {
    if (isLive(entry.state)) return this.write(...entryWrites(entry, entry.state))
    if (entry.state.phase !== 'closed' || entry.written === undefined) return
    this.write(...entryRemoval(entry, entry.written))
    this.effect({ kind: 'sweepRows', prefix: `${REVOKED_ROWS}${entry.keyIndex}/` })
  }
}
