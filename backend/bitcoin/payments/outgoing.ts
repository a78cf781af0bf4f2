// Payments of ours. Each is a record with the parts that may still be fulfilled; what becomes of a part comes from its
// channel, or from the chain when the channel is closed.
//
//     pending     parts are wanted or offered; a part that fails is tried again by other channels
//     abandoned   nothing more is tried; without parts it has failed, and not before
//     succeeded   a preimage is known; what is left of its parts is only waited for
//     failed      no part is left and none was fulfilled
import { fromHex, type Hex, isHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Attribution, Removal } from '../channel/index.js'
import { sha256 } from '../script/index.js'
import { add, type Msat, msat, sub } from '../units.js'
import { type Allotment, allot } from './channels.js'
import { failureOf, holdTimesOf, isFinal } from './failures.js'
import type { PaymentsContext, PaymentsInput } from './input.js'
import { argument, expiryOf, faultOfForm, isSameRequest, onionOf, planOf, refusal, routeOf } from './plan.js'
import { PAST_TIMEOUT } from './policy.js'
import { freshKey } from './secrets.js'
import type {
  OutgoingPart,
  OutgoingPayment,
  OutgoingStatus,
  PaymentFailure,
  PaymentID,
  PaymentsState,
  Recent,
} from './state.js'
import { inTurn, type PaymentsEffect, type PaymentsStep, refused, to } from './step.js'
import { emptyTable, lookUp, put, remove, valuesOf } from './table.js'

type Pending = OutgoingPayment & { readonly status: OutgoingStatus & { readonly kind: 'pending' } }

/** Pays, or tells how a payment stands that was begun before. */
export function pay(
  state: PaymentsState,
  { id, request, past }: PaymentsInput & { readonly kind: 'pay' },
  context: PaymentsContext,
): PaymentsStep {
  if (!isHex(id, 32)) return refused(state, argument('id', '32 bytes as hex expected'))
  const fault = faultOfForm(request)
  if (fault !== undefined) return refused(state, fault)
  const known = lookUp(state.outgoing, id) ?? past?.payment
  if (known !== undefined) {
    if (isSameRequest(known.request, request)) return to(state, [{ kind: 'answer', payment: known }])
    return refused(state, exists(id, 'the same ID stands for another payment'))
  }
  if (past !== undefined && !(Math.abs(context.now - past.at) < PAST_TIMEOUT))
    return refused(state, refusal('the store was asked too long ago'))
  if (isRecent(state, id)) return refused(state, exists(id, 'it was over a moment ago; ask again'))
  try {
    return begun(state, { id, request, ...(past?.paidBy && { paidBy: past.paidBy }) }, context)
  } catch (error) {
    if (error instanceof PerkunasError) return refused(state, error)
    throw error
  }
}

function begun(
  state: PaymentsState,
  { id, request, paidBy }: Pick<OutgoingPayment, 'id' | 'request'> & { readonly paidBy?: PaymentID },
  context: PaymentsContext,
): PaymentsStep {
  const { policy, now } = context
  const plan = planOf(request, context)
  // An expiry that is counted from a height long past may leave the payee no time, or us none.
  if (!context.isSynced) throw unreachable()
  const { paymentHash } = plan
  const other = lookUp(state.paying, paymentHash) ?? paidBy ?? recentOf(state, paymentHash)
  if (other !== undefined) throw exists(other, 'the same payment hash is paid')
  if (lookUp(state.incoming, plan.paymentHash) !== undefined) throw refusal('its payment hash is one of ours')
  if (state.outgoing.size >= policy.maxOpen.outgoing) throw refusal('too many payments are under way')
  const payment: Pending = {
    id,
    request,
    ...plan,
    since: now,
    parts: [],
    tried: 0,
    avoided: [],
    status: { kind: 'pending' },
    isAcknowledged: false,
  }
  const allotments = allotted(payment, payment.amount, context)
  if (allotments === undefined) {
    const isAway = context.channels(plan.peer).length === 0
    throw refusal(
      isAway
        ? 'no channel with the payee can be used now: it is away, or there is none'
        : 'no channels with the payee carry the amount',
    )
  }
  const tried = withParts(payment, allotments, context)
  const paying = put(state.paying, plan.paymentHash, id)
  const { next, effects } = changed({ ...state, paying }, tried.payment)
  return to(next, [...tried.effects, ...effects, { kind: 'answer', payment: tried.payment }])
}

/** Tries nothing more. */
export function abandon(state: PaymentsState, id: PaymentID, context: PaymentsContext): PaymentsStep {
  const payment = lookUp(state.outgoing, id)
  if (payment === undefined) return refused(state, unknown(id))
  if (!isPending(payment) || payment.status.abandoned !== undefined)
    return to(state, [{ kind: 'answer', payment }])
  const step = gaveUp(state, payment, { kind: 'abandoned' }, context)
  return to(step.next, [
    ...step.effects,
    { kind: 'answer', payment: lookUp(step.next.outgoing, id) ?? payment },
  ])
}

/** Our user knows of its end. */
export function acknowledgeOutgoing(state: PaymentsState, id: PaymentID): PaymentsStep {
  const payment = lookUp(state.outgoing, id)
  // What is over and known is in the store alone.
  if (payment === undefined) return to(state)
  if (isPending(payment)) {
    const rule = 'a payment that is under way has no end to be acknowledged'
    return refused(state, new PerkunasError('INVALID_TRANSITION', `payment ${id}: ${rule}`, { rule }))
  }
  return changed(state, { ...payment, isAcknowledged: true })
}

/** A part is an HTLC now. */
export function partAdded(state: PaymentsState, reference: string, htlcID: bigint): PaymentsStep {
  const found = findPart(state, reference)
  if (found === undefined) return to(state)
  const { payment, part } = found
  const parts = payment.parts.map((one) => (one === part ? { ...part, htlcID } : one))
  return changed(state, { ...payment, parts })
}

/** A part will not be one: it is tried by other channels. */
export function partRefused(
  state: PaymentsState,
  { reference, error }: { readonly reference: string; readonly error: PerkunasError },
  context: PaymentsContext,
): PaymentsStep {
  const found = findPart(state, reference)
  if (found === undefined) return to(state)
  return partEnded(state, found, { kind: 'noChannel', rule: error.message }, context)
}

/** The preimage is known. */
export function partFulfilled(
  state: PaymentsState,
  found: FoundPart | undefined,
  { preimage, attribution }: { readonly preimage: Uint8Array; readonly attribution?: Attribution },
  { now }: PaymentsContext,
): PaymentsStep {
  if (found === undefined || toHex(sha256(preimage)) !== found.payment.paymentHash) return to(state)
  const { payment, part } = found
  const parts = payment.parts.filter((one) => one !== part)
  if (payment.status.kind === 'succeeded') return changed(state, { ...payment, parts })
  const sent = sumOf(payment.parts)
  const fee = msat(sent > payment.amount ? sent - payment.amount : 0n)
  const holdTimes = holdTimesOf(part, attribution)
  const succeeded: OutgoingPayment = {
    ...payment,
    parts,
    status: { kind: 'succeeded', preimage, sent, fee, at: now, holdTimes },
  }
  // Nothing more is tried, not even what is wanted already.
  const { next, effects } = changed(state, succeeded)
  return to(next, [
    ...unwanted(parts, payment.id),
    ...effects,
    { kind: 'tell', event: { kind: 'sent', payment: succeeded } },
  ])
}

/** A part is in no commitment any more, and its peer failed it. */
export function partFailed(
  state: PaymentsState,
  found: FoundPart | undefined,
  removal: Removal,
  context: PaymentsContext,
): PaymentsStep {
  if (found === undefined) return to(state)
  return partEnded(state, found, failureOf(found.part, routeOf(found.payment), removal), context)
}

/** A part is over on chain, and its money is with us. */
export function partReturned(
  state: PaymentsState,
  found: FoundPart | undefined,
  context: PaymentsContext,
): PaymentsStep {
  return found === undefined ? to(state) : partEnded(state, found, { kind: 'timedOutOnChain' }, context)
}

/** A wish that has waited so long that the payee would have too little time is taken back, so that others are tried. */
export function outgoingAtHeight(state: PaymentsState, { height }: PaymentsContext): PaymentsStep {
  const stale = valuesOf(state.outgoing).flatMap(({ id, parts, recipient }) =>
    unwanted(
      parts.filter(({ cltvExpiry }) => cltvExpiry < height + recipient.finalCltvExpiryDelta),
      id,
    ),
  )
  return to(state, stale)
}

/** Gives up what has a timeout that went by. */
export function outgoingTicked(before: PaymentsState, context: PaymentsContext): PaymentsStep {
  const state = { ...before, recent: aged(before.recent, context.now) }
  const late = valuesOf(state.outgoing).filter(
    (one): one is Pending => isPending(one) && one.status.abandoned === undefined && isLate(one, context.now),
  )
  return inTurn(state, late, (next, payment) => gaveUp(next, payment, { kind: 'timedOut' }, context))
}

/** Tells our user again what it may not know. */
export function outgoingResumed(state: PaymentsState): readonly PaymentsEffect[] {
  return valuesOf(state.outgoing).flatMap((payment): readonly PaymentsEffect[] => {
    if (payment.isAcknowledged || isPending(payment)) return []
    const kind = payment.status.kind === 'succeeded' ? 'sent' : 'failed'
    return [{ kind: 'tell', event: { kind, payment } }]
  })
}

/** A payment and one of its parts. */
export interface FoundPart {
  readonly payment: OutgoingPayment
  readonly part: OutgoingPart
}

/** By the name that the channel has for it. */
export function findPart(state: PaymentsState, reference: string | undefined): FoundPart | undefined {
  const [, id, number] = /^pay\/(0x[0-9a-f]{64})\/(\d+)$/.exec(reference ?? '') ?? []
  const payment = isHex(id) ? lookUp(state.outgoing, id) : undefined
  const part = payment?.parts.find((one) => one.number === Number(number))
  return payment && part && { payment, part }
}

/** By its HTLC, and by its payment hash where that is known. */
export function findOffered(
  state: PaymentsState,
  { channelID, htlcID }: { readonly channelID: Hex; readonly htlcID: bigint },
  paymentHash?: Hex,
): FoundPart | undefined {
  const id = paymentHash && lookUp(state.paying, paymentHash)
  const payment = id && lookUp(state.outgoing, id)
  const all = paymentHash === undefined ? valuesOf(state.outgoing) : payment === undefined ? [] : [payment]
  for (const one of all) {
    const part = one.parts.find((each) => each.channelID === channelID && each.htlcID === htlcID)
    if (part !== undefined) return { payment: one, part }
  }
  return undefined
}

function partEnded(
  state: PaymentsState,
  { payment, part }: FoundPart,
  failure: PaymentFailure,
  context: PaymentsContext,
): PaymentsStep {
  const parts = payment.parts.filter((one) => one !== part)
  if (!isPending(payment)) {
    const { status } = payment
    if (status.kind !== 'succeeded') return changed(state, { ...payment, parts })
    const sent = sub(status.sent, part.amount)
    const fee = msat(sent > payment.amount ? sent - payment.amount : 0n)
    return changed(state, { ...payment, parts, status: { ...status, sent, fee } })
  }
  const avoided = [...payment.avoided.filter((id) => id !== part.channelID), part.channelID]
  const rest: Pending = { ...payment, parts, avoided }
  if (rest.status.abandoned !== undefined) return finished(state, rest, context)
  const isOver = failure.kind === 'timedOutOnChain' || isFinal(failure) || isLate(payment, context.now)
  const again = isOver ? undefined : allotted(rest, part.amount, context)
  if (again === undefined) return gaveUp(state, rest, failure, context)
  const tried = withParts(rest, again, context)
  const { next, effects } = changed(state, tried.payment)
  return to(next, [...tried.effects, ...effects])
}

function gaveUp(
  state: PaymentsState,
  payment: Pending,
  abandoned: PaymentFailure,
  context: PaymentsContext,
): PaymentsStep {
  const { next, effects } = finished(state, { ...payment, status: { kind: 'pending', abandoned } }, context)
  return to(next, [...unwanted(payment.parts, payment.id), ...effects])
}

/** A payment has failed when it was given up and nothing of it is left: a part that is may still be fulfilled. */
function finished(state: PaymentsState, payment: Pending, { now }: PaymentsContext): PaymentsStep {
  const { abandoned } = payment.status
  if (abandoned === undefined || payment.parts.length > 0) return changed(state, payment)
  const failed: OutgoingPayment = { ...payment, status: { kind: 'failed', failure: abandoned, at: now } }
  const { next, effects } = changed(state, failed)
  return to(next, [...effects, { kind: 'tell', event: { kind: 'failed', payment: failed } }])
}

function allotted(
  { peer, parts, avoided, recipient, request }: OutgoingPayment,
  amount: Msat,
  context: PaymentsContext,
): readonly Allotment[] | undefined {
  const maxParts = recipient.takesParts ? context.policy.maxParts - parts.length : 1
  const only = 'channel' in request ? request.channel : undefined
  const usable = context.channels(peer).filter(({ channelID }) => only === undefined || channelID === only)
  return allot(usable, amount, { avoided, maxParts })
}

function withParts(
  payment: Pending,
  allotments: readonly Allotment[],
  context: PaymentsContext,
): { readonly payment: Pending; readonly effects: readonly PaymentsEffect[] } {
  const { id, paymentHash, recipient } = payment
  const cltvExpiry = expiryOf(recipient.finalCltvExpiryDelta, context)
  const parts: OutgoingPart[] = []
  const effects: PaymentsEffect[] = []
  for (const [i, { channelID, amount }] of allotments.entries()) {
    const number = payment.tried + i
    const session = context.session?.(payment.peer) ?? {
      sessionKey: freshKey(context.entropy, `session/${id}/${number}`),
    }
    const { packet: onion, sharedSecrets } = onionOf(payment, { amount, cltvExpiry, ...session })
    parts.push({ number, channelID, amount, cltvExpiry, sharedSecrets })
    const intent = {
      kind: 'add' as const,
      reference: referenceOf(id, number),
      amount,
      paymentHash: fromHex(paymentHash),
      cltvExpiry,
      onion,
    }
    effects.push({ kind: 'want', channelID, intent })
  }
  const tried = payment.tried + parts.length
  return { payment: { ...payment, tried, parts: [...payment.parts, ...parts] }, effects }
}

/** What has not become an HTLC need not. */
function unwanted(parts: readonly OutgoingPart[], id: PaymentID): readonly PaymentsEffect[] {
  return parts.flatMap(({ htlcID, channelID, number }) =>
    htlcID === undefined ? [{ kind: 'unwant' as const, channelID, reference: referenceOf(id, number) }] : [],
  )
}

function changed(state: PaymentsState, payment: OutgoingPayment): PaymentsStep {
  const isOver = !isPending(payment) && payment.isAcknowledged && payment.parts.length === 0
  if (!isOver) return to({ ...state, outgoing: put(state.outgoing, payment.id, payment) })
  const { id, paymentHash, status } = payment
  const outgoing = remove(state.outgoing, id)
  const paying = remove(state.paying, paymentHash)
  const known = put(state.recent.young, id, id)
  const young = status.kind === 'succeeded' ? put(known, paymentHash, id) : known
  const recent = { ...state.recent, young }
  return to({ ...state, outgoing, paying, recent }, [{ kind: 'archive', payment }])
}

// Whoever asked the store before a payment was put there, and pays after, would pay it again.
function isRecent(state: PaymentsState, id: PaymentID): boolean {
  return recentOf(state, id) !== undefined
}

function recentOf({ recent: { young, old } }: PaymentsState, key: Hex): PaymentID | undefined {
  return lookUp(young, key) ?? lookUp(old, key)
}

function aged(recent: Recent, now: number): Recent {
  if (Math.abs(now - recent.since) < PAST_TIMEOUT) return recent
  return { since: now, young: emptyTable(), old: recent.young }
}

function referenceOf(id: PaymentID, number: number): string {
  return `pay/${id}/${number}`
}

function sumOf(parts: readonly OutgoingPart[]): Msat {
  return parts.reduce((sum, { amount }) => add(sum, amount), msat(0n))
}

function isPending(payment: OutgoingPayment): payment is Pending {
  return payment.status.kind === 'pending'
}

function isLate({ since, request: { timeout } }: OutgoingPayment, now: number): boolean {
  return timeout !== undefined && now >= since + timeout
}

function unreachable(): PerkunasError<'LEDGER_UNREACHABLE'> {
  const message = 'the chain is not known up to now: no payment is begun'
  return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' })
}

function exists(payment: Hex, what: string): PerkunasError<'PAYMENT_EXISTS'> {
  return new PerkunasError('PAYMENT_EXISTS', `payment ${payment}: ${what}`, { payment })
}

/** A command about a payment that is not there. */
export function unknown(payment: Hex): PerkunasError<'UNKNOWN_PAYMENT'> {
  return new PerkunasError('UNKNOWN_PAYMENT', `payment ${payment} is not known, or is over`, { payment })
}
