// The contracts of one deployment as the backend uses them: what they hold, and what stands about a channel.
import type { Interface, Result } from 'ethers'
import {
  type Address,
  type Asset,
  type ChannelID,
  type Hex,
  type Index,
  isHex,
  type Params,
  PerkunasError,
  type State,
} from '../../channel/index.js'
import type { Wallet } from '../../wallet/index.js'
import { ADJUDICATOR, HOLDER } from './abi.js'
import { ETHEREUM, parseAsset } from './assets.js'
import type { Chain, ReadOptions } from './chain.js'
import { fundingID } from './encoding.js'
import { RpcError } from './rpc.js'
import type { TransactionSender } from './transactions.js'

/** Which contracts stand at the addresses: ours, or those of Perun's "generation 1", which can do less. */
export type Generation = 'perkunas' | 'reference'

/** An asset holder that channels may use. */
export interface Holder {
  readonly address: Address
  /** The token; undefined where it holds ETH. */
  readonly token: Address | undefined
}

/** One deployment on one chain, and who acts there. */
export interface Deployment {
  readonly chain: Chain
  readonly sender: TransactionSender
  /** Signs for participants. */
  readonly wallet: Pick<Wallet, 'account'>
  readonly adjudicator: Address
  readonly generation: Generation
  readonly holders: ReadonlyMap<Address, Holder>
  /** Where withdrawn funds go. */
  readonly receiver: Address
  /** The first block that can hold events. */
  readonly firstBlock: number
}

/** How far a channel is on the chain. */
export interface Dispute {
  readonly phase: 'none' | 'dispute' | 'forced execution' | 'concluded'
  /** Unix time in seconds. */
  readonly timeout: bigint
  readonly challengeDuration: bigint
  readonly version: bigint
  readonly stateHash: Hex
  readonly hasApp: boolean
}

const NO_HASH: Hex = `0x${'00'.repeat(32)}`
const CONCLUDED = 2n

/** What the adjudicator has stored about a channel. */
export async function readDispute(
  { chain, adjudicator }: Pick<Deployment, 'chain' | 'adjudicator'>,
  channelID: ChannelID,
  options?: ReadOptions,
): Promise<Dispute> {
  const [timeout, challengeDuration, version, phase, stateHash, hasApp] = await read(
    chain,
    { at: adjudicator, abi: ADJUDICATOR, method: 'disputes', values: [channelID] },
    options,
  )
  // Concluded without a dispute there is no hash, and after a checkpoint only a version.
  const name =
    phase === CONCLUDED
      ? 'concluded'
      : stateHash === NO_HASH
        ? 'none'
        : phase === 0n
          ? 'dispute'
          : 'forced execution'
  return { phase: name, timeout, challengeDuration, version, stateHash, hasApp }
}

/**
 * Whether a channel's outcome is fixed. A cooperative close leaves its mark with the holders alone, on the deposit
 * of each participant.
 */
export async function isConcluded(
  deployment: Deployment,
  params: Params,
  state: State,
  options?: ReadOptions,
): Promise<boolean> {
  const { phase } = await readDispute(deployment, state.channelID, options)
  if (phase === 'concluded') return true
  if (phase !== 'none') return false
  const { chain } = deployment
  const marks = ourHolders(deployment, state).flatMap(({ holder }) =>
    params.participants.map((_, i) =>
      isSettled(deployment, holder, state.channelID, addressOf(params, i), chain, options),
    ),
  )
  return (await Promise.all(marks)).some(Boolean)
}

/** Whether what is held for a participant is his to withdraw. */
export async function isSettled(
  { generation }: Pick<Deployment, 'generation'>,
  holder: Holder,
  channelID: ChannelID,
  participant: Address,
  chain: Chain,
  options?: ReadOptions,
): Promise<boolean> {
  const question =
    generation === 'perkunas'
      ? { method: 'isSettled', values: [channelID, participant] }
      : { method: 'settled', values: [channelID] }
  const [settled] = await read(chain, { at: holder.address, abi: HOLDER, ...question }, options)
  return settled === true
}

/** What is held for a participant of a channel. */
export async function holdings(
  chain: Chain,
  holder: Holder,
  channelID: ChannelID,
  participant: Address,
  options: ReadOptions = {},
): Promise<bigint> {
  const [held] = await read(
    chain,
    { at: holder.address, abi: HOLDER, method: 'holdings', values: [fundingID(channelID, participant)] },
    options,
  )
  return held
}

/** Those of a state's assets that a holder of this deployment has, with their places in the state. */
export function ourHolders(
  { chain, holders }: Pick<Deployment, 'chain' | 'holders'>,
  state: State,
): readonly { readonly asset: number; readonly holder: Holder }[] {
  return state.allocation.assets.flatMap((value, asset) => {
    const holder = holderOn(chain.id, holders, value)
    return holder === undefined ? [] : [{ asset, holder }]
  })
}

/** The allowed holder of an asset of this chain. */
export function holderOn(
  chainID: bigint,
  holders: ReadonlyMap<Address, Holder>,
  asset: Asset,
): Holder | undefined {
  const parsed = parseAsset(asset)
  return parsed?.chainID === chainID ? holders.get(parsed.holder) : undefined
}

/** A participant's address on Ethereum. @throws PerkunasError INVALID_ARGUMENT if there is none */
export function addressOf(params: Params, index: Index): Address {
  const address = params.participants[index]?.[ETHEREUM]
  if (address !== undefined) return address
  throw new PerkunasError('INVALID_ARGUMENT', `participant ${index} with an Ethereum address expected`, {
    argument: 'index',
  })
}

/**
 * Calls a view.
 *
 * @throws PerkunasError INVALID_CONTRACT if nothing there answers like the contract
 */
export async function read(
  chain: Chain,
  question: {
    readonly at: Address
    readonly abi: Interface
    readonly method: string
    readonly values: readonly unknown[]
  },
  options?: ReadOptions,
): Promise<Result> {
  const { at, abi, method, values } = question
  try {
    const answer = await chain.call(at, abi.encodeFunctionData(method, values), options)
    return abi.decodeFunctionResult(method, answer)
  } catch (error) {
    if (error instanceof PerkunasError) throw error
    const reason = error instanceof RpcError ? `${method} answers: ${error.message}` : `no ${method} there`
    throw new PerkunasError(
      'INVALID_CONTRACT',
      `the contract at ${at} is not what was expected: ${reason.slice(0, 300)}`,
      { address: at, reason: reason.slice(0, 300) },
      { cause: error },
    )
  }
}

/** Encodes a call. */
export function callData(abi: Interface, method: string, values: readonly unknown[]): Hex {
  const data = abi.encodeFunctionData(method, values)
  return isHex(data) ? data : '0x'
}

/** What a holder may use for one payment, and what it needs around that. */
export const PAYMENT_GAS = 70_000n
/** What setting one participant's share costs at most. */
const SHARE_GAS = 30_000n
/** What a call of a holder costs beside its participants. */
const HOLDER_GAS = 60_000n

/**
 * Gas that settling a state may need beyond the estimate: our adjudicator goes on when a holder fails, and a holder
 * when a payment fails, so both seem to succeed with too little gas.
 */
export function settlingGas(state: State, paying: boolean): bigint {
  const { assets, balances } = state.allocation
  const participants = BigInt(balances[0]?.length ?? 0)
  const each = participants * (paying ? PAYMENT_GAS + SHARE_GAS : SHARE_GAS) + HOLDER_GAS
  return BigInt(assets.length) * each
}
