// What comes of an input: the next state, and what follows from it, all plain data.
//
// Order: `next` with `monitor` and whatever `handoffs` change are written in one commit; then `effects` happen, in their
// order. Nothing of a step is seen by anybody before the commit is durable.

import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { Basepoints, ChannelSetup, Signer } from '../keys/index.js'
import type { HtlcKey, MonitorUpdate } from '../monitor/record.js'
import type { Outpoint, Transaction } from '../script/index.js'
import type { BlockHeight, FeeratePerKw, Sat } from '../units.js'
import type { LightningMessage } from '../wire/index.js'
import type { Attribution, OpenHtlc, Removal } from './book.js'
import type { ChannelPolicy, FeeEstimates } from './policy.js'
import type { ChannelState } from './state.js'
import type { ProposedTerms } from './terms.js'

/** What a step knows of the world. */
export interface ChannelEnv {
  readonly chainHash: Hex
  readonly height: BlockHeight
  readonly fees: FeeEstimates
  readonly policy: ChannelPolicy
  keys(keyIndex: bigint): ChannelKeys
  /** Whether the record may be older than what the peer has, since others of the same store are missing. */
  isDoubted?(keyIndex: bigint): boolean
}

/** The keys of one channel. */
export interface ChannelKeys {
  readonly basepoints: Basepoints
  /** Ours. */
  commitmentPoint(number: bigint): Uint8Array
  /** Whether it is our per-commitment secret of that number, which only who got it from us can know. */
  isSecret(number: bigint, secret: Uint8Array): boolean
  /** The same signer for the same setup, or one with the same memory. */
  signer(setup: ChannelSetup): Signer
}

/** The result of an input. */
export interface Step {
  readonly next: ChannelState
  readonly monitor: readonly MonitorUpdate[]
  readonly handoffs: readonly Handoff[]
  readonly effects: readonly Effect[]
}

/** What HTLCs mean to those who sent for them. Exactly once each, in the commit of the step. */
export type Handoff =
  /** What we wanted is an HTLC now. */
  | { readonly kind: 'added'; readonly reference: string; readonly htlc: HtlcKey }
  /** It did not become one, and will not. */
  | { readonly kind: 'refused'; readonly reference: string; readonly error: PerkunasError }
  /** Of the peer, and irrevocable: may be forwarded or claimed, unless it `mustFail`. */
  | { readonly kind: 'locked'; readonly htlc: OpenHtlc; readonly mustFail?: MustFail }
  /** Of ours: the preimage is known, whatever happens to the channel. */
  | {
      readonly kind: 'fulfilled'
      readonly htlc: OpenHtlc
      readonly preimage: Uint8Array
      readonly attribution?: Attribution
    }
  /** Of ours: its removal is irrevocable. */
  | { readonly kind: 'failed'; readonly htlc: OpenHtlc; readonly removal: Removal }
  /** Of the peer: it is in no commitment any more. */
  | { readonly kind: 'removed'; readonly htlc: OpenHtlc }
  /** Of either: the channel is forgotten with it, since its funding never was. What we offered is with us, if with anybody. */
  | { readonly kind: 'forgotten'; readonly htlc: OpenHtlc }

/** Why an HTLC of the peer must be failed although it is none of a broken rule. */
export type MustFail = 'dustExposure' | 'feeSpike' | 'shuttingDown' | 'expiryTooFar' | 'unconfirmed'

/** What is to be done outside. */
export type Effect =
  | { readonly kind: 'send'; readonly message: LightningMessage }
  | { readonly kind: 'disconnect'; readonly reason: string }
  /** Our user decides: `accept` or `reject`. */
  | { readonly kind: 'ask'; readonly terms: Omit<ProposedTerms, 'local' | 'shutdownScript' | 'alias'> }
  /** The wallet makes and signs a transaction with this output and keeps it: `funded` or `fundingFailed`. */
  | {
      readonly kind: 'fund'
      readonly amount: Sat
      readonly script: Uint8Array
      readonly feerate: FeeratePerKw
    }
  /** The wallet publishes it. */
  | { readonly kind: 'publishFunding'; readonly outpoint: Outpoint }
  /** The wallet forgets it. */
  | { readonly kind: 'abortFunding'; readonly outpoint?: Outpoint }
  /** The chain is watched for the output: `depth` and `spent`. */
  | { readonly kind: 'watch'; readonly outpoint: Outpoint; readonly script: Uint8Array }
  | { readonly kind: 'publish'; readonly what: 'commitment' | 'closing'; readonly transaction: Transaction }
  | { readonly kind: 'tell'; readonly event: ChannelEvent }
  /** A command that can't be done. */
  | { readonly kind: 'refuse'; readonly error: PerkunasError }

/** What our user may want to know. */
export type ChannelEvent =
  /** The temporary ID is of no more use. */
  | { readonly kind: 'named'; readonly temporaryID: Hex; readonly channelID: Hex }
  | { readonly kind: 'ready' }
  /** The funding transaction was reorged out; nothing is added until it is back, nor taken. */
  | { readonly kind: 'unconfirmed' }
  | { readonly kind: 'feeChanged'; readonly feerate: FeeratePerKw }
  | { readonly kind: 'shuttingDown'; readonly by: 'local' | 'remote' }
  | { readonly kind: 'closing'; readonly transaction: Transaction }
  | { readonly kind: 'failed'; readonly cause: string; readonly reason: string }
  /** The peer says that we are behind, without proof. */
  | { readonly kind: 'disagreement'; readonly reason: string }
  /** Our data is lost, and the peer was asked to close. With each connection. */
  | { readonly kind: 'dataLoss'; readonly reason: string }
  | { readonly kind: 'warning'; readonly text: string }
  | { readonly kind: 'closed'; readonly reason: string }

/** What comes with the next state. */
export type Following = Partial<Omit<Step, 'next'>>

/** A step. */
export function to(next: ChannelState, following: Following = {}): Step {
  return {
    next,
    monitor: following.monitor ?? [],
    handoffs: following.handoffs ?? [],
    effects: following.effects ?? [],
  }
}

/** A step and the one that follows from it, as one. */
export function followed<S extends ChannelState>(
  first: Step & { readonly next: S },
  go: (state: S) => Step,
): Step {
  const second = go(first.next)
  return {
    next: second.next,
    monitor: [...first.monitor, ...second.monitor],
    handoffs: [...first.handoffs, ...second.handoffs],
    effects: [...first.effects, ...second.effects],
  }
}

/** To be sent. */
export function send(message: LightningMessage): Effect {
  return { kind: 'send', message }
}

/** To be told. */
export function tell(event: ChannelEvent): Effect {
  return { kind: 'tell', event }
}
