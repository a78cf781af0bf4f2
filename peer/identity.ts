// Who a peer is: a secp256k1 key, as everywhere in Lightning.
import { type Hex, isHex } from '../channel/bytes.js'

/** A peer's compressed secp256k1 public key, 33 bytes. */
export type PeerID = Hex

/** Whether a value has the form of a {@link PeerID}; that the point is on the curve shows when it is used. */
export function isPeerID(value: unknown): value is PeerID {
  return isHex(value, 33) && (value.startsWith('0x02') || value.startsWith('0x03'))
}
