// What has to stay in the wallet for channels whose commitments pay little by themselves: if all of them were closed at once,
// each would need a child that pays for it (f 14).

import { type FeeEstimates, isLive } from '../channel/index.js'
import { FORMATS, feeOf, HTLC_OUTPUT_WEIGHT } from '../script/index.js'
import { type FeeratePerKw, feeratePerKw, type Sat, sat } from '../units.js'
import type { Core } from './core.js'
import type { Entry } from './entries.js'

/** HTLCs of a channel that is closed in a hurry. */
const HTLCS = 10
/** With a coin, and an output for what is left of it. */
const CHILD_WEIGHT = 700
/** A commitment and its child. */
const WEIGHT = FORMATS.anchors_zero_fee_htlc.commitmentWeight + HTLCS * HTLC_OUTPUT_WEIGHT + CHILD_WEIGHT
/** What is reckoned with: 10 to 50 sat/vB. */
const FEERATES = { min: 2500, max: 12_500 }

/** For one channel, at what transactions in a hurry pay now. */
export function anchorReserve(urgent: FeeratePerKw): Sat {
  return sat(feeOf(feeratePerKw(Math.min(FEERATES.max, Math.max(FEERATES.min, urgent))), WEIGHT))
}

/** For so many channels. */
export function reserveOf(channels: number, { sane }: Pick<FeeEstimates, 'sane'>): Sat {
  return sat(BigInt(channels) * anchorReserve(sane))
}

/** How many channels there are with anchors, or are about to be. @param channel counts, whatever comes of it */
export function anchoredOf({ entries }: Pick<Core, 'entries'>, channel?: bigint): number {
  let count = 0
  for (const entry of entries.all)
    if ((isTaken(entry) || entry.keyIndex === channel) && hasAnchors(entry)) count++
  return count
}

/** Whether we have said that we want it. */
function isTaken({ state }: Entry): boolean {
  const { phase } = state
  return (
    isLive(state) || phase === 'accepted' || phase === 'awaitingFunding' || phase === 'awaitingFundingSigned'
  )
}

function hasAnchors({ state }: Entry): boolean {
  return 'terms' in state && state.terms.type.commitments === 'anchors'
}
