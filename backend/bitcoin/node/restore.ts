// A node from its store: one scan of each kind of record, and what does not fit together is refused.
import { isPeerID, type PeerID } from '../../../peer/index.js'
import type { Store } from '../../../persistence/index.js'
import { type ChainCursor, cursorRecord } from '../chain/index.js'
import { CHANNEL_ROWS, isLive, restoredChannels } from '../channel/index.js'
import type { FundingPlace } from '../channel/schemas.js'
import { MONITOR_ROWS, restoredMonitors } from '../monitor/rows.js'
import { PAYMENT_ROWS, type PaymentsState, restoredPayments } from '../payments/index.js'
import { invalidRow, keyIndexIn } from '../rows.js'
import type { Entry, OwnFunding } from './entries.js'
import { NODE_KEYS, NODE_RECORDS, NODE_ROWS } from './rows.js'

/** What a store has of a node. */
export interface Restored {
  readonly nextKeyIndex: bigint
  /** Absent in a new one. */
  readonly cursor: ChainCursor | undefined
  readonly entries: readonly Entry[]
  readonly payments: PaymentsState
  /** For which peers something is kept; until when, if they have no channels. */
  readonly kept: ReadonlyMap<PeerID, number | undefined>
  /** Where peers with channels are. */
  readonly addresses: ReadonlyMap<PeerID, string>
}

/** @throws PerkunasError INVALID_RECORD if a record is damaged, missing, or of a newer version; STORE_FAILED */
export async function restored(store: Store): Promise<Restored> {
  const [own, channelRows, monitorRows, paymentRows] = await Promise.all(
    [NODE_ROWS, CHANNEL_ROWS, MONITOR_ROWS, PAYMENT_ROWS].map((prefix) => all(store, prefix)),
  )
  const node = ownRows(own ?? [])
  const states = restoredChannels(channelRows ?? [])
  const monitors = restoredMonitors(monitorRows ?? [])
  const entries = [...states].map(([keyIndex, state]): Entry => {
    const key = NODE_KEYS.channel(keyIndex)
    const peer = node.peers.get(keyIndex)
    const monitor = monitors.get(keyIndex)
    if (peer === undefined) throw invalidRow(key, 'it is missing')
    if (!isLive(state) || monitor === undefined) throw invalidRow(key, 'its channel has no monitor')
    // M1 and M3 over both records: they were written together.
    const { signer } = state
    const { released, secrets } = monitor.known
    if (released !== signer.released || secrets.next !== signer.secrets.next) {
      throw invalidRow(key, 'its channel and its monitor are not of the same step')
    }
    if (keyIndex >= node.nextKeyIndex) throw invalidRow(NODE_KEYS.next, `key index ${keyIndex} is in use`)
    return {
      keyIndex,
      peer,
      state,
      monitor,
      watched: new Set(),
      revoked: [],
      written: { state, monitor },
      shown: state,
      funding: node.fundings.get(keyIndex),
      place: node.places.get(keyIndex),
      stopped: undefined,
    }
  })
  const orphan = [...monitors.keys()].find((keyIndex) => !states.has(keyIndex))
  if (orphan !== undefined) throw invalidRow(`${MONITOR_ROWS}${orphan}`, 'it has no channel')
  const payments = restoredPayments(paymentRows ?? [])
  return {
    nextKeyIndex: node.nextKeyIndex,
    cursor: node.cursor,
    entries,
    payments,
    kept: node.kept,
    addresses: node.addresses,
  }
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
    places: new Map<bigint, FundingPlace>(),
    fundings: new Map<bigint, OwnFunding>(),
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
        found.peers.set(keyIndexIn(key, index), NODE_RECORDS.channel.open(key, value).peer)
        break
      case 'funding':
        found.places.set(keyIndexIn(key, index), NODE_RECORDS.funding.open(key, value))
        break
      case 'own-funding':
        found.fundings.set(keyIndexIn(key, index), NODE_RECORDS.ownFunding.open(key, value))
        break
      case 'peer':
        found.addresses.set(peerOf(key, index), NODE_RECORDS.peer.open(key, value).address)
        break
      case 'kept':
        found.kept.set(peerOf(key, index), NODE_RECORDS.kept.open(key, value).until)
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
