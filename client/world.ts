// What channels share: their client's means, and how they speak to its user.
import type {
  Amount,
  Backend,
  EventStatus,
  Hex,
  LedgerEvent,
  PerkunasError,
  SignedState,
  State,
} from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Store } from '../persistence/index.js'
import type { Clock } from './environment.js'
import type { ChannelMessage, ChannelUpdate } from './messages.js'
import type { Unwatched } from './watcher.js'

/** What our user says to a proposed state. */
export type Decision = { readonly accept: true } | { readonly accept: false; readonly reason: string }

/** What became of a lock of ours. */
export type LockOutcome =
  /** The other side has taken it: whoever offered it knows the preimage of its hash now (32 bytes). */
  | { readonly kind: 'released'; readonly preimage: Hex }
  /** It is gone for good, or never came to be, and the money is ours; why, for people. */
  | { readonly kind: 'cancelled'; readonly reason: string }

/** What a channel is told about itself. */
export type ChannelEvent =
  | { readonly kind: 'ledger'; readonly event: LedgerEvent }
  /** An older state than ours is registered; the refutation is under way. */
  | {
      readonly kind: 'atRisk'
      readonly reason: 'olderState'
      readonly registered: bigint
      readonly newest: bigint
      readonly deadline: bigint
    }
  /** A watchtower was to have the newest state and has not: see `RemoteWatcher`. */
  | ({ readonly kind: 'atRisk' } & Unwatched)
  /**
   * Who registered an older state lost that much of it to us, where the ledger punishes (`Capabilities.dispute`). It may come in
   * parts, and each of them comes as a ledger's event does.
   */
  | {
      readonly kind: 'punished'
      readonly version: bigint
      readonly amount: Amount
      readonly status: EventStatus
    }
  /**
   * What became of a lock of ours, by its hash; also of one whose call was refused, timed out or was aborted. Told when it is
   * durable; as long as nobody listens it is kept, and a restart tells it again. So it may come more than once.
   */
  | {
      readonly kind: 'unlocked'
      readonly hash: Hex
      readonly amount: Amount
      readonly outcome: LockOutcome
    }
  /**
   * Settling the channel alone would cost its payer that much now, since the ledger's fees are others: `Liquidity.settlement`.
   * With it changes what can be moved.
   */
  | { readonly kind: 'feeChanged'; readonly fee: Amount }
  /**
   * The funding of a channel in use is no longer final enough, since a reorg took it back, or is so again: `Liquidity.isFunded`.
   * As long as it is not, what the other side pays over the channel may come to nothing. Who begins to listen then is told.
   */
  | { readonly kind: 'fundingChanged'; readonly isFunded: boolean }
  /** A participant or the ledger did something wrong; the channel goes on. */
  | { readonly kind: 'error'; readonly error: PerkunasError }

/** What channels share: their client's means. */
export interface World {
  readonly store: Store
  readonly backend: Backend
  readonly clock: Clock
  /** Milliseconds that others get to do their part of a settlement. */
  readonly patience: number
  /**
   * Makes sure that the channels are still ours to act for, where something is done without a commit. Nothing to wait
   * for if that is known, or if no other process could act for them. Rejects if they are not: the client has ended.
   */
  confirm(): Promise<void> | undefined
  send(to: PeerID, message: ChannelMessage): void
  disconnect(peer: PeerID, reason: string): void
  /** Asks our user. Never rejects: a handler that throws has refused. */
  decide(update: ChannelUpdate, current: State): Promise<Decision> | Decision
  report(error: PerkunasError): void
  /** The store failed: nothing may go on from memory. */
  fail(error: PerkunasError): void
  /** A newer state is durable. With a promise, nothing that depends on it leaves before that resolves. */
  enabled(channelID: Hex): void | Promise<void>
  over(channelID: Hex): void
  /** What a ledger needs beside a state that locks funds: the newest states of those sub-channels that we have. */
  below(state: State): readonly SignedState[]
  /** The newest state of the channel that a sub-channel is registered with, if we have that. */
  rootOf(channelID: Hex): SignedState | undefined
}
