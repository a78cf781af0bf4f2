// What of a channel's money is ours, or may become it, and what that takes.
import type { Sat } from '../../../channel/units.js'
import type { HtlcOnChain } from './claims.js'

/** A part of the money, before the fees of what claims it. Heights are of blocks. */
export type ClaimableBalance =
  /** Ours if our newest commitment were on chain, its fee paid. HTLCs in flight are not in it. */
  | { readonly kind: 'onClose'; readonly amount: Sat }
  /** On its way to the wallet, or there: final at that height. */
  | { readonly kind: 'awaitingConfirmations'; readonly amount: Sat; readonly height: number }
  /** Ours and nobody else's, from that height on. */
  | { readonly kind: 'awaitingDelay'; readonly amount: Sat; readonly height: number }
  /** Ours by a preimage that we have, if it gets into a block before the peer's claim, possible after `deadline`. */
  | {
      readonly kind: 'contentious'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly deadline: number
    }
  /** We offered it: ours from that height on, unless the peer shows the preimage first. */
  | {
      readonly kind: 'maybeTimeout'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly height: number
    }
  /** The peer offered it: ours if we learn the preimage before that height. */
  | {
      readonly kind: 'maybePreimage'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly height: number
    }
  /** The peer cheated: ours, before that height for certain if there is one. */
  | { readonly kind: 'punishable'; readonly amount: Sat; readonly deadline?: number }
