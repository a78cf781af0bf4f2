// What is so in the newest block may go away with it: waiting until it stays.
import { type CallOptions, isError } from '../../channel/index.js'
import type { Chain, Head, ReadOptions } from './chain.js'

/** The newest block that is final, given the newest one. */
export function finalBlock({ finalityDepth }: Pick<Chain, 'finalityDepth'>, head: Head): number {
  return Math.max(0, head.number - finalityDepth + 1)
}

/**
 * Waits for something that is so in the newest block, likely by another's transaction, to be so in a final one.
 *
 * @param holds whether it is so in the block that it is given the height of
 * @returns false as soon as it is not even so in the newest block: a reorg took it away, or something undid it
 */
export async function becomesFinal(
  chain: Chain,
  holds: (options: ReadOptions) => Promise<boolean>,
  options: CallOptions = {},
): Promise<boolean> {
  return chain.until(async (head) => {
    if (await isFinal(chain, head, holds, options)) return true
    return (await holds(options)) ? undefined : false
  }, options)
}

/** Whether something is so in the newest final block, given the newest one. */
export async function isFinal(
  chain: Chain,
  head: Head,
  holds: (options: ReadOptions) => Promise<boolean>,
  options: CallOptions = {},
): Promise<boolean> {
  if (!(await heldThen(holds({ ...options, block: finalBlock(chain, head) })))) return false
  // Within a reorg a node may answer for one block with the state of another: then its newest block is gone by now.
  return (await chain.blockHash(head.number, options)) === head.hash
}

/** In an earlier block the contracts may not be there yet, and during a reorg even the block may not. */
async function heldThen(held: Promise<boolean>): Promise<boolean> {
  return held.catch((error: unknown) => {
    if (isError(error, 'INVALID_CONTRACT')) return false
    throw error
  })
}
