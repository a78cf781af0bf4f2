// BOLT 2: establishing a channel, in the first and the second form.
import {
  chainHash,
  channelID,
  point,
  present,
  restBytes,
  signature,
  u8,
  u16,
  u32,
} from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { record } from '../../../peer/wire/tlv.js'
import { blocks16, blocks32, feerate, msats, sats, shortID, txID } from './fields.js'

/** Where closing pays to if it is fixed from the start; and the features that the channel is made of. */
const opening = {
  upfrontShutdownScript: record(0, restBytes),
  channelType: record(1, restBytes),
}

/** The same, and that every input which the other side adds must be confirmed. */
const opening2 = { ...opening, requireConfirmedInputs: record(2, present) }

const basepoints = {
  fundingPubkey: point,
  revocationBasepoint: point,
  paymentBasepoint: point,
  delayedPaymentBasepoint: point,
  htlcBasepoint: point,
  firstPerCommitmentPoint: point,
}

/** `open_channel`: BOLT 2, "Channel Establishment". */
export const openChannel = message(
  'open_channel',
  32,
  {
    chainHash,
    temporaryChannelID: channelID,
    fundingSatoshis: sats,
    pushMsat: msats,
    dustLimitSatoshis: sats,
    maxHtlcValueInFlightMsat: msats,
    channelReserveSatoshis: sats,
    htlcMinimumMsat: msats,
    feeratePerKw: feerate,
    toSelfDelay: blocks16,
    maxAcceptedHtlcs: u16,
    ...basepoints,
    channelFlags: u8,
  },
  opening,
)
/** A message of {@link openChannel}. */
export type OpenChannel = MessageOf<typeof openChannel>

/** `accept_channel`: BOLT 2, "Channel Establishment". */
export const acceptChannel = message(
  'accept_channel',
  33,
  {
    temporaryChannelID: channelID,
    dustLimitSatoshis: sats,
    maxHtlcValueInFlightMsat: msats,
    channelReserveSatoshis: sats,
    htlcMinimumMsat: msats,
    minimumDepth: blocks32,
    toSelfDelay: blocks16,
    maxAcceptedHtlcs: u16,
    ...basepoints,
  },
  opening,
)
/** A message of {@link acceptChannel}. */
export type AcceptChannel = MessageOf<typeof acceptChannel>

/** `funding_created`: BOLT 2, "Channel Establishment". */
export const fundingCreated = message('funding_created', 34, {
  temporaryChannelID: channelID,
  fundingTxID: txID,
  fundingOutputIndex: u16,
  signature,
})
/** A message of {@link fundingCreated}. */
export type FundingCreated = MessageOf<typeof fundingCreated>

/** `funding_signed`: BOLT 2, "Channel Establishment". */
export const fundingSigned = message('funding_signed', 35, { channelID, signature })
/** A message of {@link fundingSigned}. */
export type FundingSigned = MessageOf<typeof fundingSigned>

/** `channel_ready`: BOLT 2, "Channel Establishment". */
export const channelReady = message(
  'channel_ready',
  36,
  { channelID, secondPerCommitmentPoint: point },
  { shortChannelID: record(1, shortID) },
)
/** A message of {@link channelReady}. */
export type ChannelReady = MessageOf<typeof channelReady>

/** `open_channel2`: BOLT 2, "Channel Establishment". */
export const openChannel2 = message(
  'open_channel2',
  64,
  {
    chainHash,
    temporaryChannelID: channelID,
    fundingFeeratePerkw: feerate,
    commitmentFeeratePerkw: feerate,
    fundingSatoshis: sats,
    dustLimitSatoshis: sats,
    maxHtlcValueInFlightMsat: msats,
    htlcMinimumMsat: msats,
    toSelfDelay: blocks16,
    maxAcceptedHtlcs: u16,
    locktime: u32,
    ...basepoints,
    secondPerCommitmentPoint: point,
    channelFlags: u8,
  },
  opening2,
)
/** A message of {@link openChannel2}. */
export type OpenChannel2 = MessageOf<typeof openChannel2>

/** `accept_channel2`: BOLT 2, "Channel Establishment". */
export const acceptChannel2 = message(
  'accept_channel2',
  65,
  {
    temporaryChannelID: channelID,
    fundingSatoshis: sats,
    dustLimitSatoshis: sats,
    maxHtlcValueInFlightMsat: msats,
    htlcMinimumMsat: msats,
    minimumDepth: blocks32,
    toSelfDelay: blocks16,
    maxAcceptedHtlcs: u16,
    ...basepoints,
    secondPerCommitmentPoint: point,
  },
  opening2,
)
/** A message of {@link acceptChannel2}. */
export type AcceptChannel2 = MessageOf<typeof acceptChannel2>
