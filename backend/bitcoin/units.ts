// Amounts and distances that are easily swapped, each its own type. `a + b` of two amounts is a bare bigint, which
// no amount parameter accepts: that is the point; `add` and `sub` keep the unit.
import { PerkunasError } from '../../channel/errors.js'

declare const unit: unique symbol
type Unit<T, U extends string> = T & { readonly [unit]: U }

/** Satoshis: outputs of Bitcoin transactions. */
export type Sat = Unit<bigint, 'sat'>
/** Thousandths of a satoshi: amounts in Lightning messages (BOLT 2). */
export type Msat = Unit<bigint, 'msat'>
/** An amount of money with its unit. */
export type UnitAmount = Sat | Msat

/** A block's distance from the genesis block: an absolute time. */
export type BlockHeight = Unit<number, 'block height'>
/** A number of blocks: a span of time. */
export type BlockDelta = Unit<number, 'block delta'>
/** Satoshis for 1000 units of weight. */
export type FeeratePerKw = Unit<number, 'sat/kw'>

/** All satoshis that there can ever be: 21 million bitcoins. */
export const MAX_SAT = 2_100_000_000_000_000n
/** The same in thousandths of a satoshi. */
export const MAX_MSAT = 1000n * MAX_SAT

/** @throws PerkunasError INVALID_AMOUNT outside 0 … 21·10¹⁴ */
export function sat(amount: bigint): Sat {
  return checked(amount, MAX_SAT) as Sat
}

/** @throws PerkunasError INVALID_AMOUNT outside 0 … 21·10¹⁷ */
export function msat(amount: bigint): Msat {
  return checked(amount, MAX_MSAT) as Msat
}

/** Rounds down, as BOLT 3 does for outputs. */
export function toSat(amount: Msat): Sat {
  return (amount / 1000n) as Sat
}

/** Exact. */
export function toMsat(amount: Sat): Msat {
  return (amount * 1000n) as Msat
}

/** Sum of two amounts of one unit. */
export function add<A extends UnitAmount>(a: A, b: NoInfer<A>): A {
  const sum: bigint = (a as bigint) + (b as bigint)
  return sum as A
}

/** Difference of two amounts of one unit. @throws PerkunasError INVALID_AMOUNT rather than going below zero */
export function sub<A extends UnitAmount>(a: A, b: NoInfer<A>): A {
  const difference: bigint = (a as bigint) - (b as bigint)
  if (difference < 0n) {
    throw new PerkunasError('INVALID_AMOUNT', `${a} - ${b} is below zero`, { actual: difference })
  }
  return difference as A
}

/**
 * Brands an amount of which 64 bits were read. A peer may well send more than there is (2^64 - 1 for "no limit" is
 * common); whether it makes sense is for the rules of a channel to say.
 *
 * @throws PerkunasError INVALID_AMOUNT outside 0 … 2^64 - 1
 */
export function wireAmount<A extends UnitAmount>(amount: bigint): A {
  return checked(amount, 0xffff_ffff_ffff_ffffn) as A
}

/** @throws PerkunasError INVALID_ARGUMENT outside 0 … 2^32 - 1 */
export function blockHeight(height: number): BlockHeight {
  return checkedNumber(height, 'block height') as BlockHeight
}

/** @throws PerkunasError INVALID_ARGUMENT outside 0 … 2^32 - 1 */
export function blockDelta(blocks: number): BlockDelta {
  return checkedNumber(blocks, 'block delta') as BlockDelta
}

/** @throws PerkunasError INVALID_ARGUMENT outside 0 … 2^32 - 1 */
export function feeratePerKw(satoshis: number): FeeratePerKw {
  return checkedNumber(satoshis, 'feerate') as FeeratePerKw
}

function checked(amount: bigint, max: bigint): bigint {
  if (typeof amount !== 'bigint') {
    throw new PerkunasError('INVALID_ARGUMENT', `amount: bigint expected, got ${typeof amount}`, {
      argument: 'amount',
    })
  }
  if (amount < 0n || amount > max) {
    throw new PerkunasError('INVALID_AMOUNT', `0 … ${max} expected, got ${amount}`, { actual: amount })
  }
  return amount
}

function checkedNumber(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
    throw new PerkunasError('INVALID_ARGUMENT', `${what}: 0 … 2^32 - 1 expected, got ${value}`, {
      argument: what,
    })
  }
  return value
}
