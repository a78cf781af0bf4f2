// What a new channel leads to waits until a backup has it, lest money is in a channel of which there is none. Nothing else
// waits: a backup that takes long, or has no end, is made while all other channels go on.
import { isLive } from '../channel/index.js'
import type { NodeEffect } from './effects.js'
import type { Entry } from './entries.js'

/** What holding back needs of its node. */
export interface HoldOptions {
  /** Makes a backup of now; its errors are told elsewhere. */
  readonly backUp: () => Promise<void>
  /** Whether anybody keeps it. */
  readonly isKept: boolean
  readonly perform: (effect: NodeEffect) => void
  /** What was held back is done. */
  readonly released: () => void
}

interface Held {
  readonly entry: Entry
  waiting: NodeEffect[]
}

/** See above. */
export class Hold {
  readonly #options: HoldOptions
  readonly #held = new Map<bigint, Held>()
  /** That the next backup will have. */
  #next: readonly bigint[] = []
  #isDue = false
  #isBackingUp = false

  constructor(options: HoldOptions) {
    this.#options = options
  }

  /** Whether what a channel leads to waits. */
  has(channel: bigint): boolean {
    return this.#held.has(channel)
  }

  /** A backup is due. @param changed channels that came into being or ended; the former are held back */
  outdated(changed: readonly Entry[]): void {
    const { backUp, isKept } = this.#options
    if (!isKept) return void backUp()
    const fresh = changed.filter(({ state }) => isLive(state))
    for (const entry of fresh) this.#held.set(entry.keyIndex, { entry, waiting: [] })
    this.#next = [...this.#next, ...fresh.map(({ keyIndex }) => keyIndex)]
    this.#isDue = true
    if (!this.#isBackingUp) void this.#work()
  }

  /** Does it now, or when the backup is there. */
  perform(effect: NodeEffect): void {
    const held = this.#held.size === 0 ? undefined : this.#holderOf(effect)
    if (held === undefined) return this.#options.perform(effect)
    // What was meant for a connection that is lost would not leave any more.
    if (effect.kind === 'send')
      held.waiting = held.waiting.filter((one) => one.kind !== 'send' || one.connection === effect.connection)
    // Said again with each block.
    else held.waiting = held.waiting.filter(({ kind }) => kind !== 'publish')
    held.waiting.push(effect)
  }

  /** One backup after the other: an old one must not come after a newer one. */
  async #work(): Promise<void> {
    this.#isBackingUp = true
    while (this.#isDue) {
      const channels = this.#next
      this.#next = []
      this.#isDue = false
      await this.#options.backUp()
      for (const channel of channels) {
        const { waiting = [] } = this.#held.get(channel) ?? {}
        this.#held.delete(channel)
        for (const effect of waiting) this.#options.perform(effect)
      }
      this.#options.released()
    }
    this.#isBackingUp = false
  }

  /** Only what says that there is a channel: messages of it, and its funding. */
  #holderOf(effect: NodeEffect): Held | undefined {
    if (effect.kind === 'publish')
      return effect.what === 'funding' ? this.#held.get(effect.channel) : undefined
    if (effect.kind !== 'send' || !('channelID' in effect.message)) return undefined
    const { channelID } = effect.message
    for (const held of this.#held.values()) {
      const { peer, shown, state } = held.entry
      const isIts = [shown, state].some((one) => isLive(one) && one.terms.channelID === channelID)
      if (peer === effect.peer && isIts) return held
    }
    return undefined
  }
}
