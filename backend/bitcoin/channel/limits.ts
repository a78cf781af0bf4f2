// What may be added to a channel, in both commitments and for both sides (BOLT 2, "Adding an HTLC", "Updating Fees").
//
// A sender asks more of itself than a receiver demands, since it does not know what is on its way to it. A receiver judges
// its own next commitment alone, which both sides know exactly when the message arrives: what it refuses there is a broken
// rule and not a race.

import type { Side } from '../monitor/record.js'
import { blockHeight, type FeeratePerKw, type Msat, msat, toMsat } from '../units.js'
import { type Book, changeFee, type OpenHtlc, viewOf } from './book.js'
import { faultOfFeerate } from './parameters.js'
import { dustExposureLimit, MAX_EXPIRY_DISTANCE, MAX_HTLCS, MIN_FEERATE } from './policy.js'
import { isReliable } from './ready.js'
import { otherSide } from './stages.js'
import type { Live } from './state.js'
import type { ChannelEnv, MustFail } from './step.js'
import {
  costIn,
  exposureOf,
  type Offer,
  outputFrom,
  spareOf,
  type Tallies,
  talliesOf,
  talliesWith,
  tallyOf,
} from './tally.js'
import { formatOfTerms, type Terms } from './terms.js'

/** From here on a lock time is no block height. */
const TIME_LOCKTIME = 500_000_000
const NO_HASH = new Uint8Array(32)

/** The rule by which an HTLC can't be added by its offerer now, as far as our own choices are the other side's, too. */
export function faultOfSent(
  { book, terms }: Pick<Live, 'book' | 'terms'>,
  offer: Offer,
  env: ChannelEnv,
): string | undefined {
  const { offerer } = offer
  const taker = terms[otherSide(offerer)]
  if (offer.amount < taker.htlcMinimum || offer.amount <= 0n) return 'below htlc_minimum_msat'
  if (offer.cltvExpiry <= env.height) return 'the expiry is in the past'
  if (offer.cltvExpiry > env.height + MAX_EXPIRY_DISTANCE) return 'the expiry is too far away'
  const before = talliesOf(terms, book, offerer)
  const tallies = talliesWith(terms, book, offer)
  const maxAcceptedHtlcs = Math.min(taker.maxAcceptedHtlcs, MAX_HTLCS)
  const fault = faultOfNumbers(tallies, { maxAcceptedHtlcs, maxInFlight: taker.maxInFlight })
  if (fault !== undefined) return fault
  if (!isAffordable(terms, { tallies, before, by: offerer }))
    return 'it exceeds what the balance covers beyond reserve and fee'
  return exceedsExposure(terms, tallies, env) ? 'it exceeds the dust exposure' : undefined
}

/** The rule that an HTLC of the peer breaks, for which the channel fails. */
export function faultOfReceived(live: Live, offer: Offer): string | undefined {
  const { book, terms, shutdown } = live
  const { local } = terms
  if (shutdown.remote !== undefined) return 'update_add_htlc after shutdown'
  if (offer.id !== book.offered.remote) return `update_add_htlc: id ${book.offered.remote} is next`
  if (offer.amount <= 0n) return 'amount_msat is zero'
  if (offer.amount < local.htlcMinimum) return 'amount_msat below htlc_minimum_msat'
  if (offer.cltvExpiry >= TIME_LOCKTIME || offer.cltvExpiry === 0) return 'cltv_expiry is no block height'
  const tallies = talliesWith(terms, book, offer)
  const fault = faultOfNumbers(tallies, local)
  if (fault !== undefined) return fault
  const { next, eventual } = tallies
  if (next.balances.remote < 0n || eventual.local.balances.remote < 0n)
    return 'amount_msat exceeds the balance'
  return spareOf(terms, next, 'remote') < 0n
    ? 'amount_msat leaves less than fee and channel_reserve_satoshis'
    : undefined
}

/**
 * Why HTLCs of the peer that are locked now must be failed although no rule is broken: the answer for each,
 * after looking at the book once.
 */
export function mustFail(live: Live, env: ChannelEnv): (htlc: OpenHtlc) => MustFail | undefined {
  const { book, terms, shutdown } = live
  const all = overall()
  return ({ cltvExpiry }) => (cltvExpiry > env.height + MAX_EXPIRY_DISTANCE ? 'expiryTooFar' : all)

  function overall(): MustFail | undefined {
    if (shutdown.local !== undefined) return 'shuttingDown'
    if (!isReliable(live)) return 'unconfirmed'
    const tallies = talliesOf(terms, book, 'remote')
    if (exceedsExposure(terms, tallies, env)) return 'dustExposure'
    const isTight = spareOf(terms, tallies.eventual.remote, 'remote', { isSpiked: true }) < 0n
    return terms.opener === 'remote' && isTight ? 'feeSpike' : undefined
  }
}

/** The rule by which we can't ask for another feerate now. */
export function faultOfSentFee(live: Live, feerate: FeeratePerKw, env: ChannelEnv): string | undefined {
  const { terms, shutdown, book } = live
  if (terms.opener !== 'local') return 'only the opener changes the fee'
  if (shutdown.local !== undefined && shutdown.remote !== undefined) return 'the channel shuts down'
  if (feerate < MIN_FEERATE) return `the feerate is below ${MIN_FEERATE}`
  const tallies = talliesOf(terms, changeFee(book, feerate), 'local')
  if (!isAffordable(terms, { tallies, before: tallies, by: 'local' }))
    return 'the balance does not cover the fee'
  return exceedsExposure(terms, tallies, env) ? 'it exceeds the dust exposure' : undefined
}

/** The rule that `update_fee` breaks. Whether the opener can pay is asked when it is signed. */
export function faultOfReceivedFee(live: Live, feerate: FeeratePerKw, env: ChannelEnv): string | undefined {
  const { terms, book } = live
  if (terms.opener !== 'remote') return 'update_fee from who does not pay the fee'
  if (feerate < MIN_FEERATE) return `update_fee: feerate_per_kw of ${feerate} below ${MIN_FEERATE}`
  if (doubtOfReceivedFee(live, feerate, env) !== undefined) return undefined
  const tallies = talliesOf(terms, changeFee(book, feerate), 'remote')
  return exceedsExposure(terms, tallies, env) ? 'update_fee exceeds the dust exposure' : undefined
}

/** Why we would not have a feerate that breaks no rule: the peer's estimate is not ours, which time may mend. */
export function doubtOfReceivedFee(
  { terms }: Pick<Live, 'terms'>,
  feerate: FeeratePerKw,
  { fees }: ChannelEnv,
): string | undefined {
  const doubt = faultOfFeerate(feerate, fees, formatOfTerms(terms))
  return doubt === undefined ? undefined : `update_fee: ${doubt}`
}

/** Whether an opener has what a newest commitment costs. */
export function canPay({ terms }: Pick<Live, 'terms'>, book: Book, holder: Side): boolean {
  const tally = tallyOf(terms, viewOf(book, holder), holder)
  return tally.balances[terms.opener] >= toMsat(costIn(terms, tally))
}

/**
 * The most that one HTLC of ours can carry now: so much is added if it is wanted, and a thousandth of a satoshi more is
 * not. 0 if none can be.
 */
export function spendable(live: Live, env: ChannelEnv): Msat {
  return mostOf(live, 'local', env)
}

/**
 * The most that one HTLC of the peer can carry now and we do not fail: what is `spendable` to a peer that sees the same and
 * chooses as we do. One that keeps more in hand than it must can send less.
 */
export function receivable(live: Live, env: ChannelEnv): Msat {
  return mostOf(live, 'remote', env)
}

function mostOf(live: Live, offerer: Side, env: ChannelEnv): Msat {
  const { terms, book } = live
  const taker = otherSide(offerer)
  const { next, eventual, inFlight } = talliesOf(terms, book, offerer)
  const threshold = {
    local: outputFrom(terms, eventual.local, offerer),
    remote: outputFrom(terms, eventual.remote, offerer),
  }
  // With outputs in both commitments, in one, in none: each is cheaper than the one before.
  const ceilings = Object.values(threshold).sort((a, b) => (a < b ? 1 : -1))
  for (const ceiling of [undefined, ...ceilings]) {
    const below = ceiling === undefined ? undefined : toMsat(ceiling) - 1n
    const more = (holder: Side) => (below === undefined || below >= toMsat(threshold[holder]) ? 1 : 0)
    const amount = least([
      spareOf(terms, next, offerer, { more: more(taker) }),
      spareOf(terms, eventual.local, offerer, { isSpiked: true, more: more('local') }),
      spareOf(terms, eventual.remote, offerer, { isSpiked: true, more: more('remote') }),
      terms[taker].maxInFlight - inFlight,
      ...(below === undefined ? [] : [below]),
    ])
    if (amount <= 0n) continue
    const cltvExpiry = blockHeight(env.height + 1)
    const id = book.offered[offerer]
    const offer: Offer = { offerer, id, amount: msat(amount), paymentHash: NO_HASH, cltvExpiry }
    if (faultOfSent(live, offer, env) === undefined) return offer.amount
  }
  return msat(0n)
}

function faultOfNumbers(
  { count, inFlight }: Tallies,
  limits: { readonly maxAcceptedHtlcs: number; readonly maxInFlight: bigint },
): string | undefined {
  if (count > limits.maxAcceptedHtlcs) return 'more than max_accepted_htlcs'
  return inFlight > limits.maxInFlight ? 'more than max_htlc_value_in_flight_msat' : undefined
}

interface Change {
  readonly tallies: Tallies
  /** The same without what is new. */
  readonly before: Tallies
  readonly by: Side
}

/** Whether who makes a change keeps its reserve in every commitment that may come of a book, and its opener can pay. */
function isAffordable(terms: Terms, { tallies, before, by }: Change): boolean {
  const { next, eventual } = tallies
  if (spareOf(terms, next, by) < 0n) return false
  for (const holder of ['local', 'remote'] as const) {
    const tally = eventual[holder]
    if (spareOf(terms, tally, by, { isSpiked: true }) < 0n) return false
    // The other side pays: an HTLC that it can't pay for would stick.
    const costsMore = costIn(terms, tally) > costIn(terms, before.eventual[holder])
    const payer = otherSide(by)
    if (terms.opener === payer && costsMore && spareOf(terms, tally, payer) < 0n) return false
  }
  return true
}

/** Whether dust exposes more than we let stand, in either commitment. */
function exceedsExposure(terms: Terms, { eventual }: Tallies, env: ChannelEnv): boolean {
  const limit = dustExposureLimit(env.policy, env.fees)
  return [eventual.local, eventual.remote].some((tally) => exposureOf(terms, tally, env.fees.sane) > limit)
}

function least(amounts: readonly bigint[]): bigint {
  let found: bigint | undefined
  for (const one of amounts) if (found === undefined || one < found) found = one
  return found ?? 0n
}
