// Where a channel can stand. Plain data; each member has the fields that are true in it.
import type { Hex } from '../../../channel/bytes.js'
import type { FeatureName } from '../features.js'
import type { SignerState } from '../keys/index.js'
import type { FailureCause } from '../monitor/record.js'
import type { CommitmentSignatures, Transaction } from '../script/index.js'
import type { Sat } from '../units.js'
import type { CommitmentSigned, ShortChannelID } from '../wire/index.js'
import type { Book } from './book.js'
import type { Intent, UpdateMessage } from './input.js'
import type { ProposedTerms, SideTerms, Terms } from './terms.js'

/** A channel, from the first message on. */
export type ChannelState =
  | Opening
  | Asked
  | Accepted
  | AwaitingFunding
  | AwaitingFundingSigned
  | Live
  | Closed

/** A channel without first commitments: it ends with the connection, and when nothing comes of it. */
export interface Young {
  readonly features: readonly FeatureName[]
  /** In ticks. */
  readonly age: number
}

/** We sent open_channel. */
export interface Opening extends Young {
  readonly phase: 'opening'
  readonly terms: ProposedTerms
}

/** The peer sent open_channel, and our user decides. */
export interface Asked extends Young {
  readonly phase: 'asked'
  /** Without our side, which is added when the user accepts. */
  readonly terms: Omit<ProposedTerms, 'local' | 'shutdownScript' | 'alias'>
  readonly remote: SideTerms
  readonly remotePoint: Uint8Array
}

/** We sent accept_channel and wait for funding_created. */
export interface Accepted extends Young {
  readonly phase: 'accepted'
  readonly terms: ProposedTerms
  readonly remote: SideTerms
  readonly remotePoint: Uint8Array
  readonly minimumDepth: number
}

/** The peer accepted, and our wallet makes the funding transaction. */
export interface AwaitingFunding extends Young {
  readonly phase: 'awaitingFunding'
  readonly terms: ProposedTerms
  readonly remote: SideTerms
  readonly remotePoint: Uint8Array
  readonly minimumDepth: number
}

/** We sent funding_created. */
export interface AwaitingFundingSigned extends Young {
  readonly phase: 'awaitingFundingSigned'
  readonly terms: Terms
  readonly signer: SignerState
  readonly book: Book
}

/** Phases of a channel whose first commitments are signed. */
export type LivePhase = 'awaitingReady' | 'normal' | 'shuttingDown' | 'negotiating' | 'failed'

/** A channel with money in it. */
export interface Live {
  readonly phase: LivePhase
  readonly terms: Terms
  /** As negotiated on the last connection. */
  readonly features: readonly FeatureName[]
  /** What was signed and revoked; the numbers of both commitments follow from it, see commitments.ts. */
  readonly signer: SignerState
  readonly book: Book
  /** The peer's signatures on our newest commitment. */
  readonly signatures: CommitmentSignatures
  /** The per-commitment point of the peer's next commitment; not known between signing and its revocation. */
  readonly remoteNextPoint?: Uint8Array
  /** What we signed last and the peer has not answered with a revocation, to be repeated as it was. */
  readonly batch?: Batch
  /** Which of the two we sent last: the order in which they are repeated. */
  readonly lastSent: 'signature' | 'revocation'
  readonly intents: readonly Intent[]
  readonly link: Link
  readonly ready: Ready
  readonly shutdown: Shutdowns
  readonly closing: ClosingProgress
  readonly failure?: Failure
  readonly patience?: Patience
}

/** Updates with the signature over them. */
export interface Batch {
  readonly updates: readonly UpdateMessage[]
  readonly signed: CommitmentSigned
}

/** The connection. Not part of the record: whoever is restored is not connected. */
export type Link =
  | { readonly kind: 'down' }
  /** channel_reestablish was sent, and none that fits was received. `ticks` that this took. `isHeard`: one that does not fit was. */
  | { readonly kind: 'reestablishing'; readonly ticks: number; readonly isHeard?: true }
  /** `ticks` without the revocation that we wait for. */
  | { readonly kind: 'up'; readonly ticks: number }

/** What is known of the funding output, and who said channel_ready. */
export interface Ready {
  /** Height at which the channel was made. */
  readonly since: number
  /** Confirmations at the last look; 0 again after a reorg. */
  readonly depth: number
  readonly isSent: boolean
  readonly isReceived: boolean
  readonly shortChannelID?: ShortChannelID
  /** The peer's alias for the channel. */
  readonly remoteAlias?: ShortChannelID
}

/** Who said shutdown, and where each is paid to. */
export interface Shutdowns {
  readonly local?: Uint8Array
  readonly remote?: Uint8Array
  /** The peer's shutdown came first. */
  readonly isRemoteFirst?: boolean
}

/** How far the closing is. What is negotiated lasts as long as the connection, what was signed for ever. */
export interface ClosingProgress {
  /** closing_signed of ours on this connection. */
  readonly offered?: { readonly fee: Sat; readonly range: FeeRange }
  /** closing_complete of ours that is not answered. */
  readonly proposed?: { readonly fee: Sat; readonly locktime: number }
  /** How many transactions the peer had us sign. */
  readonly signed: number
  /** Of the transactions that both signed the one that pays most for its place in a block. */
  readonly complete?: Transaction
}

/** What is given some time before our commitment is published, as the height at which that began. */
export interface Patience {
  /** A closing that both signed, to get into a block. */
  readonly closing?: number
  /** The peer, to tell how far it is: it said `error` without that. */
  readonly error?: { readonly at: number; readonly reason: string }
  /** A feerate of the opener that we doubt. */
  readonly feerate?: number
}

/** Fees that a side would agree to. */
export interface FeeRange {
  readonly min: Sat
  readonly max: Sat
}

/** Why a channel failed. */
export interface Failure {
  readonly cause: FailureCause
  /** For people. */
  readonly reason: string
}

/** Nothing is left to do for it here. */
export interface Closed {
  readonly phase: 'closed'
  /** The temporary one, if it never got another. */
  readonly channelID: Hex
  readonly keyIndex: bigint
  readonly reason: string
}

/** All phases. */
export type Phase = ChannelState['phase']

/** Whether it has its first commitments. */
export function isLive(state: ChannelState): state is Live {
  switch (state.phase) {
    case 'awaitingReady':
    case 'normal':
    case 'shuttingDown':
    case 'negotiating':
    case 'failed':
      return true
    default:
      return false
  }
}
