// Reads what BOLT 1 calls fundamental types off bytes. Every length is compared with what is there before
// anything is allocated; what is read is copied, so that it neither changes nor keeps its message alive.
import { type Hex, toHex } from '../../channel/bytes.js'
import { PerkunasError } from '../../channel/errors.js'

/** Where a reader stands in bytes, up to where it may go, and what it is reading, for its errors. */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at: number
  #end: number
  /** What is being read, such as `init.networks`. */
  path: string

  constructor(bytes: Uint8Array, path: string) {
    // A Buffer's own slice() would not copy.
    this.#bytes =
      bytes.constructor === Uint8Array
        ? bytes
        : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#at = 0
    this.#end = bytes.length
    this.path = path
  }

  /** Offset of the next byte. */
  get at(): number {
    return this.#at
  }

  /** Bytes that are left up to the end, or up to the end of the part that is being read. */
  get left(): number {
    return this.#end - this.#at
  }

  u8(): number {
    return this.#view.getUint8(this.#skip(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#skip(2))
  }

  u32(): number {
    return this.#view.getUint32(this.#skip(4))
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#skip(8))
  }

  s64(): bigint {
    return this.#view.getBigInt64(this.#skip(8))
  }

  /** A signed integer of 1, 2 or 4 bytes. */
  signed(size: 1 | 2 | 4): number {
    const at = this.#skip(size)
    if (size === 1) return this.#view.getInt8(at)
    return size === 2 ? this.#view.getInt16(at) : this.#view.getInt32(at)
  }

  /** An unsigned integer of all bytes that are left, at most `size`, without leading zeros. */
  truncated(size: 2 | 4 | 8): bigint {
    const { left } = this
    if (left > size) return this.fail('too long')
    const at = this.#skip(left)
    if (left > 0 && this.#bytes[at] === 0) return this.fail('not minimal')
    let value = 0n
    for (let i = 0; i < left; i++) value = (value << 8n) | BigInt(this.#bytes[at + i] ?? 0)
    return value
  }

  /** A BigSize, in its shortest form. @param what for the error */
  bigSize(what: string): bigint {
    if (this.left === 0) return this.fail(`${what} missing`)
    const head = this.u8()
    if (head < 0xfd) return BigInt(head)
    const size = head === 0xfd ? 2 : head === 0xfe ? 4 : 8
    if (this.left < size) return this.fail(`${what} truncated`)
    const value = size === 2 ? BigInt(this.u16()) : size === 4 ? BigInt(this.u32()) : this.u64()
    const least = size === 2 ? 0xfdn : size === 4 ? 0x1_0000n : 0x1_0000_0000n
    return value < least ? this.fail(`${what} not minimal`) : value
  }

  /** A copy of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const at = this.#skip(count)
    return this.#bytes.slice(at, at + count)
  }

  /** The next `count` bytes as hex. */
  hex(count: number): Hex {
    const at = this.#skip(count)
    return toHex(this.#bytes.subarray(at, at + count))
  }

  /** Lets `read` have the next `count` bytes, all of which it must take. */
  part<T>(count: number, read: (from: this) => T): T {
    const outer = this.#end
    this.#end = this.#at + count
    const value = read(this)
    if (this.left > 0) return this.fail('too long')
    this.#end = outer
    return value
  }

  /** @throws PerkunasError INVALID_MESSAGE, always */
  fail(reason: string): never {
    throw new PerkunasError('INVALID_MESSAGE', `${this.path}: ${reason} (byte ${this.#at})`, {
      path: this.path,
      reason,
    })
  }

  #skip(count: number): number {
    const at = this.#at
    if (count > this.#end - at) return this.fail('too short')
    this.#at = at + count
    return at
  }
}
