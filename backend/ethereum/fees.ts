// What a transaction offers to pay (EIP-1559; a gas price on chains without it).
import type { CallOptions } from '../../channel/index.js'
import type { Chain, Head } from './chain.js'
import { integer } from './json.js'
import { RpcError } from './rpc.js'

/** What a transaction offers, in wei per gas. */
export type Fees =
  | { readonly kind: 'dynamic'; readonly maxFee: bigint; readonly tip: bigint }
  | { readonly kind: 'legacy'; readonly gasPrice: bigint }

/** One gwei: the tip where a node suggests none. */
const DEFAULT_TIP = 10n ** 9n

/** What to offer now: the node's tip, and twice the base fee, which lasts for six full blocks. */
export async function currentFees(chain: Chain, head: Head, options: CallOptions = {}): Promise<Fees> {
  if (head.baseFee === undefined) {
    return { kind: 'legacy', gasPrice: integer(await chain.ask('eth_gasPrice', [], options), 'gasPrice') }
  }
  const tip = await chain.request('eth_maxPriorityFeePerGas', [], options).then(
    (value) => integer(value, 'maxPriorityFeePerGas'),
    (error: unknown) => {
      if (error instanceof RpcError) return DEFAULT_TIP
      throw error
    },
  )
  return { kind: 'dynamic', maxFee: 2n * head.baseFee + tip, tip }
}

/**
 * The least that replaces a transaction offering `old`: an eighth more of everything (nodes want a tenth), or what
 * is asked for now, if that is more.
 *
 * @returns undefined where that is above `cap` wei per gas
 */
export function raisedFees(old: Fees, current: Fees, cap: bigint): Fees | undefined {
  const raise = (fee: bigint) => fee + (fee + 7n) / 8n
  const most = (a: bigint, b: bigint) => (a > b ? a : b)
  if (old.kind === 'legacy' || current.kind === 'legacy') {
    const gasPrice = most(raise(priceOf(old)), priceOf(current))
    return gasPrice > cap ? undefined : { kind: 'legacy', gasPrice }
  }
  const maxFee = most(raise(old.maxFee), current.maxFee)
  return maxFee > cap ? undefined : { kind: 'dynamic', maxFee, tip: most(raise(old.tip), current.tip) }
}

/** How long a transaction is left with what it offers. */
export interface RaisePace {
  /** Blocks that it is not in. */
  readonly bumpAfterBlocks: number
  /** Milliseconds. */
  readonly bumpAfter: number
}

/** The share of the time that is left which a transaction with a deadline is left with what it offers. */
const PATIENCE_SHARE = 16

/**
 * When to offer more: with a deadline after a sixteenth of the time that is left, at each block in the end. From ten
 * minutes to one block that makes an offer of 400 times the first, if nothing caps it.
 *
 * @param left seconds until the deadline, undefined without one
 */
export function raiseAfter(left: number | undefined, usual: RaisePace): RaisePace {
  const share = left === undefined ? usual.bumpAfter : (Math.max(0, left) * 1000) / PATIENCE_SHARE
  if (share >= usual.bumpAfter) return usual
  return { bumpAfterBlocks: Math.min(1, usual.bumpAfterBlocks), bumpAfter: share }
}

/** The most that is paid per gas. */
export function priceOf(fees: Fees): bigint {
  return fees.kind === 'legacy' ? fees.gasPrice : fees.maxFee
}
