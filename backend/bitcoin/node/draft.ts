// What a turn has come to so far: which channels changed, what is to be written, and what is to happen after that.
import type { Hex } from '../../../channel/bytes.js'
import type { Write } from '../../../persistence/index.js'
import { type ChannelInput, isLive } from '../channel/index.js'
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
  /** What channels were when they last handed on in this turn what became of HTLCs. */
  readonly #handing = new Map<Entry, Standing>()
  /** What was wanted of channels since then, or since the turn began. */
  readonly #wanted = new Map<Entry, ChannelInput[]>()

  /** A new turn. What changed in the one before is kept until it is {@link takeChanged}. */
  begin(): void {
    this.#writes = []
    this.#effects = []
    this.#handing.clear()
    this.#wanted.clear()
  }

  /** Others are about to hear what became of the channel's HTLCs, by a step that it has just taken. */
  handsOn(entry: Entry): void {
    const { state, monitor, revoked } = entry
    this.#handing.set(entry, { state, monitor, revoked: revoked.length })
    this.#wanted.delete(entry)
  }

  /** Whoever decides about HTLCs wants that of the channel, and will not want it again. */
  wants(entry: Entry, input: ChannelInput & { readonly kind: 'want' }): void {
    const all = this.#wanted.get(entry)
    if (all === undefined) this.#wanted.set(entry, [input])
    else all.push(input)
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
   * A channel whose records have no encoding costs itself: it is as it was when it last handed something on, if that can be
   * written, or else as the store has it. What it handed on is in the records of others and must be there once; so if the step
   * that handed it on can't be written itself, nothing of the turn may be: the channel would take that step again after a
   * restart. To know before others hear of it, each such step would have to be encoded by itself, which costs payments nearly
   * a tenth of their time; to take it back, those who heard of it and all that they wanted since would have to be undone.
   *
   * @param others to be written with it
   * @param fail called for a channel whose records have no encoding, with what was wanted of it since it was as it is now:
   *   what of that can be written is to be wanted again
   * @throws why they have none, if what it handed on in this turn can't be kept
   */
  finish(
    others: readonly Write[],
    fail: (entry: Entry, cause: unknown, wanted: readonly ChannelInput[]) => void,
  ): Pick<Turn, 'writes' | 'effects'> {
    for (const entry of [...this.#changed]) {
      try {
        this.#record(entry)
      } catch (cause) {
        this.#undo(entry, this.#handing.get(entry))
        fail(entry, cause, this.#wanted.get(entry) ?? [])
        if (this.#changed.has(entry)) this.#record(entry)
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

  /** Nothing of it leaves. @param standing what it must be at least */
  #undo(entry: Entry, standing: Standing | undefined): void {
    const { keyIndex, peer, written, state } = entry
    const names = new Set<Hex>(namesOf(entry))
    this.#effects = this.#effects.filter((effect) => {
      if ('channel' in effect) return effect.channel !== keyIndex
      return effect.kind !== 'send' || effect.peer !== peer || !names.has(nameIn(effect.message) ?? '0x')
    })
    const before = standing ?? (written && { ...written, revoked: 0 })
    if (before === undefined) return void this.#changed.delete(entry)
    entry.state = isLive(state) && isLive(before.state) ? { ...before.state, link: state.link } : before.state
    entry.monitor = before.monitor
    entry.revoked = entry.revoked.slice(0, before.revoked)
  }

  #record(entry: Entry): void {
    if (isLive(entry.state)) return this.write(...entryWrites(entry, entry.state))
    if (entry.state.phase !== 'closed' || entry.written === undefined) return
    this.write(...entryRemoval(entry, entry.written))
    this.effect({ kind: 'sweepRows', prefix: `${REVOKED_ROWS}${entry.keyIndex}/` })
  }
}

/** What of a channel is to be written, as it was at some time of a turn. */
interface Standing {
  readonly state: Entry['state']
  readonly monitor: Entry['monitor']
  /** How many of the revoked commitments that are to be written. */
  readonly revoked: number
}

/** By which a message names its channel, if it does. */
function nameIn(message: LightningMessage): Hex | undefined {
  if ('channelID' in message) return message.channelID
  return 'temporaryChannelID' in message ? message.temporaryChannelID : undefined
}
