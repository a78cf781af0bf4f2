// The tagged fields of a BOLT 11 invoice. They are kept as they came, in their order, also those that nobody here
// knows: the signature is over all of them, and an invoice that was read must come out the same.

import type { NamesOf } from '../../../channel/arguments.js'
import { fromHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/identity.js'
import { nodeID, type ObjectOf, rest, restText, struct, u32 } from '../../../peer/wire/fields.js'
import { decodeField, encodeField } from '../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { type BlockDelta, blockDelta } from '../units.js'
import { blocks16, msats32, shortID } from '../wire/fields.js'
import { refuse } from './refuse.js'
import { bytesOf, numberOf, wordsOf, wordsOfNumber } from './words.js'

/** A tagged field as it stands in an invoice. */
export interface TaggedField {
  /** The type, 0 to 31; the character that stands for it in the string is bech32's. */
  readonly tag: number
  /** The data in words of 5 bits, at most 1023. */
  readonly words: Uint8Array
}

/** What is paid for: a text, or the SHA-256 of one that is handed over elsewhere. */
export type Description =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'hash'; readonly hash: Uint8Array }

/** An address on the chain, if a payment over channels fails. */
export type Fallback =
  | { readonly kind: 'witness'; readonly version: number; readonly program: Uint8Array }
  | { readonly kind: 'pubkeyHash' | 'scriptHash'; readonly hash: Uint8Array }

const routingHop = struct('hop', {
  /** The node that the channel starts from. */
  nodeID,
  shortChannelID: shortID,
  feeBaseMsat: msats32,
  feeProportionalMillionths: u32,
  cltvExpiryDelta: blocks16,
})
const routingHops = rest(routingHop)

/** A channel on the way to the payee, as `channel_update` would tell it. */
export type RoutingHop = ObjectOf<{
  readonly nodeID: typeof nodeID
  readonly shortChannelID: typeof shortID
  readonly feeBaseMsat: typeof msats32
  readonly feeProportionalMillionths: typeof u32
  readonly cltvExpiryDelta: typeof blocks16
}>

/** What the fields say. */
export interface FieldValues {
  /** 32 bytes; its preimage proves the payment. */
  readonly paymentHash: Uint8Array
  /** 32 bytes, that intermediate nodes do not know. */
  readonly paymentSecret: Uint8Array
  readonly description: Description
  /** To be sent along in the payee's onion payload. */
  readonly metadata?: Uint8Array
  /** The payee, if the invoice names it rather than leaving it to the signature. */
  readonly named?: PeerID
  /** Seconds after the timestamp that the invoice is good for. */
  readonly expiry: bigint
  /** Least number of blocks that the last HTLC must have left. */
  readonly minFinalCltvExpiryDelta: BlockDelta
  /** In the payee's order of preference; those of unknown versions are left out. */
  readonly fallbacks: readonly Fallback[]
  /** Each from a public node to the payee, in the payee's order of preference. */
  readonly routes: readonly (readonly RoutingHop[])[]
  /** The bitmap, big-endian, shortest form (BOLT 9, context invoice). */
  readonly features: Uint8Array
}

/** Seconds that an invoice is good for if it does not say. */
export const DEFAULT_EXPIRY = 3600n
/** Blocks that the last HTLC must have left if the invoice does not say. */
export const DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA: BlockDelta = blockDelta(18)

const TAG = {
  paymentHash: 1,
  route: 3,
  features: 5,
  expiry: 6,
  fallback: 9,
  text: 13,
  secret: 16,
  named: 19,
  hash: 23,
  minFinalCltvExpiryDelta: 24,
  metadata: 27,
} as const
const HASH_WORDS = 52
const KEY_WORDS = 53
const MAX_WORDS = 1023
const MAX_EXPIRY = 0xffff_ffff_ffff_ffffn

/** How to read fields. */
export interface FieldOptions {
  /**
   * `p`, `h`, `s`, `n` of a wrong length: refused, as the requirements say, or skipped, as an example of BOLT 11 wants
   * it. Refused if not given.
   */
  readonly wrongLengths?: 'refuse' | 'skip'
}

/** The names of {@link FieldOptions}. */
export const FIELD_OPTION_NAMES: NamesOf<FieldOptions> = { wrongLengths: true }

/**
 * Cuts the words between timestamp and signature into fields.
 *
 * @throws PerkunasError INVALID_MESSAGE: truncated-field
 */
export function splitFields(words: Uint8Array): readonly TaggedField[] {
  const fields: TaggedField[] = []
  for (let at = 0; at < words.length; ) {
    const [tag = 0, high, low] = words.subarray(at, at + 3)
    if (high === undefined || low === undefined) return refuse('invoice', 'truncated-field')
    const end = at + 3 + high * 32 + low
    if (end > words.length) return refuse('invoice', 'truncated-field')
    fields.push({ tag, words: words.slice(at + 3, end) })
    at = end
  }
  return fields
}

/** Puts fields behind one another. @throws PerkunasError TOO_LARGE if one has more than 1023 words */
export function joinFields(fields: readonly TaggedField[]): Uint8Array {
  const parts = fields.flatMap(({ tag, words }) => {
    if (words.length > MAX_WORDS)
      throw new PerkunasError('TOO_LARGE', `a field of ${words.length} words, at most ${MAX_WORDS}`, {
        limit: MAX_WORDS,
        actual: words.length,
      })
    return [tag, words.length >> 5, words.length & 31, ...words]
  })
  return Uint8Array.from(parts)
}

/**
 * Reads what fields say. Of a field that should be there once the first counts; unknown ones are passed over.
 *
 * @throws PerkunasError INVALID_MESSAGE: wrong-length, missing-payment-hash, missing-payment-secret,
 *   missing-description, two-descriptions, invalid-utf8, invalid-point, invalid-route, non-minimal, out-of-range
 */
export function readFields(fields: readonly TaggedField[], options: FieldOptions = {}): FieldValues {
  const skip = options.wrongLengths === 'skip'
  const first = (tag: number) => fields.find((field) => field.tag === tag)?.words
  const fixed = (tag: number, length: number, name: string) => {
    const all = fields.filter((field) => field.tag === tag)
    const right = all.filter(({ words }) => words.length === length)
    if (!skip && right.length < all.length) return refuse(`invoice.${name}`, 'wrong-length')
    return right[0] && bytesOf(right[0].words)
  }
  const hash = fixed(TAG.hash, HASH_WORDS, 'descriptionHash')
  const metadata = first(TAG.metadata)
  const named = fixed(TAG.named, KEY_WORDS, 'named')
  if (named !== undefined && !secp256k1.isPoint(named)) return refuse('invoice.named', 'invalid-point')
  return {
    paymentHash:
      fixed(TAG.paymentHash, HASH_WORDS, 'paymentHash') ?? refuse('invoice', 'missing-payment-hash'),
    paymentSecret:
      fixed(TAG.secret, HASH_WORDS, 'paymentSecret') ?? refuse('invoice', 'missing-payment-secret'),
    description: descriptionOf(first(TAG.text), hash),
    ...(metadata && { metadata: bytesOf(metadata) }),
    ...(named && { named: toHex(named) }),
    expiry: integer(first(TAG.expiry), 'expiry', MAX_EXPIRY) ?? DEFAULT_EXPIRY,
    minFinalCltvExpiryDelta: deltaOf(first(TAG.minFinalCltvExpiryDelta)),
    fallbacks: fields.flatMap(({ tag, words }) => (tag === TAG.fallback ? fallbackOf(words) : [])),
    routes: fields.flatMap(({ tag, words }) => (tag === TAG.route ? [routeOf(words)] : [])),
    features: featuresOf(first(TAG.features)),
  }
}

/**
 * Makes fields of what they are to say. Defaults are left out.
 *
 * @throws PerkunasError INVALID_ARGUMENT if a value has no such form
 */
export function writeFields(values: FieldValues): readonly TaggedField[] {
  const { features } = values
  const fields: TaggedField[] = []
  const put = (tag: number, words: Uint8Array) => fields.push({ tag, words })
  put(TAG.secret, wordsOf(sized(values.paymentSecret, 32, 'paymentSecret')))
  put(TAG.paymentHash, wordsOf(sized(values.paymentHash, 32, 'paymentHash')))
  const description = inForm(values.description, 'description')
  if (description.kind === 'text')
    put(TAG.text, wordsOf(encodeField(restText, description.text, 'description')))
  else put(TAG.hash, wordsOf(sized(description.hash, 32, 'description')))
  const { metadata } = values
  if (metadata !== undefined && !(metadata instanceof Uint8Array))
    throw argument('metadata', 'bytes expected')
  if (metadata !== undefined) put(TAG.metadata, wordsOf(metadata))
  if (values.named !== undefined) put(TAG.named, wordsOf(fromHex(values.named, 33)))
  if (values.expiry < 0n || values.expiry > MAX_EXPIRY) throw argument('expiry', '0 … 2^64 - 1 expected')
  if (values.expiry !== DEFAULT_EXPIRY) put(TAG.expiry, wordsOfNumber(values.expiry))
  if (values.minFinalCltvExpiryDelta !== DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA)
    put(TAG.minFinalCltvExpiryDelta, wordsOfNumber(BigInt(values.minFinalCltvExpiryDelta)))
  for (const fallback of listed(values.fallbacks, 'fallbacks'))
    put(TAG.fallback, fallbackWords(inForm(fallback, 'fallbacks')))
  for (const route of listed(values.routes, 'routes')) {
    if (listed(route, 'routes').length === 0) throw argument('routes', 'a route has at least one hop')
    put(TAG.route, wordsOf(encodeField(routingHops, route, 'routes')))
  }
  const bitmap = numberOfBytes(features)
  if (bitmap > 0n) put(TAG.features, wordsOfNumber(bitmap))
  return fields
}

function descriptionOf(text: Uint8Array | undefined, hash: Uint8Array | undefined): Description {
  if (text !== undefined && hash !== undefined) return refuse('invoice', 'two-descriptions')
  if (hash !== undefined) return { kind: 'hash', hash }
  if (text === undefined) return refuse('invoice', 'missing-description')
  try {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    return { kind: 'text', text: decoder.decode(bytesOf(text)) }
  } catch {
    return refuse('invoice.description', 'invalid-utf8')
  }
}

function integer(words: Uint8Array | undefined, name: string, max: bigint): bigint | undefined {
  if (words === undefined) return undefined
  if (words[0] === 0) return refuse(`invoice.${name}`, 'non-minimal')
  if (words.length > 13) return refuse(`invoice.${name}`, 'out-of-range')
  const value = numberOf(words)
  return value > max ? refuse(`invoice.${name}`, 'out-of-range') : value
}

function deltaOf(words: Uint8Array | undefined): BlockDelta {
  const value = integer(words, 'minFinalCltvExpiryDelta', 0xffff_ffffn)
  return value === undefined ? DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA : blockDelta(Number(value))
}

// What is not a valid address of its version is passed over as one of an unknown version is.
function fallbackOf(words: Uint8Array): readonly Fallback[] {
  const [version = 31] = words
  const program = bytesOf(words.subarray(1))
  if (version === 17 || version === 18)
    return program.length === 20
      ? [{ kind: version === 17 ? 'pubkeyHash' : 'scriptHash', hash: program }]
      : []
  return isWitnessProgram(version, program) ? [{ kind: 'witness', version, program }] : []
}

function fallbackWords(fallback: Fallback): Uint8Array {
  if (fallback.kind === 'witness') {
    const { version, program } = fallback
    if (!(program instanceof Uint8Array && isWitnessProgram(version, program)))
      throw argument('fallbacks', 'a witness program expected')
    return Uint8Array.of(version, ...wordsOf(program))
  }
  const hash = sized(fallback.hash, 20, 'fallbacks')
  return Uint8Array.of(fallback.kind === 'pubkeyHash' ? 17 : 18, ...wordsOf(hash))
}

/** BIP 141: versions 0 to 16, programs of 2 to 40 bytes, version 0 of 20 or 32; BIP 341: version 1 of 32. */
export function isWitnessProgram(version: number, { length }: Uint8Array): boolean {
  if (version === 0) return length === 20 || length === 32
  if (version === 1) return length === 32
  return Number.isInteger(version) && version > 1 && version <= 16 && length >= 2 && length <= 40
}

function routeOf(words: Uint8Array): readonly RoutingHop[] {
  const bytes = bytesOf(words)
  if (bytes.length === 0 || bytes.length % routingHop.least !== 0)
    return refuse('invoice.routes', 'invalid-route')
  const route = decodeField(routingHops, bytes, 'invoice.routes')
  if (!route.every((hop) => secp256k1.isPoint(fromHex(hop.nodeID))))
    return refuse('invoice.routes', 'invalid-point')
  return route
}

function featuresOf(words: Uint8Array | undefined): Uint8Array {
  if (words === undefined) return new Uint8Array(0)
  if (words[0] === 0) return refuse('invoice.features', 'non-minimal')
  // Bit 0 is the last of the last word: filled up in front to whole bytes, then shortened.
  const bytes = bytesOf(Uint8Array.of(...new Uint8Array((8 - (words.length % 8)) % 8), ...words))
  return bytes.subarray(
    Math.max(
      0,
      bytes.findIndex((byte) => byte !== 0),
    ),
  )
}

function numberOfBytes(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return value
}

function sized(bytes: Uint8Array, length: number, name: string): Uint8Array {
  if (bytes instanceof Uint8Array && bytes.length === length) return bytes
  throw argument(name, `${length} bytes expected, got ${bytes?.length}`)
}

function listed<T>(list: readonly T[], name: string): readonly T[] {
  if (Array.isArray(list)) return list
  throw argument(name, 'a list expected')
}

function inForm<T extends object>(value: T, name: string): T {
  if (typeof value === 'object' && value !== null) return value
  throw argument(name, 'an object expected')
}

function argument(name: string, message: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${name}: ${message}`, { argument: name })
}
