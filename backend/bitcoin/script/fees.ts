// Fees, dust and trimming: which outputs a commitment has and what it costs.
import { type FeeratePerKw, type Msat, type Sat, sat, toSat } from '../units.js'
import { type CommitmentFormat, FORMATS, HTLC_OUTPUT_WEIGHT } from './format.js'

/** Of each of the two anchors of a pair. */
export const ANCHOR_AMOUNT: Sat = sat(330n)
/** The most that a shared anchor carries. */
export const SHARED_ANCHOR_MAX: Sat = sat(240n)

/** Whose HTLC it is, as the holder of the commitment sees it. */
export type HtlcDirection = 'offered' | 'received'

/** The fee of a transaction at a feerate, rounded down. */
export function feeOf(feerate: FeeratePerKw, weight: number): Sat {
  return sat((BigInt(feerate) * BigInt(weight)) / 1000n)
}

/** The expected weight of a commitment. @see BOLT 3, "Fee Calculation" */
export function commitmentWeight(format: CommitmentFormat, untrimmedHtlcs: number): number {
  return FORMATS[format].commitmentWeight + HTLC_OUTPUT_WEIGHT * untrimmedHtlcs
}

/** The base fee of a commitment, without what trimming adds. */
export function commitmentFee(format: CommitmentFormat, feerate: FeeratePerKw, untrimmedHtlcs: number): Sat {
  return FORMATS[format].paysFee ? feeOf(feerate, commitmentWeight(format, untrimmedHtlcs)) : sat(0n)
}

/** The fee of an HTLC transaction, taken from its HTLC: HTLC-timeout of an offered, HTLC-success of a received one. */
export function htlcFee(format: CommitmentFormat, feerate: FeeratePerKw, direction: HtlcDirection): Sat {
  const { htlcsPayFee, htlcTimeoutWeight, htlcSuccessWeight } = FORMATS[format]
  return htlcsPayFee
    ? feeOf(feerate, direction === 'offered' ? htlcTimeoutWeight : htlcSuccessWeight)
    : sat(0n)
}

/** The smallest HTLC, in satoshis, that gets an output in a commitment. @see BOLT 3, "Trimmed Outputs" */
export function trimThreshold(
  format: CommitmentFormat,
  { feerate, dustLimit }: { readonly feerate: FeeratePerKw; readonly dustLimit: Sat },
  direction: HtlcDirection,
): Sat {
  return sat(dustLimit + htlcFee(format, feerate, direction))
}

/** Whether an HTLC has no output in a commitment. */
export function isTrimmed(amount: Msat, threshold: Sat): boolean {
  return toSat(amount) < threshold
}

/**
 * The smallest amount that nodes relay in an output of that script.
 *
 * Zero for OP_RETURN, which is never dust; the limits assume a spending fee of 3 sat/vB and are the same as Bitcoin Core's.
 *
 * @see BOLT 3, "Dust Limits"
 */
export function dustLimitOf(script: Uint8Array): Sat {
  const [first = 0, second = 0] = script
  if (first === 0x6a) return sat(0n)
  if (script.length === 25 && first === 0x76) return sat(546n)
  if (script.length === 23 && first === 0xa9) return sat(540n)
  const program = second === script.length - 2
  if (program && first === 0x00 && script.length === 22) return sat(294n)
  if (program && first === 0x00 && script.length === 34) return sat(330n)
  if (program && first === 0x51 && script.length === 4 && script[2] === 0x4e && script[3] === 0x73)
    return sat(240n)
  return sat(354n)
}
