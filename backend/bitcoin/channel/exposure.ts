// Dust exposure: what would go to miners if a commitment were published. HTLCs without an output count whole, and what the
// commitment pays beyond a sane fee counts too, or an opener could make HTLCs vanish into the fee (CVE-2021-41591).
// Whether an HTLC has an output is asked at a feerate that has risen, since it will have to stand one.
import { type FeeratePerKw, feeratePerKw } from '../units.js'

/** What a feerate may rise by while HTLCs are in flight: by a quarter, and by 10 sat/vB at least. */
const LEAST_RISE = 2530

/** The feerate at which dust is judged. */
export function bufferedFeerate(feerate: FeeratePerKw): FeeratePerKw {
  return feeratePerKw(Math.min(0xffff_ffff, Math.max(feerate + LEAST_RISE, Math.ceil(feerate * 1.25))))
}
