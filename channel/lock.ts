// Typed operations on ledgers where balances don't move freely, and what a channel's owner must do in time.
import type { Amount } from './allocation.js'
import type { Hex } from './bytes.js'
import type { Index } from './params.js'

/** Money that goes to the other side if it shows what hashes to `hash`, and back to `from` at the deadline. */
export interface HashTimeLock {
  readonly kind: 'hashTime'
  /** Names it within its channel: the ID of the sub-allocation that holds the money, 32 bytes. */
  readonly id: Hex
  /** Whose money it is while it is locked. */
  readonly from: Index
  /** Position in the allocation's assets. */
  readonly asset: number
  readonly amount: Amount
  /** SHA-256 of the preimage, 32 bytes. */
  readonly hash: Hex
  /** In the ledger's time (`Capabilities.clock`). */
  readonly deadline: bigint
}

/** A lock to make. */
export type LockRequest = Pick<HashTimeLock, 'hash' | 'deadline' | 'amount'> & {
  /** Position in the allocation's assets, 0 by default. */
  readonly asset?: number
}

/** What must happen in time, or money may be lost. Schedulers, watchers and user interfaces ask for it. */
export interface Obligation {
  /** What is to be done: a client that runs does it by itself. */
  readonly action: 'refute' | 'claim' | 'timeOut' | 'goOnChain'
  /** The latest moment, in the ledger's time (`Capabilities.clock`). */
  readonly deadline: bigint
  /** The lock that it is about. */
  readonly lock?: Hex
}
