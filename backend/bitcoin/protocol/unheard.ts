// What our user must hear of although nobody listens yet.

/** More is given up, the oldest first: who does not listen for so long does not want to know. */
const MOST = 256

/** See above. */
export class Unheard<T> {
  #all: { readonly what: T; readonly heard: () => void }[] = []

  /** @param heard called once it was told, or given up */
  add(what: T, heard: () => void): void {
    this.#all.push({ what, heard })
    if (this.#all.length > MOST) this.#all.shift()?.heard()
  }

  /** All of it, which counts as heard. */
  take(): readonly T[] {
    const all = this.#all
    this.#all = []
    for (const { heard } of all) heard()
    return all.map(({ what }) => what)
  }
}
