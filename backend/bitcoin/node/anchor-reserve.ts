// What has to stay in the wallet for channels whose commitments pay little by themselves: if all of them were closed at once,
// each would need a child that pays for it (f 14).

import { isLive } from '../channel/index.js'
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

/** For all channels that there are, and the one that is about to be funded. */
export function reserveOfAll({ entries, env }: Pick<Core, 'entries' | 'env'>, channel: bigint): Sat {
  const all = [...entries.all].filter(
    (entry) => (isLive(entry.state) || entry.keyIndex === channel) && hasAnchors(entry),
  )
  return sat(BigInt(all.length) * anchorReserve(env.fees.sane))
}

function hasAnchors({ state }: Entry): boolean {
  return 'terms' in state && state.terms.type.commitments === 'anchors'
}
