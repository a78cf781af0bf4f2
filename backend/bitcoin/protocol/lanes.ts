// Payments of our user's that are under way in a channel: as many side by side as it carries HTLCs; those beyond that wait.
import { Waiters } from '../node/waiters.js'

/** See above. */
export class Lanes {
  #taken = 0
  readonly #waiters = new Waiters()

  /**
   * Takes one where it is seen to be free: of many who wait, each looks before the one before it goes on.
   *
   * @param most how many there are now
   * @throws what `most` throws; PerkunasError ABORTED
   */
  take(most: () => number, signal: AbortSignal): Promise<true> {
    return this.#waiters.until(() => {
      if (this.#taken >= most()) return undefined
      this.#taken++
      return true
    }, signal)
  }

  /** One that was taken is free again. */
  leave(): void {
    this.#taken--
    this.check()
  }

  /** How many there are may have changed. */
  check(): void {
    this.#waiters.check()
  }
}
