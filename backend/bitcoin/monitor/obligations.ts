// By when a monitor must have got something into a block, for whoever decides when to be online.
import type { Sat } from '../../../channel/units.js'
import type { Outpoint } from '../script/index.js'

/** Something that is lost, or may be, from a block on. */
export type ChainObligation =
  /** Look at the chain at least once in so many blocks: the peer may have published what it revoked. */
  | { readonly kind: 'watch'; readonly within: number }
  /** Our commitment must be in a block by then, so that its HTLCs can be claimed in time. */
  | { readonly kind: 'commitment'; readonly height: number; readonly value: Sat }
  /** The output must be spent by us by then. */
  | { readonly kind: 'claim'; readonly height: number; readonly outpoint: Outpoint; readonly value: Sat }
