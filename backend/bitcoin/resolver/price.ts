// What a transaction of ours pays: what the estimator says for the blocks that are left, and more the nearer the deadline,
// along a line that ends at its budget (see budget.ts).
//
// A price never falls and never starts again: not after a restart, and not when a part of the transaction is gone. Whoever
// could make it start again with each block would keep us from ever paying enough.

import { type FeeTable, feerateWithin, MINIMUM_FEERATE } from '../chain/index.js'
import { type FeeratePerKw, feeratePerKw, type Sat } from '../units.js'
import type { Price } from './attempt.js'
import type { ResolverPolicy } from './policy.js'

/** What a replacement pays more, at least: nodes relay none with less. */
export const RELAY_STEP: FeeratePerKw = MINIMUM_FEERATE

/**
 * The least that any node takes. It counts in units of four, rounded up: of the smallest transaction of ours that is not a
 * hundredth, and of a package neither.
 */
export const LEAST_TAKEN: FeeratePerKw = withMargin(MINIMUM_FEERATE)

/** What a price depends on. */
export interface Stakes {
  /** Of the best block. */
  readonly height: number
  /** The last block that is of use. Absent if nobody competes. */
  readonly due?: number
  /** The most that may be paid for all of it. */
  readonly budget: Sat
  /** Of all that is paid for. */
  readonly weight: number
}

/** The world. `isRefused`: nodes want more than what was paid last. */
export interface Market {
  readonly fees: FeeTable
  readonly policy: ResolverPolicy
  readonly isRefused?: boolean
}

/** The most that may be paid. */
export function capOf({ budget, weight }: Pick<Stakes, 'budget' | 'weight'>): FeeratePerKw {
  return rateOf(budget, weight)
}

/** The rate that a fee is, rounded down; none that is below zero. */
export function rateOf(fee: bigint, weight: number): FeeratePerKw {
  const rate = (fee * 1000n) / BigInt(weight)
  return feeratePerKw(rate <= 0n ? 0 : rate > 0xffff_ffffn ? 0xffff_ffff : Number(rate))
}

/**
 * The price of the next try: as before, or as much higher as a replacement must be.
 *
 * @param before of the last try
 * @returns undefined if it is not even worth the mempools' floor now
 */
export function priceOf(before: Price | undefined, stakes: Stakes, market: Market): Price | undefined {
  const { height, due } = stakes
  const { fees, policy, isRefused = false } = market
  const cap = capOf(stakes)
  const floor = floorOf(fees)
  const left = due === undefined ? policy.patience : Math.max(1, due - height)
  const estimate = higher(feerateWithin(fees, left), floor)
  if (before === undefined) {
    const first = lower(estimate, cap)
    return first < floor ? undefined : { since: height, start: first, feerate: first, at: height }
  }
  const { feerate, since, start, at } = before
  // Looked at before, in this block.
  if (height <= at) return before
  const isStuck = isRefused || feerate < floor
  if (!isStuck && height < at + intervalOf(left)) return before
  const line = due === undefined ? estimate : onLine({ since, start, due, cap, height })
  const quarter = feeratePerKw(Math.ceil(feerate * 1.25))
  // What has a deadline rises although nobody says that it must, but not for ever: the line goes as far as it is worth it.
  const hasToRise = isStuck || due !== undefined
  const risen = hasToRise ? lower(quarter, feeratePerKw(Math.min(5 * estimate, 0xffff_ffff))) : estimate
  const wanted = higher(higher(estimate, line), risen)
  if (!isStuck && wanted < (due === undefined ? quarter : feerate + 1)) return before
  const least = feeratePerKw(feerate + RELAY_STEP)
  const next = lower(higher(higher(wanted, least), floor), cap)
  return next < least ? before : { since, start, feerate: next, at: height }
}

/** The least that is taken now. */
function floorOf({ floor }: FeeTable): FeeratePerKw {
  return higher(withMargin(floor), MINIMUM_FEERATE)
}

function withMargin(floor: FeeratePerKw): FeeratePerKw {
  return feeratePerKw(Math.ceil(floor * 1.01))
}

/** Blocks until a price is looked at again. */
function intervalOf(left: number): number {
  if (left <= 3) return 1
  return left <= 15 ? 3 : 15
}

/** From where it began to all that may be paid, which it reaches in the block before the deadline. */
function onLine(line: {
  readonly since: number
  readonly start: FeeratePerKw
  readonly due: number
  readonly cap: FeeratePerKw
  readonly height: number
}): FeeratePerKw {
  const { since, start, due, cap, height } = line
  if (cap <= start) return start
  const span = due - 1 - since
  if (span <= 0 || height >= due - 1) return cap
  return feeratePerKw(start + Math.floor(((cap - start) * (height - since)) / span))
}

function higher(a: FeeratePerKw, b: FeeratePerKw): FeeratePerKw {
  return a > b ? a : b
}

/** The lower of two. */
export function lower(a: FeeratePerKw, b: FeeratePerKw): FeeratePerKw {
  return a < b ? a : b
}
