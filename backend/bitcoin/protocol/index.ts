// Bitcoin as a client's ledger.
export { BitcoinBackend, type BitcoinBackendOptions, LIGHTNING_CAPABILITIES } from './backend.js'
export type { BeginningChannel, ChannelChoices, ShutdownChoice, ZeroConfChoice } from './choices.js'
export { BITCOIN, bitcoinAsset } from './proposal.js'
