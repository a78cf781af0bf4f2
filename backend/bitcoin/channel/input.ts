// Everything that can happen to a channel.

import type { FeatureName } from '../features.js'
import type { Outpoint } from '../script/index.js'
import type { BlockHeight, FeeratePerKw, Msat, Sat } from '../units.js'
import type {
  LightningMessage,
  ShortChannelID,
  UpdateAddHtlc,
  UpdateFailHtlc,
  UpdateFailMalformedHtlc,
  UpdateFee,
  UpdateFulfillHtlc,
} from '../wire/index.js'
import type { Removal } from './book.js'

/** Messages that a signature commits to. */
export type UpdateMessage =
  | UpdateAddHtlc
  | UpdateFulfillHtlc
  | UpdateFailHtlc
  | UpdateFailMalformedHtlc
  | UpdateFee

/** What our side wants, queued until it can be signed together with whatever else is wanted. */
export type Intent =
  | {
      readonly kind: 'add'
      /** By which `added` and `refused` name it. */
      readonly reference: string
      readonly amount: Msat
      /** 32 bytes. */
      readonly paymentHash: Uint8Array
      readonly cltvExpiry: BlockHeight
      /** 1366 bytes. */
      readonly onion: Uint8Array
      readonly blindedPath?: Uint8Array
    }
  /** Ends what the peer offered. */
  | { readonly kind: 'remove'; readonly id: bigint; readonly removal: Removal }
  | { readonly kind: 'fee'; readonly feerate: FeeratePerKw }

/** An input. `open` and `receivedOpen` are functions of their own: there is no state yet. */
export type ChannelInput =
  /** Of this channel, by its ID or its temporary one, from its peer. */
  | { readonly kind: 'received'; readonly message: LightningMessage }
  /** After `init`, with what both negotiated. */
  | { readonly kind: 'connected'; readonly features: readonly FeatureName[] }
  | { readonly kind: 'disconnected' }
  /** Our user takes the channel that a peer opens. */
  | {
      readonly kind: 'accept'
      readonly shutdownScript: Uint8Array
      /** Say the script now, so that nobody can change it later, not even we. */
      readonly isUpfront?: boolean
      readonly alias?: ShortChannelID
      /** Trust the opener not to spend the funding twice. */
      readonly isZeroConf?: boolean
    }
  | { readonly kind: 'reject'; readonly reason: string }
  /** The wallet has a transaction that pays the script, signed and **not** published. */
  | { readonly kind: 'funded'; readonly outpoint: Outpoint }
  | { readonly kind: 'fundingFailed'; readonly reason: string }
  /** The funding transaction has so many confirmations, 0 after a reorg; this is what its output looks like. */
  | {
      readonly kind: 'depth'
      readonly confirmations: number
      readonly shortChannelID?: ShortChannelID
      readonly output?: { readonly amount: Sat; readonly script: Uint8Array }
      readonly isCoinbase?: boolean
    }
  /** `env.height` has changed. */
  | { readonly kind: 'block' }
  | { readonly kind: 'want'; readonly intent: Intent }
  /** Takes back what is not sent yet. */
  | { readonly kind: 'unwant'; readonly reference: string }
  /** Signs what is wanted. See `wantsFlush`. */
  | { readonly kind: 'flush' }
  /** Closes in agreement. @property isIdle: only if no HTLC is open, not even one that is not agreed on yet */
  | { readonly kind: 'shutdown'; readonly script?: Uint8Array; readonly isIdle?: boolean }
  /** Another closing transaction of ours with a higher fee. */
  | { readonly kind: 'bumpClosing'; readonly fee: Sat }
  /** Closes alone. */
  | { readonly kind: 'forceClose' }
  /** A transaction that spends the funding output is on chain. */
  | { readonly kind: 'spent'; readonly by: 'closing' | 'commitment' }
  /** Everything on chain is final. */
  | { readonly kind: 'resolved' }
  /** About a minute went by. */
  | { readonly kind: 'tick' }
