// What our side wants of a channel: checked when it is said, queued, and sent as one batch under one signature.
import { equalBytes } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import type { MonitorUpdate } from '../monitor/record.js'
import { sha256 } from '../script/index.js'
import { lightningMessages, type UpdateAddHtlc } from '../wire/index.js'
import {
  advance,
  type Book,
  changeFee,
  findHtlc,
  hasToSign,
  learnPreimage,
  type OpenHtlc,
  type Removal,
  removeHtlc,
} from './book.js'
import { isAwaitingRevocation, nextRemote, signerOf } from './commitments.js'
import { refusedCommand } from './failure.js'
import type { Intent, UpdateMessage } from './input.js'
import { faultOfSent, faultOfSentFee } from './limits.js'
import { MAX_HTLCS, MAX_REASON } from './policy.js'
import { isConfirmed } from './ready.js'
import type { Live } from './state.js'
import { type ChannelEnv, type Handoff, type Step, send, to } from './step.js'
import { withOffer } from './tally.js'

/** Something more is wanted. A preimage is known to the monitor from here on, however the channel goes on. */
export function want(live: Live, intent: Intent): Step {
  switch (intent.kind) {
    case 'add':
      return wantAdd(live, intent)
    case 'remove':
      return wantRemoval(live, intent)
    case 'fee': {
      if (live.phase === 'failed' || live.terms.opener !== 'local') return refusedCommand(live, ['normal'])
      const others = live.intents.filter(({ kind }) => kind !== 'fee')
      return to({ ...live, intents: [...others, intent] })
    }
  }
}

/** An HTLC that is not sent yet need not be sent any more. */
export function unwant(live: Live, reference: string): Step {
  const intents = live.intents.filter((one) => one.kind !== 'add' || one.reference !== reference)
  if (intents.length === live.intents.length) return refusedCommand(live, ['unsent'])
  return to({ ...live, intents }, { handoffs: [refused(reference, 'it was taken back')] })
}

/** Whether a `flush` would sign anything. */
export function wantsFlush(live: Live): boolean {
  return canSign(live) && (live.intents.length > 0 || hasToSign(live.book, 'local'))
}

/**
 * Whether somebody waits for what a `flush` would sign. Nobody does if it only takes out of the peer's commitment what the
 * peer itself removed: then it may wait for company for a moment, and the next HTLC need not wait for its revocation.
 */
export function isFlushUrgent({ intents, book }: Live): boolean {
  const isAcknowledged = ({ offerer, stage }: OpenHtlc) => offerer === 'local' && stage === 'removalAcked'
  const others = { ...book, htlcs: book.htlcs.filter((one) => !isAcknowledged(one)) }
  return intents.length > 0 || hasToSign(others, 'local')
}

/**
 * Sends what is wanted and signs it together with whatever of the peer is not signed yet.
 *
 * What no longer fits is refused rather than tried for ever. The whole batch is kept until it is revoked, since it must
 * be repeated as it was: two commitments of one number would both be the peer's to publish.
 */
export function flush(live: Live, env: ChannelEnv): Step {
  if (!wantsFlush(live) || live.remoteNextPoint === undefined) return to(live)
  const { updates, book, handoffs } = applyIntents(live, env)
  const emptied: Live = { ...live, intents: [], book }
  if (!hasToSign(book, 'local')) return to(emptied, { handoffs })
  const signedBook = advance(book, { by: 'local', what: 'signature' }).book
  const state = nextRemote({ ...live, book: signedBook })
  const point = live.remoteNextPoint
  const { next: signer, signatures } = signerOf(live.terms, env).signRemote(live.signer, state, point)
  const signed = {
    kind: 'commitment_signed',
    channelID: live.terms.channelID,
    signature: signatures.signature,
    htlcSignature: signatures.htlcSignatures,
  } as const
  const { remoteNextPoint: _, ...rest } = emptied
  return to(
    {
      ...rest,
      book: signedBook,
      signer,
      batch: { updates, signed },
      lastSent: 'signature',
      link: { kind: 'up', ticks: 0 },
    },
    {
      monitor: [{ kind: 'counterparty', state, point }],
      handoffs,
      effects: [...updates.map(send), send(signed)],
    },
  )
}

/** Ends an add before it is an HTLC. */
export function refused(reference: string, rule: string): Handoff {
  const error = new PerkunasError('INVALID_TRANSITION', `the HTLC can't be added: ${rule}`, { rule })
  return { kind: 'refused', reference, error }
}

function canSign(live: Live): boolean {
  return (
    live.phase !== 'failed' &&
    live.link.kind === 'up' &&
    live.remoteNextPoint !== undefined &&
    live.ready.isSent &&
    !isAwaitingRevocation(live)
  )
}

function wantAdd(live: Live, intent: Intent & { readonly kind: 'add' }): Step {
  const { reference } = intent
  if (isKnown(live, reference)) {
    // No handoff: it would say that the one which is there has come to nothing.
    const rule = 'there is one of this reference'
    const error = new PerkunasError('INVALID_TRANSITION', `the HTLC can't be added: ${rule}`, { rule })
    return to(live, { effects: [{ kind: 'refuse', error }] })
  }
  const rule =
    faultOfTime(live) ??
    (live.link.kind === 'up' ? undefined : 'the peer is not connected') ??
    (hasRoom(live) ? undefined : 'too many wait')
  if (rule !== undefined) return to(live, { handoffs: [refused(reference, rule)] })
  return to({ ...live, intents: live.intents.concat(intent) })
}

/** Whether an HTLC of that reference is wanted, or was and is still there. */
function isKnown({ intents, book }: Live, reference: string): boolean {
  return (
    intents.some((one) => one.kind === 'add' && one.reference === reference) ||
    book.htlcs.some((one) => one.offerer === 'local' && one.reference === reference)
  )
}

/** Whether another add may wait. */
function hasRoom({ intents }: Live): boolean {
  return intents.length < MAX_HTLCS || intents.filter(({ kind }) => kind === 'add').length < MAX_HTLCS
}

/** Why nothing may be added now. */
function faultOfTime(live: Live): string | undefined {
  if (live.shutdown.local !== undefined || live.shutdown.remote !== undefined) return 'the channel shuts down'
  if (live.phase !== 'normal') return `the channel is ${live.phase}`
  return isConfirmed(live) ? undefined : 'the funding is not confirmed'
}

function wantRemoval(live: Live, intent: Intent & { readonly kind: 'remove' }): Step {
  const { id, removal } = intent
  const key = { offerer: 'remote' as const, id }
  const htlc = findHtlc(live.book, key)
  const fault =
    htlc === undefined
      ? 'there is no such HTLC'
      : removal.kind === 'fulfill' && !equalBytes(sha256(removal.preimage), htlc.paymentHash)
        ? 'the preimage is not of its hash'
        : faultOfRemoval(live, id, removal)
  if (htlc === undefined || fault !== undefined) {
    const rule = fault ?? 'there is no such HTLC'
    const error = new PerkunasError('INVALID_TRANSITION', `HTLC ${id}: ${rule}`, { rule })
    return to(live, { effects: [{ kind: 'refuse', error }] })
  }
  const isFulfill = removal.kind === 'fulfill'
  const book =
    isFulfill && htlc.preimage === undefined ? learnPreimage(live.book, key, removal.preimage) : live.book
  const monitor: readonly MonitorUpdate[] =
    isFulfill && htlc.preimage === undefined
      ? [{ kind: 'preimage', htlc: key, paymentHash: htlc.paymentHash, preimage: removal.preimage }]
      : []
  const isOf = (one: Intent) => one.kind === 'remove' && one.id === id
  const isQueued = live.intents.some(isOf)
  // A preimage goes before a failure that has not left yet.
  const intents = isQueued && isFulfill ? live.intents.filter((one) => !isOf(one)) : live.intents
  const isWanted = live.phase !== 'failed' && htlc.stage === 'locked' && (isFulfill || !isQueued)
  return to({ ...live, book, intents: isWanted ? intents.concat(intent) : intents }, { monitor })
}

/** A removal that would not get through. What is on its way out already may be said again: it is ignored. */
function faultOfRemoval(live: Live, id: bigint, removal: Removal): string | undefined {
  const htlc = findHtlc(live.book, { offerer: 'remote', id })
  if (htlc === undefined) return 'there is no such HTLC'
  if (['offered', 'signed', 'acked', 'countersigned'].includes(htlc.stage)) return 'it is not irrevocable yet'
  if (removal.kind === 'fail' && removal.reason.length > MAX_REASON)
    return `its reason has more than ${MAX_REASON} bytes`
  try {
    lightningMessages.encode(removalMessage(live, id, removal))
    return undefined
  } catch (error) {
    if (isError(error, 'TOO_LARGE') || isError(error, 'INVALID_ARGUMENT'))
      return 'its message has no encoding'
    throw error
  }
}

interface Applied {
  readonly updates: readonly UpdateMessage[]
  readonly book: Book
  readonly handoffs: readonly Handoff[]
}

function applyIntents(live: Live, env: ChannelEnv): Applied {
  const updates: UpdateMessage[] = []
  const handoffs: Handoff[] = []
  let { book } = live
  // What leaves makes room for what comes.
  const sorted = [...live.intents].sort((a, b) => Number(b.kind === 'remove') - Number(a.kind === 'remove'))
  for (const intent of sorted) {
    switch (intent.kind) {
      case 'add': {
        const { reference, amount, paymentHash, cltvExpiry } = intent
        const id = book.offered.local
        const offer = {
          offerer: 'local' as const,
          id,
          amount,
          paymentHash,
          cltvExpiry,
          reference,
        }
        const fault = faultOfTime(live) ?? faultOfSent({ terms: live.terms, book }, offer, env)
        if (fault !== undefined) {
          handoffs.push(refused(reference, fault))
          break
        }
        book = withOffer(live.terms, book, offer)
        handoffs.push({ kind: 'added', reference, htlc: { offerer: 'local', id } })
        updates.push(addMessage(live.terms, intent, id))
        break
      }
      case 'remove':
        book = removeHtlc(book, { offerer: 'remote', id: intent.id }, intent.removal)
        updates.push(removalMessage(live, intent.id, intent.removal))
        break
      case 'fee':
        if (faultOfSentFee({ ...live, book }, intent.feerate, env) !== undefined) break
        book = changeFee(book, intent.feerate)
        updates.push({
          kind: 'update_fee',
          channelID: live.terms.channelID,
          feeratePerKw: intent.feerate,
        })
    }
  }
  return { updates, book, handoffs }
}

/** What is sent for an HTLC that is wanted. */
export function addMessage(
  terms: Live['terms'],
  intent: Omit<Intent & { readonly kind: 'add' }, 'kind'>,
  id: bigint,
): UpdateAddHtlc {
  const { amount, paymentHash, cltvExpiry, onion, blindedPath } = intent
  return {
    kind: 'update_add_htlc',
    channelID: terms.channelID,
    id,
    amountMsat: amount,
    paymentHash,
    cltvExpiry,
    onionRoutingPacket: onion,
    ...(blindedPath === undefined ? {} : { blindedPath }),
  }
}

function removalMessage({ terms: { channelID } }: Live, id: bigint, removal: Removal): UpdateMessage {
  switch (removal.kind) {
    case 'fulfill': {
      const { preimage: paymentPreimage, attribution } = removal
      const data = attribution === undefined ? {} : { attributionData: attribution }
      return { kind: 'update_fulfill_htlc', channelID, id, paymentPreimage, ...data }
    }
    case 'fail': {
      const { reason, attribution } = removal
      const data = attribution === undefined ? {} : { attributionData: attribution }
      return { kind: 'update_fail_htlc', channelID, id, reason, ...data }
    }
    case 'malformed': {
      const { sha256OfOnion, failureCode } = removal
      return { kind: 'update_fail_malformed_htlc', channelID, id, sha256OfOnion, failureCode }
    }
  }
}
