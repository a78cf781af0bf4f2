// The watchtower: a process that refutes old states on behalf of clients that are away, and a client's side of it.
export type { GuardEvent } from './guard.js'
export { prometheusText, type TowerMetrics } from './metrics.js'
export { RemoteWatcher, type RemoteWatcherOptions } from './remote.js'
export { TOWER_LIMITS, Tower, type TowerEvent, type TowerLimits, type TowerOptions } from './tower.js'
