// Finding states that the chain shows: in the calldata of the transaction that registered or enforced them, or in
// the data that our adjudicator adds when it was called through another contract.
import {
  type CallOptions,
  type ChannelID,
  type Hex,
  isHex,
  PerkunasError,
  type State,
  toHex,
} from '../../channel/index.js'
import { ADJUDICATOR } from './abi.js'
import { type ShownState, shownStates } from './calls.js'
import type { Log, ReadOptions } from './chain.js'
import { type Deployment, type Dispute, readDispute } from './contracts.js'
import { channelIDOf, stateHash } from './encoding.js'
import { bytes, isObject } from './json.js'
import { scanLogs } from './logs.js'
import { RpcError } from './rpc.js'

/** Topic of the one event that generation 1 has. */
export const CHANNEL_UPDATE = topicOf('ChannelUpdate')
/** Topic of our own event when a dispute is cleared. */
export const CHECKPOINT = topicOf('Checkpoint')
const FORWARDED_CALL = topicOf('ForwardedCall')

/**
 * What a transaction shows about a channel in that version: the calldata itself if it called the adjudicator, else
 * what the adjudicator logged. Undefined if it shows nothing that fits: whoever calls through a contract that is
 * not ours may hide it.
 */
export async function shownBy(
  { chain, adjudicator }: Pick<Deployment, 'chain' | 'adjudicator'>,
  log: Pick<Log, 'transactionHash' | 'index'>,
  channelID: ChannelID,
  version: bigint,
  options?: CallOptions,
): Promise<ShownState | undefined> {
  const fits = ({ params, state }: ShownState) =>
    state.channelID === channelID && state.version === version && channelIDOf(params) === channelID
  const transaction = await chain.request('eth_getTransactionByHash', [log.transactionHash], options)
  if (!isObject(transaction)) return undefined
  const calls: Hex[] = []
  const { to, input, data } = transaction
  if (typeof to === 'string' && to.toLowerCase() === adjudicator) calls.push(bytes(input ?? data, 'input'))
  const direct = calls.flatMap((call) => [...shownStates(call)]).find(fits)
  if (direct !== undefined) return direct
  const receipt = await chain.request('eth_getTransactionReceipt', [log.transactionHash], options)
  if (!isObject(receipt) || !Array.isArray(receipt['logs'])) return undefined
  return forwardedCalls(receipt['logs'], adjudicator)
    .flatMap((call) => [...shownStates(call)])
    .find(fits)
}

/**
 * Searches the chain for the state with that hash.
 *
 * @returns undefined if no transaction shows it
 */
export async function registeredState(
  deployment: Deployment,
  channelID: ChannelID,
  hash: Hex,
  options?: CallOptions,
): Promise<State | undefined> {
  const { chain, adjudicator, firstBlock } = deployment
  const head = await chain.head(options)
  const filter = { address: adjudicator, topics: [CHANNEL_UPDATE, channelID] }
  let found: State | undefined
  await scanLogs(chain, filter, { from: firstBlock, to: head.number }, async (logs) => {
    for (const log of logs) {
      // A node is not believed that the contract logged something else than it does.
      if (log.data.length < 66) continue
      const version = BigInt(`0x${log.data.slice(2, 66)}`)
      const shown = await shownBy(deployment, log, channelID, version, options).catch((error: unknown) => {
        if (error instanceof RpcError) return undefined
        throw error
      })
      if (shown !== undefined && toHex(stateHash(shown.state)) === hash) found = shown.state
    }
  })
  return found
}

/** What a channel is concluded with. */
export interface Conclusion {
  readonly state: State
  readonly subChannels: readonly State[]
}

/**
 * What stands registered: what the caller gave, if it is that; else what the chain shows. Only that can be
 * concluded, and a party that was away while an old state's time ran out has no better choice.
 *
 * @throws PerkunasError TRANSACTION_FAILED if the chain does not show it
 */
export async function concludedWith(
  deployment: Deployment,
  given: Conclusion,
  dispute: Dispute,
  options?: ReadOptions,
): Promise<Conclusion> {
  const { channelID } = given.state
  const find = async (candidate: State | undefined, id: ChannelID, hash: Hex): Promise<State> => {
    if (candidate !== undefined && toHex(stateHash(candidate)) === hash) return candidate
    const shown = await registeredState(deployment, id, hash, options)
    if (shown !== undefined) return shown
    throw new PerkunasError(
      'TRANSACTION_FAILED',
      `another state is registered than the one to conclude with, and the chain does not show it (channel ${id})`,
      { kind: 'conclude', reason: 'unknown registered state' },
    )
  }
  const state = await find(given.state, channelID, dispute.stateHash)
  const subChannels: State[] = []
  const descend = async ({ allocation }: State): Promise<void> => {
    for (const locked of allocation.locked) {
      const { stateHash: hash } = await readDispute(deployment, locked.channelID, options)
      const candidate = given.subChannels.find((child) => child.channelID === locked.channelID)
      const child = await find(candidate, locked.channelID, hash)
      subChannels.push(child)
      await descend(child)
    }
  }
  await descend(state)
  return { state, subChannels }
}

function forwardedCalls(logs: readonly unknown[], adjudicator: Hex): Hex[] {
  return logs.flatMap((log) => {
    if (!isObject(log) || String(log['address']).toLowerCase() !== adjudicator) return []
    if (!Array.isArray(log['topics']) || log['topics'][0] !== FORWARDED_CALL) return []
    try {
      const [call] = ADJUDICATOR.decodeEventLog('ForwardedCall', String(log['data']))
      const lower = String(call).toLowerCase()
      return isHex(lower) ? [lower] : []
    } catch {
      return []
    }
  })
}

function topicOf(event: string): Hex {
  const topic = ADJUDICATOR.getEvent(event)?.topicHash
  return isHex(topic, 32) ? topic : '0x'
}
