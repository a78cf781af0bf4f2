// What a channel needs of a ledger. Whoever writes a backend implements these interfaces and runs the
// exported conformance suite against them. Generic code asks the capabilities, never a backend's name.
import type { Balances } from './allocation.js'
import type { Hex } from './bytes.js'
import type { PerkunasError } from './errors.js'
import type { AddressMap, BackendID, ChannelID, Index, Params } from './params.js'
import type { SignedState, State } from './state.js'

/** What a ledger can do. Data, so that generic code and tests can choose by it. */
export interface Capabilities {
  /** Fewest and most participants of a channel. */
  readonly participants: { readonly min: number; readonly max: number }
  /** Most assets of a channel. */
  readonly maxAssets: number
  /** What deadlines and challenge durations count. */
  readonly clock: 'seconds' | 'blocks'
  /** Shortest and longest challenge duration that its channels may have. */
  readonly challengeDuration: { readonly min: bigint; readonly max: bigint }
  /** Can it enforce an app's transitions (forced progression)? */
  readonly apps: boolean
  /** Can a newer signed state clear a dispute, so that the channel goes on? */
  readonly checkpoint: boolean
  /** Can one transaction conclude a final state and pay everybody? */
  readonly cooperativeClose: boolean
  /** Can it settle sub-channels together with their parent? */
  readonly subChannels: boolean
  /** What happens to whoever registers an old state. */
  readonly dispute: 'refutation' | 'penalty'
  /** May an update redistribute freely, or only by typed operations (pay the other side, lock, release)? */
  readonly allocation: 'free' | 'typed'
  /** Which locks a user may make. */
  readonly locks: readonly 'hashTime'[]
  /**
   * How many updates of one channel may be under way at once from either side. A channel whose peer allows fewer carries fewer;
   * what is beyond waits for its turn.
   */
  readonly updatesInFlight: number
  /** Who brings money in: everybody the own share, or the opener all of it. */
  readonly funding: 'each' | 'opener'
  /** How many blocks deep an event must lie before it counts as final, 1 for "at once". */
  readonly finalityDepth: number
}

/** The pure rules of a ledger: IDs, encodings, signatures, limits of its own. */
export interface LedgerRules {
  readonly backend: BackendID
  /** The channel ID that the params commit to. */
  channelID(params: Params): ChannelID
  /** The bytes that participants sign for a state, handed to `Account.sign`. */
  message(params: Params, state: State): Uint8Array
  /** Whether a signature over those bytes is this participant's, as strictly as the ledger itself checks. Never throws. */
  verify(message: Uint8Array, signature: Hex, participant: AddressMap): boolean
  /** What this ledger has against the params, beyond the generic rules. */
  faultOfParams(params: Params): PerkunasError | undefined
  /**
   * What this ledger has against the state, beyond the generic rules: unknown assets, too many of something. Of the
   * participants it may ask how many there are, not where: it is asked before all addresses are known.
   */
  faultOfState(params: Params, state: State): PerkunasError | undefined
}

/** Options of every call that may take long. */
export interface CallOptions {
  /** Ends the waiting with ABORTED. What was sent stays sent; calling again goes on from there. */
  readonly signal?: AbortSignal
  /** When it is too late, in the ledger's time: the nearer, the more is offered for what has to be on the ledger by then. */
  readonly deadline?: bigint
}

/** What to fund. */
export interface FundingRequest {
  readonly params: Params
  /** The initial state, signed by all. */
  readonly state: State
  /** Who we are. */
  readonly index: Index
  /** What each participant brings in, by asset and participant; the sums are the state's. */
  readonly agreement: Balances
}

/**
 * Brings a channel's funds onto the ledger.
 *
 * `fund` may be called again for a channel after a crash and then deposits nothing twice.
 */
export interface Funder {
  /**
   * What must be done before anybody signs the initial state (building the funding transaction, where the
   * channel is an output of it). Ledgers whose channels are accounts of a contract need nothing.
   */
  prepare?(request: FundingRequest, options?: CallOptions): Promise<void>
  /**
   * Deposits our share of every asset and waits until everybody has.
   *
   * @throws PerkunasError FUNDING_TIMEOUT names who has not funded within the challenge duration;
   *   FUNDING_FAILED, LEDGER_UNREACHABLE, TRANSACTION_FAILED, ABORTED
   */
  fund(request: FundingRequest, options?: CallOptions): Promise<void>
  /** Gives up what `prepare` made. */
  abort?(request: FundingRequest): Promise<void>
}

/** A state to register, with all states that its locked funds need, parents before children. */
export interface RegisterRequest {
  readonly signed: SignedState
  readonly subChannels: readonly SignedState[]
}

/** A step to enforce without the others' signatures. */
export interface ProgressRequest {
  readonly params: Params
  /** What is registered (or was progressed to) now. */
  readonly registered: State
  readonly next: State
  readonly actor: Index
  /** The actor's signature over `next`. */
  readonly signature: Hex
}

/** What to withdraw. */
export interface WithdrawRequest {
  /** The state to conclude with; signatures may be empty where the ledger holds the state already. */
  readonly params: Params
  readonly state: State
  readonly signatures: readonly Hex[]
  readonly subChannels: readonly State[]
  readonly index: Index
  /** A hint that another participant sends the concluding transaction. */
  readonly secondary?: boolean
}

/** A final state that everybody signed, with everybody's agreement to be paid in one transaction. */
export interface CloseRequest {
  readonly params: Params
  readonly state: State
  readonly signatures: readonly Hex[]
  /** By participant: what {@link Adjudicator.authorizeClose} of each one made. */
  readonly authorizations: readonly Hex[]
  readonly index: Index
}

/** Where an event stands: in a block, buried at finality depth, or gone with its block. */
export type EventStatus = 'seen' | 'final' | 'reorged'

/**
 * What a ledger tells about a channel. Each event comes as `seen` at once, then as `final`, or as `reorged` when
 * its block went away; after a restart those behind the cursor come again, so consumers must be idempotent.
 */
export type LedgerEvent = {
  readonly channelID: ChannelID
  readonly status: EventStatus
  /** Opaque: hand the newest stored one to `subscribe` after a restart. */
  readonly cursor: string
} & LedgerEventBody

/** What happened. */
export type LedgerEventBody =
  /**
   * A state was registered and may be refuted by a newer one until `deadline`. Where the ledger shows it, the
   * state comes with it; `undefined` means that only the version is known.
   */
  | {
      readonly kind: 'registered'
      /** Where parties hold different signed transactions of one channel, the number of the one that is on the ledger. */
      readonly version: bigint
      /** Whose transaction it is, where they do. */
      readonly by?: Index
      readonly deadline: bigint
      readonly state: State | undefined
      readonly signatures: readonly Hex[] | undefined
    }
  /** A step was enforced; the next may follow until `deadline`. */
  | {
      readonly kind: 'progressed'
      readonly version: bigint
      readonly deadline: bigint
      readonly state: State | undefined
      readonly actor: Index | undefined
    }
  /**
   * A newer signed state cleared the dispute: nothing below this version can be registered any more. A participant may
   * not hold that state yet, so a ledger that can show it does.
   */
  | {
      readonly kind: 'cleared'
      readonly version: bigint
      readonly state?: State | undefined
      readonly signatures?: readonly Hex[] | undefined
    }
  /** The outcome is fixed. */
  | { readonly kind: 'concluded'; readonly version: bigint }

/** The events of one channel, until closed. Iterating ends after `close()`; a failing ledger is retried inside. */
export interface Subscription extends AsyncIterable<LedgerEvent> {
  close(): void
}

/**
 * Enforces what was agreed.
 *
 * Every method may be called again after a crash or beside another participant's call, and then ends well if the
 * ledger is already where it should be.
 */
export interface Adjudicator {
  /**
   * Registers a state, or refutes an older one with it.
   *
   * Ends well if that state or a newer one is registered or the channel is concluded.
   * @throws PerkunasError TRANSACTION_FAILED, LEDGER_UNREACHABLE, ABORTED
   */
  register(request: RegisterRequest, options?: CallOptions): Promise<void>
  /** Enforces a step of an app channel. @throws PerkunasError UNSUPPORTED without {@link Capabilities.apps} */
  progress(request: ProgressRequest, options?: CallOptions): Promise<void>
  /**
   * Concludes the channel if nobody has (a final state at once, else after the deadlines, for which it waits) and
   * pays our share of every asset out to us.
   *
   * Where another state stands registered than the one to conclude with, and its time is over, it is concluded with that
   * one, as far as the ledger shows it: whoever was away for so long has no better choice.
   *
   * One failing asset does not hold up the others; it is reported at the end.
   */
  withdraw(request: WithdrawRequest, options?: CallOptions): Promise<void>
  /** Our agreement to be paid by `close`; evidence that only the ledger reads. @throws UNSUPPORTED */
  authorizeClose(request: Pick<CloseRequest, 'params' | 'state' | 'index'>): Promise<Hex>
  /** Whether another participant's agreement is good for `close`. Never throws. */
  verifyCloseAuthorization(
    request: Pick<CloseRequest, 'params' | 'state'> & {
      readonly participant: Index
      readonly authorization: Hex
    },
  ): boolean
  /** Concludes and pays everybody in one transaction. @throws UNSUPPORTED without {@link Capabilities.cooperativeClose} */
  close(request: CloseRequest, options?: CallOptions): Promise<void>
  /** Clears a dispute with a newer signed state. @throws UNSUPPORTED without {@link Capabilities.checkpoint} */
  checkpoint(request: RegisterRequest, options?: CallOptions): Promise<void>
  /**
   * A cursor for now: where to begin with a channel that is only being made. Without it such a channel's events are
   * looked for from the ledger's beginning.
   */
  cursor?(options?: CallOptions): Promise<string>
  /** Events of a channel: first those after the cursor (without one: from the channel's beginning), then new ones. */
  subscribe(channelID: ChannelID, options?: { readonly cursor?: string }): Subscription
  /**
   * The same events, told to a function: for who watches very many channels. Nothing of it may cost much per channel
   * to which nothing happens. Events come as long as the backend is open, until the result is closed.
   *
   * @param onEvent must not throw
   */
  listen?(
    channelID: ChannelID,
    onEvent: (event: LedgerEvent) => void,
    options?: { readonly cursor?: string },
  ): Pick<Subscription, 'close'>
  /** The ledger's time, in the unit of {@link Capabilities.clock}. */
  now(): Promise<bigint>
  /** Waits until the ledger's time is at least `deadline`; returns at once if it is already. */
  waitUntil(deadline: bigint, options?: CallOptions): Promise<void>
}

/** A ledger, whole. */
export interface Backend {
  readonly capabilities: Capabilities
  readonly rules: LedgerRules
  readonly funder: Funder
  readonly adjudicator: Adjudicator
  /** Stops background work. Idempotent. */
  close(): Promise<void>
}
