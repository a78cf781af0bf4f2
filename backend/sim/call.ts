// What can be asked of the simulated ledger, what it remembers, and what it tells: all plain data, so that a
// simulator can copy a whole ledger with `structuredClone`.
import type {
  Address,
  AppID,
  ChannelID,
  Hex,
  Index,
  Params,
  SignedState,
  State,
} from '../../channel/index.js'

/** What a transaction does. Anybody may send anything: what counts is who signed. */
export type SimCall =
  /** Moves the sender's own funds. */
  | { readonly kind: 'transfer'; readonly asset: Hex; readonly to: Address; readonly amount: bigint }
  /** Puts the sender's funds under a participant's name into a channel. */
  | {
      readonly kind: 'deposit'
      readonly channelID: ChannelID
      readonly participant: Address
      readonly asset: Hex
      readonly amount: bigint
    }
  | { readonly kind: 'register'; readonly signed: SignedState; readonly subChannels: readonly SignedState[] }
  | {
      readonly kind: 'checkpoint'
      readonly signed: SignedState
      readonly subChannels: readonly SignedState[]
    }
  | {
      readonly kind: 'progress'
      readonly params: Params
      readonly from: State
      readonly to: State
      readonly actor: Index
      readonly signature: Hex
    }
  | {
      readonly kind: 'conclude'
      readonly params: Params
      readonly state: State
      readonly subStates: readonly State[]
    }
  | { readonly kind: 'concludeFinal'; readonly signed: SignedState }
  | { readonly kind: 'close'; readonly signed: SignedState; readonly authorizations: readonly Hex[] }
  /** Pays all that a participant holds of one asset to the receiver that it signed for. */
  | {
      readonly kind: 'withdraw'
      readonly channelID: ChannelID
      readonly participant: Address
      readonly asset: Hex
      readonly receiver: Address
      readonly signature: Hex
    }

/** What the ledger remembers of a channel that somebody brought before it. */
export interface Dispute {
  /** `open`: cleared by a checkpoint, only `version` counts. */
  readonly phase: 'open' | 'dispute' | 'forceExec' | 'concluded'
  readonly version: bigint
  readonly stateHash: Hex
  readonly app: AppID
  readonly challengeDuration: bigint
  /** Ledger time when the phase ends: until it a state may be refuted, or a step may follow. */
  readonly timeout: bigint
}

/** What the ledger tells. */
export type SimEvent =
  | {
      readonly kind: 'deposited'
      readonly channelID: ChannelID
      readonly participant: Address
      readonly asset: Hex
      readonly amount: bigint
    }
  | {
      readonly kind: 'registered'
      readonly channelID: ChannelID
      readonly state: State
      readonly signatures: readonly Hex[]
      readonly timeout: bigint
    }
  | {
      readonly kind: 'progressed'
      readonly channelID: ChannelID
      readonly state: State
      readonly actor: Index
      readonly timeout: bigint
    }
  | {
      readonly kind: 'cleared'
      readonly channelID: ChannelID
      readonly version: bigint
      readonly state: State
      readonly signatures: readonly Hex[]
    }
  | { readonly kind: 'concluded'; readonly channelID: ChannelID; readonly version: bigint }
  | {
      readonly kind: 'withdrawn'
      readonly channelID: ChannelID
      readonly participant: Address
      readonly asset: Hex
      readonly amount: bigint
    }

/** A transaction in the mempool or in a block. */
export interface SimTransaction {
  readonly hash: string
  readonly from: Address
  readonly call: SimCall
}

/** How a transaction ended in its block. */
export interface SimReceipt {
  readonly transaction: SimTransaction
  /** Why it had no effect, if it had none. */
  readonly reverted?: string
  readonly events: readonly SimEvent[]
}

/** A block. */
export interface SimBlock {
  readonly number: number
  /** Differs between two blocks of the same number on two branches. */
  readonly hash: string
  readonly time: bigint
  readonly receipts: readonly SimReceipt[]
  /** How to unwind it. */
  readonly journal: readonly Change[]
}

/** A change of {@link World}, as the way back: amounts as what was added, disputes as what was there before. */
export type Change =
  | { readonly table: 'balances' | 'holdings'; readonly key: string; readonly added: bigint }
  | { readonly table: 'disputes'; readonly key: ChannelID; readonly before: Dispute | undefined }
