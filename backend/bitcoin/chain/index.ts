// The Bitcoin chain: where it is read and written, what happens to it, what it costs to get into it.
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
export { NETWORKS, type Network, type NetworkRules } from './network.js'
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
