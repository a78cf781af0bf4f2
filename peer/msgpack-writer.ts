// Writing the part of msgpack that messages and records use: see msgpack.ts, whose reading takes nothing else.
//
// Written here, not by msgpackr: values go straight from the model into one buffer, hex strings digit by digit, without
// a tree of intermediate arrays and byte strings; and what is known encoded already is copied as it is. That takes a
// third of the time. The tests hold it against msgpackr.

/** The first size of the buffer, and what it may stay at between two values. */
const FIRST = 4 * 1024
const MAX_KEPT = 64 * 1024

const utf8 = new TextEncoder()
/** The value of a hex digit by its character code; 16 for all others. */
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(code))
  return digit < 0 ? 16 : digit
})

/**
 * Gathers encoded values, every header in its shortest form. One may be used for all values of a process: whoever
 * encodes notes {@link at} before, takes the bytes {@link since} then, and goes back there with {@link rewind}, so
 * that encodings may be nested.
 */
export class Writer {
  #bytes = new Uint8Array(FIRST)
  #at = 0

  /** Where the next byte goes. */
  get at(): number {
    return this.#at
  }

  /** A copy of what was written from there on. */
  since(start: number): Uint8Array {
    return this.viewSince(start).slice()
  }

  /** What was written from there on, until something else is. */
  viewSince(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#at)
  }

  /** Drops what was written from there on. */
  rewind(start: number): void {
    this.#at = start
    if (start === 0 && this.#bytes.length > MAX_KEPT) this.#bytes = new Uint8Array(FIRST)
  }

  nil(): void {
    this.#byte(0xc0)
  }

  bool(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2)
  }

  /** An integer from 0 to 2^53 - 1. */
  uint(value: number): void {
    if (value < 0x80) this.#byte(value)
    else if (value < 0x100) this.#head(0xcc, value, 1)
    else if (value < 0x1_0000) this.#head(0xcd, value, 2)
    else if (value < 0x1_0000_0000) this.#head(0xce, value, 4)
    else this.#long(Math.floor(value / 0x1_0000_0000), value % 0x1_0000_0000)
  }

  /** An integer from 0 to 2^64 - 1. */
  u64(value: bigint): void {
    if (value < 0x1_0000_0000n) this.uint(Number(value))
    else this.#long(Number(value >> 32n), Number(value & 0xffff_ffffn))
  }

  /** Well-formed text. */
  text(value: string): void {
    const start = this.#at
    this.#textHead(value.length)
    this.#reserve(value.length)
    const bytes = this.#bytes
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code >= 0x80) {
        this.#at = start
        return this.#notAscii(value)
      }
      bytes[this.#at++] = code
    }
  }

  binary(value: Uint8Array): void {
    this.#binaryHead(value.length)
    this.raw(value)
  }

  /** Bytes that are given as hex digits from `from` on, two each. False if they are not lower-case hex digits. */
  hex(digits: string, from: number): boolean {
    const { length } = digits
    if ((length - from) % 2 !== 0) return false
    const size = (length - from) / 2
    this.#binaryHead(size)
    this.#reserve(size)
    const bytes = this.#bytes
    let at = this.#at
    let all = 0
    for (let i = from; i < length; i += 2) {
      const high = digitOf(digits.charCodeAt(i))
      const low = digitOf(digits.charCodeAt(i + 1))
      all |= high | low
      bytes[at++] = (high << 4) | low
    }
    this.#at = at
    return all < 16
  }

  /** Begins an array: so many values follow. */
  array(count: number): void {
    if (count < 0x10) this.#byte(0x90 | count)
    else if (count < 0x1_0000) this.#head(0xdc, count, 2)
    else this.#head(0xdd, count, 4)
  }

  /** What is encoded already. */
  raw(encoded: Uint8Array): void {
    this.#reserve(encoded.length)
    this.#bytes.set(encoded, this.#at)
    this.#at += encoded.length
  }

  #notAscii(value: string): void {
    const encoded = utf8.encode(value)
    this.#textHead(encoded.length)
    this.raw(encoded)
  }

  #textHead(size: number): void {
    if (size < 0x20) this.#byte(0xa0 | size)
    else if (size < 0x100) this.#head(0xd9, size, 1)
    else if (size < 0x1_0000) this.#head(0xda, size, 2)
    else this.#head(0xdb, size, 4)
  }

  #binaryHead(size: number): void {
    if (size < 0x100) this.#head(0xc4, size, 1)
    else if (size < 0x1_0000) this.#head(0xc5, size, 2)
    else this.#head(0xc6, size, 4)
  }

  /** 64 bits, which msgpackr writes in the signed form while they fit into it. */
  #long(high: number, low: number): void {
    this.#head(high < 0x8000_0000 ? 0xd3 : 0xcf, high, 4)
    this.#number(low, 4)
  }

  #head(type: number, value: number, size: 1 | 2 | 4): void {
    this.#byte(type)
    this.#number(value, size)
  }

  #number(value: number, size: 1 | 2 | 4): void {
    this.#reserve(size)
    for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) this.#bytes[this.#at++] = value >>> shift
  }

  #byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#at++] = value
  }

  #reserve(size: number): void {
    const needed = this.#at + size
    if (needed <= this.#bytes.length) return
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length))
    larger.set(this.#bytes.subarray(0, this.#at))
    this.#bytes = larger
  }
}

function digitOf(code: number): number {
  return code < 128 ? (DIGITS[code] ?? 16) : 16
}
