// Writes what BOLT 1 calls fundamental types, and refuses values that don't fit.
import { fromHex, type Hex } from '../../channel/bytes.js'
import { PerkunasError } from '../../channel/errors.js'

/** Most bytes of a message with its type: its length travels in two bytes (BOLT 8). */
export const MAX_MESSAGE_BYTES = 65_535

const MAX_U64 = 0xffff_ffff_ffff_ffffn
const MAX_S64 = 0x7fff_ffff_ffff_ffffn

/** Room for what is written next, so that not each message has to grow its own. */
let spare: Uint8Array<ArrayBuffer> | undefined

/** Bytes that grow as they are written, up to {@link MAX_MESSAGE_BYTES}, and what is being written, for its errors. */
export class Writer {
  #bytes: Uint8Array<ArrayBuffer>
  #view: DataView
  #at = 0
  /** What is being written, such as `init.networks`. */
  path: string

  constructor(path: string) {
    // Whoever writes a part of a message meanwhile finds none, and begins with one of his own.
    this.#bytes = spare ?? new Uint8Array(2048)
    spare = undefined
    this.#view = new DataView(this.#bytes.buffer)
    this.path = path
  }

  /** What has been written. Nothing may follow. */
  done(): Uint8Array {
    const written = this.#bytes.slice(0, this.#at)
    spare = this.#bytes
    return written
  }

  u8(value: number): void {
    this.#integer(value, 0, 0xff)
    const at = this.#grow(1)
    this.#view.setUint8(at, value)
  }

  u16(value: number): void {
    this.#integer(value, 0, 0xffff)
    const at = this.#grow(2)
    this.#view.setUint16(at, value)
  }

  u32(value: number): void {
    this.#integer(value, 0, 0xffff_ffff)
    const at = this.#grow(4)
    this.#view.setUint32(at, value)
  }

  u64(value: bigint): void {
    this.#bigint(value, 0n, MAX_U64)
    const at = this.#grow(8)
    this.#view.setBigUint64(at, value)
  }

  s64(value: bigint): void {
    this.#bigint(value, -MAX_S64 - 1n, MAX_S64)
    const at = this.#grow(8)
    this.#view.setBigInt64(at, value)
  }

  /** A signed integer of 1, 2 or 4 bytes. */
  signed(size: 1 | 2 | 4, value: number): void {
    const half = 2 ** (8 * size - 1)
    this.#integer(value, -half, half - 1)
    const at = this.#grow(size)
    if (size === 1) this.#view.setInt8(at, value)
    else if (size === 2) this.#view.setInt16(at, value)
    else this.#view.setInt32(at, value)
  }

  /** An unsigned integer of at most `size` bytes without leading zeros. */
  truncated(size: 2 | 4 | 8, value: bigint): void {
    this.#bigint(value, 0n, 256n ** BigInt(size) - 1n)
    let used = 0
    while (used < size && value >> BigInt(8 * used) > 0n) used++
    const at = this.#grow(used)
    for (let i = 0; i < used; i++) {
      this.#bytes[at + i] = Number((value >> BigInt(8 * (used - 1 - i))) & 0xffn)
    }
  }

  /** A BigSize in its shortest form. */
  bigSize(value: bigint): void {
    this.#bigint(value, 0n, MAX_U64)
    if (value < 0xfdn) return this.u8(Number(value))
    if (value < 0x1_0000n) {
      this.u8(0xfd)
      this.u16(Number(value))
    } else if (value < 0x1_0000_0000n) {
      this.u8(0xfe)
      this.u32(Number(value))
    } else {
      this.u8(0xff)
      this.u64(value)
    }
  }

  /** Bytes as they are. @param count how many there must be */
  bytes(value: Uint8Array, count?: number): void {
    if (!(value instanceof Uint8Array)) return this.fail('bytes expected')
    if (count !== undefined && value.length !== count) {
      return this.fail(`${count} bytes expected, got ${value.length}`)
    }
    const at = this.#grow(value.length)
    this.#bytes.set(value, at)
  }

  /** Bytes given as hex. */
  hex(value: Hex, count: number): void {
    if (typeof value !== 'string' || value.length !== 2 + 2 * count) {
      return this.fail(`${count} bytes as hex expected`)
    }
    const at = this.#grow(count)
    this.#bytes.set(fromHex(value, count), at)
  }

  /** What `write` writes, with its length as a BigSize before it. */
  sized(write: () => void): void {
    // One byte is kept for the length; where it takes three the value moves.
    const start = this.#grow(1)
    write()
    const length = this.#at - start - 1
    if (length < 0xfd) {
      this.#bytes[start] = length
      return
    }
    this.#grow(2)
    this.#bytes.copyWithin(start + 3, start + 1, start + 1 + length)
    this.#bytes[start] = 0xfd
    this.#view.setUint16(start + 1, length)
  }

  /** @throws PerkunasError INVALID_ARGUMENT, always */
  fail(reason: string): never {
    throw new PerkunasError('INVALID_ARGUMENT', `${this.path}: ${reason}`, { argument: this.path })
  }

  #integer(value: number, min: number, max: number): void {
    if (!Number.isInteger(value) || value < min || value > max) {
      this.fail(`integer from ${min} to ${max} expected, got ${String(value)}`)
    }
  }

  #bigint(value: bigint, min: bigint, max: bigint): void {
    if (typeof value !== 'bigint') this.fail(`bigint expected, got ${typeof value}`)
    if (value < min || value > max) this.fail(`${min} to ${max} expected, got ${value}`)
  }

  /** Makes room for `count` bytes and returns where. May replace the bytes: take them after it. */
  #grow(count: number): number {
    const at = this.#at
    const needed = at + count
    if (needed > MAX_MESSAGE_BYTES) {
      throw new PerkunasError(
        'TOO_LARGE',
        `${this.path}: at most ${MAX_MESSAGE_BYTES} bytes expected, got ${needed} or more`,
        { limit: MAX_MESSAGE_BYTES, actual: needed },
      )
    }
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(MAX_MESSAGE_BYTES, Math.max(needed, 2 * this.#bytes.length)))
      grown.set(this.#bytes)
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#at = needed
    return at
  }
}
