// A funding transaction of ours that no block takes: it can't be replaced, since both sides have signed for its outputs, so a
// child that spends our change pays for both (CPFP), and more with each time that it did not help.
import {
  dustLimitOf,
  feeOf,
  SEQUENCE_REPLACEABLE,
  type Transaction,
  type TransactionOutput,
  weightOf,
} from '../script/index.js'
import { type FeeratePerKw, feeratePerKw, type Sat, sat } from '../units.js'
import type { Coin } from '../wallet/index.js'
import type { FundingChild, OwnFunding } from './entries.js'

/** Blocks that a funding has to get into one, and each child as well. */
const STEP = 6
/** Blocks before the peer forgets the channel in which it is urgent. */
const LAST = 144
/** Each child pays so many hundredths of what was paid before, or more. */
const RISE = 130
/** Fees of both are at most so much of the channel. */
const MOST = { numerator: 1n, denominator: 10n }
/** Of a transaction with one output of a witness program and without inputs, marker and flag included. */
const SKELETON_WEIGHT = 4 * (4 + 1 + 1 + 8 + 1 + 34 + 4) + 2
/** What nodes ask for their trouble of relaying another child, for its own weight. */
const RELAY = feeratePerKw(253)

/** What is known of the world. */
export interface FundingNeed {
  readonly funding: OwnFunding
  readonly capacity: Sat
  /** Since the channel was made. */
  readonly waited: number
  /** Until the peer forgets it. */
  readonly left: number
  /** What is paid now in the ordinary, in a hurry, and at the very most. */
  readonly fees: {
    readonly opening: FeeratePerKw
    readonly sane: FeeratePerKw
    readonly maximum: FeeratePerKw
  }
}

/** A child that is wanted now: what both should pay. */
export interface ChildWish {
  readonly feerate: FeeratePerKw
  /** Of the funding alone. */
  readonly parent: { readonly transaction: Transaction; readonly fee: Sat }
  readonly most: Sat
  /** That is to be replaced. */
  readonly before?: FundingChild
}

/** What to do for a funding that is in no block at a new height; undefined if that is to wait. */
export function wantedChild({ funding, capacity, waited, left, fees }: FundingNeed): ChildWish | undefined {
  const { fee, transaction, child } = funding
  if (fee === undefined || waited < STEP || waited % STEP !== 0) return undefined
  const weight = weightOf(transaction) + (child === undefined ? 0 : weightOf(child.transaction))
  const paid = Number(((fee + (child?.fee ?? 0n)) * 1000n) / BigInt(weight))
  const usual = left <= LAST ? Math.max(fees.opening, fees.sane) : fees.opening
  const wanted = Math.min(fees.maximum, Math.max(usual, Math.ceil((paid * RISE) / 100)))
  if (wanted <= paid) return undefined
  return {
    feerate: feeratePerKw(wanted),
    parent: { transaction, fee },
    most: sat((capacity * MOST.numerator) / MOST.denominator),
    ...(child === undefined ? {} : { before: child }),
  }
}

/** What coins must bring in beyond what they cost themselves, an output for what is left included. */
export function amountFor({ feerate, parent }: ChildWish): Sat {
  const weight = weightOf(parent.transaction) + SKELETON_WEIGHT
  const fee = feeOf(feerate, weight) - parent.fee
  return sat((fee > 0n ? fee : 0n) + DUST)
}

/** Of any output of a witness program. */
const DUST = 354n

/** Coins of a child, and where what is left of them goes. */
export interface ChildCoins {
  readonly coins: readonly Pick<Coin, 'outpoint' | 'amount' | 'script'>[]
  /** Of an input with each of them. */
  readonly weights: readonly number[]
  readonly script: Uint8Array
}

/** The child, unsigned, and what it pays; undefined if its coins do not reach, or it would be too dear. */
export function childFor(
  { feerate, parent, most, before }: ChildWish,
  { coins, weights, script }: ChildCoins,
): { readonly transaction: Transaction; readonly fee: Sat } | undefined {
  const own = SKELETON_WEIGHT + weights.reduce((sum, one) => sum + one, 0)
  const together = feeOf(feerate, weightOf(parent.transaction) + own) - parent.fee
  const least = (before?.fee ?? 0n) + feeOf(RELAY, own)
  const fee = together > least ? together : least
  const amount = coins.reduce((sum, one) => sum + one.amount, 0n) - fee
  if (amount < dustLimitOf(script) || fee + parent.fee > most) return undefined
  const output: TransactionOutput = { amount: sat(amount), script }
  return {
    transaction: {
      version: 2,
      inputs: coins.map(({ outpoint }) => ({ outpoint, sequence: SEQUENCE_REPLACEABLE, witness: [] })),
      outputs: [output],
      locktime: 0,
    },
    fee: sat(fee),
  }
}
