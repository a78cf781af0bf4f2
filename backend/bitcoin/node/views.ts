// A channel as its user sees it: what is durable, in the words of both kinds of channels.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import {
  type ChannelEnv,
  type ChannelState,
  type Failure,
  isConfirmed,
  isLive,
  isReliable,
  type Live,
  type Obligation,
  type OpenHtlc,
  obligations,
  type Phase,
  receivable,
  spendable,
} from '../channel/index.js'
import { MAX_HTLCS } from '../channel/policy.js'
import { costIn, outputFrom, talliesOf } from '../channel/tally.js'
import { isTrimmed } from '../script/index.js'
import { type FeeratePerKw, type Msat, msat, type Sat, sat, toMsat } from '../units.js'
import type { ShortChannelID } from '../wire/index.js'
import type { Entry } from './entries.js'

/** Of both sides. */
export type Both<T> = Readonly<Record<'local' | 'remote', T>>

/** What is true of a channel from its first message on. */
export interface ChannelView {
  /** Its name here, for ever: the index of its keys. */
  readonly channel: bigint
  /** Node ID. */
  readonly peer: PeerID
  readonly phase: Phase
  /** By which the two know it while it has no other ID; the opener's random bytes. */
  readonly temporaryID?: Hex
  readonly opener?: 'local' | 'remote'
  readonly capacity: Sat
  /** Once its first commitments are signed. */
  readonly live?: LiveView
  /** A mistake of ours: nothing happens to it until a restart. */
  readonly stopped?: PerkunasError
}

/** What is true of a channel with money in it. */
export interface LiveView {
  readonly channelID: Hex
  readonly isConnected: boolean
  /** Gross: what is in HTLCs counts as still with who offered it, and the sum is the capacity. */
  readonly balances: Both<Msat>
  /** The most that one HTLC of ours can carry now. */
  readonly spendable: Msat
  /** The most that one HTLC of the peer can, if the peer keeps as much in hand as we do. */
  readonly receivable: Msat
  /** What each side must keep. */
  readonly reserve: Both<Sat>
  /** The smallest HTLC that each side may offer. */
  readonly minimum: Both<Msat>
  readonly htlcs: readonly OpenHtlc[]
  /** How many HTLCs each side ever offered. */
  readonly offered: Both<bigint>
  /** Blocks that each side's share waits if that side closes alone. */
  readonly delay: Both<number>
  /** Both have signed a transaction that closes it. */
  readonly isClosingAgreed: boolean
  /** How much is wanted of it and not signed yet. */
  readonly wanted: number
  /** HTLCs of ours that can be in flight at a time. */
  readonly maxInFlight: number
  /** Those of the peer. */
  readonly maxReceived: number
  readonly feerate: FeeratePerKw
  /** Once what is on its way has arrived: what our commitment costs the opener, fee and anchors. */
  readonly cost: Sat
  /** Then: what of ours our commitment has no output for. */
  readonly dust: Msat
  readonly confirmations: number
  readonly minimumDepth: number
  readonly shortChannelID?: ShortChannelID
  /** By which the peer sends to us, and we to it. */
  readonly alias?: ShortChannelID
  readonly remoteAlias?: ShortChannelID
  /** What the peer must do by when, earliest first, or the channel goes on chain. */
  readonly obligations: readonly Obligation[]
  readonly failure?: Failure
}

/** The view of a channel. */
export function viewOfEntry({ keyIndex, peer, shown, stopped }: Entry, env: ChannelEnv): ChannelView {
  const common = {
    channel: keyIndex,
    peer,
    phase: shown.phase,
    ...(stopped === undefined ? {} : { stopped }),
  }
  if (shown.phase === 'closed') return { ...common, capacity: sat(0n) }
  const { temporaryID, opener, capacity } = shown.terms
  return {
    ...common,
    temporaryID,
    opener,
    capacity,
    ...(isLive(shown) ? { live: viewOfLive(shown, env) } : {}),
  }
}

/** Whether HTLCs can be added now. */
export function isUsable(state: ChannelState): state is Live {
  return isLive(state) && state.phase === 'normal' && state.link.kind === 'up'
}

function viewOfLive(live: Live, env: ChannelEnv): LiveView {
  const { terms, book, ready, failure, link } = live
  const canPay = isUsable(live)
  return {
    channelID: terms.channelID,
    isConnected: link.kind === 'up',
    balances: book.balances,
    spendable: canPay && isConfirmed(live) ? spendable(live, env) : msat(0n),
    get receivable() {
      return canPay && isReliable(live) ? receivable(live, env) : msat(0n)
    },
    // Each side says what the other must keep.
    reserve: { local: terms.remote.reserve, remote: terms.local.reserve },
    minimum: { local: terms.remote.htlcMinimum, remote: terms.local.htlcMinimum },
    htlcs: book.htlcs,
    offered: book.offered,
    delay: { local: terms.remote.toSelfDelay, remote: terms.local.toSelfDelay },
    isClosingAgreed: live.closing.complete !== undefined,
    wanted: live.intents.length,
    maxInFlight: Math.min(MAX_HTLCS, terms.remote.maxAcceptedHtlcs),
    maxReceived: Math.min(MAX_HTLCS, terms.local.maxAcceptedHtlcs),
    feerate: book.feerate,
    get cost() {
      return costIn(terms, talliesOf(terms, book, 'local').eventual.local)
    },
    get dust() {
      return dustOf(live)
    },
    confirmations: ready.depth,
    minimumDepth: terms.minimumDepth,
    ...(ready.shortChannelID === undefined ? {} : { shortChannelID: ready.shortChannelID }),
    ...(terms.alias === undefined ? {} : { alias: terms.alias }),
    ...(ready.remoteAlias === undefined ? {} : { remoteAlias: ready.remoteAlias }),
    obligations: obligations(live),
    ...(failure === undefined ? {} : { failure }),
  }
}

/** Of ours: HTLCs that we offer, and our balance, below what has an output. */
function dustOf({ terms, book }: Live): Msat {
  const tally = talliesOf(terms, book, 'local').eventual.local
  const least = outputFrom(terms, tally, 'local')
  const small = book.htlcs.filter(({ offerer, amount }) => offerer === 'local' && isTrimmed(amount, least))
  const held = small.reduce((sum: bigint, { amount }) => sum + amount, 0n)
  const cost = terms.opener === 'local' ? toMsat(costIn(terms, tally)) : 0n
  const rest = tally.balances.local - cost
  const isPaid = rest >= toMsat(terms.local.dustLimit)
  return msat(held + (isPaid || rest < 0n ? 0n : rest))
}
