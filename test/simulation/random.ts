// Chance that can be repeated: numbers that follow from words alone.
import { sha256 } from '@noble/hashes/sha2.js'
import { utf8ToBytes } from '@noble/hashes/utils.js'

/** A stream of numbers that follows from its seed (sfc32 by Chris Doty-Humphrey, seeded by SHA-256). */
export class Random {
  readonly #words: Uint32Array

  /** @param seed the same words give the same stream */
  constructor(readonly seed: string) {
    const hash = sha256(utf8ToBytes(seed))
    this.#words = new Uint32Array(hash.slice(0, 16).buffer)
  }

  /** A stream of its own, which does not move this one. */
  fork(label: string | number): Random {
    return new Random(`${this.seed}/${label}`)
  }

  /** From 0 to below `n`. */
  int(n: number): number {
    return Math.floor((this.#next() / 2 ** 32) * n)
  }

  /** From `low` to `high`, both possible. */
  between(low: number, high: number): number {
    return low + this.int(high - low + 1)
  }

  /** True so often. @param share from 0 to 1 */
  chance(share: number): boolean {
    return this.#next() / 2 ** 32 < share
  }

  /** One of them, or undefined if there are none. */
  pick<T>(items: readonly T[]): T | undefined {
    return items[this.int(items.length)]
  }

  /** One of the keys, in proportion to the weights. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries<number>(weights) as [K, number][]
    let left = this.int(entries.reduce((total, [, weight]) => total + weight, 0))
    for (const [key, weight] of entries) {
      left -= weight
      if (left < 0) return key
    }
    throw new Error('weights are positive')
  }

  /** Bytes as a client asks for them. */
  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.int(256))
  }

  #next(): number {
    const w = this.#words
    const [a = 0, b = 0, c = 0, d = 0] = w
    const t = (a + b + d) >>> 0
    w[3] = d + 1
    w[0] = b ^ (b >>> 9)
    w[1] = c + (c << 3)
    w[2] = ((c << 21) | (c >>> 11)) + t
    return t
  }
}
