// What a turn has come to so far: which channels changed, what is to be written, and what is to happen after that.
import type { Hex } from '../../../channel/bytes.js'
import type { Write } from '../../../persistence/index.js'
import { type ChannelEnv, type ChannelInput, isLive } from '../channel/index.js'
import type { MonitorEnv, MonitorInput } from '../monitor/index.js'
import { REVOKED_ROWS } from '../monitor/rows.js'
import type { LightningMessage } from '../wire/index.js'
import type { NodeEffect, Turn } from './effects.js'
import { type Entry, namesOf } from './entries.js'
import { entryRemoval, entryWrites } from './entry-rows.js'
import { NODE_KEYS } from './rows.js'

/** See above. */
export class Draft {
  #writes: Write[] = []
  #effects: NodeEffect[] = []
  readonly #changed = new Set<Entry>()
  /** What channels were when they last handed on in this turn what became of HTLCs. */
  readonly #handing = new Map<Entry, Standing>()
  /** What of this turn's nobody says again. */
  readonly #heard = new Map<Entry, Heard[]>()

  /** A new turn. What changed in the one before is kept until it is {@link takeChanged}. */
  begin(): void {
    this.#writes = []
    this.#effects = []
    this.#handing.clear()
    this.#heard.clear()
  }

  /** Others are about to hear what became of the channel's HTLCs, by a step that it has just taken. */
  handsOn(entry: Entry): void {
    const { state, monitor, revoked } = entry
    const heard = this.#heard.get(entry)?.length ?? 0
    this.#handing.set(entry, { state, monitor, revoked: revoked.length, heard })
  }

  /** The channel is about to hear what nobody will say again: the blocks count as dealt with, wishes as made. */
  hears(entry: Entry, heard: Heard): void {
    const all = this.#heard.get(entry)
    if (all === undefined) this.#heard.set(entry, [heard])
    else all.push(heard)
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
   * written, or else as the store has it. What it handed on is in the records of others and stays there: if the step that
   * handed it on can't be written itself, the channel may hand it on again after a restart. To know before others hear of it,
   * each such step would have to be encoded by itself, which costs payments nearly a tenth of their time.
   *
   * @param others to be written with it
   * @param fail called for a channel whose records have no encoding, with what it heard since it was as it is now: that of it
   *   which can be written is to be heard again
   */
  finish(
    others: readonly Write[],
    fail: (entry: Entry, cause: unknown, heard: readonly Heard[]) => void,
  ): Pick<Turn, 'writes' | 'effects'> {
    for (const entry of [...this.#changed]) {
      try {
        this.#record(entry)
      } catch (cause) {
        this.#undo(entry, cause, fail)
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

  /** Nothing of it leaves but what can be written. */
  #undo(entry: Entry, cause: unknown, fail: Parameters<Draft['finish']>[1]): void {
    const { keyIndex, peer, written, shown } = entry
    const names = new Set<Hex>(namesOf(entry))
    this.#effects = this.#effects.filter((effect) => {
      if ('channel' in effect) return effect.channel !== keyIndex
      return effect.kind !== 'send' || effect.peer !== peer || !names.has(nameIn(effect.message) ?? '0x')
    })
    const heard = this.#heard.get(entry) ?? []
    const standing = this.#handing.get(entry)
    if (written === undefined && standing === undefined) {
      // Nothing of it is in the store, so nothing may be that is about it.
      this.#changed.delete(entry)
      this.#writes = this.#writes.filter(({ key }) => key !== NODE_KEYS.funding(keyIndex))
      this.#stand(entry, { state: shown, monitor: undefined, revoked: 0 })
      entry.place = undefined
      return fail(entry, cause, [])
    }
    const tried = [standing, written && { ...written, revoked: 0, heard: 0 }].filter(
      (one) => one !== undefined,
    )
    for (const one of tried) {
      this.#stand(entry, one)
      fail(entry, cause, heard.slice(one.heard))
      try {
        return this.#record(entry)
      } catch {}
    }
    this.#changed.delete(entry)
  }

  #stand(entry: Entry, { state, monitor, revoked }: Omit<Standing, 'heard'>): void {
    const before = entry.state
    entry.state = isLive(before) && isLive(state) ? { ...state, link: before.link } : state
    entry.monitor = monitor
    entry.revoked = entry.revoked.slice(0, revoked)
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
  /** How much of what it hears in the turn it had heard then. */
  readonly heard: number
}

/** What a channel heard, or its monitor, and what was known of the world then. */
export type Heard =
  | { readonly by: 'channel'; readonly input: ChannelInput; readonly env: ChannelEnv }
  | { readonly by: 'monitor'; readonly input: MonitorInput; readonly env: MonitorEnv }

/** By which a message names its channel, if it does. */
function nameIn(message: LightningMessage): Hex | undefined {
  if ('channelID' in message) return message.channelID
  return 'temporaryChannelID' in message ? message.temporaryChannelID : undefined
}
