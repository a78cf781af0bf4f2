// BOLT 1: BigSize integers and TLV streams, the two encodings that extend Lightning messages.
import { PerkunasError } from '../channel/errors.js'

/** One record of a TLV stream. The value is a view of the bytes it was read from. */
export interface TlvRecord {
  readonly type: bigint
  readonly value: Uint8Array
}

/** Encodes 0 to 2^64 - 1 in its one BigSize form of 1, 3, 5 or 9 bytes. */
export function encodeBigSize(value: bigint): Uint8Array {
  if (value < 0n || value >= 1n << 64n) {
    throw new PerkunasError('INVALID_ARGUMENT', 'BigSize: 0 to 2^64 - 1 expected', { argument: 'value' })
  }
  const [head, size] =
    value < 0xfdn ? [0, 0] : value < 0x10000n ? [0xfd, 2] : value < 1n << 32n ? [0xfe, 4] : [0xff, 8]
  if (size === 0) return Uint8Array.of(Number(value))
  const out = new Uint8Array(1 + size)
  out[0] = head
  for (let i = 0; i < size; i++) out[size - i] = Number((value >> BigInt(8 * i)) & 0xffn)
  return out
}

/**
 * Reads a BigSize.
 *
 * @returns the value and the offset behind it
 * @throws PerkunasError INVALID_MESSAGE if bytes are missing or a shorter form exists
 */
export function decodeBigSize(
  bytes: Uint8Array,
  at: number,
): { readonly value: bigint; readonly end: number } {
  const head = bytes[at]
  if (head === undefined) throw malformed(at, 'BigSize: end of input')
  if (head < 0xfd) return { value: BigInt(head), end: at + 1 }
  const size = head === 0xfd ? 2 : head === 0xfe ? 4 : 8
  const end = at + 1 + size
  if (end > bytes.length) throw malformed(at, 'BigSize: end of input')
  let value = 0n
  for (let i = at + 1; i < end; i++) value = (value << 8n) | BigInt(bytes[i] ?? 0)
  const least = size === 2 ? 0xfdn : size === 4 ? 0x10000n : 1n << 32n
  if (value < least) throw malformed(at, 'BigSize: not canonical')
  return { value, end }
}

/** Encodes records. @throws PerkunasError INVALID_ARGUMENT unless types increase strictly */
export function encodeTlv(records: readonly TlvRecord[]): Uint8Array {
  let last = -1n
  const parts: Uint8Array[] = []
  for (const { type, value } of records) {
    if (type <= last) {
      throw new PerkunasError('INVALID_ARGUMENT', 'TLV types must increase', { argument: 'records' })
    }
    last = type
    parts.push(encodeBigSize(type), encodeBigSize(BigInt(value.length)), value)
  }
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

/**
 * Reads a TLV stream to the end of `bytes`.
 *
 * @param known the types that the reader understands; others are left out if odd
 * @throws PerkunasError INVALID_MESSAGE for types that don't increase, lengths beyond the end, integers that
 * are not minimal, and even types that are not known
 */
export function decodeTlv(bytes: Uint8Array, known: (type: bigint) => boolean): readonly TlvRecord[] {
  const records: TlvRecord[] = []
  let last = -1n
  let at = 0
  while (at < bytes.length) {
    const type = decodeBigSize(bytes, at)
    if (type.value <= last) throw malformed(at, 'TLV types do not increase')
    const isKnown = known(type.value)
    if (!isKnown && type.value % 2n === 0n) throw malformed(at, `unknown even TLV type ${type.value}`)
    const length = decodeBigSize(bytes, type.end)
    if (length.value > BigInt(bytes.length - length.end)) throw malformed(at, 'TLV value beyond the end')
    const end = length.end + Number(length.value)
    if (isKnown) records.push({ type: type.value, value: bytes.subarray(length.end, end) })
    last = type.value
    at = end
  }
  return records
}

function malformed(at: number, reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `${reason} (byte ${at})`, { path: `@${at}`, reason })
}
