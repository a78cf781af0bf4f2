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
    if (await heldThen(holds({ ...options, block: finalBlock(chain, head) }))) return true
    return (await holds(options)) ? undefined : false
  }, options)
}

/** In an earlier block the contracts may not be there yet, and during a reorg even the block may not. */
async function heldThen(held: Promise<boolean>): Promise<boolean> {
  return held.catch((error: unknown) => {
    if (isError(error, 'INVALID_CONTRACT')) return false
    throw error
  })
}
