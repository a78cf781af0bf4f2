// Channels that can be read again have not seen what came meanwhile: where the chain was is kept from the start that could not
// read them, and as soon as one can, they go through the blocks that all others have seen already.
import type { PerkunasError } from '../../../channel/errors.js'
import type { Store, Write } from '../../../persistence/index.js'
import type { TrackedEvent } from '../chain/index.js'
import { asError } from './faults.js'
import type { NodeChain } from './ports.js'
import type { Restored } from './restore.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'
import type { Turns } from './turns.js'

/** Remembers since when channels can't be read. @throws PerkunasError STORE_FAILED */
export async function keepUnseen(
  store: Store,
  { quarantined, unseen, cursor }: Pick<Restored, 'quarantined' | 'unseen' | 'cursor'>,
): Promise<void> {
  if (cursor === undefined) return
  const fresh = quarantined.filter(({ channel }) => !unseen.has(channel))
  const writes = fresh.map(({ channel }): Write => NODE_RECORDS.unseen.put(NODE_KEYS.unseen(channel), cursor))
  if (writes.length > 0) await store.commit(writes)
}

/**
 * Has channels see what they missed, up to where their node stands. One whose blocks can't be had now goes on without them, and
 * goes through them at the next start.
 *
 * @throws PerkunasError STORE_FAILED
 */
export async function rescan(
  { store, chain }: { readonly store: Store; readonly chain: NodeChain },
  { entries, unseen, cursor }: Pick<Restored, 'entries' | 'unseen' | 'cursor'>,
  { turns, report }: { readonly turns: Turns; readonly report: (error: PerkunasError) => void },
): Promise<void> {
  if (cursor === undefined) return
  for (const { keyIndex: channel } of entries) {
    const from = unseen.get(channel)
    if (from === undefined) continue
    let isThrough = from.height >= cursor.height
    const took = async (event: TrackedEvent) => {
      if (event.kind === 'connected' && event.block.height > cursor.height) return
      await turns.done({ kind: 'rescanned', channel, event })
      if (event.kind === 'connected' && event.block.height === cursor.height) isThrough = true
    }
    try {
      const following = await chain.follow(from, took)
      const failed = following.ended.catch((cause: unknown) => report(asError(cause, 'chain')))
      await following.stop()
      void failed
    } catch (cause) {
      turns.mustGoOn()
      report(asError(cause, 'chain'))
    }
    if (!isThrough) continue
    const keys = [NODE_KEYS.unseen(channel), NODE_KEYS.spent(channel)]
    await store.commit(keys.map((key): Write => ({ kind: 'delete', key })))
  }
}
