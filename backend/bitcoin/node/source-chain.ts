// A chain source as a node follows it: blocks that are checked and in order, fees, and what becomes of transactions.
import { demandMethods, demandNames, type NamesOf } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'
import {
  type ChainSource,
  ChainTracker,
  NETWORKS,
  type Network,
  type TrackedEvent,
  type TrackerStatus,
} from '../chain/index.js'
import { demandNetwork } from '../chain/network.js'
import { decodeTransaction, encodeTransaction } from '../script/index.js'
import type { ChainStatus, NodeChain } from './ports.js'

/** What {@link sourceChain} is made from. */
export interface SourceChainOptions {
  /** Stays open when the node stops. */
  readonly source: ChainSource
  readonly network: Network
  /** Milliseconds between two looks; by default the tracker's. */
  readonly pollingInterval?: number
  /** Milliseconds that the source may fail, as one does that is started again, before the node is told; default 10 minutes. */
  readonly patience?: number
  /** Told of each change at once. */
  readonly onStatus?: (status: TrackerStatus) => void
}

const OPTION_NAMES: NamesOf<SourceChainOptions> = {
  source: true,
  network: true,
  pollingInterval: true,
  patience: true,
  onStatus: true,
}

/**
 * See above. A source that is on another network ends the node's start with INVALID_ARGUMENT.
 *
 * @throws PerkunasError INVALID_ARGUMENT
 */
export function sourceChain(options: SourceChainOptions): NodeChain {
  demandNames(options, OPTION_NAMES)
  const { source, network, pollingInterval, patience = PATIENCE, onStatus } = options
  demandMethods(source, 'source', ['chainInfo', 'rawBlock', 'feeTable', 'broadcast'])
  demandNetwork(network)
  return {
    chainHash: NETWORKS[network].genesis,
    async follow(from, handler, tell) {
      const start = from ?? (await source.chainInfo()).blocks
      let isSynced = () => {}
      const synced = new Promise<void>((resolve) => {
        isSynced = resolve
      })
      let was: ChainStatus = { isSynced: false }
      let waiting: ReturnType<typeof setTimeout> | undefined
      const say = (status: ChainStatus) => {
        was = status
        tell?.(status)
      }
      const tracker = new ChainTracker({
        source,
        network,
        from: start,
        ...(pollingInterval === undefined ? {} : { pollingInterval }),
        onStatus: (status) => {
          onStatus?.(status)
          const next = statusOf(status, was, network)
          if (status.kind !== 'failing') {
            clearTimeout(waiting)
            waiting = undefined
            say(next)
          } else waiting ??= setTimeout(() => say(next), patience)
          if (status.kind === 'synced' || status.kind === 'behind') isSynced()
        },
      })
      const ended = run(tracker, handler).finally(() => clearTimeout(waiting))
      await Promise.race([synced, ended])
      ended.catch(() => undefined)
      return {
        ended,
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

/** About a block: HTLCs to us are claimed 36 of them before they expire. */
const PATIENCE = 10 * 60_000
/** What a node that catches up with a block or two is not behind by. */
const NEAR = 3
/** About a day: so many blocks are fetched in moments, and who asks for something meanwhile is not refused for them. */
const SOON = 144

/** On regtest blocks come when somebody wants them. */
function statusOf(status: TrackerStatus, was: ChainStatus, network: Network): ChainStatus {
  const wasNear = was.isSynced || was.isCatchingUp === true
  switch (status.kind) {
    case 'synced':
      return status.isStale && network !== 'regtest'
        ? { isSynced: false, error: stale() }
        : { isSynced: true }
    case 'catchingUp': {
      const missing = status.of - status.height
      return { isSynced: was.isSynced && missing <= NEAR, isCatchingUp: wasNear && missing <= SOON }
    }
    case 'behind':
      // In a reorg that is so for a moment, until the new branch has more work than what it replaces.
      return { isSynced: false, isCatchingUp: wasNear }
    case 'failing':
      return { isSynced: false, error: status.error }
    case 'starting':
      return { isSynced: false }
  }
}

function stale(): PerkunasError<'LEDGER_UNREACHABLE'> {
  const message = 'the chain source: its newest block is hours old'
  return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' })
}
