// BOLT 2, "Normal Operation": HTLCs, commitments, and what two sides say to each other after a reconnection.
import {
  byteArray,
  channelID,
  list,
  point,
  sha256Hash,
  signature,
  sizedBytes,
  struct,
  u8,
  u16,
  u32,
  u64,
} from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { feerate, height, msats, txID } from './fields.js'

/** Bytes of an onion packet of payments (BOLT 4). */
export const ONION_PACKET_BYTES = 1366

/** `update_add_htlc`: BOLT 2, "Normal Operation". */
export const updateAddHtlc = message(
  'update_add_htlc',
  128,
  {
    channelID,
    id: u64,
    amountMsat: msats,
    paymentHash: sha256Hash,
    cltvExpiry: height,
    // Not looked at here: a bad packet fails its HTLC, not the channel.
    onionRoutingPacket: byteArray(ONION_PACKET_BYTES),
  },
  { blindedPath: record(0, point) },
)
/** A message of {@link updateAddHtlc}. */
export type UpdateAddHtlc = MessageOf<typeof updateAddHtlc>

/** What hops say about how long they held an HTLC, and their proofs: 920 bytes. @see BOLT 4, "Returning Errors" */
const attribution = {
  attributionData: record(
    1,
    struct('attribution_data', { htlcHoldTimes: list(20, u32), truncatedHmacs: byteArray(840) }),
  ),
}

/** `update_fulfill_htlc`: BOLT 2, "Normal Operation". */
export const updateFulfillHtlc = message(
  'update_fulfill_htlc',
  130,
  { channelID, id: u64, paymentPreimage: byteArray(32) },
  attribution,
)
/** A message of {@link updateFulfillHtlc}. */
export type UpdateFulfillHtlc = MessageOf<typeof updateFulfillHtlc>

/** `update_fail_htlc`: BOLT 2, "Normal Operation". */
export const updateFailHtlc = message(
  'update_fail_htlc',
  131,
  { channelID, id: u64, reason: sizedBytes },
  attribution,
)
/** A message of {@link updateFailHtlc}. */
export type UpdateFailHtlc = MessageOf<typeof updateFailHtlc>

/** `update_fail_malformed_htlc`: BOLT 2, "Normal Operation". */
export const updateFailMalformedHtlc = message('update_fail_malformed_htlc', 135, {
  channelID,
  id: u64,
  sha256OfOnion: sha256Hash,
  failureCode: u16,
})
/** A message of {@link updateFailMalformedHtlc}. */
export type UpdateFailMalformedHtlc = MessageOf<typeof updateFailMalformedHtlc>

/** One signature for the commitment, one per HTLC that is not trimmed, in the order of outputs. */
export const commitmentSigned = message(
  'commitment_signed',
  132,
  { channelID, signature, htlcSignature: list(u16, signature) },
  { fundingTxID: record(1, txID) },
)
/** A message of {@link commitmentSigned}. */
export type CommitmentSigned = MessageOf<typeof commitmentSigned>

/** `revoke_and_ack`: BOLT 2, "Normal Operation". */
export const revokeAndAck = message('revoke_and_ack', 133, {
  channelID,
  perCommitmentSecret: byteArray(32),
  nextPerCommitmentPoint: point,
})
/** A message of {@link revokeAndAck}. */
export type RevokeAndAck = MessageOf<typeof revokeAndAck>

/** `update_fee`: BOLT 2, "Normal Operation". */
export const updateFee = message('update_fee', 134, { channelID, feeratePerKw: feerate })
/** A message of {@link updateFee}. */
export type UpdateFee = MessageOf<typeof updateFee>

/** `channel_reestablish`: BOLT 2, "Normal Operation". */
export const channelReestablish = message(
  'channel_reestablish',
  136,
  {
    channelID,
    nextCommitmentNumber: u64,
    nextRevocationNumber: u64,
    yourLastPerCommitmentSecret: byteArray(32),
    myCurrentPerCommitmentPoint: point,
  },
  {
    nextFunding: record(1, struct('next_funding', { nextFundingTxID: txID, retransmitFlags: u8 })),
    myCurrentFundingLocked: record(
      5,
      struct('my_current_funding_locked', { myCurrentFundingLockedTxID: txID, retransmitFlags: u8 }),
    ),
  },
)
/** A message of {@link channelReestablish}. */
export type ChannelReestablish = MessageOf<typeof channelReestablish>
