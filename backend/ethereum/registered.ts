// Finding states that the chain shows: in the calldata of the transaction that registered or enforced them, or in
// the data that our adjudicator adds when it was called through another contract.
import { type CallOptions, type ChannelID, type Hex, isHex, type State, toHex } from '../../channel/index.js'
import { ADJUDICATOR } from './abi.js'
import { type ShownState, shownStates } from './calls.js'
import type { Log } from './chain.js'
import type { Deployment } from './contracts.js'
import { channelIDOf, stateHash } from './encoding.js'
import { bytes, isObject } from './json.js'
import { scanLogs } from './logs.js'

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
      const version = BigInt(`0x${log.data.slice(2, 66)}`)
      const shown = await shownBy(deployment, log, channelID, version, options)
      if (shown !== undefined && toHex(stateHash(shown.state)) === hash) found = shown.state
    }
  })
  return found
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
