// BOLT 1, "Peer Storage": a blob that a node keeps for another one.
import { sizedBytes } from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'

/** Most bytes of a stored blob. */
export const MAX_PEER_STORAGE_BYTES = 65_531

/** To keep for the sender, in place of what was kept before. */
export const peerStorage = message('peer_storage', 7, { blob: sizedBytes })
/** A message of {@link peerStorage}. */
export type PeerStorage = MessageOf<typeof peerStorage>

/** What was last kept for the receiver. */
export const peerStorageRetrieval = message('peer_storage_retrieval', 9, { blob: sizedBytes })
/** A message of {@link peerStorageRetrieval}. */
export type PeerStorageRetrieval = MessageOf<typeof peerStorageRetrieval>
