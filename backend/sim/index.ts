// A ledger in memory with its own clock, blocks and reorgs, for tests and simulations.
export { SimBackend, type SimBackendOptions } from './backend.js'
export type { Dispute, SimBlock, SimCall, SimEvent, SimReceipt, SimTransaction } from './call.js'
export { SIM_BACKEND } from './encode.js'
export {
  type Failure,
  type LedgerOptions,
  type LedgerState,
  type Log,
  SimLedger,
  type Whereabouts,
} from './ledger.js'
export { SimNode } from './node.js'
