// How much of something is too much: a bucket of tokens that refills with time.

/** Allows `perSecond` on average and a burst of `burst` at once. */
export class RateLimit {
  readonly #perSecond: number
  readonly #burst: number
  #tokens: number
  #at: number

  /** @param now the time in milliseconds, as in all calls */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Takes `count`; false if that is more than there is, and then nothing is taken. */
  take(count: number, now: number): boolean {
    const earned = ((now - this.#at) / 1000) * this.#perSecond
    this.#tokens = Math.min(this.#burst, this.#tokens + earned)
    this.#at = now
    if (count > this.#tokens) return false
    this.#tokens -= count
    return true
  }
}
