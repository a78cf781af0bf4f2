// Every message of Lightning that we know, as one set.
import { error, init, ping, pong, warning } from '../../../peer/wire/control.js'
import { type MessageOf, messageSet } from '../../../peer/wire/message.js'
import {
  channelReestablish,
  commitmentSigned,
  revokeAndAck,
  updateAddHtlc,
  updateFailHtlc,
  updateFailMalformedHtlc,
  updateFee,
  updateFulfillHtlc,
} from './channel.js'
import { closingComplete, closingSig, closingSigned, shutdown } from './close.js'
import { peerStorage, peerStorageRetrieval } from './control.js'
import { announcementSignatures, channelAnnouncement, channelUpdate, nodeAnnouncement } from './gossip.js'
import {
  txAbort,
  txAckRbf,
  txAddInput,
  txAddOutput,
  txComplete,
  txInitRbf,
  txRemoveInput,
  txRemoveOutput,
  txSignatures,
} from './interactive.js'
import { onionMessage } from './onion-message.js'
import {
  acceptChannel,
  acceptChannel2,
  channelReady,
  fundingCreated,
  fundingSigned,
  openChannel,
  openChannel2,
} from './open.js'
import {
  gossipTimestampFilter,
  queryChannelRange,
  queryShortChannelIDs,
  replyChannelRange,
  replyShortChannelIDsEnd,
} from './queries.js'
import { spliceAck, spliceInit, spliceLocked, startBatch, stfu } from './splice.js'

const schemas = [
  warning,
  stfu,
  peerStorage,
  peerStorageRetrieval,
  init,
  error,
  ping,
  pong,
  openChannel,
  acceptChannel,
  fundingCreated,
  fundingSigned,
  channelReady,
  shutdown,
  closingSigned,
  closingComplete,
  closingSig,
  openChannel2,
  acceptChannel2,
  txAddInput,
  txAddOutput,
  txRemoveInput,
  txRemoveOutput,
  txComplete,
  txSignatures,
  txInitRbf,
  txAckRbf,
  txAbort,
  spliceLocked,
  spliceInit,
  spliceAck,
  startBatch,
  updateAddHtlc,
  updateFulfillHtlc,
  updateFailHtlc,
  commitmentSigned,
  revokeAndAck,
  updateFee,
  updateFailMalformedHtlc,
  channelReestablish,
  channelAnnouncement,
  nodeAnnouncement,
  channelUpdate,
  announcementSignatures,
  queryShortChannelIDs,
  replyShortChannelIDsEnd,
  queryChannelRange,
  replyChannelRange,
  gossipTimestampFilter,
  onionMessage,
] as const

/** A message of BOLTs 1, 2, 4 or 7. */
export type LightningMessage = MessageOf<(typeof schemas)[number]>

/** A message by its name in the specification. */
export type MessageByKind<K extends LightningMessage['kind']> = Extract<
  LightningMessage,
  { readonly kind: K }
>

/** Reads and writes them, with their two bytes of type. */
export const lightningMessages = messageSet(...schemas)
