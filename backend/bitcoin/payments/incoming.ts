// Payments to us. Each is a record with the parts that were taken; all parts are claimed together or none.
//
//     awaited     not all of it is there: parts that wait too long are failed, and others may come; or the chain is not known
//                 up to now, and will be soon
//     held        all of it is there and our user decides, in time for the HTLCs
//     claimed     the preimage is with all channels; parts go as those say so
//     cancelled   nothing is taken any more
//
// Whoever asks with a wrong hash, a wrong secret or a wrong amount gets one and the same failure, so that nobody on the way
// can find out by trying.
import { type Hex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { MustFail, OpenHtlc, Removal } from '../channel/index.js'
import type { HtlcKey } from '../monitor/record.js'
import type { Failure, ReceiveInstruction } from '../onion/index.js'
import { sameBytes } from '../onion/keys.js'
import { sha256 } from '../script/index.js'
import { add, blockHeight, type Msat, msat } from '../units.js'
import { failing, fulfilling, type Returning } from './failures.js'
import { openFinal } from './final.js'
import type { PaymentsContext } from './input.js'
import { unknown } from './outgoing.js'
import { argument } from './plan.js'
import { FAIL_BACK_BUFFER, MAX_PARTS, MPP_TIMEOUT, TRANSIT_BLOCKS } from './policy.js'
import type { CancelReason, IncomingPart, IncomingPayment, IncomingStatus, PaymentsState } from './state.js'
import { inTurn, type PaymentsEffect, type PaymentsStep, refused, to } from './step.js'
import { lookUp, put, remove, valuesOf } from './table.js'

/** An HTLC to us is irrevocable: it is failed, kept, or completes a payment. */
export function partLocked(
  state: PaymentsState,
  { channelID, htlc, mustFail }: LockedHtlc,
  context: PaymentsContext,
): PaymentsStep {
  const opened = openFinal(htlc, mustFail, context.node)
  if (opened.kind === 'malformed') return to(state, [removing(channelID, htlc.id, opened.removal)])
  const { sharedSecret } = opened
  const part = { channelID, htlcID: htlc.id, amount: htlc.amount, cltvExpiry: htlc.cltvExpiry, sharedSecret }
  const since = context.now
  if (opened.kind === 'fail')
    return to(state, [failPart({ ...part, intended: msat(0n), since }, opened.failure, context)])
  const { instruction } = opened
  const whole = { ...part, intended: instruction.amtToForward, since }
  if (!context.isSynced && !context.isCatchingUp) return to(state, [failPart(whole, BLIND, context)])
  return taken(state, whole, { htlc, instruction }, context)
}

/** An HTLC of the peer, as its channel hands it on. */
export interface LockedHtlc {
  readonly channelID: Hex
  readonly htlc: OpenHtlc
  readonly mustFail?: MustFail
}

function taken(
  state: PaymentsState,
  part: IncomingPart,
  { htlc, instruction }: { readonly htlc: OpenHtlc; readonly instruction: ReceiveInstruction },
  context: PaymentsContext,
): PaymentsStep {
  const paymentHash = toHex(htlc.paymentHash)
  const payment =
    lookUp(state.incoming, paymentHash) ?? spontaneousOf(state, paymentHash, instruction, context)
  const known = payment?.parts.find((one) => one.channelID === part.channelID && one.htlcID === part.htlcID)
  if (payment !== undefined && known !== undefined) return again(state, payment, known, context)
  const rejected = (): PaymentsStep => to(state, [failPart(part, detailsOf(part, context), context)])
  if (payment === undefined || !isWanted(payment, part, instruction, context)) return rejected()
  const total = instruction.totalMsat
  if (payment.total !== undefined && payment.total !== total) {
    // The parts contradict each other, so none of them can be right.
    const { next, effects } = emptied(state, payment, (one) => detailsOf(one, context), context)
    return to(next, [...effects, failPart(part, detailsOf(part, context), context)])
  }
  const parts = [...payment.parts, part]
  if (parts.length > MAX_PARTS || isTooMuch(payment, parts, total)) return rejected()
  const grown: IncomingPayment = { ...payment, parts, total }
  // Nothing is decided without sight: it may have expired.
  if (!isAllThere(grown) || !context.isSynced) return changed(state, grown)
  return complete(state, grown, context)
}

function isAllThere({ parts, total }: IncomingPayment): boolean {
  return total !== undefined && parts.reduce((sum, one) => add(sum, one.intended), msat(0n)) >= total
}

/** What was complete before the chain was known up to now is taken, or held, or fails. */
function sighted(state: PaymentsState, context: PaymentsContext): PaymentsStep {
  if (!context.isSynced) return to(state)
  const waiting = open(state).filter((one) => one.status.kind === 'awaited' && isAllThere(one))
  return inTurn(state, waiting, (next, payment) => complete(next, payment, context))
}

/** A channel that could not write the step in which it handed a part on hands it on once more. */
function again(
  state: PaymentsState,
  { status, preimage }: IncomingPayment,
  part: IncomingPart,
  context: PaymentsContext,
): PaymentsStep {
  const isTaken = status.kind === 'claimed' && preimage !== undefined
  if (!isTaken) return to(state)
  return to(state, [removing(part.channelID, part.htlcID, fulfilling(returning(part, context), preimage))])
}

/** A payment that was not asked for, if that is welcome. */
function spontaneousOf(
  state: PaymentsState,
  paymentHash: Hex,
  { keysendPreimage: preimage, totalMsat, paymentSecret }: ReceiveInstruction,
  { policy, now, isUnreadable }: PaymentsContext,
): IncomingPayment | undefined {
  // It would take the place of an invoice of ours, or of what came for it.
  if (isUnreadable(paymentHash)) return undefined
  const welcome = preimage === undefined ? policy.unknown : policy.spontaneous
  if (welcome === 'refuse' || totalMsat < policy.spontaneousMinimum) return undefined
  // A secret is that of an invoice which we have not, or have no more.
  if (preimage === undefined && paymentSecret !== undefined) return undefined
  if (preimage !== undefined && toHex(sha256(preimage)) !== paymentHash) return undefined
  // It would tell the preimage of what we pay ourselves.
  if (lookUp(state.paying, paymentHash) !== undefined) return undefined
  if (state.incoming.size >= policy.maxOpen.incoming) return undefined
  return {
    paymentHash,
    ...(preimage && { preimage }),
    ...(paymentSecret && { paymentSecret }),
    isHeld: welcome === 'hold',
    since: now,
    parts: [],
    status: { kind: 'awaited' },
    isAcknowledged: false,
  }
}

function isWanted(
  payment: IncomingPayment,
  part: IncomingPart,
  { paymentSecret, totalMsat, amtToForward }: ReceiveInstruction,
  { now, height, policy }: PaymentsContext,
): boolean {
  const { invoice, status } = payment
  if (status.kind !== 'awaited' || amtToForward === 0n) return false
  // Without a secret nobody can say that two parts are of one payer: then one is all.
  if (payment.paymentSecret === undefined ? paymentSecret !== undefined : !isSecret(payment, paymentSecret))
    return false
  if (payment.paymentSecret === undefined && payment.parts.length > 0) return false
  const delta = invoice?.minFinalCltvExpiryDelta ?? policy.minFinalCltvExpiryDelta
  if (part.cltvExpiry < height + delta - TRANSIT_BLOCKS || deadlineOf([part]) <= height) return false
  if (invoice === undefined) return true
  if (now >= invoice.expiresAt && payment.parts.length === 0) return false
  const { amount } = invoice
  return amount === undefined || (totalMsat >= amount && totalMsat <= 2n * amount)
}

function isSecret({ paymentSecret: ours }: IncomingPayment, said: Uint8Array | undefined): boolean {
  return ours !== undefined && said !== undefined && sameBytes(ours, said)
}

/** Who pays more than twice as much made a mistake, or wants to know what we would take. */
function isTooMuch({ invoice }: IncomingPayment, parts: readonly IncomingPart[], total: Msat): boolean {
  return amountOf(parts) > 2n * (invoice?.amount ?? total)
}

function complete(state: PaymentsState, payment: IncomingPayment, context: PaymentsContext): PaymentsStep {
  if (!payment.isHeld && payment.preimage !== undefined) {
    if (isReliable(payment, context)) return claimed(state, payment, payment.preimage, context)
    return emptied(state, payment, () => UNRELIABLE, context)
  }
  const deadline = blockHeight(deadlineOf(payment.parts))
  const held: IncomingPayment = { ...payment, status: { kind: 'held', deadline } }
  const { next, effects } = changed(state, held)
  return to(next, [...effects, { kind: 'tell', event: { kind: 'held', payment: held } }])
}

/** Whether each part has come over a channel whose funding is there. */
function isReliable({ parts }: IncomingPayment, context: PaymentsContext): boolean {
  return parts.every(({ channelID }) => context.isReliable(channelID))
}

const BLIND: Failure = { kind: 'temporary_node_failure' }
const UNRELIABLE: Failure = { kind: 'temporary_channel_failure', channelUpdate: new Uint8Array(0) }

/** The preimage goes to all parts in one commit: with some of them alone the payer would have paid too little. */
function claimed(
  state: PaymentsState,
  payment: IncomingPayment,
  preimage: Uint8Array,
  context: PaymentsContext,
): PaymentsStep {
  const status: IncomingStatus = {
    kind: 'claimed',
    received: amountOf(payment.parts),
    lost: msat(0n),
    at: context.now,
  }
  const done: IncomingPayment = { ...payment, preimage, status }
  const { next, effects } = changed(state, done)
  return to(next, [
    ...payment.parts.map((part) =>
      removing(part.channelID, part.htlcID, fulfilling(returning(part, context), preimage)),
    ),
    ...effects,
    { kind: 'tell', event: { kind: 'received', payment: done } },
  ])
}

/** Takes a held payment. */
export function release(
  state: PaymentsState,
  { paymentHash, preimage: given }: { readonly paymentHash: Hex; readonly preimage?: Uint8Array },
  context: PaymentsContext,
): PaymentsStep {
  const payment = lookUp(state.incoming, paymentHash)
  if (payment === undefined) return refused(state, unknown(paymentHash))
  if (payment.status.kind === 'claimed') return to(state, [{ kind: 'answer', payment }])
  if (payment.status.kind !== 'held') return refused(state, mismatch(payment, 'released'))
  const preimage = given ?? payment.preimage
  const isBytes = preimage instanceof Uint8Array && preimage.length === 32
  if (!isBytes || toHex(sha256(preimage)) !== paymentHash)
    return refused(state, argument('preimage', '32 bytes whose hash is the payment hash expected'))
  if (!context.isSynced) return refused(state, unreachable())
  if (!isReliable(payment, context)) return refused(state, unconfirmed(payment))
  if (context.height >= payment.status.deadline) return refused(state, mismatch(payment, 'released so late'))
  const { next, effects } = claimed(state, payment, preimage, context)
  return to(next, [...effects, answer(next, payment)])
}

/** Takes an invoice back, or gives back what is there of it. */
export function cancel(state: PaymentsState, paymentHash: Hex, context: PaymentsContext): PaymentsStep {
  const payment = lookUp(state.incoming, paymentHash)
  if (payment === undefined) return refused(state, unknown(paymentHash))
  if (payment.status.kind === 'cancelled') return to(state, [{ kind: 'answer', payment }])
  if (payment.status.kind === 'claimed') return refused(state, mismatch(payment, 'cancelled'))
  const { next, effects } = cancelled(state, payment, 'command', context)
  const found = effects.find((effect) => effect.kind === 'archive')
  return to(next, [...effects, { kind: 'answer', payment: found?.payment ?? payment }])
}

/** Our user knows of its end. */
export function acknowledgeIncoming(state: PaymentsState, paymentHash: Hex): PaymentsStep {
  const payment = lookUp(state.incoming, paymentHash)
  if (payment === undefined) return to(state)
  if (payment.status.kind === 'awaited' || payment.status.kind === 'held')
    return refused(state, mismatch(payment, 'acknowledged'))
  return changed(state, { ...payment, isAcknowledged: true })
}

/** An HTLC to us is in no commitment any more. */
export function partGone(state: PaymentsState, channelID: Hex, htlc: OpenHtlc): PaymentsStep {
  const payment = lookUp(state.incoming, toHex(htlc.paymentHash))
  const part = payment?.parts.find((one) => one.channelID === channelID && one.htlcID === htlc.id)
  if (payment === undefined || part === undefined) return to(state)
  return changed(state, { ...payment, parts: payment.parts.filter((one) => one !== part) })
}

/** An HTLC to us is over on chain. */
export function partResolved(
  state: PaymentsState,
  { channelID, htlc, to: winner }: OnChain,
  context: PaymentsContext,
): PaymentsStep {
  for (const payment of valuesOf(state.incoming)) {
    const part = payment.parts.find((one) => one.channelID === channelID && one.htlcID === htlc.id)
    if (part === undefined) continue
    const rest: IncomingPayment = { ...payment, parts: payment.parts.filter((one) => one !== part) }
    if (rest.status.kind === 'claimed') {
      const lost = winner === 'offerer' ? add(rest.status.lost, part.amount) : rest.status.lost
      return changed(state, { ...rest, status: { ...rest.status, lost } })
    }
    // What the payer took back is not there any more, so the others are not enough.
    if (rest.status.kind === 'held') return cancelled(state, rest, 'onChain', context)
    return emptied(state, rest, (one) => detailsOf(one, context), context)
  }
  return to(state)
}

/** What the chain says of an HTLC. */
export interface OnChain {
  readonly channelID: Hex
  readonly htlc: HtlcKey
  readonly to: 'offerer' | 'receiver'
}

/**
 * Parts near their expiry are failed while there is time to: a peer that waits longer closes the channel. What waited for the chain
 * goes on.
 */
export function incomingAtHeight(state: PaymentsState, context: PaymentsContext): PaymentsStep {
  const due = open(state).filter(({ parts }) => deadlineOf(parts) <= context.height)
  const first = inTurn(state, due, (next, payment) =>
    payment.status.kind === 'held'
      ? cancelled(next, payment, 'deadline', context)
      : emptied(next, payment, (part) => detailsOf(part, context), context),
  )
  const second = sighted(first.next, context)
  return to(second.next, [...first.effects, ...second.effects])
}

/** Parts whose others don't come are failed, and invoices whose time is over are forgotten. */
export function incomingTicked(before: PaymentsState, context: PaymentsContext): PaymentsStep {
  const { now } = context
  // After a restart it may take long until the next block.
  const { next: state, effects } = sighted(before, context)
  const late = open(state).filter(
    ({ parts, status }) =>
      status.kind === 'awaited' && now >= Math.min(...parts.map(({ since }) => since)) + MPP_TIMEOUT,
  )
  const first = inTurn(state, late, (next, payment) =>
    emptied(next, payment, () => (isAllThere(payment) ? BLIND : { kind: 'mpp_timeout' }), context),
  )
  const expired = valuesOf(first.next.incoming).filter(
    ({ parts, status, invoice }) =>
      status.kind === 'awaited' && parts.length === 0 && invoice !== undefined && now >= invoice.expiresAt,
  )
  const second = inTurn(first.next, expired, (next, payment) => cancelled(next, payment, 'expired', context))
  return to(second.next, [...effects, ...first.effects, ...second.effects])
}

/** Tells our user again what it may not know. */
export function incomingResumed(state: PaymentsState): readonly PaymentsEffect[] {
  return valuesOf(state.incoming).flatMap((payment): readonly PaymentsEffect[] => {
    const { status, isAcknowledged } = payment
    if (status.kind === 'awaited' || isAcknowledged) return []
    const kind = status.kind === 'claimed' ? 'received' : status.kind
    return [{ kind: 'tell', event: { kind, payment } }]
  })
}

/** Those with parts that are neither claimed nor failed. */
function open(state: PaymentsState): readonly IncomingPayment[] {
  return valuesOf(state.incoming).filter(
    ({ parts, status }) => parts.length > 0 && (status.kind === 'awaited' || status.kind === 'held'),
  )
}

/** Fails what is there and awaits the payment anew. What nobody asked for is not awaited. */
function emptied(
  state: PaymentsState,
  payment: IncomingPayment,
  failureOf: (part: IncomingPart) => Failure,
  context: PaymentsContext,
): PaymentsStep {
  const failures = payment.parts.map((part) => failPart(part, failureOf(part), context))
  const { total: _, ...rest } = payment
  if (payment.invoice === undefined)
    return to({ ...state, incoming: remove(state.incoming, payment.paymentHash) }, failures)
  const { next, effects } = changed(state, { ...rest, parts: [], status: { kind: 'awaited' } })
  return to(next, [...failures, ...effects])
}

function cancelled(
  state: PaymentsState,
  payment: IncomingPayment,
  reason: CancelReason,
  context: PaymentsContext,
): PaymentsStep {
  const failures = payment.parts.map((part) => failPart(part, detailsOf(part, context), context))
  // Who said so knows, and who never heard of a payment need not hear of its end.
  const isAcknowledged = reason === 'command' || payment.status.kind !== 'held'
  const done: IncomingPayment = {
    ...payment,
    parts: [],
    status: { kind: 'cancelled', reason, at: context.now },
    isAcknowledged,
  }
  const { next, effects } = changed(state, done)
  const told: readonly PaymentsEffect[] = isAcknowledged
    ? []
    : [{ kind: 'tell', event: { kind: 'cancelled', payment: done } }]
  return to(next, [...failures, ...effects, ...told])
}

function changed(state: PaymentsState, payment: IncomingPayment): PaymentsStep {
  const { paymentHash, status, isAcknowledged, parts } = payment
  const isEnd = status.kind === 'claimed' || status.kind === 'cancelled'
  if (!isEnd || !isAcknowledged || parts.length > 0)
    return to({ ...state, incoming: put(state.incoming, paymentHash, payment) })
  return to({ ...state, incoming: remove(state.incoming, paymentHash) }, [{ kind: 'archive', payment }])
}

function failPart(part: IncomingPart, failure: Failure, context: PaymentsContext): PaymentsEffect {
  return removing(part.channelID, part.htlcID, failing(returning(part, context), failure))
}

function removing(channelID: Hex, id: bigint, removal: Removal): PaymentsEffect {
  return { kind: 'want', channelID, intent: { kind: 'remove', id, removal } }
}

function returning({ sharedSecret, since }: IncomingPart, { now, policy }: PaymentsContext): Returning {
  if (!policy.attribution) return { sharedSecret }
  return { sharedSecret, holdTime: Math.min(0xffff_ffff, Math.max(0, Math.floor((now - since) / 100))) }
}

function detailsOf({ amount: htlcMsat }: IncomingPart, { height }: PaymentsContext): Failure {
  return { kind: 'incorrect_or_unknown_payment_details', htlcMsat, height }
}

/** The height from which on parts are not claimed any more. */
function deadlineOf(parts: readonly Pick<IncomingPart, 'cltvExpiry'>[]): number {
  return Math.min(...parts.map(({ cltvExpiry }) => cltvExpiry)) - FAIL_BACK_BUFFER
}

function amountOf(parts: readonly IncomingPart[]): Msat {
  return parts.reduce((sum, { amount }) => add(sum, amount), msat(0n))
}

function answer(state: PaymentsState, { paymentHash }: IncomingPayment): PaymentsEffect {
  const payment = lookUp(state.incoming, paymentHash)
  if (payment === undefined) throw new Error(`payment ${paymentHash} is gone`)
  return { kind: 'answer', payment }
}

function mismatch({ paymentHash, status }: IncomingPayment, what: string): PerkunasError {
  const rule = `a payment that is ${status.kind} can't be ${what}`
  return new PerkunasError('INVALID_TRANSITION', `payment ${paymentHash}: ${rule}`, { rule })
}

function unconfirmed({ paymentHash }: IncomingPayment): PerkunasError<'INVALID_TRANSITION'> {
  const rule = 'what came over a channel is not released while its funding is not confirmed'
  return new PerkunasError('INVALID_TRANSITION', `payment ${paymentHash}: ${rule}`, { rule })
}

function unreachable(): PerkunasError<'LEDGER_UNREACHABLE'> {
  const message = 'the chain is not known up to now: a payment that expired there must not be released'
  return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' })
}
