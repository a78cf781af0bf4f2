// What every plug-in must do, as suites for mocha that its author runs: one call with a set-up hook each.
export { describeBackend, ecdsaTwins } from './backend.js'
export type { AppFixture, BackendParty, BackendSetup, BackendWorld } from './backend-setup.js'
export { describeChannels } from './channels.js'
export type { ChannelParty, ChannelSetup, ChannelWorld } from './channels-setup.js'
export { describeStore, type StoreSetup } from './store.js'
