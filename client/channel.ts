// What a client's user holds of a channel, however its parties come to agree.
import type { Observable } from 'rxjs'
import type { NamesOf } from '../channel/arguments.js'
import type {
  ChannelID,
  Draft,
  HashTimeLock,
  Hex,
  Index,
  Liquidity,
  LockRequest,
  Obligation,
  Params,
  Phase,
  SignedState,
  State,
} from '../channel/index.js'
import { PerkunasError } from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { ChannelEvent } from './world.js'

/** Options of the calls that wait for others. */
export interface ChannelCallOptions {
  /** Ends the call with ABORTED. What was signed stays valid, what was sent stays sent. */
  readonly signal?: AbortSignal
  /** Milliseconds to wait for the other participants; the client's default otherwise. */
  readonly timeout?: number
}

/** Options of {@link Channel.settle}. */
export interface SettleOptions extends ChannelCallOptions {
  /**
   * What becomes of locks that are open, on ledgers that have them (`Capabilities.locks`):
   *
   * - `wait`, by default: nothing is locked any more, and each lock comes to its end as it would have: released, cancelled, or
   *   enforced by the ledger at its deadline. As long as locks are open and the other side is there, its time does not run;
   *   from some blocks after the last deadline on it does.
   * - `refuse`: nothing happens, the call ends with INVALID_TRANSITION. What is locked at the moment of settling counts.
   * - `dispute`: their ends count as part of what the other side has its time for. What is open then is enforced by the ledger.
   */
  readonly locks?: 'wait' | 'refuse' | 'dispute'
}

/** The names of {@link ChannelCallOptions}. */
export const CALL_NAMES: NamesOf<ChannelCallOptions> = { signal: true, timeout: true }
/** The names of {@link SettleOptions}. */
export const SETTLE_NAMES: NamesOf<SettleOptions> = { ...CALL_NAMES, locks: true }

/**
 * A channel of ours.
 *
 * Each call that takes options throws INVALID_ARGUMENT before any effect if one of them is unknown.
 *
 * What a ledger's channels can do is in its `Capabilities`: where an allocation is `free` every update is possible; where
 * it is `typed`, updates pay from one side to the other, and locks do the rest. What a channel can't do throws UNSUPPORTED.
 *
 * This object is light and can be kept for every channel; what it takes to run a channel is made when something
 * concerns it, and let go when nothing has for a while.
 */
export interface Channel {
  /** The channel ID, 32 bytes. */
  readonly id: ChannelID
  /** Which participant we are. */
  readonly index: Index
  /** What never changes. */
  readonly params: Params
  /** Everybody's network identity, by participant index. */
  readonly peers: readonly PeerID[]
  /**
   * The newest state that is agreed on for good. Its version goes up with everything agreed; where parties hold different
   * signed transactions of one channel, it counts our own steps, and says nothing about theirs.
   */
  readonly state: State
  /** Where the channel stands. */
  readonly phase: Phase
  /**
   * The newest state with everybody's signature; undefined after the ledger has enforced a step, and where what was
   * signed must not get into anybody's hands.
   */
  readonly signedState: SignedState | undefined
  /** The locks in `state`. */
  readonly locks: readonly HashTimeLock[]
  /**
   * What can be moved of an asset now, and what it takes to settle.
   *
   * @param asset position in the allocation's assets, 0 by default
   * @throws PerkunasError INVALID_ARGUMENT if there is no such asset
   */
  liquidity(asset?: number): Liquidity
  /** What must happen in time, most urgent first. The client does it by itself as long as it runs. */
  readonly obligations: readonly Obligation[]
  /**
   * Every agreed or enforced change of state, after it is durable. Completes when the channel is over or closed. What a
   * subscriber of this or of any other observable throws harms no channel, but nobody catches it: rxjs hands it to its
   * `config.onUnhandledError`, or throws it where it ends the process.
   */
  readonly updates$: Observable<{ readonly from: State; readonly to: State }>
  /** The phase now and from now on. */
  readonly phases$: Observable<Phase>
  /** What the ledger says about the channel, alarms, and errors that did not end a call. */
  readonly events$: Observable<ChannelEvent>

  /**
   * Proposes the state that `edit` makes of the newest one, and waits until everybody has agreed for good.
   *
   * Calls are handled one after another, and each has its own time; an aborted one ends at once and is passed over.
   * When another participant's proposal comes first, `edit` is run again on the state that came of it; so it must
   * not have effects of its own.
   *
   * A final state is the last one even if it is refused: whoever has its signatures can conclude it at any time, so
   * nothing else is signed after it, and `settle` is what remains.
   *
   * @returns the new state, durable and signed by all
   * @throws PerkunasError INVALID_TRANSITION, INVALID_STATE, INVALID_AMOUNT, APP_REFUSED, INVALID_ARGUMENT (an `edit`
   *   that is async), UNSUPPORTED (also for an edit of the assets or of what is locked) before anything is sent;
   *   PEER_REJECTED; PHASE_MISMATCH unless the channel is acting; UPDATE_TIMEOUT or ABORTED: then our signature
   *   is out and the state may still come to be, later calls wait for what becomes of it
   */
  update(edit: (draft: Draft) => void, options?: ChannelCallOptions): Promise<State>
  /**
   * Enforces a step of an app channel on the ledger without the others: registers the newest state, waits out the
   * refutation, then has the ledger check the step by the app's contract.
   *
   * `edit` is run at once, so that a step that breaks the rules begins no dispute, and again on the state that stands
   * registered in the end; so it must not have effects of its own.
   *
   * @throws PerkunasError UNSUPPORTED where the ledger knows no apps or the channel has none; INVALID_TRANSITION,
   *   INVALID_STATE, APP_REFUSED, PHASE_MISMATCH; TRANSACTION_FAILED if the ledger refuses the step; ABORTED
   */
  forceUpdate(edit: (draft: Draft) => void, options?: ChannelCallOptions): Promise<State>
  /**
   * Locks money of ours for the other side under a hash. Resolves when the lock is agreed on for good: from then on it ends
   * by `release` or `cancel` of the other side, or on the ledger after its deadline; `events$` tells which, and the preimage.
   *
   * @throws PerkunasError UNSUPPORTED unless {@link Capabilities.locks} has 'hashTime'; INVALID_AMOUNT, INVALID_ARGUMENT,
   *   PHASE_MISMATCH; INVALID_TRANSITION: the channel does not take it, PEER_REJECTED: it was gone at once; UPDATE_TIMEOUT,
   *   ABORTED: the lock may still come to be
   */
  lock(request: LockRequest, options?: ChannelCallOptions): Promise<HashTimeLock>
  /**
   * Takes what the other side has locked, by the preimage of its hash (32 bytes). Resolves when the money is ours for good.
   *
   * @throws PerkunasError UNSUPPORTED, INVALID_ARGUMENT (no such lock of the other side, another preimage); ABORTED
   */
  release(lock: Hex, preimage: Hex, options?: ChannelCallOptions): Promise<State>
  /**
   * Gives back what the other side has locked. Resolves when the lock is gone.
   *
   * @throws PerkunasError UNSUPPORTED, INVALID_ARGUMENT (no such lock of the other side); ABORTED
   */
  cancel(lock: Hex, reason: string, options?: ChannelCallOptions): Promise<State>
  /**
   * Watches the channel on its ledger until it is over: old states that anybody registers are answered. A client
   * watches its channels by itself; this is for who wants to wait for the end.
   */
  watch(options?: { readonly signal?: AbortSignal }): Promise<void>
  /**
   * Ends the channel and pays our share out to us: together in one transaction if everybody answers, else through
   * the ledger's dispute, which takes the challenge duration.
   *
   * Resolves when our share is paid. May be called by every participant, and again after a restart.
   *
   * @throws PerkunasError INVALID_TRANSITION before anything is sent if locks are open and `locks` says `refuse`,
   *   INVALID_ARGUMENT if it says nothing that is defined; FUNDING_FAILED if the channel is over because its funding never was
   *   final on the ledger; ABORTED: the settlement goes on by itself
   */
  settle(options?: SettleOptions): Promise<void>
  /** Forgets this object: nothing is sent and nothing done on the ledger; `Client.restore` brings the channel back. */
  close(): void
}

/** The typed error for an aborted call, whatever reason the caller gave. */
export function asAborted(reason: unknown, call: string): PerkunasError {
  if (reason instanceof PerkunasError) return reason
  return new PerkunasError('ABORTED', `${call} was aborted`, { call }, { cause: reason })
}

/** The typed error of a call that a ledger's channels know nothing of. */
export function unsupported(what: string): PerkunasError<'UNSUPPORTED'> {
  return new PerkunasError('UNSUPPORTED', `${what} is nothing that channels on this ledger can do`, { what })
}
