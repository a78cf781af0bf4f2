// Cursors of chains without headers: what a cursor must hold is the block's ID, so that is all that these headers are.
import type { BlockID, ChainCursor } from '../../../../backend/bitcoin/chain/index.js'
import { blockHeight } from '../../../../backend/bitcoin/units.js'
import { concat, fromHex, toHex } from '../../../../channel/bytes.js'

/** A cursor behind the last of some blocks. */
export function cursorOf(blocks: readonly BlockID[]): ChainCursor {
  const headers = blocks.map(({ hash }) => concat(fromHex(hash), new Uint8Array(48)))
  return { height: blocks.at(-1)?.height ?? blockHeight(0), headers }
}

/** The blocks of such a cursor. */
export function blocksOf({ height, headers }: ChainCursor): BlockID[] {
  return headers.map((header, i) => ({
    height: blockHeight(height - headers.length + 1 + i),
    hash: toHex(header.subarray(0, 32)),
  }))
}
