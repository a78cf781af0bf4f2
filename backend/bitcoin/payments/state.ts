// What a node knows of its payments. Plain data. Held are those that are not over; the rest is in the store, see record.ts.
import type { Hex } from '../../../channel/bytes.js'
import type { PeerID } from '../../../peer/index.js'
import type { Failure, UnknownFailure } from '../onion/index.js'
import type { BlockDelta, BlockHeight, Msat } from '../units.js'
import { emptyTable, type Table } from './table.js'

/** Names a payment of ours: 32 bytes that its caller chose. */
export type PaymentID = Hex

/** All payments that are not over. */
export interface PaymentsState {
  /** Ours, by ID. */
  readonly outgoing: Table<OutgoingPayment>
  /** Which of ours has an HTLC of that payment hash, or wants one. */
  readonly paying: Table<PaymentID>
  /** To us, by payment hash: invoices, and what was paid without one. */
  readonly incoming: Table<IncomingPayment>
  /** Of ours, what was over a short time ago. Not part of the records: only whoever looks there meanwhile has to know. */
  readonly recent: Recent
}

/** Payments that left the state since `since` and in the time before that: by ID, and by the hash that they paid. */
export interface Recent {
  /** Milliseconds since 1970. */
  readonly since: number
  readonly young: Table<PaymentID>
  readonly old: Table<PaymentID>
}

/** What is to be paid. All of it is the content that an ID stands for. */
export type PayRequest = (
  | {
      /** An invoice of BOLT 11. */
      readonly kind: 'invoice'
      readonly invoice: string
      /** What the payee is to get: needed if the invoice names no amount, else from its amount to twice as much. */
      readonly amount?: Msat
    }
  | {
      /** Without having been asked: keysend. */
      readonly kind: 'spontaneous'
      readonly peer: PeerID
      /** Over that channel and no other. */
      readonly channel?: Hex
      readonly amount: Msat
    }
  | {
      /** A bare payment hash, whose preimage the peer can learn. */
      readonly kind: 'hash'
      readonly peer: PeerID
      /** Over that channel and no other. */
      readonly channel?: Hex
      /** 32 bytes. */
      readonly paymentHash: Hex
      readonly amount: Msat
      /** 32 bytes. Only with it a payment can have several parts. */
      readonly paymentSecret?: Hex
      readonly paymentMetadata?: Hex
      /** Blocks that the peer wants left. */
      readonly finalCltvExpiryDelta: BlockDelta
    }
) & {
  /** Milliseconds after which nothing more is tried. What is under way then may still be paid. */
  readonly timeout?: number
}

/** A payment of ours. */
export interface OutgoingPayment {
  readonly id: PaymentID
  readonly request: PayRequest
  readonly peer: PeerID
  /** 32 bytes. */
  readonly paymentHash: Hex
  /** What the payee is to get. */
  readonly amount: Msat
  readonly recipient: Recipient
  /** Milliseconds since 1970. */
  readonly since: number
  /** Those that may still be fulfilled. */
  readonly parts: readonly OutgoingPart[]
  /** How many parts there ever were: the next one's number. */
  readonly tried: number
  /** Channels that are not tried again. */
  readonly avoided: readonly Hex[]
  readonly status: OutgoingStatus
  /** Whether our user knows of the end. */
  readonly isAcknowledged: boolean
}

/** What the payee's onion says and what it asks for. */
export interface Recipient {
  readonly finalCltvExpiryDelta: BlockDelta
  /** Whether the payee takes several parts. */
  readonly takesParts: boolean
  readonly paymentSecret?: Uint8Array
  readonly paymentMetadata?: Uint8Array
  /** 32 bytes, of our choice, whose hash is the payment hash. */
  readonly keysendPreimage?: Uint8Array
}

/** One HTLC of a payment, or the wish for one. */
export interface OutgoingPart {
  readonly number: number
  readonly channelID: Hex
  /** Once the channel has made it an HTLC. */
  readonly htlcID?: bigint
  readonly amount: Msat
  readonly cltvExpiry: BlockHeight
  /** With each hop, to read its failure by. 32 bytes each. Secret. */
  readonly sharedSecrets: readonly Uint8Array[]
}

/** Where a payment of ours stands. */
export type OutgoingStatus =
  | {
      readonly kind: 'pending'
      /** Nothing more is tried: it has failed once no part is left, unless one is fulfilled. */
      readonly abandoned?: PaymentFailure
    }
  /** One part is enough: who has the preimage has been paid as much as it wanted. */
  | {
      readonly kind: 'succeeded'
      readonly preimage: Uint8Array
      /** Of all parts but those that failed. */
      readonly sent: Msat
      /** What others than the payee got of it. */
      readonly fee: Msat
      /** Milliseconds since 1970. */
      readonly at: number
      /** As far as hops told it, in units of 100 ms. */
      readonly holdTimes: readonly number[]
    }
  /** No part is left, and none was fulfilled: for good. */
  | { readonly kind: 'failed'; readonly failure: PaymentFailure; readonly at: number }

/** Why a payment of ours came to nothing. */
export type PaymentFailure =
  /** A hop said so. */
  | {
      readonly kind: 'rejected'
      /** Which: 0 for the peer. */
      readonly hop: number
      readonly node: PeerID
      /** With its flags. */
      readonly code: number
      readonly failure: Failure | UnknownFailure
      /** In units of 100 ms, of each hop that told it. */
      readonly holdTimes: readonly number[]
    }
  /** The peer could not read the onion, and says how. */
  | { readonly kind: 'malformed'; readonly code: number }
  /** Nobody can say who failed it or why. */
  | { readonly kind: 'unreadable' }
  /** No channel of ours takes it. */
  | { readonly kind: 'noChannel'; readonly rule: string }
  /** It was on chain, and nobody claimed it there in time. */
  | { readonly kind: 'timedOutOnChain' }
  /** Its own timeout went by. */
  | { readonly kind: 'timedOut' }
  /** Our user had enough. */
  | { readonly kind: 'abandoned' }

/** What an invoice of ours says. */
export interface InvoiceTerms {
  /** The least that is taken, and half of the most. */
  readonly amount?: Msat
  /** Milliseconds since 1970. */
  readonly expiresAt: number
  readonly minFinalCltvExpiryDelta: BlockDelta
  /** As it was handed out. */
  readonly text: string
}

/** A payment to us, begun or awaited. */
export interface IncomingPayment {
  /** 32 bytes. */
  readonly paymentHash: Hex
  /** Absent if it was not asked for. */
  readonly invoice?: InvoiceTerms
  /** What every part of it must say: 32 bytes. Without one it has a single part. Secret. */
  readonly paymentSecret?: Uint8Array
  /** 32 bytes. Absent as long as only our user has it. */
  readonly preimage?: Uint8Array
  /** Whether our user decides when all of it is there. */
  readonly isHeld: boolean
  /** Milliseconds since 1970. */
  readonly since: number
  /** HTLCs of it that were taken and are not gone. What was failed is none of its parts any more. */
  readonly parts: readonly IncomingPart[]
  /** What its parts are to be together, as the payer says in each. */
  readonly total?: Msat
  readonly status: IncomingStatus
  /** Whether our user knows of the end. */
  readonly isAcknowledged: boolean
}

/** One HTLC of a payment to us. */
export interface IncomingPart {
  readonly channelID: Hex
  readonly htlcID: bigint
  readonly amount: Msat
  /** What the payer meant it to be: no more than `amount`. */
  readonly intended: Msat
  readonly cltvExpiry: BlockHeight
  /** With the payer, to say a failure or the hold time by. Secret. */
  readonly sharedSecret: Uint8Array
  /** When it was locked, in milliseconds since 1970. */
  readonly since: number
}

/** Where a payment to us stands. */
export type IncomingStatus =
  /** Not all of it is there. */
  | { readonly kind: 'awaited' }
  /** All of it is there, and our user decides. */
  | {
      readonly kind: 'held'
      /** From this height on it is cancelled. */
      readonly deadline: BlockHeight
    }
  /** It is ours: the preimage was given to the channels of all parts at once. */
  | {
      readonly kind: 'claimed'
      readonly received: Msat
      /** Of that, what the payer took back on chain because we were too late. */
      readonly lost: Msat
      readonly at: number
    }
  /** Nothing is taken for it any more. */
  | { readonly kind: 'cancelled'; readonly reason: CancelReason; readonly at: number }

/** Why a payment to us is not taken any more. */
export type CancelReason =
  /** Our user said so. */
  | 'command'
  /** The invoice's time is over. */
  | 'expired'
  /** Its HTLCs come near their expiry. */
  | 'deadline'
  /** A part is gone for good: the payer has it back on chain. */
  | 'onChain'

/** A node that never paid. */
export const NO_PAYMENTS: PaymentsState = {
  outgoing: emptyTable(),
  paying: emptyTable(),
  incoming: emptyTable(),
  recent: { since: 0, young: emptyTable(), old: emptyTable() },
}
