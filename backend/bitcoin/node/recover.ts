// A node's rows from a backup: its channels as such that lost their data. A node that starts with them asks the peers to close.
import { PerkunasError } from '../../../channel/errors.js'
import type { Store, Write } from '../../../persistence/index.js'
import { recoveredChannel } from '../backup/channel.js'
import type { NodeBackup } from '../backup/contents.js'
import { openBackup } from '../backup/seal.js'
import { cursorRecord } from '../chain/index.js'
import { channelWrites } from '../channel/index.js'
import { basepointsOf, channelSecrets } from '../keys/index.js'
import { monitorWrites } from '../monitor/index.js'
import { blockHeight } from '../units.js'
import type { LightningNodeOptions } from './options.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** Key indices that may have been used after the backup was made: none of them is used again. */
const UNKNOWN_KEYS = 1_000_000n

/**
 * Opens a backup and writes what follows from it into an empty store, all or nothing.
 *
 * @returns the backup
 * @throws PerkunasError INVALID_RECORD, INVALID_KEY_MATERIAL as {@link openBackup}; INVALID_ARGUMENT if the store has
 *   channels, or the backup is of another node or chain; STORE_FAILED; what the wallet throws
 */
export async function writeRecovered(
  { bus, chain, wallet, store, seed }: LightningNodeOptions,
  file: Uint8Array,
): Promise<NodeBackup> {
  const backup = openBackup(file, seed)
  if (backup.node !== bus.id) throw invalid('bus', `the identity of ${backup.node} expected`)
  if (backup.chainHash !== chain.chainHash) throw invalid('chain', `that of ${backup.chainHash} expected`)
  if (!(await isEmpty(store))) throw invalid('store', 'one without channels expected')
  const { cursor, nextKeyIndex, channels } = backup
  const height = cursor?.height ?? blockHeight(0)
  const writes: Write[] = [
    NODE_RECORDS.next.put(NODE_KEYS.next, { keyIndex: nextKeyIndex + UNKNOWN_KEYS }),
    ...(cursor === undefined ? [] : [cursorRecord.put(NODE_KEYS.cursor, cursor)]),
  ]
  for (const channel of channels) {
    const { keyIndex, peer, place, address } = channel
    // Not where it was once to go: that wallet may be lost, too.
    const destination = await wallet.changeScript()
    const basepoints = basepointsOf(channelSecrets(seed, keyIndex))
    const { state, monitor } = recoveredChannel(channel, { basepoints, destination, height })
    writes.push(
      NODE_RECORDS.channel.put(NODE_KEYS.channel(keyIndex), { peer }),
      ...(address === undefined ? [] : [NODE_RECORDS.peer.put(NODE_KEYS.peer(peer), { address })]),
      ...(place === undefined ? [] : [NODE_RECORDS.funding.put(NODE_KEYS.funding(keyIndex), place)]),
      ...channelWrites(undefined, state),
      ...monitorWrites(undefined, { next: monitor, revoked: [] }),
    )
  }
  await store.commit(writes)
  return backup
}

/** A node that was begun and has done nothing yet knows where the chain is. */
async function isEmpty(store: Store): Promise<boolean> {
  for await (const [key] of store.scan('lightning', { limit: 2 })) if (key !== NODE_KEYS.cursor) return false
  return true
}

function invalid(argument: string, what: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `recover: ${argument}: ${what}`, { argument })
}
