// What our side of a channel with LDK knows of payments: invoices of its own, what it has sent, what it answers.
import { createHash, randomBytes } from 'node:crypto'
import type { ChannelInput, OpenHtlc } from '../../../backend/bitcoin/channel/index.js'
import { featuresFor } from '../../../backend/bitcoin/features.js'
import { createInvoice, decodeInvoice, encodeInvoice } from '../../../backend/bitcoin/invoice/index.js'
import {
  buildOnion,
  createFailure,
  decodeFailure,
  encodeFailure,
  encodePayload,
  openFailure,
  type Payload,
  peelOnion,
  readInstruction,
  sharedSecretWith,
} from '../../../backend/bitcoin/onion/index.js'
import { blockHeight, type Msat, msat } from '../../../backend/bitcoin/units.js'
import { equalBytes, fromHex, type Hex, toHex } from '../../../channel/index.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { OURS } from './line.js'

/** What is paid: an invoice of LDK's, or millisatoshis without one. */
export type PaymentTerms = { readonly invoice: string } | { readonly keysend: bigint }

type Intent = Extract<ChannelInput, { kind: 'want' }>['intent']

/** Blocks that a payment of ours has beyond the least that its recipient wants. */
const SLACK = 6

/** See above. */
export class Purse {
  readonly #secret: Uint8Array
  readonly #preimages = new Map<Hex, Uint8Array>()
  /** Secrets of each packet that we sent. */
  readonly #sent = new Map<string, readonly Uint8Array[]>()

  /** @param secret of the node that is paid and pays */
  constructor(secret: Uint8Array) {
    this.#secret = secret
  }

  /** An invoice that LDK can pay. */
  invoice(amount: bigint): string {
    const preimage = Uint8Array.from(randomBytes(32))
    this.#preimages.set(toHex(hashOf(preimage)), preimage)
    const invoice = createInvoice(
      {
        currency: 'bcrt',
        amount: msat(amount),
        timestamp: Math.floor(Date.now() / 1000),
        paymentHash: hashOf(preimage),
        paymentSecret: Uint8Array.from(randomBytes(32)),
        description: { kind: 'text', text: 'test' },
        features: featuresFor('invoice', OURS),
      },
      (digest) => secp256k1.sign(digest, this.#secret),
    )
    return encodeInvoice(invoice)
  }

  /** The HTLC that pays somebody, at that height. */
  offer(to: Hex, terms: PaymentTerms, height: number): Extract<Intent, { kind: 'add' }> {
    if ('invoice' in terms) {
      const invoice = decodeInvoice(terms.invoice)
      const { paymentHash, paymentSecret, amount } = invoice
      if (amount === undefined || invoice.payee !== to) throw new Error('not an invoice to pay')
      const least = height + invoice.minFinalCltvExpiryDelta
      const payload = { paymentData: { paymentSecret, totalMsat: amount } }
      return this.#add(to, { paymentHash, amount, least }, payload)
    }
    const keysendPreimage = Uint8Array.from(randomBytes(32))
    const paymentHash = hashOf(keysendPreimage)
    const amount = msat(terms.keysend)
    return this.#add(to, { paymentHash, amount, least: height + 40 }, { keysendPreimage })
  }

  /** What is done about a payment that is here. @throws Error if its onion is not one for us */
  answer(htlc: OpenHtlc, how: 'claim' | 'fail', height: number): Extract<Intent, { kind: 'remove' }> {
    if (htlc.onion === undefined) throw new Error('an HTLC without its onion')
    const sharedSecret = sharedSecretWith(this.#secret)
    const peeled = peelOnion({ packet: htlc.onion, sharedSecret, associatedData: htlc.paymentHash })
    if (peeled.kind !== 'final') throw new Error(`the onion is ${peeled.kind}`)
    const told = readInstruction(peeled.payload, { final: true })
    if (told.kind !== 'receive') throw new Error(`the payload is ${told.kind}`)
    if (told.amtToForward !== htlc.amount || told.outgoingCltvValue > htlc.cltvExpiry)
      throw new Error('the payload is not about this HTLC')
    const preimage = told.keysendPreimage ?? this.#preimages.get(toHex(htlc.paymentHash))
    const { id } = htlc
    if (how === 'claim' && preimage !== undefined && equalBytes(hashOf(preimage), htlc.paymentHash))
      return { kind: 'remove', id, removal: { kind: 'fulfill', preimage } }
    const failure = encodeFailure({
      kind: 'incorrect_or_unknown_payment_details',
      htlcMsat: htlc.amount,
      height: blockHeight(height),
    })
    const { packet: reason } = createFailure({ sharedSecret: peeled.sharedSecret }, failure)
    return { kind: 'remove', id, removal: { kind: 'fail', reason } }
  }

  /** Why a payment of ours failed. */
  failureOf(
    { paymentHash }: OpenHtlc,
    removal: { readonly kind: string; readonly reason?: Uint8Array },
  ): string {
    if (removal.reason === undefined) return removal.kind
    const secrets = this.#sent.get(toHex(paymentHash)) ?? []
    const { failure } = openFailure(secrets, { packet: removal.reason })
    return (failure && decodeFailure(failure.message)?.failure.kind) ?? 'unreadable'
  }

  #add(
    to: Hex,
    htlc: { readonly paymentHash: Uint8Array; readonly amount: Msat; readonly least: number },
    payload: Payload,
  ): Extract<Intent, { kind: 'add' }> {
    const { paymentHash, amount, least } = htlc
    const cltvExpiry = blockHeight(least + SLACK)
    const { packet, sharedSecrets } = buildOnion({
      sessionKey: createSessionKey(),
      hops: [
        {
          publicKey: fromHex(to),
          payload: encodePayload({ amtToForward: amount, outgoingCltvValue: cltvExpiry, ...payload }),
        },
      ],
      associatedData: paymentHash,
    })
    const reference = toHex(paymentHash)
    this.#sent.set(reference, sharedSecrets)
    return { kind: 'add', reference, amount, paymentHash, cltvExpiry, onion: packet }
  }
}

function hashOf(preimage: Uint8Array): Uint8Array {
  return Uint8Array.from(createHash('sha256').update(preimage).digest())
}

function createSessionKey(): Uint8Array {
  for (;;) {
    const key = Uint8Array.from(randomBytes(32))
    if (secp256k1.isSecret(key)) return key
  }
}
