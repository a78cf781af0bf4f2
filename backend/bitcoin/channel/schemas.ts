// What a channel's record consists of, as schemas: their types are those of state.ts.
import type { Hex } from '../../../channel/bytes.js'
import {
  bool,
  bytes,
  converted,
  hex,
  kept,
  list,
  nullable,
  object,
  oneOf,
  optional,
  type Schema,
  text,
  u64,
  uint,
  union,
} from '../../../peer/index.js'
import type { ChannelType } from '../channel-type.js'
import { FEATURE_NAMES, type FeatureName } from '../features.js'
import type { Basepoints, SecretStore, SignerState } from '../keys/index.js'
import { decodeTransaction, encodeTransaction, type Transaction } from '../script/index.js'
import {
  type BlockDelta,
  type BlockHeight,
  blockDelta,
  blockHeight,
  type FeeratePerKw,
  feeratePerKw,
  type Msat,
  type Sat,
  type UnitAmount,
  wireAmount,
} from '../units.js'
import {
  type LightningMessage,
  lightningMessages,
  type ShortChannelID,
  shortChannelID,
} from '../wire/index.js'
import type { Attribution, Book } from './book.js'
import type { Intent } from './input.js'
import { MAX_HTLCS } from './policy.js'
import { STAGE_NAMES } from './stages.js'
import type { Patience } from './state.js'
import type { ProposedTerms, SideTerms, Terms } from './terms.js'

const MAX_SCRIPT = 10_000
/** Those of before had no other bound than that of messages; what is added has `MAX_REASON` of policy.ts. */
const MAX_WRITTEN_REASON = 0xffff
/** Intents and updates of one batch: adds and removals of all HTLCs, and a fee. */
const MAX_BATCH = 4 * MAX_HTLCS
const ONION_BYTES = 1366

const isBigint = <T extends bigint>(value: unknown): value is T => typeof value === 'bigint'
const isNumber = <T extends number>(value: unknown): value is T => typeof value === 'number'

function amountOf<A extends UnitAmount>(): Schema<A> {
  return converted<bigint, A>(u64(), { encode: (value) => value, decode: wireAmount<A>, is: isBigint<A> })
}
function numberOf<N extends number>(brand: (value: number) => N): Schema<N> {
  return converted<number, N>(uint(), { encode: (value) => value, decode: brand, is: isNumber<N> })
}

/** Amounts. */
export const msats = amountOf<Msat>()
/** Amounts. */
export const sats = amountOf<Sat>()
/** A block's height. */
export const height = numberOf<BlockHeight>(blockHeight)
/** A number of blocks. */
export const blocks = numberOf<BlockDelta>(blockDelta)
/** A feerate. */
export const feerate = numberOf<FeeratePerKw>(feeratePerKw)
const point = bytes(33)
/** 32 bytes. */
export const hash = bytes(32)
const script = bytes({ max: MAX_SCRIPT })
const alias: Schema<ShortChannelID> = converted<bigint, ShortChannelID>(u64(), {
  encode: (value) => value,
  decode: shortChannelID,
  is: isBigint<ShortChannelID>,
})
/** Which participant. */
export const side = oneOf('local', 'remote')
const sides = <T>(of: Schema<T>) => object({ local: of, remote: of })

/** Names of features. */
export const features: Schema<readonly FeatureName[]> = list(oneOf(...FEATURE_NAMES), {
  max: FEATURE_NAMES.length,
})

/** An output. */
export const outpoint = object({ txid: hash, index: uint(0xffff_ffff) })

/** A transaction as its bytes, of which there are at most so many. */
export const transactionUpTo = (max: number): Schema<Transaction> =>
  converted<Uint8Array, Transaction>(bytes({ max }), {
    encode: encodeTransaction,
    decode: decodeTransaction,
    is: (value): value is Transaction => typeof value === 'object' && value !== null && 'inputs' in value,
  })

/** A transaction that nodes relay. */
export const transaction: Schema<Transaction> = transactionUpTo(400_000)

/** A message as its bytes. */
export const wireMessage: Schema<LightningMessage> = converted<Uint8Array, LightningMessage>(
  bytes({ max: 0xffff }),
  {
    encode: (value) => lightningMessages.encode(value),
    decode: (value) => lightningMessages.decode(value) as LightningMessage,
    is: (value): value is LightningMessage => typeof value === 'object' && value !== null && 'kind' in value,
  },
)

/** What a side says of its keys. */
export const basepoints: Schema<Basepoints> = object({
  funding: point,
  revocation: point,
  payment: point,
  delayedPayment: point,
  htlc: point,
})

/** See {@link SideTerms}. */
export const sideTerms: Schema<SideTerms> = object({
  basepoints,
  dustLimit: sats,
  maxInFlight: msats,
  htlcMinimum: msats,
  maxAcceptedHtlcs: uint(0xffff),
  reserve: sats,
  toSelfDelay: uint(0xffff),
  upfrontShutdown: optional(script),
})

/** See {@link ChannelType}. */
export const channelType: Schema<ChannelType> = object({
  commitments: oneOf('static_remotekey', 'anchors', 'zero_fee', 'simple_taproot'),
  scidAlias: bool,
  zeroconf: bool,
})

/** Where a funding transaction is on the chain. */
export interface FundingPlace {
  readonly height: number
  /** Of the block; absent if it is only known by the short channel ID. */
  readonly hash?: Hex
  /** In its block. */
  readonly position: number
  readonly isCoinbase: boolean
}

/** See {@link FundingPlace}. */
export const fundingPlace: Schema<FundingPlace> = object({
  height: uint(0xffff_ffff),
  hash: optional(hex(32)),
  position: uint(0xff_ffff),
  isCoinbase: bool,
})

const offeredTerms = {
  keyIndex: u64(),
  temporaryID: hex(32),
  opener: side,
  type: channelType,
  isAnnounced: bool,
  capacity: sats,
  push: msats,
  feerate,
}

const proposed = { ...offeredTerms, local: sideTerms, alias: optional(alias), shutdownScript: script }

/** Terms before the peer accepts, without ours, and whole. */
export const askedTerms = object(offeredTerms)
/** See {@link ProposedTerms}. */
export const proposedTerms: Schema<ProposedTerms> = object(proposed)
/** See {@link Terms}. */
export const terms: Schema<Terms> = object({
  ...proposed,
  channelID: hex(32),
  funding: object({ outpoint, amount: sats }),
  remote: sideTerms,
  minimumDepth: uint(0xffff_ffff),
})

const signedCommitment = object({ funding: outpoint, txid: hash })

/** See {@link SecretStore}. A step changes one entry of it, if any. */
export const secretStore: Schema<SecretStore> = kept(
  converted(
    object({
      entries: list(nullable(kept(object({ index: u64(), secret: hash }))), { max: 49 }),
      // One more than the index that comes next, which may be -1.
      left: u64(),
    }),
    {
      encode: ({ entries, next }: SecretStore) => ({
        entries: entries.map((one) => one ?? null),
        left: next + 1n,
      }),
      decode: ({ entries, left }) => ({
        entries: entries.map((one) => one ?? undefined),
        next: left - 1n,
      }),
      is: (value): value is SecretStore => typeof value === 'object' && value !== null && 'next' in value,
    },
  ),
)

/** See {@link SignerState}. */
export const signerState: Schema<SignerState> = object({
  step: u64(),
  validated: u64(),
  validatedLast: list(signedCommitment, { max: 64 }),
  fundings: list(outpoint, { max: 64 }),
  released: u64(),
  published: optional(u64()),
  balance: object({ ours: msats, htlcs: uint() }),
  signed: u64(),
  signedLast: list(signedCommitment, { max: 64 }),
  points: list(object({ number: u64(), point }), { max: 2 }),
  secrets: secretStore,
})

/** What commitment_signed carries. */
export const commitmentSignatures = object({
  signature: bytes(64),
  htlcSignatures: list(bytes(64), { max: 2 * MAX_HTLCS }),
})

const attribution: Schema<Attribution> = object({
  htlcHoldTimes: list(uint(0xffff_ffff), { max: 20 }),
  truncatedHmacs: bytes(840),
})

const removal = union('kind', {
  fulfill: { preimage: hash, attribution: optional(attribution) },
  fail: { reason: bytes({ max: MAX_WRITTEN_REASON }), attribution: optional(attribution) },
  malformed: { sha256OfOnion: hash, failureCode: uint(0xffff) },
})

const stage = oneOf(...STAGE_NAMES)

/** See {@link Book}. Onions have rows of their own. */
export const book: Schema<Book> = object({
  opener: side,
  balances: sides(msats),
  feerate,
  changes: list(object({ feerate, stage }), { max: 8 }),
  htlcs: list(
    object({
      offerer: side,
      id: u64(),
      amount: msats,
      paymentHash: hash,
      cltvExpiry: height,
      blindedPath: optional(point),
      reference: optional(text(1000)),
      stage,
      removal: optional(removal),
      preimage: optional(hash),
    }),
    { max: 4 * MAX_HTLCS },
  ),
  offered: sides(u64()),
})

const add = {
  reference: text(1000),
  amount: msats,
  paymentHash: hash,
  cltvExpiry: height,
  onion: bytes(ONION_BYTES),
  blindedPath: optional(point),
}
const others = { remove: { id: u64(), removal }, fee: { feerate } }

/** An {@link Intent} to add. */
export const addition = object(add)
/** See {@link Intent}: each whole. */
export const wholeIntents: Schema<readonly Intent[]> = list(union('kind', { add, ...others }), {
  max: MAX_BATCH,
})
/** See {@link Intent}: what adds consist of has rows of its own. */
export const wants = list(union('kind', { add: { reference: text(1000) }, ...others }), { max: MAX_BATCH })

/** Parts of {@link Live}. */
export const readiness = object({
  since: uint(0xffff_ffff),
  depth: uint(0xffff_ffff),
  isSent: bool,
  isReceived: bool,
  shortChannelID: optional(alias),
  remoteAlias: optional(alias),
})
/** Parts of {@link Live}. */
export const shutdowns = object({ local: optional(script), remote: optional(script) })
/** What lasts of a closing longer than a connection. */
export const closing = object({ signed: uint(), complete: optional(transaction) })
/** See {@link Patience}. */
export const patience: Schema<Patience> = object({
  closing: optional(uint(0xffff_ffff)),
  error: optional(object({ at: uint(0xffff_ffff), reason: text(10_000) })),
  feerate: optional(uint(0xffff_ffff)),
})
/** Why a channel failed. */
export const failureCause = oneOf(
  'command',
  'peerError',
  'violation',
  'feerate',
  'expiry',
  'funding',
  'dataLoss',
  'onChain',
)
/** Parts of {@link Live}. */
export const failure = object({
  cause: failureCause,
  reason: text(10_000),
})
/** A batch of whole messages: its updates, then the signature. */
export const batchMessages = list(wireMessage, { max: MAX_BATCH, min: 1 })
/** A batch: of what it adds the ID, the rest has a row of its own. */
export const batch = object({
  updates: list(union('kind', { add: { id: u64() }, message: { message: wireMessage } }), { max: MAX_BATCH }),
  signed: wireMessage,
})
/** A point. */
export const pointSchema = point
