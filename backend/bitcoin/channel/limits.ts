// What may be added to a channel, in both commitments and for both sides (BOLT 2, "Adding an HTLC", "Updating Fees").
//
// A sender asks more of itself than a receiver demands, since it does not know what is on its way to it. A receiver judges
// its own next commitment alone, which both sides know exactly when the message arrives: what it refuses there is a broken
// rule and not a race.
import { type FeeratePerKw, feeratePerKw, type Msat, msat, toMsat } from '../../../channel/units.js'
import type { Side } from '../monitor/record.js'
import {
  addHtlc,
  advance,
  type Book,
  eventualView,
  nextViewOf,
  type OpenHtlc,
  type View,
  viewOf,
} from './book.js'
import { dustExposure, untrimmedOf } from './exposure.js'
import { faultOfFeerate } from './parameters.js'
import { dustExposureLimit, feeSpikeMultiple, MAX_EXPIRY_DISTANCE, MAX_HTLCS, MIN_FEERATE } from './policy.js'
import { isIn, isRemoval, otherSide } from './stages.js'
import type { Live } from './state.js'
import type { ChannelEnv, MustFail } from './step.js'
import { costOf, formatOfTerms } from './terms.js'

/** From here on a lock time is no block height. */
const TIME_LOCKTIME = 500_000_000

/** An HTLC that is to be added. */
export type Offer = Omit<OpenHtlc, 'stage' | 'removal' | 'preimage'>

/** The rule by which an HTLC of ours can't be added now. */
export function faultOfSent(live: Live, offer: Offer, env: ChannelEnv): string | undefined {
  const { book, terms } = live
  const { remote } = terms
  if (offer.amount < remote.htlcMinimum || offer.amount <= 0n) return 'below htlc_minimum_msat'
  if (offer.cltvExpiry <= env.height) return 'the expiry is in the past'
  if (offer.cltvExpiry > env.height + MAX_EXPIRY_DISTANCE) return 'the expiry is too far away'
  const fault = faultOfNumbers(book, offer, {
    maxAcceptedHtlcs: Math.min(remote.maxAcceptedHtlcs, MAX_HTLCS),
    maxInFlight: remote.maxInFlight,
  })
  if (fault !== undefined) return fault
  const added = withOffer(book, offer)
  if (added === undefined || !isAffordable(live, added, 'local', { isSpiked: true })) {
    return 'it exceeds what the balance covers beyond reserve and fee'
  }
  if (exceedsExposure(live, added, env)) return 'it exceeds the dust exposure'
  return undefined
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
  const fault = faultOfNumbers(book, offer, local)
  if (fault !== undefined) return fault
  const added = withOffer(book, offer)
  if (added === undefined) return 'amount_msat exceeds the balance'
  const view = nextViewOf(added, 'local')
  return spareOf(live, view, 'local', 'remote') < 0n
    ? 'amount_msat leaves less than fee and channel_reserve_satoshis'
    : undefined
}

/** Why an HTLC of the peer that is locked now must be failed although no rule is broken (f 5, 26, 28). */
export function mustFail(live: Live, htlc: OpenHtlc, env: ChannelEnv): MustFail | undefined {
  const { book, terms, shutdown } = live
  if (shutdown.local !== undefined) return 'shuttingDown'
  if (htlc.cltvExpiry > env.height + MAX_EXPIRY_DISTANCE) return 'expiryTooFar'
  if (exceedsExposure(live, book, env)) return 'dustExposure'
  if (terms.opener === 'remote' && spareOf(live, eventualView(book, 'remote'), 'remote', 'remote', true) < 0n)
    return 'feeSpike'
  return undefined
}

/** The rule by which we can't ask for another feerate now. */
export function faultOfSentFee(live: Live, feerate: FeeratePerKw, env: ChannelEnv): string | undefined {
  if (live.terms.opener !== 'local') return 'only the opener changes the fee'
  if (live.shutdown.local !== undefined && live.shutdown.remote !== undefined) return 'the channel shuts down'
  if (feerate < MIN_FEERATE) return `the feerate is below ${MIN_FEERATE}`
  const book = withFeerate(live.book, feerate)
  if (!isAffordable(live, book, 'local', { isSpiked: true })) return 'the balance does not cover the fee'
  return exceedsExposure(live, book, env) ? 'it exceeds the dust exposure' : undefined
}

/** The rule that `update_fee` breaks. Whether the opener can pay is asked when it is signed. */
export function faultOfReceivedFee(live: Live, feerate: FeeratePerKw, env: ChannelEnv): string | undefined {
  if (live.terms.opener !== 'remote') return 'update_fee from who does not pay the fee'
  const fault = faultOfFeerate(feerate, env.fees)
  if (fault !== undefined) return `update_fee: ${fault}`
  const book = withFeerate(live.book, feerate)
  return exceedsExposure(live, book, env) ? 'update_fee exceeds the dust exposure' : undefined
}

/** Whether an opener has what our newest commitment costs. */
export function canPay(live: Pick<Live, 'terms'>, book: Book, holder: Side): boolean {
  const { opener } = live.terms
  const view = viewOf(book, holder)
  return balanceOf(view, holder, opener) >= toMsat(costIn(live, view, holder))
}

/** The most that one HTLC of ours could carry if no other rule stood against it. */
export function spendable(live: Live): Msat {
  let least = spareOf(live, nextViewOf(live.book, 'remote'), 'remote', 'local')
  for (const holder of ['local', 'remote'] as const) {
    const spare = spareOf(live, eventualView(live.book, holder), holder, 'local', true)
    if (spare < least) least = spare
  }
  return msat(least > 0n ? least : 0n)
}

function faultOfNumbers(
  book: Book,
  { offerer, amount }: Offer,
  limits: { readonly maxAcceptedHtlcs: number; readonly maxInFlight: bigint },
): string | undefined {
  const taker = otherSide(offerer)
  const { book: signed } = advance(book, { by: offerer, what: 'signature' })
  const open = signed.htlcs.filter(
    (one) => one.offerer === offerer && (!isRemoval(one.stage) || isIn(one.stage, offerer, taker, 'newest')),
  )
  if (open.length + 1 > limits.maxAcceptedHtlcs) return 'more than max_accepted_htlcs'
  const inFlight = open.reduce((sum, one) => sum + one.amount, amount as bigint)
  return inFlight > limits.maxInFlight ? 'more than max_htlc_value_in_flight_msat' : undefined
}

/** The book with another HTLC; undefined if its offerer does not even have the amount. */
function withOffer(book: Book, offer: Offer): Book | undefined {
  const taker = otherSide(offer.offerer)
  const have = [nextViewOf(book, taker), eventualView(book, taker)].map((view) =>
    balanceOf(view, taker, offer.offerer),
  )
  return have.some((balance) => balance < offer.amount) ? undefined : addHtlc(book, offer)
}

function withFeerate(book: Book, feerate: FeeratePerKw): Book {
  return {
    ...book,
    changes: [...book.changes.filter(({ stage }) => stage !== 'offered'), { feerate, stage: 'offered' }],
  }
}

/** Whether a sender keeps its reserve, and the opener can pay, in every commitment that may come of a book. */
function isAffordable(
  live: Live,
  book: Book,
  sender: Side,
  { isSpiked }: { readonly isSpiked: boolean },
): boolean {
  const taker = otherSide(sender)
  if (spareOf(live, nextViewOf(book, taker), taker, sender) < 0n) return false
  for (const holder of [taker, sender]) {
    const view = eventualView(book, holder)
    if (spareOf(live, view, holder, sender, isSpiked) < 0n) return false
    // The other side pays: an HTLC that it can't pay for would stick.
    if (
      live.terms.opener === taker &&
      spareOf(live, view, holder, taker) < 0n &&
      costsMore(live, book, holder)
    ) {
      return false
    }
  }
  return true
}

/** Whether what is new in a book has outputs. */
function costsMore(live: Live, book: Book, holder: Side): boolean {
  return (
    costIn(live, eventualView(book, holder), holder) > costIn(live, eventualView(live.book, holder), holder)
  )
}

/** What a side has in a commitment beyond its reserve and, if it is the opener, the cost of the commitment; in msat. */
function spareOf(live: Pick<Live, 'terms'>, view: View, holder: Side, side: Side, isSpiked = false): bigint {
  const { terms } = live
  const reserve = toMsat(terms[otherSide(side)].reserve)
  const balance = balanceOf(view, holder, side) - reserve
  return terms.opener === side ? balance - toMsat(costIn(live, view, holder, isSpiked)) : balance
}

function costIn({ terms }: Pick<Live, 'terms'>, view: View, holder: Side, isSpiked = false) {
  const format = formatOfTerms(terms)
  const { dustLimit } = terms[holder]
  const count = untrimmedOf(view, { format, dustLimit })
  if (!isSpiked) return costOf(format, view.feerate, count)
  const feerate = feeratePerKw(Math.min(0xffff_ffff, view.feerate * feeSpikeMultiple(format)))
  return costOf(format, feerate, count + 1)
}

function balanceOf(view: View, holder: Side, side: Side): bigint {
  return side === holder ? view.toLocal : view.toRemote
}

/** Whether a book's dust exposes more than we let stand, in either commitment. */
export function exceedsExposure(live: Pick<Live, 'terms'>, book: Book, env: ChannelEnv): boolean {
  const { terms } = live
  const limit = dustExposureLimit(env.policy, env.fees)
  return (['local', 'remote'] as const).some((holder) => {
    const { dustLimit } = terms[holder]
    const exposure = { format: formatOfTerms(terms), dustLimit, sane: env.fees.sane }
    return dustExposure(eventualView(book, holder), exposure) > limit
  })
}
