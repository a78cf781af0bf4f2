// How offers and requests are written for people (BOLT 12, "Encoding"): like bech32, without a checksum, and with `+` and
// white space where a long string was broken.
import { PerkunasError } from '../../../channel/errors.js'
import { refuse } from './refuse.js'
import { bytesOf, decodeUnchecked, encodeUnchecked, wordsOf } from './words.js'

/** `lno` for offers, `lnr` for invoice requests, `lnp` for proofs of payment (a proposal). */
export type Bolt12Prefix = 'lno' | 'lnr' | 'lnp'

/** Characters that are read at most: 65 535 bytes, and room for breaks. */
export const MAX_BOLT12_CHARACTERS = 1 << 17

/**
 * Reads a string.
 *
 * @param path what it is, for errors
 * @returns its TLV stream
 * @throws PerkunasError TOO_LARGE; INVALID_MESSAGE: bad-continuation, mixed-case, no-separator, invalid-character,
 *   unknown-prefix, padding-too-long, nonzero-padding
 */
export function decodeBolt12String(text: string, prefix: Bolt12Prefix, path: string): Uint8Array {
  if (text.length > MAX_BOLT12_CHARACTERS)
    throw new PerkunasError('TOO_LARGE', `${path}: at most ${MAX_BOLT12_CHARACTERS} characters expected`, {
      limit: MAX_BOLT12_CHARACTERS,
      actual: text.length,
    })
  const joined = joinParts(text, path)
  const { prefix: found, words } = decodeUnchecked(joined, path, MAX_BOLT12_CHARACTERS)
  if (found !== prefix) return refuse(path, 'unknown-prefix', `${prefix} expected`)
  const spare = (words.length * 5) % 8
  if (spare > 4) return refuse(path, 'padding-too-long')
  if (((words.at(-1) ?? 0) & ((1 << spare) - 1)) !== 0) return refuse(path, 'nonzero-padding')
  return bytesOf(words)
}

/** Writes a string, in lower case and one piece. */
export function encodeBolt12String(prefix: Bolt12Prefix, bytes: Uint8Array): string {
  return encodeUnchecked({ prefix, words: wordsOf(bytes) })
}

// A `+` with white space behind it goes, if it stands between two characters of the string proper. Not by one regular
// expression over the whole: a text of nothing but white space must not cost its square.
function joinParts(text: string, path: string): string {
  if (!text.includes('+')) return text
  const parts = text.split('+').map((part, i) => (i === 0 ? part : part.trimStart()))
  return parts.every((part) => /^[0-9a-z]+$/i.test(part)) ? parts.join('') : refuse(path, 'bad-continuation')
}
