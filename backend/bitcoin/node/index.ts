// A Lightning node: channels, their monitors and payments, driven over connections, a store, a chain and a wallet.
export type { ChannelObligation } from './chain-view.js'
export { LIGHTNING_TYPES } from './connections.js'
export { channelName } from './desk.js'
export type { NodeEvent } from './effects.js'
export { type LightningInit, lightningInit, NODE_FEATURES, ZERO_CONF_FEATURES } from './init.js'
export { LightningNode } from './node.js'
export type {
  InboundChannel,
  LightningNodeOptions,
  OpenDecision,
  OpenHandler,
  OpenOptions,
} from './options.js'
export { NodePayments } from './payments.js'
export type { ChainStatus, Followed, NodeBus, NodeChain } from './ports.js'
export type { QuarantinedChannel } from './quarantine.js'
export type { AnchorReserve } from './reserve.js'
export { type SourceChainOptions, sourceChain } from './source-chain.js'
export type { HtlcSwitch } from './switch.js'
export type { Both, ChannelView, LiveView } from './views.js'
