// Payments of ours for tests: an invoice, a request by hash, and how they are begun and answered.
import { featuresFor } from '../../../../backend/bitcoin/features.js'
import { createInvoice, encodeInvoice, type NewInvoice } from '../../../../backend/bitcoin/invoice/index.js'
import {
  createFailure,
  decodePayload,
  encodeFailure,
  type Failure,
  peelOnion,
  sharedSecretWith,
} from '../../../../backend/bitcoin/onion/index.js'
import type { PayRequest } from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockDelta, blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'
import { type Add, bytes32, Desk, hex32, PEER, SECRETS, START } from './desk.js'

/** Of what is paid. */
export const PREIMAGE = bytes32(0x9e)
/** Of {@link PREIMAGE}. */
export const HASH = toHex(sha256(PREIMAGE))
/** Of the payment. */
export const ID = hex32(1)
/** What a payee says who knows no such payment. */
export const DETAILS: Failure = {
  kind: 'incorrect_or_unknown_payment_details',
  htlcMsat: msat(1000n),
  height: blockHeight(100),
}

/** Of the peer, unless `secret` is of another one. */
export function invoice(given: Partial<NewInvoice> = {}, secret = SECRETS.peer): string {
  return encodeInvoice(
    createInvoice(
      {
        currency: 'bcrt',
        amount: msat(1000n),
        timestamp: START / 1000,
        paymentHash: sha256(PREIMAGE),
        paymentSecret: bytes32(0x5ec),
        description: { kind: 'text', text: 'a cup of tea' },
        features: featuresFor('invoice', {
          payment_secret: 'required',
          var_onion_optin: 'required',
          basic_mpp: 'optional',
        }),
        ...given,
      },
      (digest) => secp256k1.sign(digest, secret),
    ),
  )
}

export type ByHash = PayRequest & { readonly kind: 'hash' }

/** A request by hash. */
export function byHash(more: Partial<ByHash> = {}): ByHash {
  return {
    kind: 'hash',
    peer: PEER,
    paymentHash: HASH,
    amount: msat(1000n),
    finalCltvExpiryDelta: blockDelta(18),
    ...more,
  }
}

/** Begins a payment over channels that carry so much each. */
export function start(
  request: PayRequest = byHash({ paymentSecret: hex32(0x5ec) }),
  channels: readonly bigint[] = [5000n],
) {
  const desk = new Desk()
  for (const [n, most] of channels.entries()) desk.channel(n, most)
  const effects = desk.give({ kind: 'pay', id: ID, request })
  return { desk, effects }
}

/** Begins, and makes all parts HTLCs. */
export function offered(request?: PayRequest, channels?: readonly bigint[]) {
  const { desk } = start(request, channels)
  const htlcs = desk.adds().map((add, i) => ({ channelID: add.channelID, htlc: desk.added(add, BigInt(i)) }))
  return { desk, htlcs, first: htlcs[0] ?? fail() }
}

/** A test that is not as it was meant. */
export function fail(): never {
  throw new Error('no HTLC')
}

/** What the peer reads in the onion of a part. */
export function payloadOf({ onion, paymentHash }: Add) {
  const peeled = peelOnion({
    packet: onion,
    sharedSecret: sharedSecretWith(SECRETS.peer),
    associatedData: paymentHash,
  })
  if (peeled.kind !== 'final') throw new Error(peeled.kind)
  return { payload: decodePayload(peeled.payload), sharedSecret: peeled.sharedSecret }
}

/** How the peer fails a part. */
export function failed(add: Add, failure: Failure) {
  const { packet: reason } = createFailure(payloadOf(add), encodeFailure(failure))
  return { kind: 'fail' as const, reason }
}

/** The n-th HTLC that is wanted. */
export function add(desk: Desk, n = 0): Add {
  return desk.adds()[n] ?? fail()
}
