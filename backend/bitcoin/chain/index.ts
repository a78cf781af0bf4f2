// The Bitcoin chain: where it is read and written, what happens to it, what it costs to get into it.
export { BitcoindSource } from './bitcoind.js'
export { type DecodedBlock, decodeBlock, MAX_BLOCK_BYTES } from './block.js'
export { type ChainCursor, cursorRecord, KEPT_HEADERS } from './cursor.js'
export { type EsploraOptions, EsploraSource } from './esplora.js'
export { FeeEstimator } from './estimator.js'
export type { Block, BlockID, BlockTransaction, ChainEvent } from './events.js'
export {
  type FeeTarget,
  feerateFor,
  feerateWithin,
  MAXIMUM_FEERATE,
  MINIMUM_FEERATE,
  TARGETS,
  UNKNOWN_FEES,
} from './fees.js'
export { ChainFilter, type RelevantTransaction } from './filter.js'
export { displayHash, type Header } from './header.js'
export type { HttpOptions } from './http.js'
export type { Credentials, RpcOptions } from './json-rpc.js'
export { NETWORKS, type Network, type NetworkRules } from './network.js'
export { decodeOutpoint, encodeOutpoint } from './outpoint.js'
export type {
  BlockHash,
  BroadcastResult,
  ChainInfo,
  ChainSource,
  FeeEstimate,
  FeeTable,
  RawBlock,
  SourceOptions,
  UnspentOutput,
} from './source.js'
export { ChainTracker, type TrackedEvent, type TrackerOptions, type TrackerStatus } from './tracker.js'
