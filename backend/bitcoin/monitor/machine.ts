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
import type { FeeTable } from '../chain/index.js'
import type { Signer, SignerState } from '../keys/index.js'
import type { Attempt, AttemptKind, WalletCoin } from '../resolver/attempt.js'
import type { ResolverPolicy } from '../resolver/policy.js'
import type { Outpoint, Transaction, TransactionOutput } from '../script/index.js'
import type { BlockHeight, FeeratePerKw, Sat } from '../units.js'
import type { Fact } from './facts.js'
import type { HtlcKey, MonitorTerms, MonitorUpdate } from './record.js'
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
  /** A commitment of the peer's that was in a mempool at that height: a hint, and gone if it is not seen again. */
  readonly pending?: Pending
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

/** What spends the funding output, and no block has. */
export interface Pending {
  readonly transaction: Transaction
  /** Height at which it was seen last. */
  readonly at: number
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
  /** When what came in for an HTLC that we offered can be taken back from us: undefined for a payment of our own. */
  readonly incomingExpiry?: (htlc: HtlcKey) => number | undefined
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
      readonly transactions: readonly SpendingTransaction[]
      /** No other block follows at once: only then anything is published. */
      readonly isTip: boolean
    }
  /** The block of that height is not in the chain any more. */
  | { readonly kind: 'disconnected'; readonly height: number; readonly hash: Hex }
  /** A transaction that spends what is watched is in the mempool. A hint: nothing depends on it. */
  | { readonly kind: 'seen'; readonly transaction: Transaction }
  /** Answers `lookup`: what the row says, empty if there is none. */
  | { readonly kind: 'revokedHtlcs'; readonly number: bigint; readonly htlcs: readonly RevokedHtlc[] }
  /** Answers `reserve`: coins that the attempt did not have before, also less than was asked for. */
  | {
      readonly kind: 'coins'
      readonly attempt: string
      readonly coins: readonly WalletCoin[]
      /** Where what is left goes: a script of the wallet's. */
      readonly change: Uint8Array
    }
  /** A node did not take what was published for an attempt. That it has it already is no refusal. */
  | { readonly kind: 'refused'; readonly attempt: string; readonly why: RefusalReason }
  /** After a restart. */
  | { readonly kind: 'resume' }

/** A transaction and its place in its block. */
export interface SpendingTransaction {
  readonly position: number
  readonly transaction: Transaction
}

/** Why a node does not take a transaction: see `BroadcastResult`. */
export type RefusalReason = 'feeTooLow' | 'missingInputs' | 'rejected'

/** The result of an input. */
export interface MonitorStep {
  readonly next: Monitor
  /** For the table of revoked commitments. */
  readonly revoked: readonly RevokedCommitment[]
  readonly handoffs: readonly MonitorHandoff[]
  readonly effects: readonly MonitorEffect[]
}

/** What it means for others. Written in the commit of the step; of an HTLC each kind comes once. */
export type MonitorHandoff =
  /** We offered it, and the peer showed the preimage on chain or in the mempool: true whatever the chain does. */
  | {
      readonly kind: 'learned'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly preimage: Uint8Array
    }
  /**
   * It is over, so deep that no reorg changes it: its money is with who offered it, or with who received it. What we
   * offered is only with us where no preimage is known: then whatever it was forwarded for may be failed.
   */
  | {
      readonly kind: 'htlcResolved'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly to: 'offerer' | 'receiver'
    }
  /** The channel's inputs `spent` and `resolved`. The first may come again. */
  | { readonly kind: 'channelSpent'; readonly by: 'closing' | 'commitment' }
  | { readonly kind: 'channelResolved' }

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
   * little. Every block again until it is in one.
   */
  | {
      readonly kind: 'broadcast'
      readonly what: 'commitment' | 'closing' | AttemptKind
      readonly attempt?: string
      readonly transactions: readonly Transaction[]
      /** What the inputs of the last one spend, if the wallet has to sign some of them first. */
      readonly spent?: readonly TransactionOutput[]
    }
  /**
   * Keep confirmed coins for an attempt, beside those that it has: after paying for themselves at `feerate` they are to
   * leave `amount`. Answered by `coins`. Said again with each block while it is needed.
   */
  | {
      readonly kind: 'reserve'
      readonly attempt: string
      readonly amount: Sat
      readonly feerate: FeeratePerKw
      /** What is lost otherwise: if coins are short, where most is at stake, and soonest, goes first. */
      readonly value: Sat
      readonly due?: number
    }
  /** The coins of an attempt are free, or spent. */
  | { readonly kind: 'release'; readonly attempt: string }
  | { readonly kind: 'tell'; readonly event: MonitorEvent }

/** What our user may want to know. `depth` is 1 when it is in a block and 6 when it is final. */
export type MonitorEvent =
  /** Of the funding output. `revoked`: the peer cheats. `future`: we lost data. `unknown`: tell somebody. */
  | {
      readonly kind: 'spent'
      readonly by: FundingSpend['kind']
      readonly txid: Uint8Array
      /** Of its block. */
      readonly height: number
      readonly depth: number
      /** Of a commitment, as far as it says one: which of its holder's, and the newest of that side that we know of. */
      readonly commitment?: { readonly number: bigint; readonly newest: bigint }
    }
  | {
      readonly kind: 'output'
      readonly outpoint: Outpoint
      readonly amount: Sat
      readonly by: 'us' | 'peer'
      readonly depth: number
      /** The number of the revoked commitment that it was the peer's in, if we took it for that. */
      readonly penalty?: bigint
    }
  /** What was in a block is not any more. */
  | { readonly kind: 'reorged'; readonly txid: Uint8Array; readonly height: number }
  /**
   * Of a revoked commitment on chain, and nothing explains them: what was kept of its HTLCs is lost. They are the peer's to
   * spend; what its HTLC transactions make of them is ours all the same, so they are watched until they are spent. What was
   * kept (`lightning-revoked/`) is looked for again with each block: restored in time, it takes them at once.
   */
  | {
      readonly kind: 'unexplained'
      readonly outputs: readonly { readonly outpoint: Outpoint; readonly amount: Sat }[]
    }
  /** It costs more than it is worth. */
  | { readonly kind: 'abandoned'; readonly outpoint: Outpoint; readonly amount: Sat }
  /** Everything is final. `number` is that of the commitment on chain, if it was one. */
  | { readonly kind: 'resolved'; readonly number?: bigint }

/** A monitor with nothing on chain. */
export function newMonitor(known: MonitorState): Monitor {
  return { known, facts: [], attempts: [], settled: [], abandoned: [], isResolved: false }
}
