import { expect } from 'chai'
import fc from 'fast-check'
import { ADJUDICATOR } from '../../backend/ethereum/abi.js'
import { Chain } from '../../backend/ethereum/chain.js'
import { readDispute } from '../../backend/ethereum/contracts.js'
import { currentFees } from '../../backend/ethereum/fees.js'
import { CHANNEL_UPDATE, registeredState } from '../../backend/ethereum/registered.js'
import { type Rpc, RpcError } from '../../backend/ethereum/rpc.js'
import { type Hex, PerkunasError } from '../../channel/index.js'
import { brokenJson, corpus, runs } from './inputs.js'

const word = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`
const adjudicator: Hex = `0x${'ad'.repeat(20)}`
const channelID = word(7)
const hash = word(9)
const log = {
  address: adjudicator,
  topics: [CHANNEL_UPDATE, channelID],
  data: `${word(3)}${word(0).slice(2)}${word(99).slice(2)}`,
  blockNumber: '0x5',
  blockHash: hash,
  transactionHash: word(8),
  logIndex: '0x0',
}

/** What a good node answers. */
const ANSWERS: Readonly<Record<string, unknown>> = {
  eth_getBlockByNumber: { number: '0x9', hash, timestamp: '0x64', baseFeePerGas: '0x7' },
  eth_call: ADJUDICATOR.encodeFunctionResult('disputes', [99n, 60n, 3n, 0n, hash, false]),
  eth_getCode: '0x6001',
  eth_getTransactionCount: '0x4',
  eth_getTransactionReceipt: {
    blockNumber: '0x5',
    blockHash: hash,
    status: '0x1',
    gasUsed: '0x5208',
    effectiveGasPrice: '0x1',
    contractAddress: null,
    logs: [log],
  },
  eth_getTransactionByHash: { to: adjudicator, input: '0x', hash },
  eth_getLogs: [log, log],
  eth_gasPrice: '0x1',
  eth_maxPriorityFeePerGas: '0x1',
}

/** What of it is asked for which method, and read how. */
const READERS: Readonly<Record<string, (chain: Chain) => Promise<unknown>>> = {
  eth_getBlockByNumber: async (chain) => [await chain.head(), await chain.blockHash(5)],
  eth_call: (chain) => readDispute({ chain, adjudicator }, channelID),
  eth_getCode: (chain) => chain.code(adjudicator),
  eth_getTransactionCount: (chain) => chain.transactionCount(adjudicator, 'latest'),
  eth_getTransactionReceipt: async (chain) => [await chain.receipt(hash), await registered(chain)],
  eth_getTransactionByHash: (chain) => registered(chain),
  eth_getLogs: (chain) => registered(chain),
  eth_gasPrice: async (chain) => currentFees(chain, { ...(await chain.head()), baseFee: undefined }),
  eth_maxPriorityFeePerGas: async (chain) => currentFees(chain, await chain.head()),
}

function registered(chain: Chain): Promise<unknown> {
  // Of the deployment it reads these alone.
  const deployment = { chain, adjudicator, firstBlock: 0 } as Parameters<typeof registeredState>[0]
  return registeredState(deployment, channelID, hash)
}

function chainOver(answers: Readonly<Record<string, unknown>>): Chain {
  const rpc: Rpc = { name: 'test', request: async (method) => answers[method], close: () => undefined }
  return new Chain(rpc, 1n, { pollingInterval: 1, patience: 0, finalityDepth: 1 })
}

async function judge(method: string, answer: unknown): Promise<void> {
  const chain = chainOver({ ...ANSWERS, [method]: answer })
  try {
    await READERS[method]?.(chain)
  } catch (error) {
    if (!(error instanceof PerkunasError) && !(error instanceof RpcError)) throw error
    if (error instanceof PerkunasError) expect(error.code).not.equals('INTERNAL')
  } finally {
    chain.close()
  }
}

describe('fuzz: what a node answers', () => {
  for (const method of Object.keys(READERS)) {
    it(`${method}: whatever it answers -> a value or a typed refusal`, async () => {
      await READERS[method]?.(chainOver(ANSWERS))
      await fc.assert(
        fc.asyncProperty(brokenJson(ANSWERS[method]), (answer) => judge(method, answer)),
        runs(150),
      )
    })
  }

  for (const { decoder, why, json } of corpus()) {
    if (json === undefined) continue
    it(`${decoder}: ${why} -> refused in order`, () => judge(decoder, json))
  }
})
