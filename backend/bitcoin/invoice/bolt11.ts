// BOLT 11: payment requests of one use, signed by the payee.
import { sha256 } from '@noble/hashes/sha2.js'
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { concat, fromHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/identity.js'
import { type RecoverableSignature, secp256k1 } from '../../../wallet/secp256k1.js'
import { checkFeatures } from './features.js'
import {
  DEFAULT_EXPIRY,
  DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
  FIELD_OPTION_NAMES,
  type FieldOptions,
  type FieldValues,
  joinFields,
  readFields,
  splitFields,
  type TaggedField,
  writeFields,
} from './fields.js'
import { formatPrefix, type Prefix, parsePrefix } from './prefix.js'
import { refuse } from './refuse.js'
import { bytesOf, decodeBech32, encodeBech32, numberOf, wordsOf, wordsOfNumber } from './words.js'

const TIMESTAMP_WORDS = 7
const SIGNATURE_WORDS = 104
const MAX_TIMESTAMP = 2 ** 35 - 1

/** What an invoice says. */
export interface InvoiceTerms extends Prefix, FieldValues {
  /** Seconds since 1970, below 2^35. */
  readonly timestamp: number
}

/** An invoice that its payee has signed. */
export interface Invoice extends InvoiceTerms {
  /** Who is to be paid: the node that signed. */
  readonly payee: PeerID
  /** The invoice in the words that the signature is over. Printing it prints them, whatever else was changed. */
  readonly signed: SignedWords
}

/** What of an invoice the signature is over, and the signature. */
export interface SignedWords {
  /** The human-readable part as it came. */
  readonly prefix: string
  readonly timestamp: number
  /** All fields in order, also unknown ones. */
  readonly fields: readonly TaggedField[]
  /** r ‖ s, 64 bytes; s may be high. */
  readonly signature: Uint8Array
  /** 0 to 3. */
  readonly recovery: number
}

/**
 * Reads an invoice and verifies its signature and its feature bits. Whether it has expired is for the caller to ask.
 *
 * @throws PerkunasError TOO_LARGE beyond 7089 characters; INVALID_MESSAGE, whose reason is one of those of
 *   `decodeBech32`, `parsePrefix`, `splitFields`, `readFields`, `checkFeatures`, or too-short, signature-not-recoverable,
 *   high-s-with-node-id, bad-signature. Never another error, whatever the text; INVALID_ARGUMENT if an
 *   option is unknown.
 */
export function decodeInvoice(text: string, options: FieldOptions = {}): Invoice {
  demandNames(options, FIELD_OPTION_NAMES)
  const { prefix, words } = decodeBech32(text, 'invoice')
  const head = parsePrefix(prefix)
  const end = words.length - SIGNATURE_WORDS
  if (end < TIMESTAMP_WORDS) return refuse('invoice', 'too-short')
  const timestamp = Number(numberOf(words.subarray(0, TIMESTAMP_WORDS)))
  const fields = splitFields(words.subarray(TIMESTAMP_WORDS, end))
  const values = readFields(fields, options)
  checkFeatures('invoice', values.features, 'invoice.features')
  const proof = bytesOf(words.subarray(end))
  const signed = { prefix, timestamp, fields, signature: proof.slice(0, 64), recovery: proof[64] ?? 0 }
  const payee = payeeOf(signed, values.named)
  return { ...head, ...values, timestamp, payee, signed }
}

/**
 * Prints an invoice in lower case. For a QR code print it in upper case.
 *
 * @throws PerkunasError INVALID_ARGUMENT if what it is to print is no prefix or no words of five bits
 */
export function encodeInvoice({ signed }: Pick<Invoice, 'signed'>): string {
  const { signature, recovery } = signed
  const words = [...unsignedWords(signed), ...wordsOf(Uint8Array.of(...signature, recovery))]
  return encodeBech32({ prefix: signed.prefix, words: Uint8Array.from(words) })
}

/** What a payee says; what is not given is as the reader of an invoice takes it to be. */
export type NewInvoice = Prefix &
  Pick<InvoiceTerms, 'timestamp' | 'paymentHash' | 'paymentSecret' | 'description'> &
  Partial<FieldValues> & {
    /** Further fields, of tags that have no meaning yet. */
    readonly unknown?: readonly TaggedField[]
  }

const NEW_NAMES: NamesOf<NewInvoice> = {
  currency: true,
  amount: true,
  timestamp: true,
  paymentHash: true,
  paymentSecret: true,
  description: true,
  metadata: true,
  named: true,
  expiry: true,
  minFinalCltvExpiryDelta: true,
  fallbacks: true,
  routes: true,
  features: true,
  unknown: true,
}

/**
 * Makes an invoice.
 *
 * @param sign by the payee's node key, over a digest of 32 bytes
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT or TOO_LARGE if a value has no form in an invoice, a name is unknown, or if the
 *   invoice names another payee than the one who signs; INVALID_MESSAGE if a reader would refuse it for its features
 */
export function createInvoice(
  given: NewInvoice,
  sign: (digest: Uint8Array) => RecoverableSignature,
): Invoice {
  demandNames(given, NEW_NAMES, 'invoice')
  const { unknown = [], timestamp, currency, amount, ...values } = given
  if (!Number.isInteger(timestamp) || timestamp < 0 || timestamp > MAX_TIMESTAMP)
    throw new PerkunasError('INVALID_ARGUMENT', `timestamp: 0 … 2^35 - 1 expected, got ${timestamp}`, {
      argument: 'timestamp',
    })
  const prefix = formatPrefix(amount === undefined ? { currency } : { currency, amount })
  const fields = writeFields({ ...DEFAULTS, ...values })
  const draft = { prefix, timestamp, fields: [...fields, ...unknown] }
  const signed = { ...draft, ...sign(signedDigest(draft)) }
  // Read again: what readers would refuse is not handed out.
  return decodeInvoice(encodeInvoice({ signed }))
}

/** When an invoice ends, in seconds since 1970: later no payment should be begun, nor taken. */
export function expiresAt({ timestamp, expiry }: InvoiceTerms): bigint {
  return BigInt(timestamp) + expiry
}

/** SHA-256 of what the payee signs. */
export function signedDigest(draft: Pick<SignedWords, 'prefix' | 'timestamp' | 'fields'>): Uint8Array {
  return sha256
    .create()
    .update(new TextEncoder().encode(draft.prefix))
    .update(bytesOf(unsignedWords(draft), 'fill'))
    .digest()
}

const DEFAULTS = {
  expiry: DEFAULT_EXPIRY,
  minFinalCltvExpiryDelta: DEFAULT_MIN_FINAL_CLTV_EXPIRY_DELTA,
  fallbacks: [],
  routes: [],
  features: new Uint8Array(0),
}

// n - 1, by which multiplied a scalar is negated.
const MINUS_ONE = Uint8Array.from({ length: 32 }, (_, i) =>
  Number(
    (0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140n >> BigInt(8 * (31 - i))) & 0xffn,
  ),
)

function unsignedWords({ timestamp, fields }: Pick<SignedWords, 'timestamp' | 'fields'>): Uint8Array {
  return concat(wordsOfNumber(BigInt(timestamp), TIMESTAMP_WORDS), joinFields(fields))
}

// With `n` only low s is right; without it the key is recovered from either (BOLT 11, "Requirements" of the fields).
function payeeOf(signed: SignedWords, named: PeerID | undefined): PeerID {
  const digest = signedDigest(signed)
  const { signature, recovery } = signed
  if (named !== undefined) {
    const key = fromHex(named)
    if (secp256k1.verify(signature, digest, key)) return named
    const low = negated(signature)
    return low !== undefined && secp256k1.verify(low, digest, key)
      ? refuse('invoice.signature', 'high-s-with-node-id')
      : refuse('invoice.signature', 'bad-signature')
  }
  // Recovery 2 and 3 are for nonces whose x is beyond n: one in 2^127, none was ever seen.
  if (recovery !== 0 && recovery !== 1) return refuse('invoice.signature', 'signature-not-recoverable')
  const direct = secp256k1.recover(signature, recovery, digest)
  const low = direct === undefined ? negated(signature) : undefined
  const key = direct ?? (low && secp256k1.recover(low, recovery === 0 ? 1 : 0, digest))
  return key === undefined
    ? refuse('invoice.signature', 'signature-not-recoverable')
    : toHex(secp256k1.compress(key))
}

/** The other signature that holds for the same key; undefined if s is no scalar. */
function negated(signature: Uint8Array): Uint8Array | undefined {
  const s = signature.subarray(32)
  if (!secp256k1.isSecret(s)) return undefined
  return Uint8Array.of(...signature.subarray(0, 32), ...secp256k1.multiplySecret(s, MINUS_ONE))
}
