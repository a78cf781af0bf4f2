// Dust exposure: what would go to miners if a commitment were published. HTLCs without an output count whole, and what the
// commitment pays beyond a sane fee counts too, or an opener could make HTLCs vanish into the fee (f 5: CVE-2021-41591).
import { type FeeratePerKw, feeratePerKw, type Msat, msat, type Sat, toMsat } from '../../../channel/units.js'
import { type CommitmentFormat, commitmentFee, isTrimmed, trimThreshold } from '../script/index.js'
import type { View } from './book.js'

/** What a feerate may rise by while HTLCs are in flight: by a quarter, and by 10 sat/vB at least. */
const LEAST_RISE = 2530

/** The feerate at which dust is judged. */
export function bufferedFeerate(feerate: FeeratePerKw): FeeratePerKw {
  return feeratePerKw(Math.min(0xffff_ffff, Math.max(feerate + LEAST_RISE, Math.ceil(feerate * 1.25))))
}

/** What a commitment is judged by. */
export interface ExposureTerms {
  readonly format: CommitmentFormat
  /** Of its holder. */
  readonly dustLimit: Sat
  /** Up to here a fee is no exposure. */
  readonly sane: FeeratePerKw
}

/** The dust exposure of a commitment. */
export function dustExposure(view: View, { format, dustLimit, sane }: ExposureTerms): Msat {
  const feerate = bufferedFeerate(view.feerate)
  const threshold = {
    offered: trimThreshold(format, { feerate, dustLimit }, 'offered'),
    received: trimThreshold(format, { feerate, dustLimit }, 'received'),
  }
  const dust = view.htlcs.reduce(
    (sum, { amount, direction }) => (isTrimmed(amount, threshold[direction]) ? sum + amount : sum),
    0n,
  )
  return msat(dust + excessFee(view, { format, dustLimit, sane }))
}

/** Untrimmed HTLCs of a commitment, at its own feerate or a higher one. */
export function untrimmedOf(
  { feerate, htlcs }: Pick<View, 'feerate' | 'htlcs'>,
  { format, dustLimit }: Pick<ExposureTerms, 'format' | 'dustLimit'>,
): number {
  const threshold = {
    offered: trimThreshold(format, { feerate, dustLimit }, 'offered'),
    received: trimThreshold(format, { feerate, dustLimit }, 'received'),
  }
  return htlcs.filter(({ amount, direction }) => !isTrimmed(amount, threshold[direction])).length
}

function excessFee(view: View, { format, dustLimit, sane }: ExposureTerms): bigint {
  if (view.feerate <= sane) return 0n
  const count = untrimmedOf(view, { format, dustLimit })
  return toMsat(commitmentFee(format, view.feerate, count)) - toMsat(commitmentFee(format, sane, count))
}
