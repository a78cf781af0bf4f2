// What tests make a real node do.
import type { Bitcoind } from '../../../../scripts/bitcoind.js'

let branches = 0

/** Blocks with whatever is in the mempool, paid to a script that no block before was paid to: on no branch are others like them. */
export async function mineNew(node: Bitcoind, count: number): Promise<void> {
  await node.rpc('generatetodescriptor', [count, await freshDescriptor(node)])
}

/** Blocks with nothing of the mempool, like no others either. @param transactions in hex, for the first of them */
export async function mineEmpty(
  node: Bitcoind,
  count: number,
  transactions: readonly string[] = [],
): Promise<void> {
  const descriptor = await freshDescriptor(node)
  for (let i = 0; i < count; i++) await node.rpc('generateblock', [descriptor, i === 0 ? transactions : []])
}

async function freshDescriptor(node: Bitcoind): Promise<string> {
  const script = `02${(++branches).toString(16).padStart(4, '0')}`
  const info = await node.rpc('getdescriptorinfo', [`raw(${script})`])
  return (info as { readonly descriptor: string }).descriptor
}

/** Takes the newest blocks away for good. */
export async function invalidate(node: Bitcoind, depth: number): Promise<void> {
  const height = Number(await node.rpc('getblockcount'))
  await node.rpc('invalidateblock', [await node.rpc('getblockhash', [height - depth + 1])])
}
