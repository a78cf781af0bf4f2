// BOLT 7, "HTLC Fees" and "Recommendations for Routing": what an HTLC must carry at each hop for the last one to get its due.
import { add, type BlockDelta, type BlockHeight, blockHeight, type Msat } from './units.js'

/** What a node asks of those who have it forward through one of its channels: fields of its `channel_update`. */
export interface ForwardingPolicy {
  readonly feeBaseMsat: Msat
  readonly feeProportionalMillionths: number
  readonly cltvExpiryDelta: BlockDelta
}

/** Amount and expiry of an HTLC. */
export interface HopTerms {
  readonly amountMsat: Msat
  readonly cltvExpiry: BlockHeight
}

/** What a node keeps of an HTLC that it sends on with `amount`: the base, and so many millionths, rounded down. */
export function forwardingFee(policy: ForwardingPolicy, amount: Msat): Msat {
  const proportional = (amount * BigInt(policy.feeProportionalMillionths)) / 1_000_000n
  return add(policy.feeBaseMsat, proportional as Msat)
}

/**
 * The HTLCs of a route, the sender's first.
 *
 * @param forwarders policies of the nodes between sender and receiver, in the order of the route, each for the channel by
 * which it sends on
 * @param last what the receiver is to get
 */
export function routeTerms(forwarders: readonly ForwardingPolicy[], last: HopTerms): readonly HopTerms[] {
  const terms = [last]
  let { amountMsat, cltvExpiry } = last
  for (const policy of [...forwarders].reverse()) {
    amountMsat = add(amountMsat, forwardingFee(policy, amountMsat))
    cltvExpiry = blockHeight(cltvExpiry + policy.cltvExpiryDelta)
    terms.unshift({ amountMsat, cltvExpiry })
  }
  return terms
}
