// Trying a call on the chain as it is, before it is sent and after it has failed, and the contract's reason.
import type { Interface } from 'ethers'
import { type Address, type CallOptions, type Hex, PerkunasError } from '../../channel/index.js'
import { ADJUDICATOR, HOLDER, revertReason, TOKEN } from './abi.js'
import type { Chain, Receipt } from './chain.js'
import { integer, quantity } from './json.js'
import { RpcError } from './rpc.js'

/** What to send. */
export interface Call {
  /** For errors: deposit, register, ... */
  readonly kind: string
  /** The contract; undefined to deploy one. */
  readonly to?: Address
  readonly data: Hex
  /** In wei. */
  readonly value?: bigint
  /**
   * Gas beyond the estimate. A node looks for the least gas with which a call does not revert; where a failing inner
   * call does not make it revert, that is too little for the inner call.
   */
  readonly spareGas?: bigint
  /** In the chain's time, seconds: the nearer, the sooner more is offered. */
  readonly deadline?: bigint
}

/** Who calls, and where. */
export interface Trial {
  readonly chain: Chain
  readonly from: Address
  /** Contracts whose custom errors to name, beside our own. */
  readonly interfaces: readonly Interface[]
}

/** So many looks in a row must find that a call fails before it does. */
const LOOKS = 3

/**
 * The gas that a call needs in the newest block.
 *
 * @throws PerkunasError TRANSACTION_FAILED with the contract's reason, which is to be seen in the newest block by then;
 *   LEDGER_UNREACHABLE, ABORTED
 */
export async function estimateGas(trial: Trial, call: Call, options: CallOptions): Promise<bigint> {
  const { chain } = trial
  for (let look = 1; ; look++) {
    try {
      // Without a block some nodes look at the pool: what that holds may never be mined.
      const question = [transactionOf(trial, call), 'latest']
      return integer(await chain.request('eth_estimateGas', question, options), 'gas')
    } catch (error) {
      if (!(error instanceof RpcError)) throw error
      if (look === LOOKS) throw failedCall(trial, call, error)
      // Within a reorg a node may not find its newest block. And it may be ahead of what it tells, or of what another
      // one behind the same address does.
      await chain.tick(options)
    }
  }
}

/** Asks the node to repeat a transaction that reverted when it was mined, for its reason. */
export async function explainRevert(
  trial: Trial,
  { call, gas }: { readonly call: Call; readonly gas: bigint },
  { blockNumber, hash }: Receipt,
): Promise<PerkunasError<'TRANSACTION_FAILED'>> {
  const transaction = { ...transactionOf(trial, call), gas: quantity(gas) }
  try {
    await trial.chain.request('eth_call', [transaction, quantity(blockNumber)])
    return failedCall(trial, call, new Error('reverted when it was mined, but would succeed now'), hash)
  } catch (error) {
    return failedCall(trial, call, error, hash)
  }
}

/** The error of a call that a node or a contract refused. */
export function failedCall(
  { from, interfaces }: Trial,
  { kind }: Call,
  error: unknown,
  hash?: Hex,
): PerkunasError<'TRANSACTION_FAILED'> {
  const reason = revertReason(error, [ADJUDICATOR, HOLDER, TOKEN, ...interfaces]).slice(0, 500)
  return new PerkunasError(
    'TRANSACTION_FAILED',
    `the ${kind} transaction of ${from} failed: ${reason}`,
    { kind, reason, ...(hash === undefined ? {} : { hash }) },
    { cause: error },
  )
}

function transactionOf({ from }: Trial, { to, data, value = 0n }: Call) {
  return { from, data, value: quantity(value), ...(to === undefined ? {} : { to }) }
}
