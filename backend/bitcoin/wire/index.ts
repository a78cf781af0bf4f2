// What Lightning nodes say to each other: every message of BOLTs 1, 2 and 7, stated once each.
export {
  decodeAddresses,
  encodeAddresses,
  formatHost,
  type NodeAddress,
  type NodeAddresses,
} from './addresses.js'
export { announcementHash, badSignatures, channelUpdateChecksum, isSignedBy } from './announcements.js'
export {
  type ChannelReestablish,
  type CommitmentSigned,
  ONION_PACKET_BYTES,
  type RevokeAndAck,
  type UpdateAddHtlc,
  type UpdateFailHtlc,
  type UpdateFailMalformedHtlc,
  type UpdateFee,
  type UpdateFulfillHtlc,
} from './channel.js'
export type { ClosingComplete, ClosingSig, ClosingSigned, Shutdown } from './close.js'
export { MAX_PEER_STORAGE_BYTES, type PeerStorage, type PeerStorageRetrieval } from './control.js'
export { type TxID, txIDOfHash } from './fields.js'
export type {
  AnnouncementSignatures,
  ChannelAnnouncement,
  ChannelUpdate,
  NodeAnnouncement,
} from './gossip.js'
export type {
  TxAbort,
  TxAckRbf,
  TxAddInput,
  TxAddOutput,
  TxComplete,
  TxInitRbf,
  TxRemoveInput,
  TxRemoveOutput,
  TxSignatures,
} from './interactive.js'
export { type LightningMessage, lightningMessages, type MessageByKind } from './messages.js'
export type { OnionMessage } from './onion-message.js'
export type {
  AcceptChannel,
  AcceptChannel2,
  ChannelReady,
  FundingCreated,
  FundingSigned,
  OpenChannel,
  OpenChannel2,
} from './open.js'
export {
  decodeQueryFlags,
  decodeShortIDs,
  decodeTimestamps,
  encodeQueryFlags,
  encodeShortIDs,
  encodeTimestamps,
  type GossipTimestampFilter,
  type Pair,
  type QueryChannelRange,
  type QueryFlags,
  type QueryShortChannelIDs,
  type ReplyChannelRange,
  type ReplyShortChannelIDsEnd,
  type Timestamps,
} from './queries.js'
export {
  formatShortChannelID,
  joinShortChannelID,
  parseShortChannelID,
  type ShortChannelID,
  type ShortChannelIDParts,
  shortChannelID,
  splitShortChannelID,
} from './short-channel-id.js'
export type { SpliceAck, SpliceInit, SpliceLocked, StartBatch, Stfu } from './splice.js'
