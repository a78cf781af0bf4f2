// Whether a commit blocks the event loop: worth it where the disk is quicker than two switches of threads.

/** Of the commits in the background, which one blocks all the same, to learn what the disk takes by itself. */
const PROBE = 32

/**
 * Decides from what the last lone commits have taken.
 *
 * A commit that was interrupted says nothing of the disk: a quick one counts more than a slow one, however slow. One in
 * the background takes as long as its thread has to wait for a processor: it counts only if it was quick, and now and
 * then one is tried in place. Else a moment of load would send all later commits to the background for good.
 */
export class Pace {
  readonly #limit: number
  /** Moving average of lone commits, in milliseconds. */
  #lone = 0
  #inBackground = 0
  #isBlocking = false

  /** @param limit in milliseconds: what blocking commits may take; 0 for none */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** Whether a write for so many commits should block. */
  blocks(commits: number): boolean {
    if (commits !== 1) return false
    this.#isBlocking = this.#lone < this.#limit || (this.#limit > 0 && ++this.#inBackground % PROBE === 0)
    return this.#isBlocking
  }

  /** Learns what that write has taken. */
  took(commits: number, milliseconds: number): void {
    if (commits !== 1) return
    const seen = Math.min(milliseconds, 2 * this.#limit)
    if (seen < this.#lone) this.#lone += (seen - this.#lone) / 2
    else if (this.#isBlocking) this.#lone += (seen - this.#lone) / 8
  }
}
