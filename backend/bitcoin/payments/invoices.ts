// Invoices of ours (BOLT 11): stored before they are handed out, so that what is paid on one is known.
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { fromHex, type Hex, isHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { MAX_EXPIRY_DISTANCE } from '../channel/policy.js'
import { featuresFor } from '../features.js'
import { createInvoice, encodeInvoice } from '../invoice/index.js'
import { sha256 } from '../script/index.js'
import type { InvoiceRequest, PaymentsContext } from './input.js'
import { argument, refusal } from './plan.js'
import { MIN_FINAL_CLTV_EXPIRY_DELTA } from './policy.js'
import { freshBytes } from './secrets.js'
import type { IncomingPayment, PaymentsState } from './state.js'
import { type PaymentsStep, refused, to } from './step.js'
import { lookUp, put } from './table.js'

const REQUEST_NAMES: NamesOf<InvoiceRequest> = {
  amount: true,
  description: true,
  expiry: true,
  minFinalCltvExpiryDelta: true,
  preimage: true,
  paymentHash: true,
  isHeld: true,
  paymentMetadata: true,
  fallbacks: true,
  routes: true,
}

/** Makes an invoice and awaits its payment. */
export function invoiceCreated(
  state: PaymentsState,
  { request, isPast = false }: { readonly request: InvoiceRequest; readonly isPast?: boolean },
  context: PaymentsContext,
): PaymentsStep {
  try {
    const payment = invoiced(request, context)
    const { paymentHash } = payment
    const isTaken = isPast || lookUp(state.incoming, paymentHash) !== undefined
    if (isTaken || lookUp(state.paying, paymentHash) !== undefined) {
      const text = `payment ${paymentHash}: the payment hash is used`
      return refused(state, new PerkunasError('PAYMENT_EXISTS', text, { payment: paymentHash }))
    }
    if (state.incoming.size >= context.policy.maxOpen.incoming)
      return refused(state, refusal('too many payments are awaited'))
    const incoming = put(state.incoming, paymentHash, payment)
    return to({ ...state, incoming }, [{ kind: 'answer', payment }])
  } catch (error) {
    if (error instanceof PerkunasError) return refused(state, error)
    throw error
  }
}

function invoiced(request: InvoiceRequest, context: PaymentsContext): IncomingPayment {
  demandNames(request, REQUEST_NAMES, 'request')
  const { entropy, policy, now, node, currency } = context
  const { amount, description, expiry = policy.invoiceExpiry, paymentMetadata } = request
  const { minFinalCltvExpiryDelta = policy.minFinalCltvExpiryDelta, fallbacks, routes } = request
  const isDelta =
    Number.isInteger(minFinalCltvExpiryDelta) &&
    minFinalCltvExpiryDelta >= MIN_FINAL_CLTV_EXPIRY_DELTA &&
    minFinalCltvExpiryDelta <= MAX_EXPIRY_DISTANCE
  if (!isDelta)
    throw argument(
      'minFinalCltvExpiryDelta',
      `${MIN_FINAL_CLTV_EXPIRY_DELTA} to ${MAX_EXPIRY_DISTANCE} expected, got ${minFinalCltvExpiryDelta}`,
    )
  if (!Number.isSafeInteger(expiry) || expiry <= 0 || expiry > MAX_EXPIRY)
    throw argument('expiry', `1 to ${MAX_EXPIRY} seconds expected, got ${expiry}`)
  const { paymentHash, preimage } = lockOf(request, entropy)
  const paymentSecret = freshBytes(entropy, 'secret')
  const timestamp = Math.floor(now / 1000)
  const invoice = createInvoice(
    {
      currency,
      ...(amount !== undefined && { amount }),
      timestamp,
      paymentHash: fromHex(paymentHash),
      paymentSecret,
      description,
      expiry: BigInt(expiry),
      minFinalCltvExpiryDelta,
      ...(paymentMetadata !== undefined && { metadata: paymentMetadata }),
      ...(fallbacks !== undefined && { fallbacks }),
      ...(routes !== undefined && { routes }),
      features: featuresFor('invoice', {
        var_onion_optin: 'required',
        payment_secret: 'required',
        basic_mpp: 'optional',
        ...(paymentMetadata && { option_payment_metadata: 'required' }),
        ...(policy.attribution && { option_attribution_data: 'optional' }),
      }),
    },
    (digest) => node.sign(digest),
  )
  return {
    paymentHash,
    invoice: {
      ...(amount !== undefined && { amount }),
      expiresAt: (timestamp + expiry) * 1000,
      minFinalCltvExpiryDelta,
      text: encodeInvoice(invoice),
    },
    paymentSecret,
    ...(preimage && { preimage }),
    isHeld: request.isHeld === true || preimage === undefined,
    since: now,
    parts: [],
    status: { kind: 'awaited' },
    isAcknowledged: false,
  }
}

/** A hundred years, so that every time of an invoice is a number. */
const MAX_EXPIRY = 100 * 366 * 24 * 3600

function lockOf(
  { preimage, paymentHash, isHeld }: InvoiceRequest,
  entropy: Uint8Array,
): { readonly paymentHash: Hex; readonly preimage?: Uint8Array } {
  if (paymentHash !== undefined) {
    if (preimage !== undefined) throw argument('paymentHash', 'either it or its preimage expected')
    if (!isHex(paymentHash, 32)) throw argument('paymentHash', '32 bytes as hex expected')
    if (isHeld === false) throw argument('isHeld', 'without a preimage the payment has to be held')
    return { paymentHash }
  }
  const chosen = preimage ?? freshBytes(entropy, 'preimage')
  if (!(chosen instanceof Uint8Array) || chosen.length !== 32) throw argument('preimage', '32 bytes expected')
  return { paymentHash: toHex(sha256(chosen)), preimage: Uint8Array.from(chosen) }
}
