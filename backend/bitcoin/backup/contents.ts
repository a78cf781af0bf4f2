// What a static channel backup says: which channels there are, with whom, and what it takes to recognize and to sweep what
// a peer's closing pays to us. Nothing in it can be published, and no secret is in it: those come from the seed.
import type { Hex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import {
  hex,
  list,
  object,
  optional,
  type PeerID,
  type Schema,
  schemaCodec,
  text,
  u64,
  uint,
} from '../../../peer/index.js'
import { type ChainCursor, chainCursor } from '../chain/cursor.js'
import {
  basepoints,
  channelType,
  type FundingPlace,
  fundingPlace,
  outpoint,
  sats,
  side,
} from '../channel/schemas.js'
import type { ChannelType } from '../channel-type.js'
import type { Basepoints } from '../keys/index.js'
import type { Outpoint } from '../script/index.js'
import type { Sat } from '../units.js'

/** One channel. */
export interface ChannelBackup {
  /** Of its keys, see `channelSecrets`. */
  readonly keyIndex: bigint
  /** Node ID. */
  readonly peer: PeerID
  /** Where it was last dialled; several separated by commas. Absent if it always called us. */
  readonly address?: string
  /** Of the opener, by which both name the proposal. */
  readonly temporaryID: Hex
  readonly opener: 'local' | 'remote'
  readonly type: ChannelType
  readonly capacity: Sat
  readonly funding: Outpoint
  /** The peer's. */
  readonly basepoints: Basepoints
  /** Blocks that each side's share waits if that side closes alone. */
  readonly delays: { readonly local: number; readonly remote: number }
  /** Where the funding is on the chain, if it was there. */
  readonly place?: FundingPlace
}

/** All channels of a node. */
export interface NodeBackup {
  /** BOLT 7's `chain_hash`. */
  readonly chainHash: Hex
  /** Node ID: by another one the peers don't know the channels. */
  readonly node: PeerID
  /** Key indices below this were used. */
  readonly nextKeyIndex: bigint
  /** A block of that time with some before it, 80 bytes each: what closed a channel came later. */
  readonly cursor?: ChainCursor
  readonly channels: readonly ChannelBackup[]
}

/** 200 000 channels. */
const MAX_BYTES = 128 * 1024 * 1024
const MAX_CHANNELS = 200_000

const channel: Schema<ChannelBackup> = object({
  keyIndex: u64(),
  peer: hex(33),
  address: optional(text(1000)),
  temporaryID: hex(32),
  opener: side,
  type: channelType,
  capacity: sats,
  funding: outpoint,
  basepoints,
  delays: object({ local: uint(0xffff), remote: uint(0xffff) }),
  place: optional(fundingPlace),
})

const codec = schemaCodec(
  object({
    chainHash: hex(32),
    node: hex(33),
    nextKeyIndex: u64(),
    cursor: optional(chainCursor),
    channels: list(channel, { max: MAX_CHANNELS }),
  }),
  { maxBytes: MAX_BYTES },
)

/** The contents as bytes, not sealed yet. */
export function encodeContents(backup: NodeBackup): Uint8Array {
  return codec.encode(backup)
}

/** @throws PerkunasError INVALID_RECORD */
export function decodeContents(payload: Uint8Array): NodeBackup {
  try {
    return codec.decode(payload)
  } catch (cause) {
    if (!isError(cause, 'INVALID_MESSAGE') && !isError(cause, 'TOO_LARGE')) throw cause
    const reason = cause.message
    throw new PerkunasError('INVALID_RECORD', `backup: ${reason}`, { key: 'backup', reason }, { cause })
  }
}
