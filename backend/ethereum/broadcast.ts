// Handing a signed transaction to a node, and asking where the node sees it.
import { type Hex, isError } from '../../channel/index.js'
import type { Chain } from './chain.js'
import { bytes, isObject, number } from './json.js'
import { RpcError } from './rpc.js'

/** A signed transaction. */
export interface Signed {
  readonly hash: Hex
  readonly raw: Hex
}

/** How a node took a transaction. */
export type Broadcast =
  /** It has it, or may have it. */
  | { readonly kind: 'sent' }
  /**
   * It does not: a mined transaction has the nonce, one of the pool has it, too little is offered for any place, or
   * another reason.
   */
  | { readonly kind: 'nonce used' | 'nonce taken' | 'underpriced' | 'refused'; readonly error: RpcError }

/**
 * The first broadcast of a transaction. If the node knows it already, it is a twin: the same call of the same
 * account under the same nonce, sent by somebody else who has the key.
 */
export async function broadcastFirst(chain: Chain, signed: Signed): Promise<Broadcast> {
  try {
    await chain.rpc.request('eth_sendRawTransaction', [signed.raw])
    return { kind: 'sent' }
  } catch (error) {
    // Whether it arrived is not known: from now on the node may know it from us.
    if (isError(error, 'LEDGER_UNREACHABLE')) return broadcast(chain, signed)
    if (!(error instanceof RpcError)) throw error
    const kind = kindOfRefusal(error.message)
    return { kind: kind === 'known' ? 'nonce taken' : kind, error }
  }
}

/** A repeated broadcast. */
export async function broadcast(chain: Chain, signed: Signed): Promise<Broadcast> {
  try {
    await chain.request('eth_sendRawTransaction', [signed.raw])
    return { kind: 'sent' }
  } catch (error) {
    if (isError(error, 'LEDGER_UNREACHABLE')) return { kind: 'sent' }
    if (!(error instanceof RpcError)) throw error
    const kind = kindOfRefusal(error.message)
    if (kind === 'known') return { kind: 'sent' }
    // The answer to the first one was lost: what used the nonce may be this very transaction.
    if (kind === 'nonce used' && (await whereabouts(chain, signed.hash)) !== 'nowhere')
      return { kind: 'sent' }
    return { kind, error }
  }
}

/**
 * Where a node sees a transaction. A node may still show one in a block that it has replaced, and then has it neither in
 * its chain nor in its pool.
 */
export async function whereabouts(chain: Chain, hash: Hex): Promise<'block' | 'pool' | 'nowhere'> {
  const transaction = await chain.ask('eth_getTransactionByHash', [hash])
  if (!isObject(transaction)) return 'nowhere'
  const { blockHash, blockNumber } = transaction
  if (blockHash === undefined || blockHash === null) return 'pool'
  const place = {
    blockHash: bytes(blockHash, 'blockHash', 32),
    blockNumber: number(blockNumber, 'blockNumber'),
  }
  return (await isInChain(chain, place)) ? 'block' : 'nowhere'
}

/** Whether a block is in the chain that the node has now. */
export async function isInChain(
  chain: Chain,
  { blockHash, blockNumber }: { readonly blockHash: Hex; readonly blockNumber: number },
): Promise<boolean> {
  return (await chain.blockHash(blockNumber)) === blockHash
}

/** What kind of refusal a node's words mean: there are no codes for it (geth, Erigon, Nethermind, Besu, Reth, anvil). */
function kindOfRefusal(message: string): 'known' | 'nonce used' | 'nonce taken' | 'underpriced' | 'refused' {
  if (/already known|already imported|known transaction|alreadyknown/i.test(message)) return 'known'
  if (/nonce (is )?too low|old ?nonce|nonce_?too_?low|nonce has already been used/i.test(message)) {
    return 'nonce used'
  }
  if (/replacement|fee too low to compete/i.test(message)) return 'nonce taken'
  if (/underpriced|less than block base fee|fee ?too ?low|below (the )?base ?fee/i.test(message)) {
    return 'underpriced'
  }
  return 'refused'
}
