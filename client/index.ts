// Clients and channels: proposals, updates, disputes, and the runtime that makes them real.
export {
  CALL_NAMES,
  type Channel,
  type ChannelCallOptions,
  SETTLE_NAMES,
  type SettleOptions,
} from './channel.js'
export { Client } from './client.js'
export type { Clock, Entropy } from './environment.js'
export type { ChannelProposal } from './messages.js'
export {
  accept,
  type ClientOptions,
  type CommonOptions,
  defaultTimeouts,
  type ProposalHandler,
  type ProposalOptions,
  reject,
  type Timeouts,
  type UpdateHandler,
  type UpdateRequest,
} from './options.js'
export type {
  ChannelProtocol,
  ProtocolBackend,
  ProtocolHost,
  ProtocolOptions,
  RunningProtocol,
} from './protocol.js'
export type { ProposalDecision } from './sessions.js'
export { localWatcher, type Unwatched, type WatchedChannel, type Watcher } from './watcher.js'
export type { ChannelEvent, Decision, LockOutcome } from './world.js'
