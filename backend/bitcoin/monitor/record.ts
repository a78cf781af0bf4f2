// What a channel tells its monitor: enough to defend the channel alone, without the channel's own state. Plain data.
//
// Each update is written in the same commit as the step of the channel that made it, before any message of that step
// leaves. Order within a step and between steps is the order in which they were made; nothing is ever taken back.
//
//     the step                              its updates
//     funding_created sent                  opened, counterparty 0
//     funding_created received              opened, holder 0, counterparty 0
//     funding_signed received               holder 0
//     commitment_signed sent                counterparty n
//     commitment_signed received            holder n, released n - 1
//     revoke_and_ack received               revoked n
//     a preimage learned, by whichever way  preimage
//     closing_signed, closing_sig and so on closing
//     the channel fails                     failed
import type { Hex } from '../../../channel/bytes.js'
import type { Basepoints, ChannelSetup, CommitmentState } from '../keys/index.js'
import type { CommitmentSignatures, Funding, Transaction } from '../script/index.js'

/** Which of the two participants: we, or the peer. */
export type Side = 'local' | 'remote'

/**
 * Names an HTLC for its whole life. In a {@link CommitmentState} "offered" is seen from the holder: `offered` in ours and
 * `received` in theirs have the offerer `local`.
 */
export interface HtlcKey {
  readonly offerer: Side
  readonly id: bigint
}

/** What never changes about a channel. */
export interface MonitorTerms {
  readonly channelID: Hex
  /** Of the channel's keys, see `channelSecrets`. */
  readonly keyIndex: bigint
  readonly setup: ChannelSetup
  /** Ours. */
  readonly basepoints: Basepoints
  readonly funding: Funding
}

/** Why a channel ends on chain. */
export type FailureCause =
  /** We were told to. */
  | 'command'
  /** The peer sent an error for it. */
  | 'peerError'
  /** The peer broke the protocol. */
  | 'violation'
  /** The opener asked for a feerate that we doubted until time was over: its estimate is not ours. */
  | 'feerate'
  /** An HTLC comes near its expiry, or another time is over. */
  | 'expiry'
  /** The funding output is not what was agreed on. */
  | 'funding'
  /** The peer proved that we lost data: **nothing of ours may be published**. */
  | 'dataLoss'
  /** Another commitment is on chain already. */
  | 'onChain'

/** One thing that a monitor must know from now on. */
export type MonitorUpdate =
  | { readonly kind: 'opened'; readonly terms: MonitorTerms }
  /**
   * A commitment that the peer may publish as soon as this step's messages leave: its current one, and the next until it
   * revoked the current. Their txid and outputs follow from `state` and `point`.
   */
  | {
      readonly kind: 'counterparty'
      /** As the peer sees it: "local" is the peer. */
      readonly state: CommitmentState
      /** The peer's per-commitment point of that number. */
      readonly point: Uint8Array
    }
  /** Our newest commitment with the peer's signatures: what is published if the channel fails from now on. */
  | {
      readonly kind: 'holder'
      readonly state: CommitmentState
      readonly signatures: CommitmentSignatures
    }
  /** The secret of our commitment leaves with this step: it **must never be published** from now on. */
  | { readonly kind: 'released'; readonly number: bigint }
  /** The peer revoked its commitment. The secret is also in the channel's `SignerState.secrets`. */
  | { readonly kind: 'revoked'; readonly number: bigint; readonly secret: Uint8Array }
  /** Whoever offered the HTLC: ours was fulfilled by the peer, or theirs may be claimed by us. */
  | {
      readonly kind: 'preimage'
      readonly htlc: HtlcKey
      readonly paymentHash: Uint8Array
      readonly preimage: Uint8Array
    }
  /** A closing transaction that we signed: any of them may confirm. Complete if the peer's signature is there too. */
  | { readonly kind: 'closing'; readonly transaction: Transaction; readonly isComplete: boolean }
  /**
   * The channel ends on chain. `publish` is our newest commitment, complete; absent where nothing of ours may be
   * published, or the peer's is there already.
   */
  | {
      readonly kind: 'failed'
      readonly cause: FailureCause
      readonly publish?: { readonly number: bigint; readonly transaction: Transaction }
    }
