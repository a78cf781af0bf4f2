// The sums that limits are about, of a commitment and of what one side offers. They are made once of a book and then kept up
// to date with each HTLC that is added, so that a batch of hundreds does not look through hundreds for each.

import type { Side } from '../monitor/record.js'
import {
  type CommitmentFormat,
  commitmentFee,
  type HtlcDirection,
  isTrimmed,
  trimThreshold,
} from '../script/index.js'
import { type FeeratePerKw, feeratePerKw, type Sat, toMsat } from '../units.js'
import { addHtlc, advance, type Book, eventualView, nextViewOf, type OpenHtlc, type View } from './book.js'
import { bufferedFeerate } from './exposure.js'
import { feeSpikeMultiple } from './policy.js'
import { otherSide } from './stages.js'
import { costOf, formatOfTerms, type Terms } from './terms.js'

/** An HTLC that is to be added. */
export type Offer = Omit<OpenHtlc, 'stage' | 'removal' | 'preimage'>

/** Sums of one commitment; amounts in msat. */
export interface Tally {
  readonly holder: Side
  readonly feerate: FeeratePerKw
  readonly balances: Readonly<Record<Side, bigint>>
  /** HTLCs with outputs. */
  readonly untrimmed: number
  /** HTLCs that would have none if the feerate rose. */
  readonly dust: bigint
}

/** Sums of a book, as far as what `offerer` adds is concerned. */
export interface Tallies {
  /** The other side's commitment as `offerer` would sign it now: both know it exactly. */
  readonly next: Tally
  /** Both commitments once everything is in and out that is on its way. */
  readonly eventual: Readonly<Record<Side, Tally>>
  /** HTLCs of the offerer in `next`, and their sum. */
  readonly count: number
  readonly inFlight: bigint
}

/** What is kept in hand for what may come. */
export interface Buffer {
  /** For a risen fee and another HTLC. */
  readonly isSpiked?: boolean
  /** For so many HTLCs with outputs. */
  readonly more?: number
}

const known = { local: new WeakMap<Book, Tallies>(), remote: new WeakMap<Book, Tallies>() }

/** The sums of a book. A book never changes, so they are kept with it. */
export function talliesOf(terms: Terms, book: Book, offerer: Side): Tallies {
  const found = known[offerer].get(book)
  if (found !== undefined) return found
  const taker = otherSide(offerer)
  const { book: signed } = advance(book, { by: offerer, what: 'signature' })
  // What is removed stays in the taker's commitment until the offerer has signed it away.
  const open = signed.htlcs.filter((one) => one.offerer === offerer && !LEFT.includes(one.stage))
  const made: Tallies = {
    next: tallyOf(terms, nextViewOf(book, taker), taker),
    eventual: {
      local: tallyOf(terms, eventualView(book, 'local'), 'local'),
      remote: tallyOf(terms, eventualView(book, 'remote'), 'remote'),
    },
    count: open.length,
    inFlight: open.reduce((sum, { amount }) => sum + amount, 0n),
  }
  known[offerer].set(book, made)
  return made
}

const LEFT: readonly string[] = ['removalCountersigned', 'gone']

/** The sums of a book with another HTLC, which it does not contain yet. */
export function talliesWith(terms: Terms, book: Book, offer: Offer): Tallies {
  const { offerer, amount } = offer
  const { next, eventual, count, inFlight } = talliesOf(terms, book, offerer)
  return {
    next: added(terms, next, offer),
    eventual: { local: added(terms, eventual.local, offer), remote: added(terms, eventual.remote, offer) },
    count: count + 1,
    inFlight: inFlight + amount,
  }
}

/** The book with another HTLC. */
export function withOffer(terms: Terms, book: Book, offer: Offer): Book {
  const after = addHtlc(book, offer)
  known[offer.offerer].set(after, talliesWith(terms, book, offer))
  return after
}

/** What a side has beyond its reserve and, if it is the opener, the cost of the commitment; in msat. */
export function spareOf(terms: Terms, tally: Tally, side: Side, buffer: Buffer = {}): bigint {
  const balance = tally.balances[side] - toMsat(terms[otherSide(side)].reserve)
  return terms.opener === side ? balance - toMsat(costIn(terms, tally, buffer)) : balance
}

/** What a commitment costs its opener. */
export function costIn(terms: Terms, tally: Tally, { isSpiked = false, more = 0 }: Buffer = {}): Sat {
  const format = formatOfTerms(terms)
  const count = tally.untrimmed + more
  if (!isSpiked) return costOf(format, tally.feerate, count)
  const feerate = feeratePerKw(Math.min(0xffff_ffff, tally.feerate * feeSpikeMultiple(format)))
  return costOf(format, feerate, count + 1)
}

/** The dust exposure of a commitment. @see exposure.ts */
export function exposureOf(terms: Terms, tally: Tally, sane: FeeratePerKw): bigint {
  const { feerate, untrimmed, dust } = tally
  if (feerate <= sane) return dust
  const format = formatOfTerms(terms)
  const fee = (rate: FeeratePerKw) => toMsat(commitmentFee(format, rate, untrimmed))
  return dust + fee(feerate) - fee(sane)
}

/** The sums of a commitment. */
export function tallyOf(terms: Terms, view: View, holder: Side): Tally {
  const { feerate, toLocal, toRemote, htlcs } = view
  const limits = limitsOf(terms, holder, feerate)
  let untrimmed = 0
  let dust = 0n
  for (const { amount, direction } of htlcs) {
    if (!isTrimmed(amount, limits.now[direction])) untrimmed++
    if (isTrimmed(amount, limits.risen[direction])) dust += amount
  }
  const [local, remote] = holder === 'local' ? [toLocal, toRemote] : [toRemote, toLocal]
  return { holder, feerate, balances: { local, remote }, untrimmed, dust }
}

/** From which amount on an HTLC of `offerer` has an output in a commitment. */
export function outputFrom(terms: Terms, tally: Tally, offerer: Side): Sat {
  const { now } = limitsOf(terms, tally.holder, tally.feerate)
  return now[offerer === tally.holder ? 'offered' : 'received']
}

function added(terms: Terms, tally: Tally, { offerer, amount }: Offer): Tally {
  const { holder, feerate, balances, untrimmed, dust } = tally
  const limits = limitsOf(terms, holder, feerate)
  const direction = offerer === holder ? 'offered' : 'received'
  const { local, remote } = balances
  return {
    holder,
    feerate,
    balances: offerer === 'local' ? { local: local - amount, remote } : { local, remote: remote - amount },
    untrimmed: untrimmed + (isTrimmed(amount, limits.now[direction]) ? 0 : 1),
    dust: dust + (isTrimmed(amount, limits.risen[direction]) ? amount : 0n),
  }
}

interface Limits {
  readonly now: Readonly<Record<HtlcDirection, Sat>>
  readonly risen: Readonly<Record<HtlcDirection, Sat>>
}

/** Those of the feerates that were asked for last: they change with the fees alone. */
const knownLimits = { local: new WeakMap<Terms, KnownLimits>(), remote: new WeakMap<Terms, KnownLimits>() }

interface KnownLimits {
  readonly feerate: FeeratePerKw
  readonly limits: Limits
}

function limitsOf(terms: Terms, holder: Side, feerate: FeeratePerKw): Limits {
  const found = knownLimits[holder].get(terms)
  if (found?.feerate === feerate) return found.limits
  const limits = limitsFor(terms, holder, feerate)
  knownLimits[holder].set(terms, { feerate, limits })
  return limits
}

function limitsFor(terms: Terms, holder: Side, feerate: FeeratePerKw): Limits {
  const format = formatOfTerms(terms)
  const { dustLimit } = terms[holder]
  return {
    now: thresholds(format, feerate, dustLimit),
    risen: thresholds(format, bufferedFeerate(feerate), dustLimit),
  }
}

function thresholds(
  format: CommitmentFormat,
  feerate: FeeratePerKw,
  dustLimit: Sat,
): Readonly<Record<HtlcDirection, Sat>> {
  return {
    offered: trimThreshold(format, { feerate, dustLimit }, 'offered'),
    received: trimThreshold(format, { feerate, dustLimit }, 'received'),
  }
}
