// How long to wait before trying again: longer each time, and never all at the same moment.

/** Waits that double from `min` to `max`, each between half of itself and itself. */
export class Backoff {
  readonly #min: number
  readonly #max: number
  readonly #random: () => number
  #wait: number

  /** @param random from 0 to 1 */
  constructor(min: number, max: number, random: () => number) {
    this.#min = min
    this.#max = max
    this.#random = random
    this.#wait = min
  }

  /** The next wait, in the unit of `min`. */
  next(): number {
    const wait = this.#wait
    this.#wait = Math.min(this.#max, 2 * wait)
    return (wait * (1 + this.#random())) / 2
  }

  /** Begins anew. */
  reset(): void {
    this.#wait = this.#min
  }
}
