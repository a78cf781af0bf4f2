// Outpoints as the 36 bytes by which transactions name them.
import { concat, type Hex, toHex } from '../../../channel/bytes.js'
import type { Outpoint } from '../script/index.js'

/** ID as hashed, then the index in little-endian order. */
export function encodeOutpoint({ txid, index }: Outpoint): Uint8Array {
  const little = new Uint8Array(4)
  new DataView(little.buffer).setUint32(0, index, true)
  return concat(txid, little)
}

/** What tells an output from all others, as text: {@link encodeOutpoint} in hex. */
export function outpointKey(outpoint: Outpoint): Hex {
  return toHex(encodeOutpoint(outpoint))
}

/** Reads {@link encodeOutpoint}. */
export function decodeOutpoint(bytes: Uint8Array): Outpoint {
  const index = new DataView(bytes.buffer, bytes.byteOffset, 36).getUint32(32, true)
  return { txid: bytes.slice(0, 32), index }
}
