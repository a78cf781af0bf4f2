// The 5-bit words that bech32 strings are made of.
import { bech32 } from '@scure/base'
import { PerkunasError } from '../../../channel/errors.js'
import { refuse } from './refuse.js'

/** Characters of the longest QR code: no longer invoice is read. */
export const MAX_CHARACTERS = 7089

const CHARSET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const VALUES: ReadonlyMap<string, number> = new Map(Array.from(CHARSET, (character, i) => [character, i]))

/** A bech32 string taken apart. */
export interface Words {
  /** In lower case. */
  readonly prefix: string
  readonly words: Uint8Array
}

/**
 * Reads a bech32 string of any length up to {@link MAX_CHARACTERS}.
 *
 * @param path what it is, for errors
 * @throws PerkunasError TOO_LARGE; INVALID_MESSAGE: mixed-case, no-separator, invalid-character, bad-checksum
 */
export function decodeBech32(text: string, path: string): Words {
  const [prefix, data] = split(text, path, MAX_CHARACTERS)
  const decoded = bech32.decodeUnsafe(`${prefix}1${data}`, false)
  if (!decoded) return refuse(path, 'bad-checksum')
  return { prefix: decoded.prefix, words: Uint8Array.from(decoded.words) }
}

/** The same without a checksum, as BOLT 12 has it. */
export function decodeUnchecked(text: string, path: string, limit = MAX_CHARACTERS): Words {
  const [prefix, data] = split(text, path, limit)
  return { prefix, words: Uint8Array.from(data, (character) => VALUES.get(character) ?? 0) }
}

/**
 * Writes what {@link decodeBech32} reads.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the prefix is empty or not of printable ASCII in lower case, or a word is not
 *   of 5 bits
 */
export function encodeBech32({ prefix, words }: Words): string {
  if (!/^[!-@[-~]+$/.test(prefix))
    throw new PerkunasError('INVALID_ARGUMENT', 'prefix: printable ASCII in lower case expected', {
      argument: 'prefix',
    })
  if (words.some((word) => word > 31))
    throw new PerkunasError('INVALID_ARGUMENT', 'words: 5 bits each expected', { argument: 'words' })
  return bech32.encode(prefix, words, false)
}

/** Writes what {@link decodeUnchecked} reads. */
export function encodeUnchecked({ prefix, words }: Words): string {
  return `${prefix}1${Array.from(words, (word) => CHARSET[word] ?? '').join('')}`
}

/** Bytes as words, the last one filled up with zero bits. */
export function wordsOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bech32.toWords(bytes))
}

/**
 * Words as bytes.
 *
 * @param last what becomes of the bits behind the last whole byte: cut off, or filled up with zeros to a byte
 */
export function bytesOf(words: Uint8Array, last: 'cut' | 'fill' = 'cut'): Uint8Array {
  const bits = words.length * 5
  const out = new Uint8Array(last === 'fill' ? Math.ceil(bits / 8) : Math.floor(bits / 8))
  let [value, held, at] = [0, 0, 0]
  for (const word of words) {
    value = ((value << 5) | word) & 0xfff
    held += 5
    if (held < 8) continue
    held -= 8
    out[at++] = (value >> held) & 0xff
  }
  if (at < out.length) out[at] = (value << (8 - held)) & 0xff
  return out
}

/** Words as one big-endian number. */
export function numberOf(words: Uint8Array): bigint {
  let value = 0n
  for (const word of words) value = (value << 5n) | BigInt(word)
  return value
}

/** A number in `count` words, or in as few as it takes. */
export function wordsOfNumber(value: bigint, count?: number): Uint8Array {
  const words: number[] = []
  for (let rest = value; count === undefined ? rest > 0n : words.length < count; rest >>= 5n)
    words.unshift(Number(rest & 31n))
  return Uint8Array.from(words)
}

function split(text: string, path: string, limit: number): readonly [string, string] {
  if (text.length > limit)
    throw new PerkunasError('TOO_LARGE', `${path}: at most ${limit} characters expected`, {
      limit,
      actual: text.length,
    })
  // Before case is looked at: letters beyond ASCII may well become one of ours.
  if (!/^[!-~]*$/.test(text)) return refuse(path, 'invalid-character')
  const lower = text.toLowerCase()
  if (text !== lower && text !== text.toUpperCase()) return refuse(path, 'mixed-case')
  const at = lower.lastIndexOf('1')
  if (at < 1) return refuse(path, 'no-separator')
  const data = lower.slice(at + 1)
  if (!/^[02-9ac-hj-np-z]*$/.test(data)) return refuse(path, 'invalid-character')
  return [lower.slice(0, at), data]
}
