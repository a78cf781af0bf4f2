// Writing 32-byte words fast: what the hand-written ABI encoder is made of. One growing buffer is used over and
// over; ethers' coder takes 300 us for a state where this takes about one.
import type { Hex } from '../../channel/index.js'

const WORD = 32

/** Nibble of a character code; 0 for anything else, as all hex is checked before it comes here. */
const NIBBLE = new Uint8Array(256)
for (let i = 0; i < 10; i++) NIBBLE[48 + i] = i
for (let i = 0; i < 6; i++) NIBBLE[97 + i] = 10 + i

const LOW_64 = 0xffff_ffff_ffff_ffffn

/** A sink of ABI words. Not re-entrant: {@link Words.start} begins one encoding, {@link Words.take} ends it. */
export class Words {
  #bytes = new Uint8Array(2048)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** Bytes written so far: what ABI offsets are counted from. */
  get length(): number {
    return this.#length
  }

  /** Empties the sink, also of what an encoding that threw has left. */
  start(): void {
    this.#length = 0
  }

  /** Appends an unsigned integer below 2^32. */
  number(value: number): void {
    const at = this.#zeroes(WORD)
    this.#view.setUint32(at + 28, value)
  }

  /** Appends an unsigned integer of up to 256 bits. */
  integer(value: bigint): void {
    const at = this.#zeroes(WORD)
    if (value <= LOW_64) {
      this.#view.setBigUint64(at + 24, value)
      return
    }
    this.#view.setBigUint64(at + 24, value & LOW_64)
    this.#view.setBigUint64(at + 16, (value >> 64n) & LOW_64)
    this.#view.setBigUint64(at + 8, (value >> 128n) & LOW_64)
    this.#view.setBigUint64(at, value >> 192n)
  }

  /**
   * Appends canonical hex of at most 32 bytes, aligned right like integers and addresses.
   *
   * @param from first character to take, @param to the one behind the last; all digits if not given
   */
  right(value: Hex, from = 2, to = value.length): void {
    const at = this.#zeroes(WORD)
    this.#hex(at + WORD - (to - from) / 2, value, from, to)
  }

  /** Appends a `bytes` value: its length, then its bytes, padded to whole words. */
  bytes(value: Hex): void {
    const length = (value.length - 2) / 2
    this.number(length)
    this.#hex(this.#zeroes(Math.ceil(length / WORD) * WORD), value, 2, value.length)
  }

  /** Makes room for an offset to be known later; returns where. */
  reserve(): number {
    return this.#zeroes(WORD)
  }

  /** Fills a reserved word with the distance from `base` to here. */
  offset(at: number, base: number): void {
    this.#view.setUint32(at + 28, this.#length - base)
  }

  /** What was written, until the next {@link Words.start}. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  /** A copy of what was written. */
  take(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #hex(at: number, value: Hex, from: number, to: number): void {
    const bytes = this.#bytes
    for (let i = from, j = at; i < to; i += 2, j++) {
      bytes[j] = ((NIBBLE[value.charCodeAt(i)] ?? 0) << 4) | (NIBBLE[value.charCodeAt(i + 1)] ?? 0)
    }
  }

  #zeroes(count: number): number {
    const at = this.#length
    this.#length = at + count
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(this.#length * 2)
      larger.set(this.#bytes.subarray(0, at))
      this.#bytes = larger
      this.#view = new DataView(larger.buffer)
    } else {
      this.#bytes.fill(0, at, this.#length)
    }
    return at
  }
}
