// What a payment's record consists of, as schemas: their types are those of state.ts.
import {
  bool,
  bytes,
  converted,
  hex,
  list,
  object,
  oneOf,
  optional,
  type Schema,
  text,
  u64,
  uint,
  union,
} from '../../../peer/index.js'
import { blocks, hash, height, msats } from '../channel/schemas.js'
import { decodeFailure, encodeFailure, type Failure, MAX_HOPS, type UnknownFailure } from '../onion/index.js'
import { MAX_PARTS } from './policy.js'
import type { IncomingPayment, OutgoingPayment, PayRequest } from './state.js'

/** An invoice has 7089 characters at most. */
const MAX_INVOICE = 7089
const MAX_METADATA = 1300
/** Four times what payments take. */
const MAX_WRITTEN_PARTS = 4 * MAX_PARTS
const MAX_CHANNELS = 10_000

const time = uint()
const holdTimes = list(uint(0xffff_ffff), { max: MAX_HOPS })
const failure: Schema<Failure | UnknownFailure> = converted<Uint8Array, Failure | UnknownFailure>(
  bytes({ max: 0xffff }),
  {
    encode: (value) => encodeFailure(value),
    decode: (value) => decodeFailure(value)?.failure ?? { kind: 'unknown', code: 0, data: value },
    is: (value): value is Failure => typeof value === 'object' && value !== null && 'kind' in value,
  },
)

const paymentFailure = union('kind', {
  rejected: { hop: uint(MAX_HOPS), node: hex(33), code: uint(0xffff), failure, holdTimes },
  malformed: { code: uint(0xffff) },
  unreadable: {},
  noChannel: { rule: text(10_000) },
  timedOutOnChain: {},
  timedOut: {},
  abandoned: {},
})

const request: Schema<PayRequest> = union('kind', {
  invoice: { invoice: text(MAX_INVOICE), amount: optional(msats), timeout: optional(time) },
  spontaneous: { peer: hex(33), channel: optional(hex(32)), amount: msats, timeout: optional(time) },
  hash: {
    peer: hex(33),
    channel: optional(hex(32)),
    paymentHash: hex(32),
    amount: msats,
    paymentSecret: optional(hex(32)),
    paymentMetadata: optional(hex({ max: MAX_METADATA })),
    finalCltvExpiryDelta: blocks,
    timeout: optional(time),
  },
})

/** See {@link OutgoingPayment}. */
export const outgoingPayment: Schema<OutgoingPayment> = object({
  id: hex(32),
  request,
  peer: hex(33),
  paymentHash: hex(32),
  amount: msats,
  recipient: object({
    finalCltvExpiryDelta: blocks,
    takesParts: bool,
    paymentSecret: optional(hash),
    paymentMetadata: optional(bytes({ max: MAX_METADATA })),
    keysendPreimage: optional(hash),
  }),
  since: time,
  parts: list(
    object({
      number: uint(),
      channelID: hex(32),
      htlcID: optional(u64()),
      amount: msats,
      cltvExpiry: height,
      sharedSecrets: list(hash, { max: MAX_HOPS }),
    }),
    { max: MAX_WRITTEN_PARTS },
  ),
  tried: uint(),
  avoided: list(hex(32), { max: MAX_CHANNELS }),
  status: union('kind', {
    pending: { abandoned: optional(paymentFailure) },
    succeeded: { preimage: hash, sent: msats, fee: msats, at: time, holdTimes },
    failed: { failure: paymentFailure, at: time },
  }),
  isAcknowledged: bool,
})

/** See {@link IncomingPayment}. */
export const incomingPayment: Schema<IncomingPayment> = object({
  paymentHash: hex(32),
  invoice: optional(
    object({
      amount: optional(msats),
      expiresAt: time,
      minFinalCltvExpiryDelta: blocks,
      text: text(MAX_INVOICE),
    }),
  ),
  paymentSecret: optional(hash),
  preimage: optional(hash),
  isHeld: bool,
  since: time,
  parts: list(
    object({
      channelID: hex(32),
      htlcID: u64(),
      amount: msats,
      intended: msats,
      cltvExpiry: height,
      sharedSecret: hash,
      since: time,
    }),
    { max: MAX_WRITTEN_PARTS },
  ),
  total: optional(msats),
  status: union('kind', {
    awaited: {},
    held: { deadline: height },
    claimed: { received: msats, lost: msats, at: time },
    cancelled: { reason: oneOf('command', 'expired', 'deadline', 'onChain'), at: time },
  }),
  isAcknowledged: bool,
})
