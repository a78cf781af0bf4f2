// Bitcoin as a client's ledger.
export { BitcoinBackend, type BitcoinBackendOptions, LIGHTNING_CAPABILITIES } from './backend.js'
export { BITCOIN, bitcoinAsset } from './proposal.js'
