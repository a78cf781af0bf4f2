// Who decides about HTLCs: what channels hand on, and what is wanted of them in return, within one turn.
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { Handoff, Intent, OpenHtlc } from '../channel/index.js'
import type { HtlcKey } from '../monitor/index.js'
import type { PayableChannel } from '../payments/index.js'
import type { NodeEffect } from './effects.js'

/** What is wanted of a channel. */
export interface Wish {
  readonly channel: bigint
  readonly intent: Intent
}

/** What is not wanted any more, by the reference of its wish. */
export interface Unwish {
  readonly channel: bigint
  readonly reference: string
}

/** What follows from a handoff, or from a block. */
export interface Consequence {
  readonly wishes: readonly Wish[]
  readonly unwishes?: readonly Unwish[]
  readonly effects: readonly NodeEffect[]
}

/** The channels around a switch. */
export interface SwitchChannels {
  readonly height: number
  /** Whether that is the chain's, as far as anybody can say. If not, HTLCs to us may have expired. */
  readonly isSynced: boolean
  /** Whether it is not for a few blocks only, which are on their way. */
  readonly isCatchingUp: boolean
  /** Whether what comes over a channel may be relied on: see `PaymentsContext.isReliable`. */
  isReliable(channel: bigint): boolean
  /** Those of that peer that HTLCs can be added to now, with their names here. */
  payable(peer: PeerID): readonly (readonly [channel: bigint, PayableChannel])[]
}

/** See above. Everything happens within turns; what it throws of an HTLC stops the channel of that. */
export interface HtlcSwitch {
  /** Before anything else. */
  attach(channels: SwitchChannels): void
  /**
   * Once each, in the commit of the step. But if a step can't be written, which stops its channel, what it handed on comes again
   * after a restart, and what was wished for the channel then was not heard: it must be answered as it was before, and counted
   * once. To leave it out by a record of what was handed on would leave the channel without the answer.
   */
  handed(channel: bigint, handoff: Handoff, height: number): Consequence
  /** On chain, the preimage of what we offered was seen. */
  learned(channel: bigint, htlc: HtlcKey, preimage: Uint8Array): Consequence
  /** On chain, an HTLC is over for good: its money is with that side. */
  resolved(channel: bigint, htlc: HtlcKey, to: 'offerer' | 'receiver'): Consequence
  /** A new height, or it is the chain's again. */
  reached(height: number): Consequence
  /** About a minute went by. */
  ticked(): Consequence
  /** The first after a restart. */
  resumed(): Consequence
  /**
   * When what came in for an HTLC that we offered, here or on another ledger, can be taken back from us: a height. Who forwards
   * must say it, since what is late to come back is in haste only then; undefined for a payment of our own.
   */
  incomingExpiry?(channel: bigint, htlc: HtlcKey): number | undefined
  /**
   * HTLCs of a channel with a peer, some of which may soon be handed on. There is nothing else to do, so what they need may be
   * made now, and what is needed to pay the peer, for a moment.
   *
   * @returns whether there is more of it
   */
  prepare?(peer: PeerID, htlcs: readonly OpenHtlc[]): boolean
  /** What changed since this was asked last. */
  takeWrites(): readonly Write[]
  /** What was taken last is durable. */
  committed?(): void
}
