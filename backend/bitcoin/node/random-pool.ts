// Random bytes for each payment and each alias, asked of the system a page at a time: a call for 32 bytes takes as long as one
// for thousands.

const PAGE = 4096

/** See above. Nothing is given out twice. */
export class RandomPool {
  #page = new Uint8Array()

  /** So many random bytes, of which nobody keeps a copy. */
  take(bytes: number): Uint8Array {
    if (bytes > PAGE) return crypto.getRandomValues(new Uint8Array(bytes))
    if (this.#page.length < bytes) this.#page = crypto.getRandomValues(new Uint8Array(PAGE))
    const taken = this.#page.slice(0, bytes)
    this.#page.fill(0, 0, bytes)
    this.#page = this.#page.subarray(bytes)
    return taken
  }
}
