// A node from its store: one scan of each kind of record, and what does not fit together is refused.
import { isError, PerkunasError } from '../../../channel/errors.js'
import { isPeerID, type PeerID } from '../../../peer/index.js'
import type { Store } from '../../../persistence/index.js'
import { isNewerRecord } from '../../../persistence/record.js'
import { type ChainCursor, cursorRecord } from '../chain/index.js'
import { asWritten, CHANNEL_ROWS, isLive, type Live, restoredChannels } from '../channel/index.js'
import type { FundingPlace } from '../channel/schemas.js'
import type { Monitor } from '../monitor/index.js'
import { MONITOR_ROWS, restoredMonitors } from '../monitor/rows.js'
import { PAYMENT_ROWS, type PaymentsState, restoredPayments } from '../payments/index.js'
import { invalidRow, keyIndexIn, readable } from '../rows.js'
import { splitShortChannelID } from '../wire/index.js'
import type { Defended } from './defence.js'
import type { Entry, OwnFunding } from './entries.js'
import type { Spending } from './lookout.js'
import type { QuarantinedChannel } from './quarantine.js'
import { remainsOf } from './remains.js'
import { NODE_KEYS, NODE_RECORDS, NODE_ROWS } from './rows.js'

/** What a store has of a node. */
export interface Restored {
  readonly nextKeyIndex: bigint
  /** Absent in a new one. */
  readonly cursor: ChainCursor | undefined
  readonly entries: readonly Entry[]
  /** Channels whose records can't be read. */
  readonly quarantined: readonly QuarantinedChannel[]
  /** Those of them whose monitors can be. */
  readonly defended: readonly Defended[]
  /** Since when channels could not be read, those among them that can be again. */
  readonly unseen: ReadonlyMap<bigint, ChainCursor>
  /** What spent the fundings of channels that could not be read. */
  readonly spent: ReadonlyMap<bigint, Spending>
  /** What is lost of channels that go on without it. */
  readonly damages: readonly PerkunasError[]
  readonly payments: PaymentsState
  /** Why payments can't be read, by the keys of their rows: each costs itself. */
  readonly brokenPayments: ReadonlyMap<string, PerkunasError>
  /** For which peers something is kept; until when, if they have no channels. */
  readonly kept: ReadonlyMap<PeerID, number | undefined>
  /** Where peers with channels are. */
  readonly addresses: ReadonlyMap<PeerID, string>
}

/**
 * @throws PerkunasError INVALID_RECORD if a record that all depends on is damaged or missing, or any is of a newer version;
 *   STORE_FAILED. What is of one channel costs that one.
 */
export async function restored(store: Store): Promise<Restored> {
  const [own, channelRows, monitorRows, paymentRows] = await Promise.all(
    [NODE_ROWS, CHANNEL_ROWS, MONITOR_ROWS, PAYMENT_ROWS].map((prefix) => all(store, prefix)),
  )
  const node = ownRows(own ?? [])
  const rowsOf = byChannel([...(channelRows ?? []), ...(monitorRows ?? [])])
  // What is left of a channel may be nothing but that there was one.
  for (const keyIndex of node.named) if (!rowsOf.has(keyIndex)) rowsOf.set(keyIndex, [])
  const entries: Entry[] = []
  const quarantined: QuarantinedChannel[] = []
  const defended: Defended[] = []
  for (const [keyIndex, rows] of rowsOf) {
    if (keyIndex >= node.nextKeyIndex) throw invalidRow(NODE_KEYS.next, `key index ${keyIndex} is in use`)
    const peer = node.peers.get(keyIndex)
    try {
      const broken = node.broken.get(keyIndex)
      if (broken !== undefined) throw broken
      entries.push(entryOf(keyIndex, { ...node, rows }))
    } catch (cause) {
      // Of another release nothing is damaged, and all that it wrote is there.
      if (!isError(cause, 'INVALID_RECORD') || isNewerRecord(cause)) throw cause
      const { monitor, funding, deadlines, spent } = remainsOf(keyIndex, rows)
      const known = { error: cause, ...(peer === undefined ? {} : { peer }) }
      if (spent !== undefined) node.spent.set(keyIndex, spent)
      const isDefended = monitor !== undefined
      const left = { deadlines, ...(funding === undefined ? {} : { funding }) }
      quarantined.push({ channel: keyIndex, isDefended, ...left, ...known })
      if (monitor !== undefined) defended.push({ keyIndex, monitor, ...known })
    }
  }
  const brokenPayments = new Map<string, PerkunasError>()
  const payments = restoredPayments(paymentRows ?? [], (error, key) => brokenPayments.set(key, error))
  return {
    nextKeyIndex: node.nextKeyIndex,
    cursor: node.cursor,
    entries,
    quarantined,
    defended,
    unseen: node.unseen,
    spent: node.spent,
    damages: node.damages,
    payments,
    brokenPayments,
    kept: node.kept,
    addresses: node.addresses,
  }
}

/** @throws PerkunasError INVALID_RECORD */
function entryOf(
  keyIndex: bigint,
  { rows, peers, fundings, places }: ReturnType<typeof ownRows> & { readonly rows: readonly Row[] },
): Entry {
  const key = NODE_KEYS.channel(keyIndex)
  const state = restoredChannels(rows.filter(([key]) => key.startsWith(CHANNEL_ROWS))).get(keyIndex)
  const monitor = monitorOf(keyIndex, rows)
  const peer = peers.get(keyIndex)
  if (state === undefined) throw invalidRow(`${CHANNEL_ROWS}${keyIndex}/state`, 'it is missing')
  if (peer === undefined) throw invalidRow(key, 'it is missing')
  if (!isLive(state) || monitor === undefined) throw invalidRow(key, 'its channel has no monitor')
  // M1 and M3 over both records: they were written together.
  const { signer } = state
  const { released, secrets } = monitor.known
  if (released !== signer.released || secrets.next !== signer.secrets.next) {
    throw invalidRow(key, 'its channel and its monitor are not of the same step')
  }
  return {
    keyIndex,
    peer,
    state,
    monitor,
    watched: new Set(),
    revoked: [],
    written: { state: asWritten(state, rows), monitor },
    shown: state,
    funding: fundings.get(keyIndex),
    place: placeOf(state, places.get(keyIndex)),
    stopped: undefined,
  }
}

/** What is damaged of it the short channel ID says, too, but for what only identifies the block. */
function placeOf({ ready }: Live, place: FundingPlace | PerkunasError | undefined): FundingPlace | undefined {
  if (!(place instanceof PerkunasError)) return place
  if (ready.shortChannelID === undefined) throw place
  const { block, transaction } = splitShortChannelID(ready.shortChannelID)
  return { height: block, position: transaction, isCoinbase: transaction === 0 }
}

/** @throws PerkunasError INVALID_RECORD */
function monitorOf(keyIndex: bigint, rows: readonly Row[]): Monitor | undefined {
  return restoredMonitors(rows.filter(([key]) => key.startsWith(MONITOR_ROWS))).get(keyIndex)
}

function byChannel(rows: readonly Row[]): Map<bigint, readonly Row[]> {
  const found = new Map<bigint, Row[]>()
  for (const row of rows) {
    const [key] = row
    const [, index] = key.split('/')
    const keyIndex = keyIndexIn(key, index)
    const others = found.get(keyIndex)
    if (others === undefined) found.set(keyIndex, [row])
    else others.push(row)
  }
  return found
}

type Row = readonly [key: string, value: Uint8Array]

async function all(store: Store, prefix: string): Promise<readonly Row[]> {
  const rows: Row[] = []
  for await (const row of store.scan(prefix)) rows.push(row)
  return rows
}

function ownRows(rows: readonly Row[]) {
  const found = {
    nextKeyIndex: 0n,
    cursor: undefined as ChainCursor | undefined,
    peers: new Map<bigint, Entry['peer']>(),
    /** Or why one can't be read. */
    places: new Map<bigint, FundingPlace | PerkunasError>(),
    unseen: new Map<bigint, ChainCursor>(),
    spent: new Map<bigint, Spending>(),
    /** All channels that have a row here. */
    named: new Set<bigint>(),
    damages: [] as PerkunasError[],
    fundings: new Map<bigint, OwnFunding>(),
    /** Of which it can't be read whose they are, or what they have not seen. */
    broken: new Map<bigint, PerkunasError>(),
    kept: new Map<PeerID, number | undefined>(),
    addresses: new Map<PeerID, string>(),
  }
  for (const [key, value] of rows) {
    const [, kind, index] = key.split('/')
    switch (kind) {
      case 'next':
        found.nextKeyIndex = NODE_RECORDS.next.open(key, value).keyIndex
        break
      case 'cursor':
        found.cursor = cursorRecord.open(key, value)
        break
      case 'channel':
      case 'funding':
      case 'unseen':
      case 'own-funding': {
        const keyIndex = keyIndexIn(key, index)
        found.named.add(keyIndex)
        try {
          if (kind === 'channel') found.peers.set(keyIndex, NODE_RECORDS.channel.open(key, value).peer)
          else if (kind === 'funding') found.places.set(keyIndex, NODE_RECORDS.funding.open(key, value))
          else if (kind === 'unseen') found.unseen.set(keyIndex, NODE_RECORDS.unseen.open(key, value))
          else found.fundings.set(keyIndex, NODE_RECORDS.ownFunding.open(key, value))
        } catch (cause) {
          if (!isError(cause, 'INVALID_RECORD') || isNewerRecord(cause)) throw cause
          if (kind === 'channel' || kind === 'unseen') found.broken.set(keyIndex, cause)
          else {
            if (kind === 'funding') found.places.set(keyIndex, cause)
            found.damages.push(cause)
          }
        }
        break
      }
      case 'spent': {
        const keyIndex = keyIndexIn(key, index)
        // Without it, our user is told of it once less.
        const spending = readable(() => NODE_RECORDS.spent.open(key, value))
        if (spending !== undefined) found.spent.set(keyIndex, spending)
        break
      }
      case 'peer':
        // Where a peer is can be found out anew.
        readable(() => found.addresses.set(peerOf(key, index), NODE_RECORDS.peer.open(key, value).address))
        break
      case 'kept':
        readable(() => found.kept.set(peerOf(key, index), NODE_RECORDS.kept.open(key, value).until))
        break
      default:
        throw invalidRow(key, 'it is no record of a node')
    }
  }
  return found
}

function peerOf(key: string, text: string | undefined): PeerID {
  if (text === undefined || !isPeerID(text)) throw invalidRow(key, 'no node ID')
  return text
}
