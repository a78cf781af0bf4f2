// What whoever follows a chain is told.

import type { Transaction } from '../script/index.js'
import type { BlockHeight } from '../units.js'
import type { BlockHash } from './source.js'

/** A transaction in a block. Its own bytes are only parsed by `decode`; its ID is checked. */
export interface BlockTransaction {
  /** As in an outpoint. */
  readonly txid: Uint8Array
  /** Its place in the block, as in a short channel ID. */
  readonly position: number
  /** With witnesses; a view of the block's bytes. */
  readonly bytes: Uint8Array
  /** The outputs that it spends, 36 bytes each: ID and index in little-endian order. None of a coinbase. */
  readonly spends: readonly Uint8Array[]
  /** The scripts that it pays. */
  readonly pays: readonly Uint8Array[]
  /** Made of fees and new money, which can't be spent for 100 blocks. */
  readonly isCoinbase: boolean
  /** The transaction as a value, parsed at the first call. */
  decode(): Transaction
}

/** A block whose transactions, witnesses included, are those that its header commits to. */
export interface Block {
  readonly height: BlockHeight
  readonly hash: BlockHash
  readonly previous: BlockHash
  /** Unix time in seconds, as its miner says. */
  readonly time: number
  /** In the block's order, the coinbase first. */
  readonly transactions: readonly BlockTransaction[]
}

/** A block is known again by what is left of it: enough to follow the chain from it. */
export interface BlockID {
  readonly height: BlockHeight
  readonly hash: BlockHash
}

/**
 * What happened to the chain, in order: what is disconnected was the newest block that is connected.
 *
 * A `connected` tells implicitly that no block of its height or above is in the chain any more, if somebody should know one.
 */
export type ChainEvent =
  | {
      readonly kind: 'connected'
      readonly block: Block
      /** Whether that block was the source's newest when it was asked last: what is due "now" is decided there. */
      readonly isTip: boolean
    }
  | { readonly kind: 'disconnected'; readonly block: BlockID; readonly isTip: false }
