// What of a channel's money can be moved now, which is less than what its balances say where a ledger asks for something in hand.
import type { Amount } from './allocation.js'
import type { Index } from './params.js'

/** Updates and locks of one side that are not over. */
export interface Underway {
  readonly count: number
  /** The most at a time. */
  readonly most: number
}

/**
 * What can be moved of one asset of a channel, in its unit, and what it takes to end the channel, by the newest that both sides
 * know. `balances` are gross: their sum stays, and fees and reserves are within them.
 */
export interface Liquidity {
  /** The most that one update or lock of ours can carry now; 0 if none can, also while the other side is away. */
  readonly spendable: Amount
  /**
   * The most that one of the others can carry to us, if they see what we see and keep no more in hand than we would. It is theirs
   * to say: they may choose otherwise.
   */
  readonly receivable: Amount
  /** The least that one of ours may carry. */
  readonly minimum: Amount
  /** What each participant must leave as long as the channel goes on. */
  readonly reserve: readonly Amount[]
  /** Updates and locks that we have under way, and the others. */
  readonly sent: Underway
  readonly received: Underway
  /** What settling the channel alone would take out of it now, at the fees of now. */
  readonly settlement: {
    /** To the ledger, out of the balance of `payer`; 0 where whoever sends a transaction pays for it otherwise. */
    readonly fee: Amount
    readonly payer?: Index
    /** Of ours that is too little to be paid out. */
    readonly lost: Amount
  }
  /** Whether the funding is final enough to be used; until then whoever brought it in may still take it back. */
  readonly isFunded: boolean
}
