// Everything that can happen to payments, and what a step knows of the world.
import type { Hex } from '../../../channel/bytes.js'
import type { PeerID } from '../../../peer/index.js'
import type { RecoverableSignature } from '../../../wallet/secp256k1.js'
import type { Handoff } from '../channel/index.js'
import type { Currency, Description, Fallback, RoutingHop } from '../invoice/index.js'
import type { HtlcKey } from '../monitor/record.js'
import type { SharedSecret } from '../onion/index.js'
import type { BlockDelta, BlockHeight, Msat } from '../units.js'
import type { PaymentsPolicy } from './policy.js'
import type { Session } from './sessions.js'
import type { OutgoingPayment, PaymentID, PayRequest } from './state.js'

/** What a step knows of the world. */
export interface PaymentsContext {
  /** Milliseconds since 1970. */
  readonly now: number
  readonly height: BlockHeight
  /** Whether the chain is known up to now. If not, HTLCs may have expired: then nothing is taken. */
  readonly isSynced: boolean
  /** Whether it is not for a few blocks only, which are on their way: then what comes may wait for them. */
  readonly isCatchingUp: boolean
  /** 32 random bytes, other ones for each step. Secret. */
  readonly entropy: Uint8Array
  readonly policy: PaymentsPolicy
  /** Of the chain that the channels are on. */
  readonly currency: Currency
  readonly node: NodeKeys
  /**
   * Whether what comes over a channel may be relied on. Who funded it may have taken its coins back, if no block has the funding
   * any more: then a preimage would be given for nothing.
   */
  isReliable(channelID: Hex): boolean
  /** Whether the store has a payment to us of that hash whose record can't be read: nothing may be written in its place. */
  isUnreadable(paymentHash: Hex): boolean
  /** Those of that peer that HTLCs can be added to now. */
  channels(peer: PeerID): readonly PayableChannel[]
  /** A secret for an onion whose first hop is that peer, if one was made ahead: another one each time. */
  session?(peer: PeerID): Session | undefined
}

/** What payments need of the node's key. */
export interface NodeKeys {
  readonly id: PeerID
  readonly sharedSecret: SharedSecret
  /** By the node's key, over a digest of 32 bytes. */
  sign(digest: Uint8Array): RecoverableSignature
}

/** A channel that HTLCs can be added to. See `payableChannel`. */
export interface PayableChannel {
  /** 32 bytes by which the node knows it, and no other channel: the same in all inputs and effects. */
  readonly channelID: Hex
  /** The peer's `htlc_minimum_msat`. */
  readonly minimum: Msat
  /** The most that one HTLC can carry now, beside all that is wanted already. */
  spendable(): Msat
}

/** What an invoice is to say. */
export interface InvoiceRequest {
  /** Nothing: the payer chooses. */
  readonly amount?: Msat
  readonly description: Description
  /** Seconds that it is good for. */
  readonly expiry?: number
  readonly minFinalCltvExpiryDelta?: BlockDelta
  /** 32 bytes. Without it and without `paymentHash`, a random one. */
  readonly preimage?: Uint8Array
  /** Of a preimage that our user keeps until it releases the payment. Then the payment is held. */
  readonly paymentHash?: Hex
  /** Whether our user decides when all of it is there. */
  readonly isHeld?: boolean
  readonly paymentMetadata?: Uint8Array
  readonly fallbacks?: readonly Fallback[]
  readonly routes?: readonly (readonly RoutingHop[])[]
}

/** An input. */
export type PaymentsInput =
  // Commands: answered by the effect `answer` or `refuse` of the same step.
  /** Pays; or, if the ID is known with the same content, tells how it stands. */
  | {
      readonly kind: 'pay'
      /** 32 bytes. */
      readonly id: PaymentID
      readonly request: PayRequest
      /** What the store has of payments that are over: see `pastPayments`. */
      readonly past?: PastPayments
    }
  /** Tries nothing more for a payment of ours. What is under way may still be paid. */
  | { readonly kind: 'abandon'; readonly id: PaymentID }
  /** Makes an invoice. It is handed out with the answer, when it is durable. */
  | {
      readonly kind: 'createInvoice'
      readonly request: InvoiceRequest
      /** If the payment hash is not a new one: whether the store has a payment of it that is over. */
      readonly isPast?: boolean
    }
  /** Takes a held payment. */
  | { readonly kind: 'release'; readonly paymentHash: Hex; readonly preimage?: Uint8Array }
  /** Takes an invoice back, or gives a held payment back. */
  | { readonly kind: 'cancel'; readonly paymentHash: Hex }
  /** Our user knows of the end of a payment: of ours by its ID, to us by its payment hash. */
  | { readonly kind: 'acknowledge'; readonly of: 'outgoing' | 'incoming'; readonly key: Hex }

  // From channels, in the same commit as their step.
  /** Each handoff, in its order. */
  | { readonly kind: 'handed'; readonly channelID: Hex; readonly handoff: Handoff }

  // From the chain, in the same commit as the monitor's step.
  /** The preimage of what we offered was seen: at any depth, for it is true whatever the chain does. */
  | {
      readonly kind: 'learned'
      readonly channelID: Hex
      readonly htlc: HtlcKey
      readonly preimage: Uint8Array
    }
  /**
   * An HTLC of a channel that is closed is over for good, six blocks deep: its money is with who offered it (timed out, or
   * in no commitment on chain) or with who received it. The preimage is `learned` before.
   */
  | {
      readonly kind: 'resolved'
      readonly channelID: Hex
      readonly htlc: HtlcKey
      readonly to: 'offerer' | 'receiver'
    }

  // Time
  /** `context.height` has changed, or the chain is known up to now again. */
  | { readonly kind: 'block' }
  /** Some seconds went by: for all that waits for a time. */
  | { readonly kind: 'tick' }
  /** The first input after a restart: what our user does not know is told again. */
  | { readonly kind: 'resumed' }

/** What the store has of payments that are over. */
export interface PastPayments {
  /** When the store was asked, by the same clock as `PaymentsContext.now`. */
  readonly at: number
  /** With that ID. */
  readonly payment?: OutgoingPayment
  /** The payment of ours that has paid that payment hash. */
  readonly paidBy?: PaymentID
}
