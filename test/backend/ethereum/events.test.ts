// Events beyond what every ledger must do: logs of others, calls through contracts, stingy nodes, absences.
import { expect } from 'chai'
import { Interface, JsonRpcProvider } from 'ethers'
import { ADJUDICATOR } from '../../../backend/ethereum/abi.js'
import { ContractWallet } from '../../../backend/ethereum/artifacts/testing/index.js'
import { signedStateArgument } from '../../../backend/ethereum/calls.js'
import { callData } from '../../../backend/ethereum/contracts.js'
import { decodeCursor, encodeCursor } from '../../../backend/ethereum/cursor.js'
import { deployContract, type EthereumBackend } from '../../../backend/ethereum/index.js'
import { CHANNEL_UPDATE } from '../../../backend/ethereum/registered.js'
import {
  type Hex,
  initialState,
  type LedgerEvent,
  NO_APP,
  NO_AUX,
  type Params,
  type State,
  type Subscription,
  sameState,
} from '../../../channel/index.js'
import { type Chain, Party, signedBy, startChain } from './world.js'

/** Writes a log with two topics and 96 bytes of data, all from its calldata. */
// PUSH1 a0 PUSH1 00 DUP1 CALLDATACOPY PUSH1 20 MLOAD PUSH1 00 MLOAD PUSH1 60 PUSH1 40 LOG2 STOP, and its deployment.
const ECHO: Hex = '0x601280600b6000396000f360a06000803760205160005160606040a200'

describe('ethereum: events', () => {
  let chain: Chain
  let alice: Party
  let bob: Party
  let backend: EthereumBackend

  before(async () => {
    chain = await startChain()
  })

  beforeEach(async () => {
    ;[alice, bob] = await Promise.all([Party.create(chain), Party.create(chain)])
    backend = await alice.connect()
  })

  afterEach(async () => {
    await Promise.all([alice.close(), bob.close()])
  })

  after(async () => {
    await chain[Symbol.asyncDispose]()
  })

  function channel(): { params: Params; state: State } {
    const params: Params = {
      challengeDuration: 3600n,
      nonce: BigInt(`0x${alice.address.slice(2)}`),
      participants: [{ 1: alice.address }, { 1: bob.address }],
      app: NO_APP,
      ledgerChannel: true,
      virtualChannel: false,
      aux: NO_AUX,
    }
    const assets = [backend.asset(chain.contracts.ethHolder)]
    const allocation = { assets, balances: [[1n, 2n]], locked: [] }
    return { params, state: initialState(backend.rules.channelID(params), params, allocation, '0x') }
  }

  function signed(params: Params, state: State) {
    return {
      signed: { params, state, signatures: signedBy([alice, bob], backend, params, state) },
      subChannels: [],
    }
  }

  async function next(events: AsyncIterator<LedgerEvent>): Promise<LedgerEvent> {
    const { value, done } = await events.next()
    if (done === true) throw new Error('an event expected')
    return value
  }

  function reading(subscription: Subscription): AsyncIterator<LedgerEvent> {
    return subscription[Symbol.asyncIterator]()
  }

  it('registered through another contract -> state and signatures all the same', async () => {
    const { params, state } = channel()
    const request = signed(params, state)
    const wallet = await deployContract(chain.deployer, ContractWallet)
    const inner = callData(ADJUDICATOR, 'register', [signedStateArgument(request.signed), []])
    const data = callData(new Interface(ContractWallet.abi), 'forward', [chain.contracts.adjudicator, inner])
    await chain.deployer.send({ kind: 'forward', to: wallet.address, data })
    const event = await next(reading(backend.adjudicator.subscribe(state.channelID)))
    if (event.kind !== 'registered' || event.state === undefined)
      throw new Error('a registered state expected')
    expect(sameState(event.state, state)).to.equal(true)
    expect(event.signatures).to.eql(request.signed.signatures)
  })

  it("other contracts' logs of the same form -> nothing is told", async () => {
    const { params, state } = channel()
    const echo = await deployContract(chain.deployer, { name: 'echo', abi: [], bytecode: ECHO })
    const fake = `${CHANNEL_UPDATE}${state.channelID.slice(2)}${'00'.repeat(31)}09${'00'.repeat(64)}` as const
    await chain.deployer.send({ kind: 'echo', to: echo.address, data: fake })
    const all = await chain.anvil.rpc('eth_getLogs', [
      { topics: [CHANNEL_UPDATE, state.channelID], fromBlock: '0x0' },
    ])
    expect(all).to.have.length(1)
    const events = reading(backend.adjudicator.subscribe(state.channelID))
    await backend.adjudicator.register(signed(params, state))
    const event = await next(events)
    expect([event.kind, event.version]).to.eql(['registered', 0n])
  })

  it('a node that gives few blocks at once -> all events, in order', async () => {
    const { params, state } = channel()
    await backend.adjudicator.register(signed(params, state))
    await chain.anvil.rpc('anvil_mine', ['0x40'])
    const later = { ...state, version: 1n }
    await backend.adjudicator.register(signed(params, later))
    await chain.anvil.rpc('anvil_mine', ['0x40'])
    const provider = new StingyProvider(chain.anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
    const stingy = await alice.connect({ provider })
    const events = reading(stingy.adjudicator.subscribe(state.channelID))
    const told = []
    for (let i = 0; i < 4; i++) told.push(await next(events))
    expect(told.map(({ version, status }) => `${version} ${status}`)).to.eql([
      '0 seen',
      '0 final',
      '1 seen',
      '1 final',
    ])
    expect(provider.refusals > 0).to.equal(true)
    await stingy.close()
    provider.destroy()
  })

  it('seen, then away while its block is replaced -> reorged is told after the restart', async () => {
    const { params, state } = channel()
    const deep = await alice.connect({ finalityDepth: 4 })
    const first = deep.adjudicator.subscribe(state.channelID)
    const registering = deep.adjudicator.register(signed(params, state)).catch(() => undefined)
    const seen = await next(reading(first))
    expect([seen.kind, seen.status]).to.eql(['registered', 'seen'])
    await deep.close()
    await registering
    await chain.anvil.rpc('anvil_reorg', [1, []])
    const again = await alice.connect({ finalityDepth: 4 })
    const events = reading(again.adjudicator.subscribe(state.channelID, { cursor: seen.cursor }))
    const gone = await next(events)
    expect([gone.kind, gone.version, gone.status]).to.eql(['registered', 0n, 'reorged'])
    await bob.connect().then((other) => other.adjudicator.register(signed(params, state)))
    expect((await next(events)).status).to.equal('seen')
  })

  it('seen, then away until it is final -> final is told after the restart, and not seen again', async () => {
    const { params, state } = channel()
    const deep = await alice.connect({ finalityDepth: 4 })
    const registering = deep.adjudicator.register(signed(params, state)).catch(() => undefined)
    const seen = await next(reading(deep.adjudicator.subscribe(state.channelID)))
    await deep.close()
    await registering
    await chain.anvil.rpc('anvil_mine', ['0x64'])
    const again = await alice.connect({ finalityDepth: 4 })
    const event = await next(reading(again.adjudicator.subscribe(state.channelID, { cursor: seen.cursor })))
    expect([event.kind, event.status]).to.eql(['registered', 'final'])
  })

  it('over a WebSocket -> told by the node, without waiting for the poll', async () => {
    const { params, state } = channel()
    // The poll alone would take longer than the test may.
    const pushed = await alice.connect({ provider: chain.anvil.wsUrl, pollingInterval: 60_000 })
    const events = reading(pushed.adjudicator.subscribe(state.channelID))
    await bob.connect().then((other) => other.adjudicator.register(signed(params, state)))
    expect((await next(events)).status).to.equal('seen')
  })

  it('more listeners than a filter takes, some of one channel -> each is told its own, until it ends it', async () => {
    const { params, state } = channel()
    const told = new Map<string, string[]>()
    const listen = (name: string, channelID: Hex, cursor?: string) =>
      backend.adjudicator.listen(
        channelID,
        ({ kind, version, status, channelID: of }) => {
          expect(of).to.equal(channelID)
          told.set(name, [...(told.get(name) ?? []), `${kind} ${version} ${status}`])
        },
        cursor === undefined ? {} : { cursor },
      )
    for (let i = 0; i < 200; i++) listen('other', `0x${i.toString(16).padStart(64, '0')}`)
    const ends = ['a', 'b', 'c'].map((name) => listen(name, state.channelID))
    const iterator = reading(backend.adjudicator.subscribe(state.channelID))
    await backend.adjudicator.register(signed(params, state))
    const seen = ['registered 0 seen', 'registered 0 final']
    expect((await next(iterator)).status).to.equal('seen')
    const { status: last, cursor } = await next(iterator)
    expect(last).to.equal('final')
    expect([...told]).to.have.deep.members([
      ['a', seen],
      ['b', seen],
      ['c', seen],
    ])
    ends[1]?.close()
    const late: LedgerEvent[] = []
    backend.adjudicator.listen(state.channelID, (event) => void late.push(event), { cursor })
    await backend.adjudicator.register(signed(params, { ...state, version: 1n }))
    for (const status of ['seen', 'final']) expect((await next(iterator)).status).to.equal(status)
    const all = [...seen, 'registered 1 seen', 'registered 1 final']
    expect([...told]).to.have.deep.members([
      ['a', all],
      ['b', seen],
      ['c', all],
    ])
    expect(late.map(({ version }) => version)).to.eql([1n, 1n])
    expect(() => listen('bad', state.channelID, '[]')).to.throw('a cursor of an earlier event expected')
  })

  it('cursors: what is no cursor -> refused; what is one -> read back', () => {
    for (const bad of [
      '',
      '{}',
      '[]',
      '[1]',
      '[2,0,[]]',
      '[1,-2,[]]',
      '[1,0,[[]]]',
      '[1,0,{}]',
      '[1,0,[["x","1","",1,"a:b:1"]]]',
    ]) {
      expect(decodeCursor(bad), bad).to.equal(undefined)
    }
    const hash: Hex = `0x${'ab'.repeat(32)}`
    const body = {
      kind: 'registered',
      version: 2n ** 64n - 1n,
      deadline: 7n,
      state: undefined,
      signatures: undefined,
    } as const
    const position = {
      done: 12,
      pending: [{ body, blockNumber: 13, blockHash: hash, transactionHash: hash, logIndex: 3 }],
    }
    expect(decodeCursor(encodeCursor(position))).to.eql(position)
  })
})

/** Gives the logs of at most ten blocks at once, and says so in words of its own. */
class StingyProvider extends JsonRpcProvider {
  refusals = 0

  override async send(method: string, params: { fromBlock: string; toBlock: string }[]): Promise<unknown> {
    const [filter] = params
    if (method === 'eth_getLogs' && filter && Number(filter.toBlock) - Number(filter.fromBlock) >= 10) {
      this.refusals++
      throw Object.assign(new Error('could not coalesce error'), {
        error: { code: -32_005, message: 'pay for the larger plan' },
      })
    }
    return super.send(method, params)
  }
}
