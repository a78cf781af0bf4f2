// Keys as strings for callers, as UTF-8 bytes for engines, in the order of those bytes everywhere.
import { PerkunasError } from '../channel/errors.js'
import { MAX_KEY_BYTES } from './store.js'

const encoder = new TextEncoder()
// A byte order mark at a key's start is part of the key.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const LONE_SURROGATE = /\p{Surrogate}/u

/** A key as its UTF-8 bytes. */
export function encodeKey(key: string): Uint8Array {
  return encoder.encode(key)
}

/** Bytes of {@link encodeKey} as the key again. Throws a TypeError if they are not UTF-8. */
export function decodeKey(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** @throws PerkunasError INVALID_ARGUMENT or TOO_LARGE unless it may be a key, see `Store` */
export function checkKey(key: string): void {
  if (key === '') throw new PerkunasError('INVALID_ARGUMENT', 'a key may not be empty', { argument: 'key' })
  checkPrefix(key, 'key')
}

/** @throws PerkunasError INVALID_ARGUMENT or TOO_LARGE unless keys may start with it; '' may */
export function checkPrefix(prefix: string, argument: string): void {
  if (typeof prefix !== 'string' || LONE_SURROGATE.test(prefix)) {
    throw new PerkunasError('INVALID_ARGUMENT', `${argument}: a well-formed string expected`, { argument })
  }
  // A UTF-16 unit becomes three bytes at most: short keys need not be encoded to be measured.
  if (prefix.length * 3 <= MAX_KEY_BYTES) return
  const actual = prefix.length > MAX_KEY_BYTES ? prefix.length : encodeKey(prefix).length
  if (actual > MAX_KEY_BYTES) {
    throw new PerkunasError(
      'TOO_LARGE',
      `${argument}: at most ${MAX_KEY_BYTES} bytes of UTF-8 expected, got ${actual} or more`,
      { limit: MAX_KEY_BYTES, actual },
    )
  }
}

/**
 * Orders well-formed strings by their UTF-8 bytes, which is the order of code points. `<` orders by UTF-16
 * units, which differs where one side has a surrogate (U+10000 and above) and the other U+E000 to U+FFFF.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

/** Moves surrogates above all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}

/** The least byte string above all that start with `prefix`; `undefined` for the empty prefix. */
export function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  const last = prefix.at(-1)
  if (last === undefined) return undefined
  // UTF-8 has no byte 0xff, so the last one can always be raised.
  const end = prefix.slice()
  end[end.length - 1] = last + 1
  return end
}
