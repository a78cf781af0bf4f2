// What we must be able to ask a Bitcoin node, or whoever has one: five calls. Nothing that it answers is trusted beyond what
// can be checked; see block.ts and tracker.ts. Whoever has another way to the chain implements this.
import type { Hex } from '../../../channel/bytes.js'
import type { Outpoint } from '../script/index.js'
import type { BlockHeight, FeeratePerKw, Sat } from '../units.js'
import type { Network } from './network.js'

/** The ID of a block: 32 bytes as hashed and as on the wire. Explorers and RPC show them reversed, see `displayHash`. */
export type BlockHash = Hex

/** Where the source stands. */
export interface ChainInfo {
  readonly network: Network
  /** Of the best header that it knows; more than `blocks` while it fetches or checks what lies between. */
  readonly headers: BlockHeight
  /** Of the newest block that it has checked: the tip. */
  readonly blocks: BlockHeight
  readonly bestHash: BlockHash
  /** It says itself that it is not done with its first synchronization, or knows of headers without blocks. */
  readonly syncing: boolean
}

/** A block as it is on the wire. */
export interface RawBlock {
  readonly height: BlockHeight
  /** At most 4 000 000 bytes. Nothing but that length is checked: `decodeBlock` does. */
  readonly bytes: Uint8Array
}

/** An output of a block that no block spends. */
export interface UnspentOutput {
  readonly amount: Sat
  /** scriptPubKey. */
  readonly script: Uint8Array
}

/** What a source knows of fees. */
export interface FeeTable {
  /** What it relays at least right now: its own rule, or more while its mempool is full. */
  readonly floor: FeeratePerKw
  /** By number of blocks, ascending, each number once. Empty if it has no estimate. */
  readonly estimates: readonly FeeEstimate[]
}

/** What got transactions confirmed within so many blocks. */
export interface FeeEstimate {
  readonly blocks: number
  readonly feerate: FeeratePerKw
}

/** What a source said to transactions. None of it is final: what was refused now may be taken later. */
export type BroadcastResult =
  /** In its mempool now, and told to its peers. */
  | { readonly kind: 'accepted' }
  /** All of it was in its mempool before. */
  | { readonly kind: 'known' }
  /** It is in a block. Once all its outputs are spent, the answer is `missingInputs`. */
  | { readonly kind: 'confirmed' }
  /** It pays too little: to be relayed, for a mempool that is full, or to replace what spends the same. */
  | { readonly kind: 'feeTooLow'; readonly reason: string }
  /** An output that it spends is spent or not known. */
  | { readonly kind: 'missingInputs'; readonly reason: string }
  /** It breaks another rule of consensus or relay. */
  | { readonly kind: 'rejected'; readonly reason: string }

/** What each call takes. */
export interface SourceOptions {
  /** Ends the call with ABORTED. A transaction may be sent all the same. */
  readonly signal?: AbortSignal
}

/**
 * A way to the chain.
 *
 * Each call tries again with growing pauses while there is no answer, up to a time that the source's options bound, and
 * throws PerkunasError
 * - LEDGER_UNREACHABLE if there was none in time: nobody there, too slow, still starting, credentials refused
 * - INVALID_MESSAGE or TOO_LARGE if the answer is not what the call asks for; never a guess instead
 * - ABORTED, CLOSED
 */
export interface ChainSource extends AsyncDisposable {
  /** For messages: without credentials. */
  readonly name: string

  /** Where it stands. */
  chainInfo(options?: SourceOptions): Promise<ChainInfo>

  /**
   * The block of that height in its best chain; undefined above its tip.
   *
   * @throws PerkunasError BLOCK_UNAVAILABLE if it has only the header: it is pruned, and could not get the block again
   */
  rawBlock(height: BlockHeight, options?: SourceOptions): Promise<RawBlock | undefined>

  /** An output of its best chain; undefined if it is spent or not known. Its mempool counts neither way. */
  unspentOutput(outpoint: Outpoint, options?: SourceOptions): Promise<UnspentOutput | undefined>

  /** What it knows of fees. */
  feeTable(options?: SourceOptions): Promise<FeeTable>

  /**
   * Hands on one transaction, or one child and its parents, the child last, that are judged together where the source can.
   *
   * @param transactions with their witnesses, as `encodeTransaction` gives them
   */
  broadcast(transactions: readonly Uint8Array[], options?: SourceOptions): Promise<BroadcastResult>

  /**
   * Transactions of its mempool that spend some of these outputs, with their witnesses. A hint: others may be there all the
   * same. Absent where a source can't tell.
   */
  mempoolSpends?(outpoints: readonly Outpoint[], options?: SourceOptions): Promise<readonly Uint8Array[]>

  /** Ends the calls under way with CLOSED. Idempotent. */
  close(): Promise<void>
}
