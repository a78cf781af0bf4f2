// What is paid, and over what, by whoever does it. In satoshis unless said otherwise.
import type { Bitcoind } from '../scripts/bitcoind.js'

/** More than dust, so that each HTLC has an output and its signatures. */
export const AMOUNT = 500n
/** Of the channel: enough for some eighty thousand payments, which ten rounds take by now. */
export const CAPACITY = 50_000_000n
/** What the one who does not open has at first, in millisatoshis. */
export const PUSH = CAPACITY * 200n
/** In flight each way: all that the protocol allows. */
export const HTLCS = 483

/** Blocks that nobody is paid for, with what is in the mempool. */
export async function mine(bitcoind: Bitcoind, count: number): Promise<void> {
  const info = await bitcoind.rpc('getdescriptorinfo', ['raw(51)'])
  const { descriptor } = info as { readonly descriptor: string } // what bitcoind documents
  await bitcoind.rpc('generatetodescriptor', [count, descriptor])
}
