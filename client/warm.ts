// Which channels run: all that have something to do, and of the others the most recently used.
import type { Slot } from './slot.js'

/** How many channels are looked at in one go: what is woken is let go again, whatever happens in between. */
const LOOK = 8

/** The running channels of a client, the longest running first; those that were used since the last look are spared. */
export class Warm {
  readonly #slots = new Set<Slot>()
  readonly #limit: number

  /** @param limit of running channels that have nothing to do */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** A channel runs. It is not let go before the caller has used it. */
  add(slot: Slot): void {
    this.#slots.add(slot)
    this.trim(slot)
  }

  /** A channel is gone. */
  delete(slot: Slot): void {
    this.#slots.delete(slot)
  }

  /** Lets channels go that have nothing to do, while there are too many. */
  trim(except?: Slot): void {
    for (let looks = LOOK; looks > 0 && this.#slots.size > this.#limit; looks--) {
      const [oldest] = this.#slots
      if (oldest === undefined) return
      this.#slots.delete(oldest)
      if (oldest === except || !oldest.rest()) this.#slots.add(oldest)
    }
  }
}
