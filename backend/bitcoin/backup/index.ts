// Static channel backups: a file from which a node that lost its store gets its money back with its peers' help.
export type { ChannelBackup, NodeBackup } from './contents.js'
export { openBackup } from './seal.js'
