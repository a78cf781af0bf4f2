// Opening a Lightning channel in the words of `Client.proposeChannel`, and being asked for one in those of a proposal handler.
import { isLocking } from '../../../channel/allocation.js'
import {
  type Asset,
  type Balances,
  type Capabilities,
  EMPTY,
  type Hex,
  NO_APP,
  NO_AUX,
  type Params,
  PerkunasError,
} from '../../../channel/index.js'
import type { ChannelProposal, ProposalOptions } from '../../../client/index.js'
import { faultOfPeerID, type PeerID } from '../../../peer/index.js'
import { NETWORKS } from '../chain/index.js'
import type { ChannelPolicy } from '../channel/index.js'
import { type BlockDelta, blockDelta, type Msat, msat, type Sat, toMsat, toSat } from '../units.js'
import { invalid, unsupported } from './refusals.js'

/** Which kind of ledger Bitcoin is, in a channel's `AddressMap` and `Asset`. */
export const BITCOIN = 2

/** A challenge duration in blocks: how long the other side's share is held back after a force-close (`to_self_delay`). */
export const CHALLENGE_DURATION = { min: 1n, max: 2016n } as const

/**
 * The same on a chain: elsewhere than on regtest no less than our policy's `toSelfDelay.min`, 144 by default. Who is away for
 * longer than that can be cheated by an old commitment.
 *
 * @param chainHash BOLT 7's `chain_hash`
 */
export function challengeDurationOn(
  chainHash: Hex,
  { toSelfDelay }: Pick<ChannelPolicy, 'toSelfDelay'>,
): Capabilities['challengeDuration'] {
  if (chainHash === NETWORKS.regtest.genesis) return CHALLENGE_DURATION
  const { min, max } = CHALLENGE_DURATION
  const least = BigInt(toSelfDelay.min)
  return { min: least < min ? min : least > max ? max : least, max }
}

/** The asset of all Lightning channels on a chain: thousandths of a satoshi. @param chainHash BOLT 7's `chain_hash` */
export function bitcoinAsset(chainHash: Hex): Asset {
  return { backend: BITCOIN, id: chainHash }
}

/** Who proposes, and what may be proposed. */
export interface OpeningBounds {
  /** Our node ID. */
  readonly self: PeerID
  readonly asset: Asset
  readonly challengeDuration: Capabilities['challengeDuration']
}

/** What a proposal comes to. */
export interface Opening {
  readonly peer: PeerID
  readonly capacity: Sat
  /** A gift to the peer: what it begins with. */
  readonly push: Msat
  readonly delay: BlockDelta
}

/**
 * What our user's proposal comes to.
 *
 * Of a Lightning channel (BOLT 2, "Channel Establishment v1") the opener brings in everything. So what the peer begins with is
 * a gift, and is refused unless the agreement says so.
 *
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_PARAMS, INVALID_AMOUNT, UNSUPPORTED
 */
export function openingOf(
  options: ProposalOptions,
  { self, asset, challengeDuration: bounds }: OpeningBounds,
): Opening {
  const { peers, allocation, challengeDuration, agreement, ...rest }: Partial<ProposalOptions> = options
  const { app = NO_APP, data = EMPTY, aux = NO_AUX } = rest
  if (!Array.isArray(peers) || peers.length !== 1) {
    const rule = 'exactly one peer: a Lightning channel has two participants'
    throw new PerkunasError('INVALID_PARAMS', `${rule}; got ${peers?.length}`, { rule })
  }
  const [peer = ''] = peers
  const why = peer === self ? 'it is our own ID' : faultOfPeerID(peer)
  if (why) throw new PerkunasError('INVALID_ARGUMENT', `peers[0]: ${why}`, { argument: 'peers.0' })
  if (app !== NO_APP || data !== EMPTY || aux !== NO_AUX) throw unsupported('an app in a Lightning channel')
  const [first, ...others] = listed(allocation?.assets, 'assets')
  if (first?.backend !== asset.backend || first.id !== asset.id || others.length > 0) {
    throw unsupported('any asset but this chain’s bitcoin, in thousandths of a satoshi,')
  }
  if (isLocking(allocation)) throw unsupported('anything locked from the beginning')
  const [own, push] = rowOf(allocation?.balances, 'balances')
  const total = msat(own + push)
  if (total % 1000n !== 0n) {
    const message = `a channel holds whole satoshis: ${total} msat is none`
    throw new PerkunasError('INVALID_AMOUNT', message, { actual: total })
  }
  const [funded, asked] = agreement === undefined ? [own, push] : rowOf(agreement, 'agreement')
  if (funded !== total || asked !== 0n) {
    throw unsupported(
      `the peer's share of the funding, since the opener brings in all of it (agreement [[${total}n, 0n]]),`,
    )
  }
  return { peer: peer as PeerID, capacity: toSat(total), push, delay: delayOf(challengeDuration, bounds) }
}

/** What a peer asks for. */
export interface Asked extends Omit<Opening, 'delay'> {
  readonly temporaryID: Hex
  readonly delay: number
}

/** The same as a proposal, for our user's handler. */
export function proposalOf(
  { peer, capacity, push, delay, temporaryID }: Asked,
  self: PeerID,
  asset: Asset,
): ChannelProposal {
  const total = toMsat(capacity)
  return {
    kind: 'channelProposal',
    session: temporaryID,
    challengeDuration: BigInt(delay),
    nonceShare: temporaryID,
    app: NO_APP,
    data: EMPTY,
    assets: [asset],
    balances: [[total - push, push]],
    agreement: [[total, 0n]],
    participant: { [BITCOIN]: peer },
    peers: [peer, self],
    aux: NO_AUX,
  }
}

/** A channel's params, for its user. Both sides' node IDs are the participants, the opener first. */
export function paramsOf(peers: readonly PeerID[], delay: number, temporaryID: Hex): Params {
  return {
    challengeDuration: BigInt(delay),
    participants: peers.map((peer) => ({ [BITCOIN]: peer })),
    app: NO_APP,
    nonce: BigInt(temporaryID),
    ledgerChannel: true,
    virtualChannel: false,
    aux: NO_AUX,
  }
}

/** @throws PerkunasError INVALID_ARGUMENT if it is no list: whoever calls need not have been compiled against our types */
function listed<T>(value: readonly T[] | undefined, argument: string): readonly T[] {
  if (Array.isArray(value)) return value
  throw invalid(argument, 'a list')
}

/** Our amount and the peer's. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT */
function rowOf(rows: Balances | undefined, argument: string): readonly [own: Msat, theirs: Msat] {
  const [row, ...others] = listed(rows, argument)
  const [own, theirs, ...more] = listed(row, argument)
  if (typeof own === 'bigint' && typeof theirs === 'bigint' && more.length + others.length === 0) {
    return [msat(own), msat(theirs)]
  }
  const wrong = [own, theirs].find((amount: unknown) => typeof amount !== 'bigint' && amount !== undefined)
  if (wrong !== undefined) throw noBigint(argument, wrong)
  throw invalid(argument, 'one row of two amounts, ours first,')
}

function delayOf(
  challengeDuration: bigint | undefined,
  { min, max }: Capabilities['challengeDuration'],
): BlockDelta {
  if (typeof challengeDuration !== 'bigint') throw noBigint('challengeDuration', challengeDuration)
  if (challengeDuration >= min && challengeDuration <= max) {
    return blockDelta(Number(challengeDuration))
  }
  const rule = `a challenge duration from ${min} to ${max} blocks`
  throw new PerkunasError('INVALID_PARAMS', `${rule} expected, got ${String(challengeDuration)}`, { rule })
}

function noBigint(argument: string, value: unknown): PerkunasError<'INVALID_ARGUMENT'> {
  const message = `${argument}: bigint expected, got ${typeof value}`
  return new PerkunasError('INVALID_ARGUMENT', message, { argument })
}
