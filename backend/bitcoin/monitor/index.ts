// What a Lightning channel's monitor is told, what it keeps, and how it defends the channel on chain.
export type { Attempt, AttemptKind, Published, WalletCoin } from '../resolver/attempt.js'
export { RESOLVER_POLICY, type ResolverPolicy } from '../resolver/policy.js'
export { balancesOf, type ClaimableBalance } from './balances.js'
export type {
  Monitor,
  MonitorEffect,
  MonitorEnv,
  MonitorEvent,
  MonitorHandoff,
  MonitorInput,
  MonitorStep,
  RefusalReason,
  SpendingTransaction,
} from './machine.js'
export { type ChainObligation, obligationsOf } from './obligations.js'
export type { FailureCause, HtlcKey, MonitorTerms, MonitorUpdate, Side } from './record.js'
export {
  MONITOR_ROWS,
  monitorWrites,
  openRevoked,
  REVOKED_ROWS,
  restoredMonitors,
  revokedKey,
} from './rows.js'
export {
  applyUpdates,
  faultOfMonitor,
  type MonitorFailure,
  type MonitorState,
  type RevokedCommitment,
  type RevokedHtlc,
} from './state.js'
export { isAtRest, step } from './step.js'
export { fundingSpent } from './told.js'
