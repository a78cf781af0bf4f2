// The monitor as a machine: all that happens to it, and all that comes of it.
//
//     channel ── updates ──┐                      ┌── handoffs ──> channel, payments     (in the same commit)
//     chain ─── blocks ────┤   step(monitor, …)   ├── watch, lookup
//     wallet ── coins ─────┘                      └── broadcast, reserve, tell           (when that is durable)
//
// One machine a channel, from the first commitment until everything on chain is final. Feed it
//  - `updates`, in the commit of the channel's step that made them;
//  - blocks one by one, in order: what is disconnected, tip first, before what is connected;
//  - `resume`, once after it is restored and the blocks that were missed are through: everything is said again.
// Whoever has nothing on chain and did not fail (`isAtRest`) needs only those blocks that spend what it watches.
import type { Hex } from '../../../channel/bytes.js'
import type { BlockHeight, FeeratePerKw, Sat } from '../../../channel/units.js'
import type { Signer, SignerState } from '../keys/index.js'
import type { Attempt, WalletCoin } from '../resolver/attempt.js'
import type { FeeTable, ResolverPolicy } from '../resolver/policy.js'
import type { Outpoint, Transaction } from '../script/index.js'
import type { Fact } from './facts.js'
import type { FailureCause, HtlcKey, MonitorTerms, MonitorUpdate } from './record.js'
import type { FundingSpend } from './spend.js'
import type { MonitorState, RevokedCommitment, RevokedHtlc } from './state.js'

/** What a monitor is. Plain data; see rows.ts for its place on disk. */
export interface Monitor {
  /** What the channel told, and preimages that the chain did. */
  readonly known: MonitorState
  /** What is in blocks, in their order; all of it may be undone. */
  readonly facts: readonly Fact[]
  /** Spent the funding output in a block that was undone: it should get into another one. */
  readonly orphan?: Transaction
  /** Of the revoked commitment that is on chain. */
  readonly revoked?: RevokedCommitment
  /** What we try to get into a block, or did: kept until that is final. */
  readonly attempts: readonly Attempt[]
  /** HTLCs whose end was handed off. */
  readonly settled: readonly HtlcKey[]
  /** Outputs that are worth less than it costs to spend them. */
  readonly abandoned: readonly Outpoint[]
  /** Nothing is left to do, ever. */
  readonly isResolved: boolean
}

/** What a step knows of the world. */
export interface MonitorEnv {
  /** Of the best block: of `connected` its own, of `disconnected` the one below. */
  readonly height: BlockHeight
  readonly fees: FeeTable
  readonly policy: ResolverPolicy
  /** Where the channel's money goes; better the same in every step. */
  readonly destination: Uint8Array
  /** The channel's newest record. */
  readonly record: SignerState
  signer(terms: MonitorTerms): Signer
}

/** What happens. */
export type MonitorInput =
  /** Of one step of the channel, to be committed with it. */
  | { readonly kind: 'updates'; readonly updates: readonly MonitorUpdate[] }
  /**
   * A block, and of its transactions those that spend what is watched, in its order. What a step begins to watch may be
   * spent in the same block: then the block comes again, with these too.
   */
  | {
      readonly kind: 'connected'
      readonly hash: Hex
      readonly transactions: readonly BlockTransaction[]
      /** More blocks follow at once: nothing is broadcast yet. */
      readonly isBehind?: boolean
    }
  /** The block of that height is not in the chain any more. */
  | { readonly kind: 'disconnected'; readonly height: number; readonly hash: Hex }
  /** A transaction that spends what is watched is in the mempool. A hint: nothing depends on it. */
  | { readonly kind: 'seen'; readonly transaction: Transaction }
  /** Answers `lookup`: what the row says, empty if there is none. */
  | { readonly kind: 'revokedHtlcs'; readonly number: bigint; readonly htlcs: readonly RevokedHtlc[] }
  /** Answers `reserve`, also with less than was asked for, or nothing. */
  | {
      readonly kind: 'coins'
      readonly attempt: string
      readonly coins: readonly WalletCoin[]
      /** Where what is left goes: a script of the wallet's. */
      readonly change: Uint8Array
    }
  /** A node did not take what was broadcast for an attempt. That it has it already is no refusal. */
  | { readonly kind: 'refused'; readonly attempt: string; readonly why: RefusalReason }
  /** After a restart. */
  | { readonly kind: 'resume' }

/** A transaction and its place in its block. */
export interface BlockTransaction {
  readonly position: number
  readonly transaction: Transaction
}

/** Why a node does not take a transaction. */
export type RefusalReason =
  /** It pays too little, for the mempool or for what it should replace. */
  | 'fee'
  /** Something else spends the same, and stays. */
  | 'conflict'
  | 'other'

/** The result of an input. */
export interface MonitorStep {
  readonly next: Monitor
  /** For the table of revoked commitments. */
  readonly revoked: readonly RevokedCommitment[]
  readonly handoffs: readonly MonitorHandoff[]
  readonly effects: readonly MonitorEffect[]
}

/** What it means for others. Written in the commit of the step, for HTLCs exactly once each. */
export type MonitorHandoff =
  /** Of ours: the peer showed the preimage on chain. What it was forwarded for is fulfilled at once. */
  | {
      readonly kind: 'fulfilled'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly preimage: Uint8Array
    }
  /** Of ours: the peer can't have it any more, and no reorg changes that. What it was forwarded for may be failed. */
  | {
      readonly kind: 'failed'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly why: 'timedOut' | 'punished' | 'trimmed' | 'notInCommitment'
    }
  /** Of the peer: final. `isClaimed`: we have it. */
  | {
      readonly kind: 'removed'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly isClaimed: boolean
    }
  /** An input for the channel: `spent`, then `resolved`. May come again. */
  | { readonly kind: 'spent'; readonly by: 'closing' | 'commitment' }
  | { readonly kind: 'resolved' }

/** What is to be done outside, in this order. All of it may be said again, and is after `resume`. */
export type MonitorEffect =
  /** Deliver what spends the output, in blocks from this height on, that of the present input included. */
  | {
      readonly kind: 'watch'
      readonly outpoint: Outpoint
      readonly script: Uint8Array
      readonly from: number
    }
  /** No more of these. */
  | { readonly kind: 'unwatch'; readonly outpoints: readonly Outpoint[] }
  /** Read the row of a revoked commitment: see `revokedKey`. */
  | { readonly kind: 'lookup'; readonly number: bigint }
  /**
   * Publish. Each transaction spends the one before it: more than one are a package, of which the first alone may pay too
   * little. `unsigned` are inputs of the last one that the wallet signs before, with SIGHASH_ALL.
   */
  | {
      readonly kind: 'broadcast'
      readonly what: 'commitment' | 'closing' | 'claim' | 'htlc' | 'anchor'
      readonly attempt?: string
      readonly transactions: readonly Transaction[]
      readonly unsigned: readonly UnsignedInput[]
    }
  /**
   * Keep confirmed coins for an attempt, beside those that it has: so many that after paying for themselves at `feerate`
   * they are `amount` together, change included. Answered by `coins` with all that it has.
   */
  | {
      readonly kind: 'reserve'
      readonly attempt: string
      readonly amount: Sat
      readonly feerate: FeeratePerKw
      /** What is lost otherwise: if coins are short, where most is at stake, and soonest, goes first. */
      readonly value: Sat
      readonly deadline?: number
    }
  /** The coins of an attempt are free, or spent. */
  | { readonly kind: 'release'; readonly attempt: string }
  | { readonly kind: 'tell'; readonly event: MonitorEvent }

/** An input that the wallet signs. */
export interface UnsignedInput {
  readonly input: number
  readonly coin: WalletCoin
}

/** What our user may want to know. `depth` is 1 when it is in a block and 6 when it is final. */
export type MonitorEvent =
  /** Of the funding output. `revoked`: the peer cheats. `future`: we lost data. `unknown`: tell somebody. */
  | {
      readonly kind: 'spent'
      readonly by: FundingSpend['kind']
      readonly txid: Uint8Array
      readonly depth: number
    }
  | {
      readonly kind: 'output'
      readonly outpoint: Outpoint
      readonly amount: Sat
      readonly by: 'us' | 'peer'
      readonly depth: number
    }
  /** What was in a block is not any more. */
  | { readonly kind: 'reorged'; readonly txid: Uint8Array; readonly height: number }
  /** It costs more than it is worth. */
  | { readonly kind: 'abandoned'; readonly outpoint: Outpoint; readonly amount: Sat }
  | { readonly kind: 'failing'; readonly cause: FailureCause }
  | { readonly kind: 'resolved' }

/** A monitor with nothing on chain. */
export function newMonitor(known: MonitorState): Monitor {
  return { known, facts: [], attempts: [], settled: [], abandoned: [], isResolved: false }
}
