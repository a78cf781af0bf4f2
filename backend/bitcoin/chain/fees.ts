// What to pay, given what a source knows of fees. Pure.
import { type FeeratePerKw, feeratePerKw } from '../units.js'
import type { FeeEstimate, FeeTable } from './source.js'

/** Nothing below it is relayed: 1 sat/vB, and as much more as rounding a transaction's size to vbytes may take away. */
export const MINIMUM_FEERATE: FeeratePerKw = feeratePerKw(253)
/** 1000 sat/vB: nobody ever had to pay it. What a source says beyond is a mistake of its own. */
export const MAXIMUM_FEERATE: FeeratePerKw = feeratePerKw(250_000)

/** Within how many blocks something should be confirmed. */
export const TARGETS = {
  /** What somebody else may take if we are late. */
  urgent: 2,
  /** A commitment, and claims whose deadline is not near. */
  claim: 6,
  /** A channel's opening. */
  opening: 12,
  /** A closing transaction that both agree on. */
  closing: 12,
  /** What nobody else can take. */
  sweep: 144,
  /** What is only to get into mempools. */
  background: 1008,
} as const

/** The names of {@link TARGETS}. */
export type FeeTarget = keyof typeof TARGETS

/** For a source that never had an estimate: what was enough on most days, so that nothing gets stuck. */
export const UNKNOWN_FEES: FeeTable = {
  floor: MINIMUM_FEERATE,
  estimates: [
    { blocks: 2, feerate: feeratePerKw(5000) },
    { blocks: 6, feerate: feeratePerKw(3000) },
    { blocks: 12, feerate: feeratePerKw(2000) },
    { blocks: 144, feerate: feeratePerKw(1000) },
    { blocks: 1008, feerate: MINIMUM_FEERATE },
  ],
}

/**
 * What gets a transaction confirmed within so many blocks, never below what is relayed.
 *
 * Between two estimates it is interpolated; before the first and after the last they hold as they are. More patience never
 * costs more, whatever the source says.
 *
 * @param table {@link UNKNOWN_FEES} is used where it has no estimate
 */
export function feerateWithin(table: FeeTable, blocks: number): FeeratePerKw {
  const floor = Math.max(MINIMUM_FEERATE, Math.min(table.floor, MAXIMUM_FEERATE))
  const estimates = table.estimates.length > 0 ? table.estimates : UNKNOWN_FEES.estimates
  const feerate = interpolated(falling(estimates), blocks)
  return feeratePerKw(Math.ceil(Math.min(MAXIMUM_FEERATE, Math.max(floor, feerate))))
}

/** {@link feerateWithin} for a named target. */
export function feerateFor(table: FeeTable, target: FeeTarget): FeeratePerKw {
  return feerateWithin(table, TARGETS[target])
}

/** The same without any that is higher than one for fewer blocks: it is lowered to that. */
function falling(estimates: readonly FeeEstimate[]): readonly FeeEstimate[] {
  let least: number = MAXIMUM_FEERATE
  return estimates.map(({ blocks, feerate }) => {
    least = Math.min(least, feerate)
    return { blocks, feerate: feeratePerKw(least) }
  })
}

function interpolated(estimates: readonly FeeEstimate[], blocks: number): number {
  let before: FeeEstimate | undefined
  for (const estimate of estimates) {
    if (estimate.blocks >= blocks) {
      if (before === undefined || estimate.blocks === blocks) return estimate.feerate
      const share = (blocks - before.blocks) / (estimate.blocks - before.blocks)
      return before.feerate + share * (estimate.feerate - before.feerate)
    }
    before = estimate
  }
  return before?.feerate ?? MINIMUM_FEERATE
}
