// Sets of bits as BOLT 1 and BOLT 9 send features: big-endian bitmaps, bit 0 the lowest of the last byte.
import { PerkunasError } from '../../channel/errors.js'

/** Whether a bit is set. */
export function hasBit(bitmap: Uint8Array, bit: number): boolean {
  const byte = bitmap[bitmap.length - 1 - (bit >> 3)]
  return byte !== undefined && (byte & (1 << (bit & 7))) !== 0
}

/** The shortest bitmap with these bits. @throws PerkunasError INVALID_ARGUMENT beyond what two bytes of length allow */
export function bitmapOf(bits: Iterable<number>): Uint8Array {
  const all = [...bits]
  const highest = all.reduce((a, b) => Math.max(a, b), -1)
  if (!all.every((bit) => Number.isInteger(bit) && bit >= 0) || highest >= 8 * 65_535) {
    throw new PerkunasError('INVALID_ARGUMENT', `feature bits from 0 to ${8 * 65_535 - 1} expected`, {
      argument: 'bits',
    })
  }
  const bitmap = new Uint8Array(highest < 0 ? 0 : (highest >> 3) + 1)
  for (const bit of all) {
    const at = bitmap.length - 1 - (bit >> 3)
    bitmap[at] = (bitmap[at] ?? 0) | (1 << (bit & 7))
  }
  return bitmap
}

/** The bits that are set, ascending, one by one: a peer may set half a million of them. */
export function* bitsOf(bitmap: Uint8Array): Generator<number, void> {
  for (let i = 0; i < bitmap.length; i++) {
    const byte = bitmap[bitmap.length - 1 - i] ?? 0
    for (let bit = 0; byte >> bit > 0; bit++) if (byte & (1 << bit)) yield 8 * i + bit
  }
}

/** The bits of either, without leading zero bytes: what `init` means by its two bitmaps (BOLT 1). */
export function unionOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.max(a.length, b.length))
  out.set(a, out.length - a.length)
  for (let i = 0; i < b.length; i++) {
    const at = out.length - b.length + i
    out[at] = (out[at] ?? 0) | (b[i] ?? 0)
  }
  const start = out.findIndex((byte) => byte !== 0)
  return start < 0 ? new Uint8Array(0) : out.subarray(start)
}
