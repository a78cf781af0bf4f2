// What is written of one channel of a node: its own records, its machine's and its monitor's.
import type { Write } from '../../../persistence/index.js'
import { channelRemoval, channelWrites, type Live } from '../channel/index.js'
import { monitorRemoval, monitorWrites } from '../monitor/rows.js'
import type { Entry } from './entries.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** What differs from what was written before; counts as written from now on. */
export function entryWrites(entry: Entry, state: Live): readonly Write[] {
  const { keyIndex, peer, monitor, revoked, written, funding } = entry
  const writes: Write[] = []
  if (written === undefined) {
    writes.push(NODE_RECORDS.channel.put(NODE_KEYS.channel(keyIndex), { peer }))
    if (funding !== undefined) {
      writes.push(NODE_RECORDS.ownFunding.put(NODE_KEYS.ownFunding(keyIndex), funding))
    }
  }
  writes.push(...channelWrites(written?.state, state))
  if (monitor !== undefined && (monitor !== written?.monitor || revoked.length > 0)) {
    writes.push(...monitorWrites(written?.monitor, { next: monitor, revoked }))
    entry.revoked = []
  }
  entry.written = { state, monitor }
  return writes
}

/** What is over leaves nothing but the key index, which is never used again. */
export function entryRemoval(entry: Entry, written: NonNullable<Entry['written']>): readonly Write[] {
  entry.written = undefined
  const { state, monitor } = written
  return [
    ...channelRemoval(state),
    ...(monitor === undefined ? [] : monitorRemoval(monitor)),
    ...[NODE_KEYS.channel, NODE_KEYS.funding, NODE_KEYS.ownFunding, NODE_KEYS.unseen, NODE_KEYS.spent].map(
      (keyOf): Write => ({ kind: 'delete', key: keyOf(entry.keyIndex) }),
    ),
  ]
}
