// What we try to get into a block: which outputs it takes, what it pays, and the last transaction for it.
//
// It keeps its name and its price through all replacements. Its members stay with it: those that somebody else took are
// left out as long as that is in a block, and are back when that is undone.

import type { Outpoint, Transaction } from '../script/index.js'
import type { FeeratePerKw, Sat } from '../units.js'

/** A confirmed output of the wallet's. */
export interface WalletCoin {
  readonly outpoint: Outpoint
  readonly amount: Sat
  /** scriptPubKey. */
  readonly script: Uint8Array
  /** Of the input that spends it, signed. */
  readonly weight: number
}

/** What was decided about an attempt's price. */
export interface Price {
  /** Height of the first try. */
  readonly since: number
  /** At the first try. */
  readonly start: FeeratePerKw
  /** Of the last try. */
  readonly feerate: FeeratePerKw
  /** Height at which it was decided. */
  readonly at: number
}

/** How an attempt gets its fee. */
export type AttemptKind =
  /** From what it takes. */
  | 'claim'
  /** HTLC transactions that the peer signed: from themselves, or from the wallet's coins where they pay none. */
  | 'htlc'
  /** From the wallet's coins: a child of our commitment that pays for both. */
  | 'anchor'

/** See above. */
export interface Attempt {
  readonly id: string
  readonly kind: AttemptKind
  readonly members: readonly Outpoint[]
  /** The lowest of theirs that a competitor makes, or absent. */
  readonly due?: number
  /** Absent before the first try. */
  readonly price?: Price
  /** Nodes want more than the last one pays. */
  readonly isRefused: boolean
  /** How often nodes refused one. */
  readonly refusals: number
  /** Height at which the wallet was asked for coins last: once a block is enough. */
  readonly asked?: number
  /** What the wallet gave. */
  readonly coins: readonly WalletCoin[]
  /** Where what is left of them goes. */
  readonly change?: Uint8Array
  /** What was published last: its coins' inputs are not signed. */
  readonly last?: Published
}

/** A transaction that was published for an attempt. */
export interface Published {
  readonly transaction: Transaction
  readonly fee: Sat
  readonly feerate: FeeratePerKw
}
