// The older closing: the opener pays, and both agree on the fee (BOLT 2, "Closing Negotiation: closing_signed").

import { buildLegacyClosing, type Closing, verifyClosing } from '../script/index.js'
import { type Sat, sat, toSat } from '../units.js'
import type { ClosingSigned } from '../wire/index.js'
import { closingFee, closingFunding, completed, hasSignedEnough, shares, signOurs } from './closing.js'
import { warned } from './failure.js'
import { MIN_FEERATE } from './policy.js'
import { isClean } from './shutdown.js'
import type { FeeRange, Live } from './state.js'
import { type ChannelEnv, type Effect, type Step, send, to } from './step.js'

/** The opener begins. */
export function offerClosing(live: Live, env: ChannelEnv): Step {
  if (live.terms.opener !== 'local') return to(live)
  const range = rangeOf(live, env)
  return offered(live, clamp(closingFee(live, env.fees.closing), range), range, env)
}

/** `closing_signed`. */
export function receivedClosingSigned(live: Live, message: ClosingSigned, env: ChannelEnv): Step {
  if (!isClean(live)) return warned(live, 'closing_signed although something is open')
  if (hasSignedEnough(live)) return warned(live, 'closing_signed too often')
  const { feeSatoshis: fee, feeRange } = message
  if (fee > balanceOfOpener(live)) return warned(live, 'closing_signed: the opener has not that much')
  const closing = signedByPeer(live, message)
  if (closing === undefined) return warned(live, 'closing_signed: bad signature')
  const theirs = feeRange && { min: feeRange.minFeeSatoshis, max: feeRange.maxFeeSatoshis }
  const { offered: ours } = live.closing
  if (ours?.fee === fee) return agreed(live, closing, { fee, isAnswered: true }, env)
  const range = ours?.range ?? rangeOf(live, env)
  const isFine = isWithin(fee, range) && (theirs === undefined || isWithin(fee, theirs))
  if (isFine && (live.terms.opener === 'local' || ours === undefined || theirs === undefined))
    return agreed(live, closing, { fee, isAnswered: false }, env)
  if (theirs !== undefined) {
    const overlap = { min: larger(range.min, theirs.min), max: smaller(range.max, theirs.max) }
    if (overlap.min > overlap.max) return warned(live, 'closing_signed: the fee ranges do not overlap')
    if (live.terms.opener === 'local' || ours !== undefined) {
      return warned(live, 'closing_signed: fee_satoshis is not of the fee ranges')
    }
    return offered(live, clamp(fee, overlap), range, env)
  }
  // Without ranges each offer lies strictly between the last two.
  const next = ours === undefined ? clamp(fee, range) : sat((ours.fee + fee) / 2n)
  if (ours !== undefined && (next === ours.fee || next === fee || !isWithin(next, range))) {
    return warned(live, 'closing_signed: no fee is left between ours and yours')
  }
  return offered(live, next, range, env)
}

/** Fees that we would agree to. Who does not pay takes any that gets relayed. */
function rangeOf(live: Live, env: ChannelEnv): FeeRange {
  const min = closingFee(live, MIN_FEERATE)
  const have = balanceOfOpener(live)
  if (live.terms.opener === 'remote') return { min: smaller(min, have), max: have }
  const most = sat(closingFee(live, env.fees.closing) * BigInt(env.policy.closingFeeMultiple))
  return { min: smaller(min, have), max: smaller(larger(most, min), have) }
}

function offered(live: Live, fee: Sat, range: FeeRange, env: ChannelEnv): Step {
  const closing = build(live, fee, 'local')
  if (closing === undefined) return warned(live, 'no output of a closing is left')
  const signature = signOurs(live, closing, { side: 'local', fee: feeOfOurs(live, fee) }, env)
  return to(
    { ...live, closing: { ...live.closing, offered: { fee, range }, signed: live.closing.signed + 1 } },
    {
      monitor: [{ kind: 'closing', transaction: closing.transaction, isComplete: false }],
      effects: [message(live, { fee, signature, range })],
    },
  )
}

function agreed(
  live: Live,
  { closing, theirs }: SignedByPeer,
  { fee, isAnswered }: { readonly fee: Sat; readonly isAnswered: boolean },
  env: ChannelEnv,
): Step {
  const signature = signOurs(live, closing, { side: 'local', fee: feeOfOurs(live, fee) }, env)
  const range = live.closing.offered?.range ?? rangeOf(live, env)
  const { next, monitor, effects } = completed(
    live,
    { closing, isOurs: false },
    { local: signature, remote: theirs },
    env,
  )
  if (isAnswered) return to(next, { monitor, effects })
  // Its answer has our own form of the outputs, of which the peer may know another.
  const own = build(live, fee, 'local') ?? closing
  const ownSignature = signOurs(live, own, { side: 'local', fee: feeOfOurs(live, fee) }, env)
  return to(
    { ...next, closing: { ...next.closing, offered: { fee, range } } },
    {
      monitor: [...monitor, { kind: 'closing', transaction: own.transaction, isComplete: false }],
      effects: [message(live, { fee, signature: ownSignature, range }), ...effects],
    },
  )
}

function message(
  { terms }: Live,
  given: { readonly fee: Sat; readonly signature: Uint8Array; readonly range: FeeRange },
): Effect {
  const { fee, signature, range } = given
  return send({
    kind: 'closing_signed',
    channelID: terms.channelID,
    feeSatoshis: fee,
    signature,
    feeRange: { minFeeSatoshis: range.min, maxFeeSatoshis: range.max },
  })
}

interface SignedByPeer {
  readonly closing: Closing<'local' | 'remote'>
  readonly theirs: Uint8Array
}

/** The transaction that a signature of the peer is on: it leaves out what is dust by its limit, and may leave out its own. */
function signedByPeer(live: Live, { feeSatoshis, signature }: ClosingSigned): SignedByPeer | undefined {
  const key = live.terms.remote.basepoints.funding
  for (const omit of [undefined, 'remote'] as const) {
    const closing = build(live, feeSatoshis, 'remote', omit)
    if (closing !== undefined && verifyClosing(closing, signature, key)) return { closing, theirs: signature }
  }
  return undefined
}

/** As `by` makes it. Undefined if no output is left. */
function build(
  live: Live,
  fee: Sat,
  by: 'local' | 'remote',
  omit?: 'remote',
): Closing<'local' | 'remote'> | undefined {
  const { local, remote } = shares(live)
  const { opener } = live.terms
  const { dustLimit } = live.terms[by]
  const isThere = (['local', 'remote'] as const).some(
    (side) =>
      side !== omit && toSat({ local, remote }[side].balance) - (side === opener ? fee : 0n) >= dustLimit,
  )
  if (!isThere) return undefined
  const funding = closingFunding(live)
  return buildLegacyClosing({
    funding,
    local,
    remote,
    opener,
    fee,
    dustLimit,
    ...(omit === undefined ? {} : { omit }),
  })
}

function feeOfOurs({ terms }: Live, fee: Sat): Sat {
  return terms.opener === 'local' ? fee : sat(0n)
}

function balanceOfOpener(live: Live): Sat {
  return toSat(shares(live)[live.terms.opener].balance)
}

function isWithin(fee: Sat, { min, max }: FeeRange): boolean {
  return fee >= min && fee <= max
}

function clamp(fee: Sat, { min, max }: FeeRange): Sat {
  return larger(min, smaller(fee, max))
}

function larger(a: Sat, b: Sat): Sat {
  if (a > b) return a
  return b
}

function smaller(a: Sat, b: Sat): Sat {
  if (a < b) return a
  return b
}
