// What every plug-in must do, as suites for mocha that its author runs: one call with a set-up hook each.
export { describeStore, type StoreSetup } from './store.js'
