// BOLT 2, "Channel Quiescence" and "Channel Splicing".
import { channelID, point, present, s64, u8, u16, u32 } from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { feerate, txID } from './fields.js'

/** `initiator` is 1 if the sender asked first, else 0. */
export const stfu = message('stfu', 2, { channelID, initiator: u8 })
/** A message of {@link stfu}. */
export type Stfu = MessageOf<typeof stfu>

const splicing = { requireConfirmedInputs: record(2, present) }

/** A contribution below zero takes satoshis out of the channel. */
export const spliceInit = message(
  'splice_init',
  80,
  {
    channelID,
    fundingContributionSatoshis: s64,
    fundingFeeratePerkw: feerate,
    locktime: u32,
    fundingPubkey: point,
  },
  splicing,
)
/** A message of {@link spliceInit}. */
export type SpliceInit = MessageOf<typeof spliceInit>

/** `splice_ack`: BOLT 2, "Channel Quiescence" and "Channel Splicing". */
export const spliceAck = message(
  'splice_ack',
  81,
  { channelID, fundingContributionSatoshis: s64, fundingPubkey: point },
  splicing,
)
/** A message of {@link spliceAck}. */
export type SpliceAck = MessageOf<typeof spliceAck>

/** `splice_locked`: BOLT 2, "Channel Quiescence" and "Channel Splicing". */
export const spliceLocked = message('splice_locked', 77, { channelID, spliceTxID: txID })
/** A message of {@link spliceLocked}. */
export type SpliceLocked = MessageOf<typeof spliceLocked>

/** The next `batchSize` messages of the channel belong together. */
export const startBatch = message(
  'start_batch',
  127,
  { channelID, batchSize: u16 },
  { messageType: record(1, u16) },
)
/** A message of {@link startBatch}. */
export type StartBatch = MessageOf<typeof startBatch>
