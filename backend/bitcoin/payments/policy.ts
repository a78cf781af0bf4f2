// What we ask of payments: every figure that is ours to choose, with its default, and the bounds that are not.
import { demandNames } from '../../../channel/arguments.js'
import { chosen, isAmount, isCount, isOneOf } from '../figures.js'
import { type BlockDelta, blockDelta, type Msat, msat } from '../units.js'

/** Choices of a node, the same for all its payments. */
export interface PaymentsPolicy {
  /** HTLCs that one payment of ours may have at a time, {@link MAX_PARTS} at most. */
  readonly maxParts: number
  /** Payments of ours that are under way at a time, and invoices of ours that wait for theirs. */
  readonly maxOpen: { readonly outgoing: number; readonly incoming: number }
  /** Seconds that an invoice is good for if nobody says otherwise. */
  readonly invoiceExpiry: number
  /** Blocks that a payer leaves us if nobody says otherwise; no less than {@link MIN_FINAL_CLTV_EXPIRY_DELTA}. */
  readonly minFinalCltvExpiryDelta: BlockDelta
  /** What becomes of payments that nobody asked for: keysend. */
  readonly spontaneous: 'accept' | 'hold' | 'refuse'
  /** What becomes of HTLCs of which we know neither an invoice nor a preimage: held, so that our user finds it. */
  readonly unknown: 'hold' | 'refuse'
  /** The smallest of what nobody asked for. */
  readonly spontaneousMinimum: Msat
  /** Whether we tell payers how long we held an HTLC: to be as `option_attribution_data` is shown to peers. */
  readonly attribution: boolean
}

/** The defaults. */
export const PAYMENTS_POLICY: PaymentsPolicy = {
  maxParts: 16,
  maxOpen: { outgoing: 10_000, incoming: 100_000 },
  invoiceExpiry: 3600,
  minFinalCltvExpiryDelta: blockDelta(42),
  spontaneous: 'accept',
  unknown: 'refuse',
  spontaneousMinimum: msat(1n),
  attribution: false,
}

/** Blocks before the expiry of an HTLC to us from which on it is not claimed any more, but failed. */
export const FAIL_BACK_BUFFER: BlockDelta = blockDelta(39)
/** Blocks that may come while an HTLC is on its way: a payer adds them, a payee forgives them as far as it has the time. */
export const TRANSIT_BLOCKS: BlockDelta = blockDelta(3)
/** The least that an invoice of ours asks for: a payment that comes in time can be claimed in time. */
export const MIN_FINAL_CLTV_EXPIRY_DELTA: BlockDelta = blockDelta(FAIL_BACK_BUFFER + TRANSIT_BLOCKS)
/** Milliseconds after which nobody knows whether what the store said of past payments is still all. */
export const PAST_TIMEOUT = 60_000
/** Milliseconds from the first part of a payment in which the others must come. @see BOLT 4, "Basic Multi-Part Payments" */
export const MPP_TIMEOUT = 60_000

/**
 * HTLCs of one payment at a time, in either direction: as many as one channel carries, and a quarter of what its record has room
 * for. What comes beyond that is failed.
 */
export const MAX_PARTS = 483

/** A node's choices: the defaults, and what its user wants otherwise. @throws PerkunasError INVALID_ARGUMENT */
export function paymentsPolicy(wanted?: Partial<PaymentsPolicy>): PaymentsPolicy {
  if (wanted?.maxOpen !== undefined) demandNames(wanted.maxOpen, PAYMENTS_POLICY.maxOpen, 'payments.maxOpen')
  return chosen('payments', { defaults: PAYMENTS_POLICY, wanted }, (policy) => ({
    maxParts: isCount(policy.maxParts, 1, MAX_PARTS),
    maxOpen: isCount(policy.maxOpen?.outgoing, 0, MAX) && isCount(policy.maxOpen?.incoming, 0, MAX),
    invoiceExpiry: isCount(policy.invoiceExpiry, 1, MAX),
    minFinalCltvExpiryDelta: isCount(policy.minFinalCltvExpiryDelta, MIN_FINAL_CLTV_EXPIRY_DELTA, 0xffff),
    spontaneous: isOneOf(policy.spontaneous, 'accept', 'hold', 'refuse'),
    unknown: isOneOf(policy.unknown, 'hold', 'refuse'),
    spontaneousMinimum: isAmount(policy.spontaneousMinimum, 0n, 21n * 10n ** 17n),
    attribution: isOneOf(policy.attribution, true, false),
  }))
}

/** More than there are. */
const MAX = 2 ** 32
