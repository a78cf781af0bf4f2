// What a turn has come to so far: which channels changed, what is to be written, and what is to happen after that.
import type { Hex } from '../../../channel/bytes.js'
import type { Write } from '../../../persistence/index.js'
import { isLive } from '../channel/index.js'
import { REVOKED_ROWS } from '../monitor/rows.js'
import type { LightningMessage } from '../wire/index.js'
import type { NodeEffect, Turn } from './effects.js'
import { type Entry, namesOf } from './entries.js'
import { entryRemoval, entryWrites } from './entry-rows.js'

/** See above. */
export class Draft {
  #writes: Write[] = []
  #effects: NodeEffect[] = []
  readonly #changed = new Set<Entry>()
  /** Channels that handed on in this turn what became of HTLCs. */
  readonly #handing = new Set<Entry>()

  /** A new turn. What changed in the one before is kept until it is {@link takeChanged}. */
  begin(): void {
    this.#writes = []
    this.#effects = []
    this.#handing.clear()
  }

  /** Others have heard of what became of the channel's HTLCs. */
  handedOn(entry: Entry): void {
    this.#handing.add(entry)
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

  /**
   * The turn is over.
   *
   * @param others to be written with it
   * @param fail called for a channel whose records have no encoding: what the turn made of it is as if it had not been
   * @throws why they have none, if it handed something on: that is in the records of others, and must be there once
   */
  finish(
    others: readonly Write[],
    fail: (entry: Entry, cause: unknown) => void,
  ): Pick<Turn, 'writes' | 'effects'> {
    for (const entry of [...this.#changed]) {
      try {
        this.#record(entry)
      } catch (cause) {
        if (this.#handing.has(entry)) throw cause
        this.#undo(entry)
        fail(entry, cause)
      }
    }
    return { writes: [...this.#writes, ...others], effects: this.#effects }
  }

  /** The turn is durable: which channels it changed. */
  takeChanged(): readonly Entry[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed
  }

  /** Nothing of it leaves. */
  #undo(entry: Entry): void {
    const { keyIndex, peer, written, state } = entry
    const names = new Set<Hex>(namesOf(entry))
    this.#changed.delete(entry)
    this.#effects = this.#effects.filter((effect) => {
      if ('channel' in effect) return effect.channel !== keyIndex
      return effect.kind !== 'send' || effect.peer !== peer || !names.has(nameIn(effect.message) ?? '0x')
    })
    if (written === undefined) return
    entry.state =
      isLive(state) && isLive(written.state) ? { ...written.state, link: state.link } : written.state
    entry.monitor = written.monitor
    entry.revoked = []
  }

  #record(entry: Entry): void {
    if (isLive(entry.state)) return this.write(...entryWrites(entry, entry.state))
    if (entry.state.phase !== 'closed' || entry.written === undefined) return
    this.write(...entryRemoval(entry, entry.written))
    this.effect({ kind: 'sweepRows', prefix: `${REVOKED_ROWS}${entry.keyIndex}/` })
  }
}

/** By which a message names its channel, if it does. */
function nameIn(message: LightningMessage): Hex | undefined {
  if ('channelID' in message) return message.channelID
  return 'temporaryChannelID' in message ? message.temporaryChannelID : undefined
}
