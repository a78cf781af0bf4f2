// What a node needs of the world beside a store and a wallet: connections and a chain.
import type { Hex } from '../../../channel/bytes.js'
import type { PerkunasError } from '../../../channel/errors.js'
import type { PeerBus } from '../../../peer/index.js'
import type { BroadcastResult, ChainCursor, FeeTable, TrackedEvent } from '../chain/index.js'
import type { Outpoint, Transaction } from '../script/index.js'

/** Connections: what `PeerBus` has. Its `init` and `understands` are those of `lightningInit`. */
export type NodeBus = Pick<
  PeerBus,
  | 'id'
  | 'identity'
  | 'sendRaw'
  | 'onRaw'
  | 'onPeer'
  | 'connect'
  | 'release'
  | 'isConnected'
  | 'disconnect'
  | 'initsOf'
> &
  /**
   * For backups; for peers that were connected before the node started, which are met when they speak otherwise; and to say
   * why a peer can't be reached, or that the bus does not show what it must.
   */
  Partial<Pick<PeerBus, 'addressOf' | 'connected' | 'reach' | 'init'>>

/** How far the chain can be relied on. */
export interface ChainStatus {
  /** The newest block is known, as far as anybody can say. If not, what height it is may be long past. */
  readonly isSynced: boolean
  /** If not: a few blocks are missing and are being fetched, so that whoever waits a moment finds it synced. */
  readonly isCatchingUp?: boolean
  /** What is wrong, if something is. */
  readonly error?: PerkunasError
}

/** A chain that is followed. */
export interface Followed {
  /** Ends it. */
  stop(): Promise<void>
  /** Rejects with why the chain is not followed any more; a node stops then, lest it goes on without seeing anything. */
  readonly ended: Promise<void>
}

/** The chain as a node follows it. */
export interface NodeChain {
  /** Of the first block, as hashed: BOLT 7's `chain_hash`. */
  readonly chainHash: Hex
  /**
   * Tells of every block after those that are known, and goes on so.
   *
   * @param from where the handler stands; without it the first event is the tip
   * @param handler the next event waits for its promise
   * @param tell how far the chain can be relied on, at each change; who never says it can be relied on
   * @returns once the handler has seen the tip of that moment, or what there is for now
   */
  follow(
    from: ChainCursor | undefined,
    handler: (event: TrackedEvent) => Promise<void>,
    tell?: (status: ChainStatus) => void,
  ): Promise<Followed>
  /**
   * Hands on a transaction, or parents and their child.
   *
   * @param transactions with their witnesses
   * @throws PerkunasError LEDGER_UNREACHABLE and the like if nothing is known of what became of it
   */
  broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult>
  /** What of its mempool spends some of these outputs, as far as it can tell: a hint. */
  mempoolSpends?(outpoints: readonly Outpoint[]): Promise<readonly Transaction[]>
  /** What it knows of fees now. */
  feeTable(): Promise<FeeTable>
}
