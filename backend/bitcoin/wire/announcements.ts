// BOLT 7: what the signatures of announcements are over, whether they hold, and the checksum by which two updates are
// compared without being sent.
import { sha256 } from '@noble/hashes/sha2.js'
import { fromHex, type Hex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import {
  type ChannelAnnouncement,
  type ChannelUpdate,
  channelAnnouncement,
  channelUpdate,
  type NodeAnnouncement,
  nodeAnnouncement,
} from './gossip.js'

/** How many bytes of signatures follow an announcement's type; all bytes behind them are signed. */
const SIGNATURE_BYTES: ReadonlyMap<number, number> = new Map([
  [channelAnnouncement.type, 256],
  [nodeAnnouncement.type, 64],
  [channelUpdate.type, 64],
])

/**
 * What the signatures of an announcement are over: the double SHA-256 of everything behind them, also of what we don't
 * understand.
 *
 * @param bytes the message with its type, as it came
 * @throws PerkunasError INVALID_ARGUMENT if it is no announcement with a signature
 */
export function announcementHash(bytes: Uint8Array): Uint8Array {
  const skipped = SIGNATURE_BYTES.get(((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0))
  if (skipped === undefined || bytes.length < 2 + skipped) throw notAnnouncement()
  return sha256(sha256(bytes.subarray(2 + skipped)))
}

/** The signatures of a channel's announcement that don't hold; none if it is sound. @param hash {@link announcementHash} */
export function badSignatures(
  message: ChannelAnnouncement,
  hash: Uint8Array,
): readonly ('nodeSignature1' | 'nodeSignature2' | 'bitcoinSignature1' | 'bitcoinSignature2')[] {
  const keys = {
    nodeSignature1: fromHex(message.nodeID1),
    nodeSignature2: fromHex(message.nodeID2),
    bitcoinSignature1: message.bitcoinKey1,
    bitcoinSignature2: message.bitcoinKey2,
  }
  const names = ['nodeSignature1', 'nodeSignature2', 'bitcoinSignature1', 'bitcoinSignature2'] as const
  return names.filter((name) => !secp256k1.verify(message[name], hash, keys[name]))
}

/** Whether a node signed its own announcement, or an update of one of its channels. @param hash {@link announcementHash} */
export function isSignedBy(
  message: NodeAnnouncement | ChannelUpdate,
  nodeID: Hex,
  hash: Uint8Array,
): boolean {
  return secp256k1.verify(message.signature, hash, fromHex(nodeID))
}

/**
 * CRC32C of a `channel_update` without its signature and timestamp: equal for two updates that say the same.
 *
 * @param bytes the message with its type, as it came; what follows its known fields counts too
 * @throws PerkunasError INVALID_ARGUMENT if it is no `channel_update`
 * @see BOLT 7, "The `query_channel_range` and `reply_channel_range` Messages"; RFC 3720, appendix B.4
 */
export function channelUpdateChecksum(bytes: Uint8Array): number {
  // Type 2, signature 64, chain hash 32, short channel ID 8, timestamp 4.
  if (((bytes[0] ?? 0) << 8) + (bytes[1] ?? 0) !== channelUpdate.type || bytes.length < 110) {
    throw notAnnouncement()
  }
  return ~crc32c(crc32c(-1, bytes.subarray(66, 106)), bytes.subarray(110)) >>> 0
}

function notAnnouncement(): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', 'a signed announcement expected', { argument: 'bytes' })
}

/** The polynomial of Castagnoli, its bits reversed. */
const CASTAGNOLI = 0x82f6_3b78
const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ CASTAGNOLI : value >>> 1
  return value
})

function crc32c(start: number, bytes: Uint8Array): number {
  let value = start
  for (const byte of bytes) value = (value >>> 8) ^ (TABLE[(value ^ byte) & 0xff] ?? 0)
  return value
}
