// What an outsider reads from the chain, to hold the processes to it: who owns what, what it cost, how each channel
// stands. It shares nothing with the clients but the ABI.

import type { Result } from 'ethers'
import { ADJUDICATOR, HOLDER } from '../../backend/ethereum/abi.js'
import { fundingID } from '../../backend/ethereum/index.js'
import { CHANNEL_UPDATE } from '../../backend/ethereum/registered.js'
import type { Hex } from '../../channel/index.js'
import type { Anvil } from '../../scripts/anvil.js'

/** How a channel stands on the ledger. */
export interface Standing {
  readonly version: bigint
  readonly isConcluded: boolean
  readonly deadline: bigint
  /** In their order. */
  readonly participants: readonly Hex[]
}

/** A node, seen from outside. */
export class Onlooker {
  constructor(
    readonly anvil: Anvil,
    readonly contracts: { readonly adjudicator: Hex; readonly holder: Hex },
  ) {}

  /** In wei. */
  async balanceOf(address: Hex): Promise<bigint> {
    return BigInt(String(await this.anvil.rpc('eth_getBalance', [address, 'latest'])))
  }

  /** The time of the newest block. */
  async now(): Promise<bigint> {
    const { timestamp } = object(await this.anvil.rpc('eth_getBlockByNumber', ['latest', false]))
    return BigInt(String(timestamp))
  }

  /** What an account's transactions have cost, in wei; and how many there were. */
  async costsOf(
    addresses: readonly Hex[],
  ): Promise<ReadonlyMap<Hex, { readonly wei: bigint; readonly count: number }>> {
    const costs = new Map<Hex, { wei: bigint; count: number }>()
    const last = Number(await this.anvil.rpc('eth_blockNumber'))
    for (let number = 0; number <= last; number++) {
      const receipts = list(await this.anvil.rpc('eth_getBlockReceipts', [`0x${number.toString(16)}`]))
      for (const receipt of receipts) {
        const from = addresses.find((address) => address === receipt['from'])
        if (from === undefined) continue
        const { wei, count } = costs.get(from) ?? { wei: 0n, count: 0 }
        const price = BigInt(String(receipt['effectiveGasPrice']))
        costs.set(from, { wei: wei + price * BigInt(String(receipt['gasUsed'])), count: count + 1 })
      }
    }
    return costs
  }

  /** How each channel stands that the ledger has seen a state of. */
  async channels(): Promise<ReadonlyMap<Hex, Standing>> {
    const { adjudicator: address } = this.contracts
    const filter = { address, topics: [CHANNEL_UPDATE], fromBlock: '0x0', toBlock: 'latest' }
    const standings = new Map<Hex, Standing>()
    for (const { topics, data, transactionHash } of list(await this.anvil.rpc('eth_getLogs', [filter]))) {
      const [, id] = list(topics)
      const word = (i: number) => BigInt(`0x${String(data).slice(2 + 64 * i, 66 + 64 * i)}`)
      const participants =
        standings.get(String(id) as Hex)?.participants ?? (await this.#participantsIn(transactionHash))
      const standing = { version: word(0), isConcluded: word(1) === 2n, deadline: word(2), participants }
      standings.set(String(id) as Hex, standing)
    }
    return standings
  }

  /** Those of the channel that a transaction is about: each call of the adjudicator begins with its parameters. */
  async #participantsIn(transactionHash: unknown): Promise<readonly Hex[]> {
    const { input } = object(await this.anvil.rpc('eth_getTransactionByHash', [transactionHash]))
    const call = ADJUDICATOR.parseTransaction({ data: String(input) })
    const [first] = call?.args ?? []
    const { participants } = call?.name === 'register' ? first.params : first
    return Array.from<Result, Hex>(participants, ({ ethAddress }) => String(ethAddress).toLowerCase() as Hex)
  }

  /** What was deposited for a participant of a channel. */
  async deposited(channel: Hex, participant: Hex): Promise<bigint> {
    const { holder: address } = this.contracts
    const topics = [HOLDER.getEvent('Deposited')?.topicHash, fundingID(channel, participant)]
    const filter = { address, topics, fromBlock: '0x0', toBlock: 'latest' }
    const logs = list(await this.anvil.rpc('eth_getLogs', [filter]))
    return logs.reduce((sum, { data }) => sum + BigInt(String(data)), 0n)
  }
}

type Json = Readonly<Record<string, unknown>>

function object(value: unknown): Json {
  if (typeof value === 'object' && value !== null) return value as Json
  throw new Error(`an object expected, got ${String(value)}`)
}

function list(value: unknown): readonly Json[] {
  if (Array.isArray(value)) return value
  throw new Error(`a list expected, got ${String(value)}`)
}
