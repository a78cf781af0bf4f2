// What a turn of a node leads to, once it is durable: plain data, but for the calls that end a user's wait.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { FeeratePerKw, Sat } from '../../../channel/units.js'
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { ChannelEvent } from '../channel/index.js'
import type { Transaction } from '../script/index.js'
import type { LightningMessage } from '../wire/index.js'

/** See above. */
export type NodeEffect =
  /** Over that connection and no later one. */
  | {
      readonly kind: 'send'
      readonly peer: PeerID
      readonly connection: number
      readonly message: LightningMessage
    }
  | {
      readonly kind: 'disconnect'
      readonly peer: PeerID
      readonly connection: number
      readonly reason: string
    }
  /** Our user decides on a channel that a peer opens. */
  | { readonly kind: 'ask'; readonly channel: bigint }
  /** The wallet pays for a channel, and nobody sees it yet. */
  | {
      readonly kind: 'fund'
      readonly channel: bigint
      readonly amount: Sat
      readonly script: Uint8Array
      readonly feerate: FeeratePerKw
    }
  /** The wallet may spend the coins otherwise. */
  | { readonly kind: 'release'; readonly reservation: Hex }
  | { readonly kind: 'publish'; readonly what: PublishedKind; readonly transactions: readonly Transaction[] }
  /** Rows of a channel that is gone, which nobody counted. */
  | { readonly kind: 'sweepRows'; readonly prefix: string }
  | { readonly kind: 'tell'; readonly event: NodeEvent }
  | { readonly kind: 'call'; readonly call: () => void }

/** Whose transaction it is, for logs. */
export type PublishedKind = 'funding' | 'commitment' | 'closing' | 'claim'

/** What our user may want to know. Of one channel they come in the order in which things happened. */
export type NodeEvent =
  | {
      readonly kind: 'channel'
      readonly channel: bigint
      readonly peer: PeerID
      readonly event: ChannelEvent
    }
  /** A mistake of ours stopped the channel until a restart; nothing is published for it. */
  | { readonly kind: 'stopped'; readonly channel: bigint; readonly error: PerkunasError }
  /** What a peer says about no channel in particular. */
  | { readonly kind: 'warning'; readonly peer: PeerID; readonly text: string }

/** What comes of a turn. */
export interface Turn {
  /** Durable, all or nothing, before any effect. */
  readonly writes: readonly Write[]
  /** In this order. */
  readonly effects: readonly NodeEffect[]
}
