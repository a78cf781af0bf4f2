// The tower before a real node: trees of channels that the contract takes apart, and fees.
import { expect } from 'chai'
import { Transaction } from 'ethers'
import { readDispute } from '../../../backend/ethereum/contracts.js'
import { accountSigner, EthereumBackend, ether } from '../../../backend/ethereum/index.js'
import type { SignedState } from '../../../channel/index.js'
import { memoryNetwork, type PeerID } from '../../../peer/index.js'
import { MemoryStore } from '../../../persistence/index.js'
import { MemoryWallet } from '../../../wallet/index.js'
import { type Chain, looked, Party, pass, startChain } from '../../backend/ethereum/world.js'
import { paramsOf, type Signers, signedState } from './family.js'
import { type Running, speaker, startTower } from './world.js'

const ALICE: PeerID = `0x02${'01'.repeat(32)}`

describe('tower: on a real node', () => {
  let chain: Chain
  let alice: Party
  let bob: Party
  let theirs: EthereumBackend
  let backend: EthereumBackend
  let tower: Running
  let by: Signers
  let client: ReturnType<typeof speaker>
  /** What the tower's transactions offered beside the base fee, in their order. */
  let tips: bigint[]

  before(async () => {
    chain = await startChain()
  })
  after(() => chain[Symbol.asyncDispose]())

  beforeEach(async () => {
    ;[alice, bob] = await Promise.all([Party.create(chain), Party.create(chain)])
    theirs = await bob.connect()
    const payer = await new MemoryWallet().newAccount()
    await chain.anvil.rpc('anvil_setBalance', [payer.address, `0x${ether('10').toString(16)}`])
    const signer = accountSigner(payer)
    tips = []
    backend = await EthereumBackend.connect({
      provider: chain.anvil.url,
      signer: {
        address: signer.address,
        async sign(transaction) {
          const raw = await signer.sign(transaction)
          tips.push(Transaction.from(raw).maxPriorityFeePerGas ?? 0n)
          return raw
        },
      },
      wallet: new MemoryWallet(),
      adjudicator: chain.contracts.adjudicator,
      holders: [chain.contracts.ethHolder],
      firstBlock: chain.contracts.firstBlock,
      pollingInterval: 10,
      finalityDepth: 3,
    })
    const network = memoryNetwork()
    const store = new MemoryStore()
    tower = await startTower({}, network, [ALICE], store, { backend })
    client = speaker(network, ALICE)
    by = {
      rules: backend.rules,
      participants: [alice, bob].map(({ address }) => ({ 1: address })),
      asset: backend.asset(chain.contracts.ethHolder),
      challengeDuration: 3_600n,
      sign: (message) => [alice, bob].map((party) => party.sign(message)),
    }
    await until(() => client.heard.includes('connected'))
  })

  afterEach(async () => {
    await chain.anvil.rpc('evm_setAutomine', [true])
    await chain.anvil.rpc('evm_setBlockGasLimit', ['0x1c9c380'])
    await tower.kill()
    await Promise.all([backend.close(), alice.close(), bob.close()])
  })

  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  async function hasPending(): Promise<boolean> {
    const block = await chain.anvil.rpc('eth_getBlockByNumber', ['pending', false])
    return JSON.stringify(block).includes('"transactions":["0x')
  }

  const count = (kind: string) => tower.kinds().filter((one) => one === kind).length
  const on = async ({ state }: SignedState) =>
    (await readDispute(theirs.deployment, state.channelID, {})).version

  it('an old child is registered under the current parent -> refuted with the newest tree, again after a reorg', async () => {
    const root = paramsOf(by, BigInt(alice.address), { ledgerChannel: true })
    const sub = paramsOf(by, BigInt(alice.address))
    const [old, newest] = [signedState(by, sub, 0n), signedState(by, sub, 7n)]
    const parent = (child: SignedState) => signedState(by, root, 4n, { children: [child] })
    await client.watch(parent(newest), [newest])
    await until(() => client.heard.includes('watching 4 7'))
    await theirs.adjudicator.register({ signed: parent(old), subChannels: [old] })
    await until(() => count('safe') === 1)
    expect(tower.events[0]).include({ kind: 'atRisk', registered: 0n, newest: 7n })
    expect(tower.events[0]).include({ subChannel: newest.state.channelID })
    expect([await on(parent(newest)), await on(newest)]).deep.equals([4n, 7n])
    // What is sent again stays in the pool until this has looked.
    await chain.anvil.rpc('evm_setAutomine', [false])
    await chain.anvil.rpc('anvil_reorg', [1, []])
    await until(() => count('atRisk') === 2)
    expect([await on(parent(newest)), await on(newest)]).deep.equals([4n, 0n])
    await chain.anvil.rpc('evm_setAutomine', [true])
    while (count('safe') < 2) {
      await chain.anvil.rpc('evm_mine')
      await looked([backend])
    }
    expect(await on(newest)).equals(7n)
  })

  it('a refutation that is not mined -> offers more at each block as its deadline nears, not before', async () => {
    const root = paramsOf(by, BigInt(alice.address), { ledgerChannel: true })
    const [old, newest] = [signedState(by, root, 0n), signedState(by, root, 1n)]
    await client.watch(newest)
    await until(() => client.heard.includes('watching 1'))
    // Only what costs less gas than it is mined.
    await chain.anvil.rpc('evm_setAutomine', [false])
    const registering = theirs.adjudicator.register({ signed: old, subChannels: [] })
    while (!(await hasPending())) await new Promise((resolve) => setTimeout(resolve, 5))
    await chain.anvil.rpc('evm_mine')
    await until(() => count('atRisk') === 1)
    await registering
    await until(() => tips.length > 0)
    await chain.anvil.rpc('evm_setBlockGasLimit', ['0x5208'])
    for (let block = 0; block < 4; block++) {
      await chain.anvil.rpc('evm_mine')
      await looked([backend])
    }
    expect(tips).lengthOf(1)
    expect(tower.tower.metrics.channelsNearDeadline).equals(0)
    await pass(chain.anvil, 3_590n)
    await until(() => count('deadlineNears') === 1)
    while (tips.length < 4) {
      await chain.anvil.rpc('evm_mine')
      await looked([backend])
    }
    for (const [i, tip] of tips.entries()) if (i > 0) expect(tip > (tips[i - 1] ?? 0n)).equals(true)
  })
})
