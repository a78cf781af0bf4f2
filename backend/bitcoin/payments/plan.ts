// What a request to pay comes to, before anything is sent: who gets how much for which hash, or why nobody does.
import { faultOfNames, type NamesOf } from '../../../channel/arguments.js'
import { fromHex, type Hex, isHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { isPeerID, type PeerID } from '../../../peer/index.js'
import { MAX_EXPIRY_DISTANCE } from '../channel/policy.js'
import { offers } from '../features.js'
import { decodeInvoice, expiresAt, type Invoice } from '../invoice/index.js'
import { buildOnion, encodePayload, type Onion, type OnionRequest } from '../onion/index.js'
import { sha256 } from '../script/index.js'
import { type BlockDelta, type BlockHeight, blockHeight, type Msat, msat } from '../units.js'
import type { PaymentsContext } from './input.js'
import { TRANSIT_BLOCKS } from './policy.js'
import { freshBytes } from './secrets.js'
import type { OutgoingPayment, PayRequest, Recipient } from './state.js'

/** A request that can be tried. */
export type Plan = Pick<OutgoingPayment, 'peer' | 'paymentHash' | 'amount' | 'recipient'>

/**
 * Reads a request.
 *
 * @param request in the right form, see {@link faultOfForm}
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_MESSAGE, TOO_LARGE for what is no such amount, peer or invoice;
 *   PAYMENT_REFUSED for what must not be paid, or not by us
 */
export function planOf(request: PayRequest, context: PaymentsContext): Plan {
  const plan = request.kind === 'invoice' ? planOfInvoice(request, context) : directPlan(request, context)
  if (plan.peer === context.node.id) throw refusal('it would pay ourselves')
  if (plan.recipient.finalCltvExpiryDelta + TRANSIT_BLOCKS > MAX_EXPIRY_DISTANCE)
    throw refusal(`the payee asks for ${plan.recipient.finalCltvExpiryDelta} blocks`)
  return plan
}

/** When the last HTLC of a payment expires that is begun now. */
export function expiryOf(finalCltvExpiryDelta: BlockDelta, { height }: PaymentsContext): BlockHeight {
  return blockHeight(height + finalCltvExpiryDelta + TRANSIT_BLOCKS)
}

/**
 * The onion of one part.
 *
 * @param part its session key is of this part alone
 * @throws PerkunasError TOO_LARGE if the payee wants more metadata back than there is room for
 */
export function onionOf(
  { peer, paymentHash, amount: totalMsat, recipient }: Plan,
  {
    amount: amtToForward,
    cltvExpiry: outgoingCltvValue,
    ...session
  }: { readonly amount: Msat; readonly cltvExpiry: BlockHeight } & Pick<
    OnionRequest,
    'sessionKey' | 'agreement'
  >,
): Onion {
  const { paymentSecret, paymentMetadata, keysendPreimage } = recipient
  const payload = encodePayload({
    amtToForward,
    outgoingCltvValue,
    ...(paymentSecret && { paymentData: { paymentSecret, totalMsat } }),
    ...(paymentMetadata && { paymentMetadata }),
    ...(keysendPreimage && { keysendPreimage }),
  })
  return buildOnion({
    ...session,
    hops: [{ publicKey: fromHex(peer), payload }],
    associatedData: fromHex(paymentHash),
  })
}

/** Whether two requests are for the same. */
export function isSameRequest(a: PayRequest, b: PayRequest): boolean {
  const [left, right] = [contentOf(a), contentOf(b)]
  return (
    left.length === right.length &&
    left.every(([name, value], i) => {
      const other = right[i]
      return other !== undefined && other[0] === name && other[1] === value
    })
  )
}

/** What a request consists of, in order. */
function contentOf(request: PayRequest): readonly (readonly [string, unknown])[] {
  return Object.entries(request)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}

const NAMES: { readonly [K in PayRequest['kind']]: NamesOf<Extract<PayRequest, { readonly kind: K }>> } = {
  invoice: { kind: true, invoice: true, amount: true, timeout: true },
  spontaneous: { kind: true, peer: true, channel: true, amount: true, timeout: true },
  hash: {
    kind: true,
    peer: true,
    channel: true,
    paymentHash: true,
    amount: true,
    paymentSecret: true,
    paymentMetadata: true,
    finalCltvExpiryDelta: true,
    timeout: true,
  },
}

/**
 * Why something is no request in the first place. Whatever else is asked about a request, this is asked before: what could
 * not be written would stop the node when it is.
 */
export function faultOfForm(request: PayRequest): PerkunasError<'INVALID_ARGUMENT'> | undefined {
  if (typeof request !== 'object' || request === null) return argument('request', 'an object expected')
  if (!Object.hasOwn(NAMES, request.kind)) return argument('request', 'an unknown kind of request')
  const unknown = faultOfNames(request, NAMES[request.kind], 'request')
  if (unknown !== undefined) return unknown
  const { timeout } = request
  if (timeout !== undefined && !(Number.isSafeInteger(timeout) && timeout >= 0))
    return argument('timeout', 'milliseconds expected')
  const { amount }: { readonly amount?: unknown } = request
  if (amount !== undefined && typeof amount !== 'bigint')
    return argument('amount', `bigint expected, got ${typeof amount}`)
  if (request.kind === 'invoice')
    return typeof request.invoice === 'string' ? undefined : argument('invoice', 'text expected')
  return request.channel === undefined || isHex(request.channel, 32)
    ? undefined
    : argument('channel', '32 bytes as hex expected')
}

function planOfInvoice(request: PayRequest & { readonly kind: 'invoice' }, context: PaymentsContext): Plan {
  const invoice = decodeInvoice(request.invoice)
  const { currency, now } = context
  if (invoice.currency !== currency)
    throw refusal(`the invoice is for ${invoice.currency}, our chain is ${currency}`)
  if (BigInt(Math.floor(now / 1000)) >= expiresAt(invoice)) throw refusal('the invoice has expired')
  const { paymentSecret, metadata } = invoice
  return {
    peer: invoice.payee,
    paymentHash: toHex(invoice.paymentHash),
    amount: amountOf(invoice, request.amount),
    recipient: {
      finalCltvExpiryDelta: invoice.minFinalCltvExpiryDelta,
      takesParts: offers(invoice.features, 'basic_mpp'),
      paymentSecret,
      ...(metadata && { paymentMetadata: metadata }),
    },
  }
}

// Who pays less gets nothing for it, who pays more than twice as much is refused (BOLT 4, "Failure Messages").
function amountOf({ amount: asked }: Invoice, chosen: Msat | undefined): Msat {
  if (asked === undefined) {
    if (chosen === undefined) throw refusal('the invoice names no amount, and none was chosen')
    return checkedAmount(chosen)
  }
  if (chosen === undefined) return asked
  if (chosen < asked) throw refusal(`the invoice is for ${asked} msat, ${chosen} were chosen`)
  if (chosen > 2n * asked)
    throw refusal(`the invoice is for ${asked} msat, ${chosen} are more than twice that`)
  return checkedAmount(chosen)
}

function directPlan(
  request: Exclude<PayRequest, { readonly kind: 'invoice' }>,
  context: PaymentsContext,
): Plan {
  const { peer } = request
  const amount = checkedAmount(request.amount)
  // Whoever has a channel is a peer; to look whether an ID is a point takes longer.
  if (context.channels(peer).length === 0 && !isPeerID(peer)) throw argument('peer', 'a peer ID expected')
  if (request.kind === 'spontaneous') {
    const keysendPreimage = freshBytes(context.entropy, 'preimage')
    const finalCltvExpiryDelta = context.policy.minFinalCltvExpiryDelta
    const recipient = { finalCltvExpiryDelta, takesParts: false, keysendPreimage }
    return { peer, paymentHash: toHex(sha256(keysendPreimage)), amount, recipient }
  }
  const { paymentHash, paymentSecret, paymentMetadata, finalCltvExpiryDelta } = request
  if (!isHex(paymentHash, 32)) throw argument('paymentHash', '32 bytes expected')
  if (!Number.isInteger(finalCltvExpiryDelta) || finalCltvExpiryDelta < 0)
    throw argument('finalCltvExpiryDelta', 'blocks expected')
  const recipient: Recipient = {
    finalCltvExpiryDelta,
    takesParts: paymentSecret !== undefined,
    ...(paymentSecret !== undefined && { paymentSecret: sized(paymentSecret, 'paymentSecret', 32) }),
    ...(paymentMetadata !== undefined && { paymentMetadata: sized(paymentMetadata, 'paymentMetadata') }),
  }
  return { peer, paymentHash, amount, recipient }
}

function checkedAmount(amount: Msat): Msat {
  if (msat(amount) === 0n) throw argument('amount', 'msat above zero expected')
  return amount
}

function sized(value: Hex, name: string, length?: number): Uint8Array {
  if (!isHex(value, length)) throw argument(name, 'bytes as hex expected')
  return fromHex(value)
}

/** Something that must not be paid. */
export function refusal(rule: string): PerkunasError<'PAYMENT_REFUSED'> {
  return new PerkunasError('PAYMENT_REFUSED', `the payment can't be made: ${rule}`, { rule })
}

/** Something that can't be right. */
export function argument(name: string, message: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${name}: ${message}`, { argument: name })
}

/** Whose node a payment's hops are: the peer alone. */
export function routeOf({ peer }: Pick<OutgoingPayment, 'peer'>): readonly PeerID[] {
  return [peer]
}
