// What users know of each other without saying it.
import { sha256 } from '../../../backend/bitcoin/script/index.js'

/** The preimage of a lock follows from its amount, so that whoever wants can find it. */
export function preimageOf(amount: bigint): Uint8Array {
  return sha256(new TextEncoder().encode(`preimage ${amount}`))
}
