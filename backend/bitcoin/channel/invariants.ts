// What holds of a channel after every step, whatever came in, and of the step itself. Tests and simulations ask after each;
// what they compare between the two sides, and over restarts, they do themselves.

import { revokedCount } from '../keys/index.js'
import { ANCHOR_AMOUNT } from '../script/index.js'
import { toMsat } from '../units.js'
import { eventualView, viewOf } from './book.js'
import { isAwaitingRevocation } from './commitments.js'
import { dustExposureLimit, MAX_HTLCS } from './policy.js'
import { type ChannelState, isLive, type Live } from './state.js'
import type { ChannelEnv, Step } from './step.js'
import { exposureOf, spareOf, tallyOf } from './tally.js'

/** The first rule that does not hold, or undefined. */
export function faultOfChannel(live: Live): string | undefined {
  return faultOfAmounts(live) ?? faultOfNumbers(live) ?? faultOfIDs(live) ?? faultOfReserve(live)
}

/**
 * The first rule that a step breaks: those of {@link faultOfChannel} for where it leads, and what shows in the step alone.
 *
 * @param before undefined for the first
 */
export function faultOfStep(
  before: ChannelState | undefined,
  step: Step,
  env: Pick<ChannelEnv, 'policy' | 'fees'>,
): string | undefined {
  const { next } = step
  if (!isLive(next)) return undefined
  const fault = faultOfChannel(next)
  if (fault !== undefined || before === undefined || !isLive(before)) return fault
  const moved = { before, next, step }
  return faultOfRelease(moved) ?? faultOfCount(moved) ?? faultOfAdds(moved) ?? faultOfExposure(moved, env)
}

/** A step from one state with money to another. */
interface Moved {
  readonly before: Live
  readonly next: Live
  readonly step: Step
}

/** I3: what replaces a commitment of ours is written in the step, and before, whose message has the secret of the old one. */
function faultOfRelease({ before, next, step: { monitor, effects } }: Moved): string | undefined {
  const { released } = next.signer
  const isFresh = released !== before.signer.released
  const isSaid = effects.some((one) => one.kind === 'send' && one.message.kind === 'revoke_and_ack')
  if (!isFresh) return isSaid && released === 0n ? 'I3: a secret leaves of what is not revoked' : undefined
  if (released !== before.signer.released + 1n) return `I3: ${released} commitments are revoked at once`
  const held = monitor.findIndex((one) => one.kind === 'holder' && one.state.number === released)
  const given = monitor.findIndex((one) => one.kind === 'released' && one.number === released - 1n)
  return held >= 0 && given > held ? undefined : `I3: commitment ${released - 1n} is revoked before the next`
}

/** I4: our IDs follow each other and are never taken back; the peer's only what it did not sign. */
function faultOfCount({ before, next, step: { effects } }: Moved): string | undefined {
  const [was, is] = [before.book.offered, next.book.offered]
  const ids = effects.flatMap((one) =>
    one.kind === 'send' && one.message.kind === 'update_add_htlc' ? [one.message.id] : [],
  )
  const fresh = ids.filter((id) => id >= was.local)
  if (fresh.some((id, i) => id !== was.local + BigInt(i)) || is.local !== was.local + BigInt(fresh.length))
    return `I4: after ${was.local} IDs of ours come ${fresh.join()}, and there are ${is.local}`
  const unsigned = before.book.htlcs.filter((one) => one.offerer === 'remote' && one.stage === 'offered')
  const rise = is.remote - was.remote
  return rise > 1n || (rise < 0n && rise !== -BigInt(unsigned.length))
    ? `I4: the peer has given out ${is.remote} IDs after ${was.remote}`
    : undefined
}

/** I5: what we add leaves us our reserve, and the fees if they are ours, in the commitment that we sign. */
function faultOfAdds({ next, step: { handoffs } }: Moved): string | undefined {
  if (!handoffs.some(({ kind }) => kind === 'added')) return undefined
  const spare = spareOf(next.terms, tallyOf(next.terms, viewOf(next.book, 'remote'), 'remote'), 'local')
  return spare < 0n ? `I5: what we add lacks ${-spare} msat to our reserve` : undefined
}

/** I6: what we add, and what of the peer's we take, exposes no more dust than our policy lets stand. */
function faultOfExposure(
  { next: { terms, book }, step: { handoffs, monitor, effects } }: Moved,
  { policy, fees }: Pick<ChannelEnv, 'policy' | 'fees'>,
): string | undefined {
  const isSigned = monitor.some(({ kind }) => kind === 'counterparty')
  const isFee = effects.some((one) => one.kind === 'send' && one.message.kind === 'update_fee')
  const isTaken = handoffs.some(
    (one) => one.kind === 'locked' && one.htlc.offerer === 'remote' && one.mustFail === undefined,
  )
  if (!isTaken && !(isSigned && isFee) && !handoffs.some(({ kind }) => kind === 'added')) return undefined
  const limit = dustExposureLimit(policy, fees)
  for (const holder of ['local', 'remote'] as const) {
    const exposure = exposureOf(terms, tallyOf(terms, eventualView(book, holder), holder), fees.sane)
    if (exposure > limit) return `I6: ${exposure} msat of dust in ${holder}, ${limit} are let stand`
  }
  return undefined
}

/** I1: balances and HTLCs are the capacity in each of the four commitments; nothing is negative. */
function faultOfAmounts({ book, terms }: Live): string | undefined {
  for (const holder of ['local', 'remote'] as const) {
    for (const age of ['newest', 'oldest'] as const) {
      const { toLocal, toRemote, htlcs } = viewOf(book, holder, age)
      const sum = htlcs.reduce((total, { amount }) => total + amount, toLocal + toRemote)
      if (sum !== toMsat(terms.capacity)) return `I1: ${holder} ${age} is worth ${sum} msat`
      if (toLocal < 0n || toRemote < 0n) return `I1: ${holder} ${age} has a negative balance`
      for (const direction of ['offered', 'received']) {
        if (htlcs.filter((one) => one.direction === direction).length > MAX_HTLCS)
          return `I1: ${holder} ${age} has too many HTLCs ${direction}`
      }
    }
  }
  return undefined
}

/** I2: the peer has at most two commitments that are not revoked, we have one; what is awaited can be repeated. */
function faultOfNumbers(live: Live): string | undefined {
  const { signer, batch, phase } = live
  const open = signer.signed - revokedCount(signer)
  if (open < 1n || open > 2n) return `I2: the peer has ${open} commitments`
  if (signer.validated - signer.released !== 1n) return 'I2: we have other than one commitment'
  if (phase !== 'failed' && isAwaitingRevocation(live) !== (batch !== undefined)) {
    return 'I2: a batch is kept as long as its revocation is awaited'
  }
  return undefined
}

/** I4: an ID names one HTLC, and is below the next one of its direction. */
function faultOfIDs({ book }: Live): string | undefined {
  for (const offerer of ['local', 'remote'] as const) {
    const ids = book.htlcs.filter((one) => one.offerer === offerer).map(({ id }) => id)
    if (new Set(ids).size !== ids.length) return `I4: an ID of ${offerer} names two HTLCs`
    if (ids.some((id) => id >= book.offered[offerer])) return `I4: an ID of ${offerer} is not given out yet`
  }
  return undefined
}

/** I5: who does not pay fees keeps its reserve beside everything it offers, unless it never had it. */
function faultOfReserve({ book, terms }: Live): string | undefined {
  const anchors = toMsat(ANCHOR_AMOUNT)
  for (const side of ['local', 'remote'] as const) {
    const isOffering = book.htlcs.some(({ offerer, stage }) => offerer === side && stage === 'countersigned')
    if (!isOffering || terms.opener === side) continue
    const view = viewOf(book, side)
    const { reserve } = terms[side === 'local' ? 'remote' : 'local']
    if (view.toLocal < toMsat(reserve)) {
      return `I5: ${side} has ${view.toLocal} msat of ${reserve} sat (${anchors})`
    }
  }
  return undefined
}
