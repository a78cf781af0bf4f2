// What we ask of channels and what we accept: every figure that is ours to choose, with its default, and the bounds that
// BOLT 2 sets.

import type { CommitmentFormat } from '../script/index.js'
import { FORMATS } from '../script/index.js'
import { type FeeratePerKw, feeratePerKw, type Msat, msat, type Sat, sat } from '../units.js'

/** Choices of a node, the same for all its channels. */
export interface ChannelPolicy {
  /** Smallest channel that a peer may open to us. */
  readonly minimumFunding: Sat
  /** Of our commitments. */
  readonly dustLimit: Sat
  /** What a peer must keep for itself: so many millionths of the channel, and no less than so much. */
  readonly reserveMillionths: number
  readonly reserveMinimum: Sat
  /** Of the channel: the most that we keep for ourselves. */
  readonly reserveAcceptedMillionths: number
  /** What a peer must wait for its balance: by size of the channel, between these. */
  readonly toSelfDelay: { readonly min: number; readonly max: number }
  /** HTLCs that we take at a time, at most 483. */
  readonly maxAcceptedHtlcs: number
  /** What we take in flight, in millionths of the channel. */
  readonly maxInFlightMillionths: { readonly announced: number; readonly unannounced: number }
  /** Smallest HTLC that we take. */
  readonly htlcMinimum: Msat
  /** The largest such bound of a peer that we live with. */
  readonly htlcMinimumAccepted: Msat
  /**
   * Confirmations of somebody else's funding, by size of the channel, between these; at least 1. None are waited for where who
   * accepts the channel says so of it, and nowhere else.
   */
  readonly minimumDepth: { readonly min: number; readonly max: number }
  /** The most confirmations that we wait for when we fund. */
  readonly minimumDepthAccepted: number
  /** Dust that may go to miners when a channel closes: so many msat for each sat/kw of the sane feerate, or fixed. */
  readonly maxDustExposure: { readonly perFeerate: bigint } | { readonly fixed: Msat }
  /** A peer may pay at most so many times what a closing needs. */
  readonly closingFeeMultiple: number
}

/** Fees as an estimator has them. */
export interface FeeEstimates {
  /** What our commitments should pay that anchors can add to. */
  readonly commitment: FeeratePerKw
  /** What those should pay that nothing can be added to: it has to get them into blocks. */
  readonly fixedCommitment: FeeratePerKw
  /** The least that a peer's commitment with anchors must pay: what gets relayed, on the cheapest day. */
  readonly minimum: FeeratePerKw
  /** The least that one without must pay: what got into blocks at all, the lowest of a day or so. */
  readonly fixedMinimum: FeeratePerKw
  /** More than this is no fee that anybody means. */
  readonly maximum: FeeratePerKw
  /** What commitments pay beyond this counts as dust exposure. */
  readonly sane: FeeratePerKw
  /** What a funding transaction should pay, which nobody bumps. */
  readonly opening: FeeratePerKw
  /** What a closing transaction should pay. */
  readonly closing: FeeratePerKw
}

/** What commitments of that form should pay. */
export function commitmentFeerate(
  { commitment, fixedCommitment }: FeeEstimates,
  format: CommitmentFormat,
): FeeratePerKw {
  return isFixed(format) ? fixedCommitment : commitment
}

/** The least that they must pay. */
export function minimumFeerate({ minimum, fixedMinimum }: FeeEstimates, format: CommitmentFormat): number {
  return Math.max(MIN_FEERATE, isFixed(format) ? fixedMinimum : minimum)
}

function isFixed(format: CommitmentFormat): boolean {
  return FORMATS[format].anchors === 'none'
}

/** The defaults. */
export const CHANNEL_POLICY: ChannelPolicy = {
  minimumFunding: sat(10_000n),
  dustLimit: sat(354n),
  reserveMillionths: 10_000,
  reserveMinimum: sat(1000n),
  reserveAcceptedMillionths: 200_000,
  toSelfDelay: { min: 144, max: 2016 },
  maxAcceptedHtlcs: 50,
  maxInFlightMillionths: { announced: 250_000, unannounced: 1_000_000 },
  htlcMinimum: msat(1n),
  htlcMinimumAccepted: msat(1_000_000n),
  minimumDepth: { min: 3, max: 6 },
  minimumDepthAccepted: 144,
  maxDustExposure: { perFeerate: 10_000n },
  closingFeeMultiple: 3,
}

/** The lowest feerate that gets relayed: 250 sat/kw are 1 sat/vB, and some for roundings. */
export const MIN_FEERATE: FeeratePerKw = feeratePerKw(253)
/** Dust limits that we accept of a peer: below, its transactions may not be relayed; above, it throws money away. */
export const DUST_LIMITS: { readonly min: Sat; readonly max: Sat } = { min: sat(354n), max: sat(546n) }
/** The longest to_self_delay that we accept for us: two weeks. */
export const MAX_TO_SELF_DELAY = 2016
/**
 * Bytes of a failure's reason that are kept: fourteen times what nodes send, which pad to 292 bytes (BOLT 4, "Returning
 * Errors"). A message has room for 65 kB, and 483 of those at a time would not fit a channel's record.
 */
export const MAX_REASON = 4096
/** HTLCs that either side may have in flight, so that a penalty transaction fits into a block. @see BOLT 5 */
export const MAX_HTLCS = 483
/** Channels from here on need `option_support_large_channel`. */
export const LARGE_CHANNEL: Sat = sat(1n << 24n)
/** Blocks after which who did not fund forgets an unconfirmed channel, or gives up one that is used without confirmations. */
export const FUNDING_DEADLINE = 2016
/** Confirmations of a funding that is not the one that was agreed on, after which the channel is forgotten. */
export const FALSE_DEPTH = 6
/** Blocks before the output of a coinbase transaction can be spent. */
export const COINBASE_MATURITY = 100
/** Blocks after the expiry of what we offered in which the peer may still fail it. */
export const EXPIRY_GRACE = 3
/** Blocks before the expiry of what we can claim at which we do so on chain. */
export const CLAIM_BUFFER = 36
/** An expiry this far away is nobody's: a later one is refused where HTLCs are added. */
export const MAX_EXPIRY_DISTANCE = 2016
/** Blocks in which a feerate of the opener that we doubt may become one that we take; then the channel fails. */
export const DOUBT_BLOCKS = 6
/** Ticks that a peer has for an answer that the channel waits for. */
export const ANSWER_TICKS = 2
/** Ticks that our user has to take a channel. */
export const ASKED_TICKS = 2
/** Ticks that a channel has to get its first commitments. */
export const YOUNG_TICKS = 60
/** HTLCs that are together below this are not worth a commitment on chain. */
export const WORTH_CLOSING: Sat = sat(1000n)
/** Blocks that a closing has to get into one, after which our commitment is published beside it: a day. */
export const CLOSING_PATIENCE = 144
/** Blocks that a closing of ours has to get into one, before another one pays more. */
export const CLOSING_STEP = 6
/** Blocks that a peer that says `error` has to tell how far it is, before we close for it. */
export const ERROR_PATIENCE = 6
/** How far a lock time of a closing may lie ahead of us: its maker may know some blocks more. */
export const LOCKTIME_SLACK = 6
/** Closing transactions of the peer's making that we sign and remember, of one channel. */
export const MAX_CLOSINGS = 20

/** What a peer must keep: no less than the dust limits of both, so that there is an output for it. */
export function reserveFor(policy: ChannelPolicy, funding: Sat, dustLimitOfPeer: Sat): Sat {
  const share = (funding * BigInt(policy.reserveMillionths)) / 1_000_000n
  const least = [policy.reserveMinimum, policy.dustLimit, dustLimitOfPeer]
  return sat(least.reduce((most: bigint, one) => (one > most ? one : most), share))
}

/** What a peer must wait: the largest channel without `option_support_large_channel` has the longest delay. */
export function delayFor({ toSelfDelay: { min, max } }: ChannelPolicy, funding: Sat): number {
  return scaled(funding, min, max)
}

/** Confirmations that we want to see. */
export function depthFor({ minimumDepth: { min, max } }: ChannelPolicy, funding: Sat): number {
  return scaled(funding, min, max)
}

/** What we take in flight. */
export function inFlightFor(policy: ChannelPolicy, funding: Sat, isAnnounced: boolean): Msat {
  const { announced, unannounced } = policy.maxInFlightMillionths
  return msat((funding * BigInt(isAnnounced ? announced : unannounced)) / 1000n)
}

/** The most dust that we let stand in a commitment. */
export function dustExposureLimit({ maxDustExposure: limit }: ChannelPolicy, { sane }: FeeEstimates): Msat {
  return 'fixed' in limit ? limit.fixed : msat(limit.perFeerate * BigInt(sane))
}

/** How many times the present fee an opener must be able to pay: the rate can't rise where it is bumped by anchors. */
export function feeSpikeMultiple(format: CommitmentFormat): number {
  return FORMATS[format].anchors === 'none' ? 2 : 1
}

function scaled(funding: Sat, min: number, max: number): number {
  const size = funding < LARGE_CHANNEL ? funding : LARGE_CHANNEL
  return Math.max(min, Math.min(max, Number((size * BigInt(max)) / LARGE_CHANNEL)))
}
