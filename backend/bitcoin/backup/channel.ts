// A channel into its backup, and out of it again: as one that lost its data, for which nothing of ours can ever be signed.
import { toHex } from '../../../channel/bytes.js'
import type { PeerID } from '../../../peer/index.js'
import { newBook } from '../channel/book.js'
import { monitorTerms } from '../channel/commitments.js'
import type { Live, SideTerms, Terms } from '../channel/index.js'
import { channelIDOf } from '../channel/terms.js'
import { type Basepoints, newSignerState } from '../keys/index.js'
import { applyUpdates } from '../monitor/index.js'
import { type Monitor, newMonitor } from '../monitor/machine.js'
import { MAX_COMMITMENT_NUMBER } from '../script/index.js'
import { type BlockHeight, feeratePerKw, msat, sat, toMsat } from '../units.js'
import type { ChannelBackup } from './contents.js'

/** Why such a channel failed, for people. */
const REASON = 'its data is lost: the peer is asked to close it'

/** What a backup keeps of a channel with money in it. */
export function channelBackup(
  { terms }: Live,
  known: Pick<ChannelBackup, 'peer' | 'address' | 'place'>,
): ChannelBackup {
  const { keyIndex, temporaryID, opener, type, capacity, funding, local, remote } = terms
  return {
    ...known,
    keyIndex,
    temporaryID,
    opener,
    type,
    capacity,
    funding: funding.outpoint,
    basepoints: remote.basepoints,
    // Each was demanded by the other side.
    delays: { local: remote.toSelfDelay, remote: local.toSelfDelay },
  }
}

/** A channel whose data is lost, and the monitor that waits for the peer to close it. */
export interface RecoveredChannel {
  readonly peer: PeerID
  readonly state: Live
  readonly monitor: Monitor
}

/**
 * The channel of a backup. Its balances are not known: all counts as the peer's until the chain shows what is ours.
 *
 * @param basepoints ours, of its key index
 * @param destination where its money goes
 */
export function recoveredChannel(
  backup: ChannelBackup,
  given: {
    readonly basepoints: Basepoints
    readonly destination: Uint8Array
    readonly height: BlockHeight
  },
): RecoveredChannel {
  const { peer, keyIndex, temporaryID, opener, type, capacity, funding, delays, place } = backup
  const { basepoints, destination, height } = given
  const feerate = feeratePerKw(253)
  const terms: Terms = {
    keyIndex,
    temporaryID,
    opener,
    type,
    isAnnounced: false,
    capacity,
    push: msat(0n),
    feerate,
    local: sideOf(basepoints, delays.remote),
    remote: sideOf(backup.basepoints, delays.local),
    shutdownScript: destination,
    channelID: toHex(channelIDOf(funding)),
    funding: { outpoint: funding, amount: capacity },
    minimumDepth: 0,
  }
  const state: Live = {
    phase: 'failed',
    terms,
    features: [],
    // A signer that has published one signs nothing else; and with none validated it can't publish that either.
    signer: { ...newSignerState(msat(0n)), published: MAX_COMMITMENT_NUMBER },
    book: newBook({ opener, balances: { local: msat(0n), remote: toMsat(capacity) }, feerate }),
    signatures: { signature: new Uint8Array(64), htlcSignatures: [] },
    lastSent: 'revocation',
    intents: [],
    link: { kind: 'down' },
    // Said or not: it must never be forgotten for want of confirmations.
    ready: { since: height, depth: place === undefined ? 0 : 1, isSent: true, isReceived: true },
    shutdown: {},
    closing: { signed: 0 },
    failure: { cause: 'dataLoss', reason: REASON },
  }
  const { next } = applyUpdates(undefined, [
    { kind: 'opened', terms: monitorTerms(terms) },
    { kind: 'failed', cause: 'dataLoss' },
  ])
  return { peer, state, monitor: newMonitor(next) }
}

/** What matters of a side to a channel that takes no HTLC any more. */
function sideOf(basepoints: Basepoints, toSelfDelay: number): SideTerms {
  return {
    basepoints,
    dustLimit: sat(0n),
    maxInFlight: msat(0n),
    htlcMinimum: msat(0n),
    maxAcceptedHtlcs: 0,
    reserve: sat(0n),
    toSelfDelay,
  }
}
