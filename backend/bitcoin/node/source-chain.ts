// A chain source as a node follows it: blocks that are checked and in order, fees, and what becomes of transactions.
import {
  type ChainSource,
  ChainTracker,
  NETWORKS,
  type Network,
  type TrackedEvent,
  type TrackerStatus,
} from '../chain/index.js'
import { decodeTransaction, encodeTransaction } from '../script/index.js'
import type { NodeChain } from './ports.js'

/** What {@link sourceChain} is made from. */
export interface SourceChainOptions {
  /** Stays open when the node stops. */
  readonly source: ChainSource
  readonly network: Network
  /** Milliseconds between two looks; by default the tracker's. */
  readonly pollingInterval?: number
  /** Told of each change. */
  readonly onStatus?: (status: TrackerStatus) => void
  /** Told why the chain is not followed any more, if it was not stopped. */
  readonly onEnd?: (error: unknown) => void
}

/** See above. */
export function sourceChain(options: SourceChainOptions): NodeChain {
  const { source, network, pollingInterval, onStatus, onEnd } = options
  return {
    chainHash: NETWORKS[network].genesis,
    async follow(from, handler) {
      const start = from ?? (await source.chainInfo()).blocks
      let isSynced = () => {}
      const synced = new Promise<void>((resolve) => {
        isSynced = resolve
      })
      const tracker = new ChainTracker({
        source,
        network,
        from: start,
        ...(pollingInterval === undefined ? {} : { pollingInterval }),
        onStatus: (status) => {
          onStatus?.(status)
          if (status.kind === 'synced' || status.kind === 'behind') isSynced()
        },
      })
      const ended = run(tracker, handler)
      ended.catch((cause: unknown) => onEnd?.(cause))
      await Promise.race([synced, ended])
      return {
        async stop() {
          tracker.close()
          await ended.catch(() => undefined)
        },
      }
    },
    broadcast: (transactions) => source.broadcast(transactions.map(encodeTransaction)),
    async mempoolSpends(outpoints) {
      const found = (await source.mempoolSpends?.(outpoints)) ?? []
      return found.map(decodeTransaction)
    },
    feeTable: () => source.feeTable(),
  }
}

async function run(tracker: ChainTracker, handler: (event: TrackedEvent) => Promise<void>): Promise<void> {
  for await (const event of tracker.follow()) await handler(event)
}
