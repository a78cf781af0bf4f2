// What channels make of what a chain source knows of fees.
import { feeratePerKw } from '../../../channel/units.js'
import { type FeeTable, feerateFor, MINIMUM_FEERATE } from '../chain/index.js'
import type { FeeEstimates } from '../channel/index.js'

/** Commitments with anchors pay more when they are published, if they have to: 10 sat/vB. */
const MOST_FOR_COMMITMENTS = 2500
/** A peer may ask for so many times what is urgent now, and for so much in any case. */
const MAXIMUM = { multiple: 10, least: 25_000 }

/** See above. */
export function estimatesOf(table: FeeTable): FeeEstimates {
  const urgent = feerateFor(table, 'urgent')
  return {
    commitment: feeratePerKw(Math.min(MOST_FOR_COMMITMENTS, feerateFor(table, 'claim'))),
    minimum: MINIMUM_FEERATE,
    maximum: feeratePerKw(Math.max(MAXIMUM.least, MAXIMUM.multiple * urgent)),
    sane: urgent,
    closing: feerateFor(table, 'closing'),
  }
}
