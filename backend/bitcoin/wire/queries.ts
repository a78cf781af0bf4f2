// BOLT 7, "Query Messages", and the encodings inside of them: lists of short channel IDs, flags, timestamps, checksums.
import { concat } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import {
  bigSize,
  chainHash,
  type Field,
  rest,
  restBytes,
  sizedBytes,
  struct,
  u8,
  u32,
} from '../../../peer/wire/fields.js'
import { type MessageOf, message } from '../../../peer/wire/message.js'
import { decodeField, encodeField, record } from '../../../peer/wire/tlv.js'
import { height, shortID } from './fields.js'
import type { ShortChannelID } from './short-channel-id.js'

/** `encodedShortIDs` is read by {@link decodeShortIDs}, the flags of each by {@link decodeQueryFlags}. */
export const queryShortChannelIDs = message(
  'query_short_channel_ids',
  261,
  { chainHash, encodedShortIDs: sizedBytes },
  { queryFlags: record(1, struct('query_flags', { encodingType: u8, encodedQueryFlags: restBytes })) },
)
/** A message of {@link queryShortChannelIDs}. */
export type QueryShortChannelIDs = MessageOf<typeof queryShortChannelIDs>

/** `reply_short_channel_ids_end`: BOLT 7, "Query Messages". */
export const replyShortChannelIDsEnd = message('reply_short_channel_ids_end', 262, {
  chainHash,
  fullInformation: u8,
})
/** A message of {@link replyShortChannelIDsEnd}. */
export type ReplyShortChannelIDsEnd = MessageOf<typeof replyShortChannelIDsEnd>

/** Bit 0 of `queryOption` asks for timestamps, bit 1 for checksums. */
export const queryChannelRange = message(
  'query_channel_range',
  263,
  { chainHash, firstBlocknum: height, numberOfBlocks: u32 },
  { queryOption: record(1, bigSize) },
)
/** A message of {@link queryChannelRange}. */
export type QueryChannelRange = MessageOf<typeof queryChannelRange>

/** Of both directions of a channel: that of `node_id_1` first. */
export const directions: Field<Pair> = {
  format: 'channel_update_checksums',
  least: 8,
  read: (from) => [from.u32(), from.u32()],
  write: (to, value) => {
    if (!Array.isArray(value) || value.length !== 2) to.fail('two numbers expected')
    for (const one of value) to.u32(one)
  },
}

/** One number for each direction of a channel: that of `node_id_1` first; 0 if there is no `channel_update`. */
export type Pair = readonly [number, number]

/** `reply_channel_range`: BOLT 7, "Query Messages". */
export const replyChannelRange = message(
  'reply_channel_range',
  264,
  {
    chainHash,
    firstBlocknum: height,
    numberOfBlocks: u32,
    syncComplete: u8,
    encodedShortIDs: sizedBytes,
  },
  {
    timestamps: record(1, struct('timestamps', { encodingType: u8, encodedTimestamps: restBytes })),
    checksums: record(3, rest(directions)),
  },
)
/** A message of {@link replyChannelRange}. */
export type ReplyChannelRange = MessageOf<typeof replyChannelRange>

/** `gossip_timestamp_filter`: BOLT 7, "Query Messages". */
export const gossipTimestampFilter = message('gossip_timestamp_filter', 265, {
  chainHash,
  firstTimestamp: u32,
  timestampRange: u32,
})
/** A message of {@link gossipTimestampFilter}. */
export type GossipTimestampFilter = MessageOf<typeof gossipTimestampFilter>

/** The form of lists as they are; the other one there was, compressed, must not be used any more. */
const PLAIN = 0

/** The list of a query or a reply. */
export function encodeShortIDs(ids: readonly ShortChannelID[]): Uint8Array {
  return concat(Uint8Array.of(PLAIN), encodeField(rest(shortID), ids, 'encoded_short_ids'))
}

/** @throws PerkunasError INVALID_MESSAGE for another form than the plain one, or half an ID */
export function decodeShortIDs(bytes: Uint8Array): readonly ShortChannelID[] {
  return decodeList(bytes[0], bytes.subarray(1), shortID, 'encoded_short_ids')
}

/** What the record of a query says of each of its channels. */
export type QueryFlags = NonNullable<QueryShortChannelIDs['queryFlags']>

/** What is asked of each channel, by bits: announcement, updates of either side, announcements of either side's node. */
export function encodeQueryFlags(flags: readonly bigint[]): QueryFlags {
  const encodedQueryFlags = encodeField(rest(bigSize), flags, 'encoded_query_flags')
  return { encodingType: PLAIN, encodedQueryFlags }
}

/** @throws PerkunasError INVALID_MESSAGE for another form than the plain one, or half a number */
export function decodeQueryFlags({ encodingType, encodedQueryFlags }: QueryFlags): readonly bigint[] {
  return decodeList(encodingType, encodedQueryFlags, bigSize, 'encoded_query_flags')
}

/** What the record of a reply says of each of its channels. */
export type Timestamps = NonNullable<ReplyChannelRange['timestamps']>

/** When either side of each channel last spoke of it. */
export function encodeTimestamps(timestamps: readonly Pair[]): Timestamps {
  return {
    encodingType: PLAIN,
    encodedTimestamps: encodeField(rest(directions), timestamps, 'encoded_timestamps'),
  }
}

/** @throws PerkunasError INVALID_MESSAGE for another form than the plain one, or half a pair */
export function decodeTimestamps({ encodingType, encodedTimestamps }: Timestamps): readonly Pair[] {
  return decodeList(encodingType, encodedTimestamps, directions, 'encoded_timestamps')
}

function decodeList<T>(
  form: number | undefined,
  data: Uint8Array,
  item: Field<T>,
  path: string,
): readonly T[] {
  if (form !== PLAIN) {
    throw new PerkunasError('INVALID_MESSAGE', `${path}: unknown encoding ${form}`, {
      path,
      reason: 'unknown encoding',
    })
  }
  return decodeField(rest(item), data, path)
}
