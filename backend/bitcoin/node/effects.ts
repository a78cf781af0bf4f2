// What a turn of a node leads to, once it is durable: plain data, but for the calls that end a user's wait.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { ChannelEvent } from '../channel/index.js'
import type { MonitorEffect, MonitorEvent } from '../monitor/index.js'
import type { Transaction, TransactionOutput } from '../script/index.js'
import type { FeeratePerKw, Sat } from '../units.js'
import type { LightningMessage } from '../wire/index.js'
import type { ChildWish } from './funding-child.js'

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
  /** Our backup is for that peer to keep, which offers it. */
  | { readonly kind: 'entrust'; readonly peer: PeerID }
  /** A peer gives back what it keeps for us. */
  | {
      readonly kind: 'returned'
      readonly peer: PeerID
      readonly connection: number
      readonly blob: Uint8Array
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
  /** The wallet pays for a funding that no block takes, by a child of it. */
  | { readonly kind: 'bumpFunding'; readonly channel: bigint; readonly wish: ChildWish }
  /** The wallet may spend the coins otherwise. */
  | { readonly kind: 'release'; readonly reservation: Hex }
  /** Each spends the one before it. */
  | {
      readonly kind: 'publish'
      readonly what: PublishedKind
      readonly channel: bigint
      readonly transactions: readonly Transaction[]
      /** Of the channel's monitor, which hears of refusals. */
      readonly attempt?: string
      /** What the last one spends, if the wallet has to sign some of its inputs first. */
      readonly spent?: readonly TransactionOutput[]
    }
  /** The monitor wants to know what a revoked commitment had. */
  | { readonly kind: 'lookup'; readonly channel: bigint; readonly number: bigint }
  /** The wallet keeps coins for an attempt of the monitor, which hears which. */
  | {
      readonly kind: 'reserve'
      readonly channel: bigint
      readonly attempt: string
      readonly amount: Sat
      readonly feerate: FeeratePerKw
      /** What is lost otherwise, and from which height on. */
      readonly value: Sat
      readonly due?: number
    }
  /** It keeps none for it any more. */
  | { readonly kind: 'releaseCoins'; readonly channel: bigint; readonly attempt: string }
  /** Rows of a channel that is gone, which nobody counted. */
  | { readonly kind: 'sweepRows'; readonly prefix: string }
  | { readonly kind: 'tell'; readonly event: NodeEvent }
  | { readonly kind: 'call'; readonly call: () => void }

/** Whose transaction it is, for logs. */
export type PublishedKind = 'funding' | (MonitorEffect & { readonly kind: 'broadcast' })['what']

/** What our user may want to know. Of one channel they come in the order in which things happened. */
export type NodeEvent =
  | {
      readonly kind: 'channel'
      readonly channel: bigint
      readonly peer: PeerID
      readonly event: ChannelEvent
    }
  /** What becomes of it on chain. */
  | { readonly kind: 'chain'; readonly channel: bigint; readonly peer: PeerID; readonly event: MonitorEvent }
  /** No block took our funding, so a child of it pays for both, `fee` beside what the funding pays. */
  | {
      readonly kind: 'fundingBumped'
      readonly channel: bigint
      readonly peer: PeerID
      readonly transaction: Transaction
      readonly fee: Sat
    }
  /**
   * A mistake of ours stopped the channel until a restart: nothing is said or taken up for it. It goes on chain by its deadlines
   * all the same, or when our user says so, and what is on chain is claimed and punished.
   */
  | { readonly kind: 'stopped'; readonly channel: bigint; readonly error: PerkunasError }
  /**
   * Whether the wallet has what children cost that pay for commitments with anchors: told when it lacks some, and when it has
   * enough again. Satoshis, confirmed and free; `missing` is to be added, and 0 if there is enough. What it has that no block
   * has is in `unconfirmed`, as the change of a funding that was just published.
   */
  | {
      readonly kind: 'reserve'
      readonly needed: Sat
      readonly available: Sat
      readonly missing: Sat
      readonly unconfirmed?: Sat
    }
  /**
   * A backup that a peer kept for us has channels that we know nothing of: the store is an older copy, or another one. Nothing
   * is published any more for a channel whose peer has not shown since that we are not behind, and what the peer keeps is left
   * as it is. To be stopped, and begun with the right store, or `recover`ed from `backup`.
   */
  | {
      readonly kind: 'behind'
      readonly peer: PeerID
      /** Names of the channels that are missing. */
      readonly missing: readonly bigint[]
      readonly backup: Uint8Array
      readonly error: PerkunasError
    }
  /**
   * Records of a channel can't be read: nothing is said for it, and only what its peer publishes is answered, if its monitor can
   * be read. With each start. What helps: see `LightningNode.quarantined`.
   */
  | { readonly kind: 'quarantined'; readonly channel: bigint; readonly error: PerkunasError }
  /**
   * A quarantined channel has HTLCs, and no commitment of ours is published for it: unless its rows are mended by that height, or
   * its peer closes it, who must be asked, up to `value` may be lost. With each start, and again as the height comes near.
   */
  | {
      readonly kind: 'mustMend'
      readonly channel: bigint
      /** If that can be read. */
      readonly peer?: PeerID
      readonly height: number
      readonly value: Sat
      readonly error: PerkunasError
    }
  /**
   * The funding output of a quarantined channel is spent in a block of `height`, and its monitor can't be read: unless it is mended
   * before `until`, nothing is punished if that was revoked, and what is ours to claim with a deadline is lost. With each start.
   */
  | {
      readonly kind: 'undefended'
      readonly channel: bigint
      /** If that can be read. */
      readonly peer?: PeerID
      readonly txid: Hex
      readonly height: number
      readonly until: number
      readonly error: PerkunasError
    }
  /** A payment that can't be read or written, or another mistake of ours with payments: it costs no channel. */
  | { readonly kind: 'payments'; readonly error: PerkunasError }
  /** What a peer says about no channel in particular. */
  | { readonly kind: 'warning'; readonly peer: PeerID; readonly text: string }

/** What comes of a turn. */
export interface Turn {
  /** Durable, all or nothing, before any effect. */
  readonly writes: readonly Write[]
  /** In this order. */
  readonly effects: readonly NodeEffect[]
  /** Another turn is wanted soon, even if nothing happens. */
  readonly isUnfinished: boolean
}
