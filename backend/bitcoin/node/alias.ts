// Aliases of channels (BOLT 2, `option_scid_alias`).
import { type ShortChannelID, shortChannelID } from '../wire/index.js'

/** One that names no output: of a block that is a century away. @param random 8 bytes */
export function aliasOf(random: Uint8Array): ShortChannelID {
  const number = [...random].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  return shortChannelID((1n << 63n) | number)
}
