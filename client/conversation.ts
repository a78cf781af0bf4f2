// The closed lists of the channel conversation: what a channel holds, what can happen to it, what it asks of
// the world. Plain data throughout; runtime.ts makes the effects real, in one order.
import type {
  Adjudicator,
  Balances,
  Capabilities,
  Hex,
  Index,
  LedgerEvent,
  Machine,
  PerkunasError,
  Rules,
  State,
  Transaction,
} from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { ChannelMessage, ChannelUpdate } from './messages.js'

/** Ties an effect's result to the caller's promise. */
export type CommandID = number

/** What must survive a crash, written before anything that depends on it leaves. */
export interface ChannelRecord {
  readonly machine: Machine
  /** By participant index; our own identity at our own index. */
  readonly peers: readonly PeerID[]
  /** Who brought what in. */
  readonly agreement: Balances
  /** Who made the staged state, or the final one. */
  readonly stagedBy: Index
  /**
   * A final state that we have signed, agreed or not. Whoever has all signatures can conclude it at once, and nothing
   * refutes it: so nothing but the same end is signed after it.
   */
  readonly ending: State | undefined
  /** By participant: agreements to be paid together for the final state. */
  readonly authorizations: readonly (Hex | undefined)[]
  /** What our user wants of the ledger; it is pursued over restarts until it is had. */
  readonly wanted: 'nothing' | 'settlement' | 'refund' | 'progress'
  /** What is registered on the ledger as far as we have seen. */
  readonly registered: { readonly version: bigint; readonly deadline: bigint } | undefined
  /** What was current before each enforced step that is not final yet, oldest first: a reorg may bring it back. */
  readonly before: readonly Transaction[]
  /** Up to where the ledger's events were handled. */
  readonly cursor: string | undefined
  /**
   * The version that we may sign before a state of it is written, if it is above all that is signed; see reservation.ts.
   * Undefined until we have proposed something.
   */
  readonly reserved: bigint | undefined
  /** What an earlier process had reserved, while nobody has said what became of it; nothing is reserved then. */
  readonly forgotten: bigint | undefined
  /**
   * In a channel of two: the highest version of ours that the other one said it has not signed and never will. Whoever
   * shows it signed later has lied, while we may have signed something else that is above it.
   */
  readonly refused: bigint | undefined
}

/** A channel while it runs: its record, and what may be forgotten in a crash because peers or the ledger say it again. */
export interface ChannelState {
  readonly record: ChannelRecord
  /** The proposed state that our user is being asked about. */
  readonly asking: ChannelUpdate | undefined
  /** Answers that came before the proposal they belong to; the newest few of each participant. */
  readonly early: readonly EarlyAnswer[]
  /** A peer's update that came before we saw the channel funded. */
  readonly held: ChannelUpdate | undefined
  /** Our user's call that waits for the staged state. */
  readonly command: CommandID | undefined
  /** What was registered before each event of a dispute that is not final yet, oldest first: a reorg brings it back. */
  readonly overruled: readonly Overruled[]
}

/** What stood registered until an event of the ledger. */
export interface Overruled {
  readonly by: { readonly kind: LedgerEvent['kind']; readonly version: bigint }
  readonly registered: ChannelRecord['registered']
}

/** An answer to a proposal that has not come yet. */
export interface EarlyAnswer {
  readonly from: Index
  readonly version: bigint
  /** Whose proposal it answers. */
  readonly actor: Index
  /** The signature, or undefined for a refusal. */
  readonly signature: Hex | undefined
  readonly reason: string
}

/** What can happen to a channel. */
export type ChannelInput =
  /** Our user wants to propose, which needs to know what became of a forgotten version. */
  | { readonly kind: 'recall' }
  /** Our user proposes `state`, which we have checked and signed for. */
  | { readonly kind: 'propose'; readonly command: CommandID; readonly state: State; readonly signature: Hex }
  /** Our user, or the rule that stands for one, answers a proposal. */
  | { readonly kind: 'accept'; readonly update: ChannelUpdate; readonly signature: Hex }
  | { readonly kind: 'reject'; readonly update: ChannelUpdate; readonly reason: string }
  /** A participant said something. */
  | { readonly kind: 'received'; readonly from: Index; readonly message: ChannelMessage }
  /** A connection to a participant stands (again). */
  | { readonly kind: 'connected'; readonly peer: Index }
  /** The caller's time for a command is over, or the caller gave up. */
  | { readonly kind: 'expired'; readonly command: CommandID; readonly error: PerkunasError }
  /** All participants' funds are on the ledger; or they are not and won't be. */
  | { readonly kind: 'funded' }
  | { readonly kind: 'fundingFailed' }
  /** Our user wants to end the channel; `dispute` when not everybody helps. */
  | { readonly kind: 'settle' }
  | { readonly kind: 'dispute'; readonly wanted: 'settlement' | 'refund' | 'progress' }
  /** Our user enforces `state`, signed by us, on the registered channel. */
  | { readonly kind: 'force'; readonly state: State; readonly signature: Hex }
  /** The effect `authorize` is done. */
  | { readonly kind: 'authorized'; readonly authorization: Hex }
  /** Others had their time to authorize, or to close. */
  | { readonly kind: 'patienceOver' }
  /** Closing together succeeded or failed: what is still ours on the ledger is to be withdrawn. */
  | { readonly kind: 'closeEnded' }
  /** The ledger refused the step that our user wanted to enforce. */
  | { readonly kind: 'progressFailed' }
  /** Our share is paid out. */
  | { readonly kind: 'paid' }
  | { readonly kind: 'ledger'; readonly event: LedgerEvent }

/** What a channel asks of the world, after its record is durable. */
export type ChannelEffect =
  | { readonly kind: 'send'; readonly to: Index; readonly message: ChannelMessage }
  /** Ask our user about a proposed state. */
  | { readonly kind: 'ask'; readonly update: ChannelUpdate; readonly current: State }
  /** Accept without asking: what anybody could enforce anyhow. */
  | { readonly kind: 'acceptByRule'; readonly update: ChannelUpdate }
  | { readonly kind: 'updated'; readonly from: State; readonly to: State }
  | { readonly kind: 'resolve'; readonly command: CommandID; readonly result: State | PerkunasError }
  /** A participant said what it must not; what it costs is said with it. */
  | {
      readonly kind: 'refuse'
      readonly from: Index
      readonly error: PerkunasError
      readonly cost: 'message' | 'connection'
    }
  /** A peer registered an old state, or something else puts funds at risk until we have acted. */
  | {
      readonly kind: 'atRisk'
      readonly registered: bigint
      readonly newest: bigint
      readonly deadline: bigint
    }
  | LedgerEffect
  /** Nothing more is to come: the record can go. */
  | { readonly kind: 'over' }

/** What a channel asks of its ledger. A new one replaces one of the same kind that is under way. */
export type LedgerEffect =
  | { readonly kind: 'fund' }
  | { readonly kind: 'register'; readonly transaction: Transaction }
  | { readonly kind: 'progress'; readonly registered: State; readonly next: State; readonly signature: Hex }
  | { readonly kind: 'withdraw'; readonly transaction: Transaction; readonly secondary: boolean }
  | { readonly kind: 'authorize'; readonly state: State }
  | { readonly kind: 'close'; readonly transaction: Transaction; readonly authorizations: readonly Hex[] }
  /** Give the others some time, then `patienceOver`. */
  | { readonly kind: 'wait' }
  /** What is under way is no longer wanted. */
  | { readonly kind: 'cancel'; readonly what: readonly LedgerEffect['kind'][] }

/** The next state of a channel and what is to be done about it. `next.record` is new iff it is to be written. */
export interface ChannelStep {
  readonly next: ChannelState
  readonly effects: readonly ChannelEffect[]
}

/** What the conversation must know of the world: pure functions and data. */
export interface ChannelContext {
  readonly rules: Rules
  readonly capabilities: Capabilities
  readonly verifyCloseAuthorization: Adjudicator['verifyCloseAuthorization']
}

/** A channel whose record this is, right after it was made or read. */
export function channelState(record: ChannelRecord): ChannelState {
  return {
    record,
    asking: undefined,
    early: [],
    held: undefined,
    command: undefined,
    overruled: [],
  }
}

/** The record of a channel that is about to begin. */
export function channelRecord(
  machine: Machine,
  peers: readonly PeerID[],
  agreement: Balances,
): ChannelRecord {
  return {
    machine,
    peers,
    agreement,
    stagedBy: 0,
    ending: undefined,
    authorizations: peers.map(() => undefined),
    wanted: 'nothing',
    registered: undefined,
    before: [],
    cursor: undefined,
    reserved: undefined,
    forgotten: undefined,
    refused: undefined,
  }
}

/** A step that changes nothing. */
export function stay(state: ChannelState, ...effects: readonly ChannelEffect[]): ChannelStep {
  return { next: state, effects }
}

/** `send` effects to everybody but ourselves. */
export function toAll(record: ChannelRecord, message: ChannelMessage): ChannelEffect[] {
  const effects: ChannelEffect[] = []
  for (let to = 0; to < record.peers.length; to++) {
    if (to !== record.machine.index) effects.push({ kind: 'send', to, message })
  }
  return effects
}

/** The newest agreed transaction; every channel past its initial signatures has one. */
export function currentOf(record: ChannelRecord): Transaction {
  const { current } = record.machine
  if (current === undefined) throw new Error(`channel ${record.machine.channelID} has no current state`)
  return current
}

/**
 * The newest transaction that everybody signed. While a dispute runs that may be what waits in staging: it refutes what is
 * registered, but counts for nobody before the ledger has it for good, for it may come too late.
 */
export function newestOf(record: ChannelRecord): Transaction {
  return heldIn(record) ?? currentOf(record)
}

/** What waits in staging with everybody's signature until the ledger has it for good, if anything does. */
export function heldIn({ machine }: ChannelRecord): Transaction | undefined {
  const { staging, current } = machine
  if (staging === undefined || allSignatures(staging) === undefined) return undefined
  return staging.state.version > (current?.state.version ?? -1n) ? staging : undefined
}

/** All signatures of a transaction, or undefined while some are missing. */
export function allSignatures(transaction: Transaction): readonly Hex[] | undefined {
  const signatures = transaction.signatures.filter((signature): signature is Hex => signature !== undefined)
  return signatures.length === transaction.signatures.length ? signatures : undefined
}
