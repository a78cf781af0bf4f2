// The failures that a payment can meet on its way (BOLT 4, "Failure Messages"): a code of two bytes whose upper part is
// flags, what belongs to it, and whatever comes behind, which readers ignore.
import { PerkunasError } from '../../../channel/errors.js'
import {
  bigSize,
  type Fields,
  type ObjectOf,
  sha256Hash,
  sizedBytes,
  u16,
} from '../../../peer/wire/fields.js'
import { Reader } from '../../../peer/wire/reader.js'
import { Writer } from '../../../peer/wire/writer.js'
import { height, msats } from '../wire/fields.js'

/** The packet could not be read: the previous hop reports it for the erring one. */
export const BADONION = 0x8000
/** Trying again will not help. */
export const PERM = 0x4000
/** The node is to be avoided, not only the channel. */
export const NODE = 0x2000
/** A rule of the channel was not kept; its current `channel_update` may be given. */
export const UPDATE = 0x1000

/** SHA-256 of the packet that could not be read. */
const ofOnion = { sha256OfOnion: sha256Hash }
/** Without its type; empty from nodes that have stopped giving it. To be used for this payment at most. */
const channelUpdate = sizedBytes

// code, and fields in order
const FAILURES = {
  temporary_node_failure: [NODE | 2, {}],
  permanent_node_failure: [PERM | NODE | 2, {}],
  required_node_feature_missing: [PERM | NODE | 3, {}],
  invalid_onion_version: [BADONION | PERM | 4, ofOnion],
  invalid_onion_hmac: [BADONION | PERM | 5, ofOnion],
  invalid_onion_key: [BADONION | PERM | 6, ofOnion],
  temporary_channel_failure: [UPDATE | 7, { channelUpdate }],
  permanent_channel_failure: [PERM | 8, {}],
  required_channel_feature_missing: [PERM | 9, {}],
  unknown_next_peer: [PERM | 10, {}],
  amount_below_minimum: [UPDATE | 11, { htlcMsat: msats, channelUpdate }],
  fee_insufficient: [UPDATE | 12, { htlcMsat: msats, channelUpdate }],
  incorrect_cltv_expiry: [UPDATE | 13, { cltvExpiry: height, channelUpdate }],
  expiry_too_soon: [UPDATE | 14, { channelUpdate }],
  incorrect_or_unknown_payment_details: [PERM | 15, { htlcMsat: msats, height }],
  final_incorrect_cltv_expiry: [18, { cltvExpiry: height }],
  final_incorrect_htlc_amount: [19, { incomingHtlcAmt: msats }],
  channel_disabled: [UPDATE | 20, { disabledFlags: u16, channelUpdate }],
  expiry_too_far: [21, {}],
  invalid_onion_payload: [PERM | 22, { type: bigSize, offset: u16 }],
  mpp_timeout: [23, {}],
  invalid_onion_blinding: [BADONION | PERM | 24, ofOnion],
} as const satisfies Readonly<Record<string, readonly [code: number, fields: Fields]>>

type Failures = typeof FAILURES
/** The names of the failures, as BOLT 4 has them. */
export type FailureKind = keyof Failures

/** A failure and what belongs to it. */
export type Failure = {
  readonly [K in FailureKind]: { readonly kind: K } & ObjectOf<Failures[K][1]>
}[FailureKind]

/** A failure of a code that is not in the list, or whose fields are not as the list says. */
export interface UnknownFailure {
  readonly kind: 'unknown'
  /** With its flags. */
  readonly code: number
  /** What follows the code. */
  readonly data: Uint8Array
}

/** A failure as read. */
export interface DecodedFailure {
  readonly failure: Failure | UnknownFailure
  /** What comes behind the fields: a TLV stream of which nothing is known. */
  readonly extra: Uint8Array
}

const NOTHING = new Uint8Array(0)
const BY_CODE = new Map(Object.entries(FAILURES).map(([kind, [code, fields]]) => [code, { kind, fields }]))

/** A failure's code with its flags. */
export function failureCode(failure: Failure | UnknownFailure): number {
  return failure.kind === 'unknown' ? failure.code : FAILURES[failure.kind][0]
}

/** Writes a failure message. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodeFailure(failure: Failure | UnknownFailure, extra: Uint8Array = NOTHING): Uint8Array {
  const to = new Writer(`failure.${failure.kind}`)
  to.u16(failureCode(failure))
  if (failure.kind === 'unknown') to.bytes(failure.data)
  else {
    const values: Readonly<Record<string, unknown>> = failure
    const fields: Fields = FAILURES[failure.kind][1]
    for (const [name, field] of Object.entries(fields)) field.write(to, values[name])
  }
  to.bytes(extra)
  return to.done()
}

/**
 * Reads a failure message at the origin. Whoever sent it is authentic, and may be mad: what can't be read is `unknown`
 * with its code, so that its flags still count.
 *
 * @returns undefined if there are not even two bytes
 */
export function decodeFailure(message: Uint8Array): DecodedFailure | undefined {
  const [high, low] = message
  if (high === undefined || low === undefined) return undefined
  const code = high * 256 + low
  const unknown = { kind: 'unknown', code, data: message.slice(2) } as const
  const known = BY_CODE.get(code)
  if (known === undefined) return { failure: unknown, extra: NOTHING }
  const from = new Reader(message.subarray(2), `failure.${known.kind}`)
  const out: Record<string, unknown> = { kind: known.kind }
  try {
    for (const [name, field] of Object.entries<Fields[string]>(known.fields)) out[name] = field.read(from)
  } catch (error) {
    if (error instanceof PerkunasError) return { failure: unknown, extra: NOTHING }
    throw error
  }
  return { failure: out as Failure, extra: from.bytes(from.left) }
}
