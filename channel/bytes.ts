// Byte strings as values: everything that identifies or proves something is a lower-case hex string, so
// that it is immutable, comparable with `===`, usable as a map key and printable as it stands.
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import { PerkunasError } from './errors.js'

/** Bytes as `0x` and an even number of lower-case hex digits. `0x` alone is the empty string of bytes. */
export type Hex = `0x${string}`

/** The empty byte string. */
export const EMPTY: Hex = '0x'

const HEX = /^0x(?:[0-9a-f]{2})*$/

/** Whether `value` is canonical {@link Hex}, of exactly `length` bytes if given. */
export function isHex(value: unknown, length?: number): value is Hex {
  return (
    typeof value === 'string' && (length === undefined || value.length === 2 + 2 * length) && HEX.test(value)
  )
}

/** Length in bytes of a canonical hex string. */
export function byteLength(value: Hex): number {
  return (value.length - 2) / 2
}

/** Encodes bytes as {@link Hex}. */
export function toHex(bytes: Uint8Array): Hex {
  return `0x${digits(bytes)}`
}

/** By Node.js where we are in it, in half the time and without a string for every byte. */
const digits: (bytes: Uint8Array) => string =
  typeof Buffer === 'undefined'
    ? bytesToHex
    : ({ buffer, byteOffset, length }) => Buffer.from(buffer, byteOffset, length).toString('hex')

/**
 * Decodes canonical {@link Hex}.
 *
 * @param length expected number of bytes, if it is fixed
 * @throws PerkunasError INVALID_ARGUMENT if it is not canonical hex or has another length
 */
export function fromHex(value: Hex, length?: number): Uint8Array {
  if (!isHex(value, length)) {
    // Never what it holds: it may be a secret, only not well written.
    const given: unknown = value
    const got = typeof given === 'string' ? `a string of ${given.length} characters` : typeof given
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `${length === undefined ? 'lower-case 0x hex' : `${length} bytes as lower-case 0x hex`} expected, got ${got}`,
      { argument: 'hex' },
    )
  }
  return hexToBytes(value.slice(2))
}

/** Concatenates byte strings. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...parts)
}

/** Whether two byte strings are equal; not constant in time, so for public data only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}
