// BOLT 7: announcements. Three of them are signed with whatever follows their fields, which is kept as it came.
import {
  byteArray,
  chainHash,
  channelID,
  nodeID,
  signature,
  signingKey,
  sizedBytes,
  u8,
  u32,
} from '../../../peer/wire/fields.js'
import { announcement, type MessageOf, message } from '../../../peer/wire/message.js'
import { blocks16, msats, msats32, shortID } from './fields.js'

/** Says that its sender has seen the funding transaction deep enough, and signs the channel's announcement. */
export const announcementSignatures = message('announcement_signatures', 259, {
  channelID,
  shortChannelID: shortID,
  nodeSignature: signature,
  bitcoinSignature: signature,
})
/** A message of {@link announcementSignatures}. */
export type AnnouncementSignatures = MessageOf<typeof announcementSignatures>

/** `channel_announcement`: BOLT 7. */
export const channelAnnouncement = announcement('channel_announcement', 256, {
  nodeSignature1: signature,
  nodeSignature2: signature,
  bitcoinSignature1: signature,
  bitcoinSignature2: signature,
  features: sizedBytes,
  chainHash,
  shortChannelID: shortID,
  nodeID1: nodeID,
  nodeID2: nodeID,
  bitcoinKey1: signingKey,
  bitcoinKey2: signingKey,
})
/** A message of {@link channelAnnouncement}. */
export type ChannelAnnouncement = MessageOf<typeof channelAnnouncement>

/** `addresses` are read by `decodeAddresses`. */
export const nodeAnnouncement = announcement('node_announcement', 257, {
  signature,
  features: sizedBytes,
  timestamp: u32,
  nodeID,
  rgbColor: byteArray(3),
  alias: byteArray(32),
  addresses: sizedBytes,
})
/** A message of {@link nodeAnnouncement}. */
export type NodeAnnouncement = MessageOf<typeof nodeAnnouncement>

/** `channel_update`: BOLT 7. */
export const channelUpdate = announcement('channel_update', 258, {
  signature,
  chainHash,
  shortChannelID: shortID,
  timestamp: u32,
  messageFlags: u8,
  channelFlags: u8,
  cltvExpiryDelta: blocks16,
  htlcMinimumMsat: msats,
  feeBaseMsat: msats32,
  feeProportionalMillionths: u32,
  htlcMaximumMsat: msats,
})
/** A message of {@link channelUpdate}. */
export type ChannelUpdate = MessageOf<typeof channelUpdate>
