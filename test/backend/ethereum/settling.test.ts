// Funding and settling beyond what every ledger must do: tokens, stingy receivers, absences, a node's restart.
import { expect } from 'chai'
import { Interface } from 'ethers'
import { ADJUDICATOR, HOLDER, TOKEN } from '../../../backend/ethereum/abi.js'
import { ContractWallet, StrictToken } from '../../../backend/ethereum/artifacts/testing/index.js'
import { paramsArgument, stateArgument } from '../../../backend/ethereum/calls.js'
import { callData } from '../../../backend/ethereum/contracts.js'
import {
  AssetHolderERC20,
  deployContract,
  type EthereumBackend,
  fundingID,
  KNOWN_CONTRACTS,
} from '../../../backend/ethereum/index.js'
import {
  type Balances,
  type Hex,
  initialState,
  isError,
  NO_APP,
  NO_AUX,
  type Params,
  type State,
} from '../../../channel/index.js'
import { startAnvil } from '../../../scripts/anvil.js'
import { type Chain, idle, Party, pass, signedBy, startChain } from './world.js'

const WALLET = new Interface(ContractWallet.abi)
const DURATION = 3600n

describe('ethereum: funding and settling', () => {
  let chain: Chain
  let alice: Party
  let bob: Party
  let a: EthereumBackend
  let b: EthereumBackend

  before(async () => {
    chain = await startChain()
  })

  beforeEach(async () => {
    ;[alice, bob] = await Promise.all([Party.create(chain), Party.create(chain)])
    ;[a, b] = await Promise.all([alice.connect(), bob.connect()])
  })

  afterEach(async () => {
    await Promise.all([alice.close(), bob.close()])
  })

  after(async () => {
    await chain[Symbol.asyncDispose]()
  })

  let nonce = 0n
  function channel(balances: Balances): { params: Params; state: State } {
    const params: Params = {
      challengeDuration: DURATION,
      nonce: nonce++,
      participants: [{ 1: alice.address }, { 1: bob.address }],
      app: NO_APP,
      ledgerChannel: true,
      virtualChannel: false,
      aux: NO_AUX,
    }
    const holders = [chain.contracts.ethHolder, chain.tokenHolder].slice(0, balances.length)
    const allocation = { assets: holders.map((holder) => a.asset(holder)), balances, locked: [] }
    return { params, state: initialState(a.rules.channelID(params), params, allocation, '0x') }
  }

  function fund(index: 0 | 1, params: Params, state: State, backend = [a, b][index]) {
    const agreement = state.allocation.balances
    return backend?.funder.fund({ params, state, index, agreement }) ?? expect.fail()
  }

  function signatures(params: Params, state: State): Hex[] {
    return signedBy([alice, bob], a, params, state)
  }

  async function sent(party: Party): Promise<number> {
    return Number(await chain.anvil.rpc('eth_getTransactionCount', [party.address, 'latest']))
  }

  async function allowance(of: Party): Promise<bigint> {
    const data = callData(TOKEN, 'allowance', [of.address, chain.tokenHolder])
    return BigInt(String(await chain.anvil.rpc('eth_call', [{ to: chain.token, data }, 'latest'])))
  }

  /** Passes the time while a promise waits for it. */
  async function passing<T>(promise: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    promise.then(over, over)
    for (;;) {
      await idle([a, b])
      if (isOver) return promise
      await pass(chain.anvil, DURATION)
    }
  }

  /** Mines while a promise waits for blocks. */
  async function mining<T>({ sender }: EthereumBackend, promise: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    promise.then(over, over)
    while (!isOver) {
      await chain.anvil.rpc('evm_mine')
      await sender.chain.tick()
    }
    return promise
  }

  it('a token: approved exactly, and not at all where the allowance suffices', async () => {
    const { params, state } = channel([
      [0n, 0n],
      [40n, 5n],
    ])
    await Promise.all([fund(0, params, state), fund(1, params, state)])
    expect([await sent(alice), await allowance(alice)]).to.eql([2, 0n])
    const data = callData(TOKEN, 'approve', [chain.tokenHolder, 100n])
    await a.sender.send({ kind: 'approve', to: chain.token, data })
    const other = channel([
      [0n, 0n],
      [40n, 5n],
    ])
    await Promise.all([fund(0, other.params, other.state), fund(1, other.params, other.state)])
    expect([await sent(alice), await allowance(alice)]).to.eql([4, 60n])
  })

  it('a token that returns nothing and changes an allowance only from or to zero -> funded and paid', async () => {
    const { address: token } = await deployContract(chain.deployer, StrictToken)
    const { adjudicator } = chain.contracts
    const { address: holder } = await deployContract(chain.deployer, AssetHolderERC20, [adjudicator, token])
    const abi = new Interface(StrictToken.abi)
    const read = async (method: string, values: readonly unknown[]) => {
      const data = abi.encodeFunctionData(method, values)
      return BigInt(String(await chain.anvil.rpc('eth_call', [{ to: token, data }, 'latest'])))
    }
    const mint = callData(abi, 'mint', [alice.address, 100n])
    await chain.deployer.send({ kind: 'mint', to: token, data: mint })
    const strict = await alice.connect({ holders: [holder] })
    const approve = callData(abi, 'approve', [holder, 5n])
    await strict.sender.send({ kind: 'approve', to: token, data: approve })
    const { params, state: first } = channel([[40n, 0n]])
    const state = { ...first, allocation: { ...first.allocation, assets: [strict.asset(holder)] } }
    await fund(0, params, state, strict)
    expect(await read('balanceOf', [holder])).to.equal(40n)
    expect(await read('allowance', [alice.address, holder])).to.equal(0n)
    const last: State = { ...state, version: 1n, isFinal: true }
    const request = { params, state: last, signatures: signatures(params, last), subChannels: [], index: 0 }
    await strict.adjudicator.withdraw(request)
    expect(await read('balanceOf', [alice.address])).to.equal(100n)
  })

  it("one's surplus does not hide another's shortfall", async () => {
    const { params, state } = channel([[10n, 10n]])
    await chain.anvil.rpc('anvil_setBalance', [bob.address, '0x0'])
    const funding = fund(0, params, state).catch((error: unknown) => error)
    const stranger = chain.deployer
    const deposit = new Interface(['function deposit(bytes32 fundingID, uint256 amount) payable'])
    const values = [fundingID(state.channelID, alice.address), 10n]
    const data = callData(deposit, 'deposit', values)
    await stranger.send({ kind: 'deposit', to: chain.contracts.ethHolder, data, value: 10n })
    const error = await passing(funding)
    expect(isError(error, 'FUNDING_TIMEOUT') && error.facts.missing).to.eql([{ asset: 0, participants: [1] }])
  })

  it('a deposit of an earlier life goes away with its block -> it is made again', async () => {
    const { params, state } = channel([[10n, 0n]])
    await chain.anvil.rpc('anvil_mine', ['0x5'])
    const earlier = await alice.connect({ finalityDepth: 4 })
    const held = () => {
      const values = [fundingID(state.channelID, alice.address)]
      const to = chain.contracts.ethHolder
      return chain.anvil.rpc('eth_call', [{ to, data: callData(HOLDER, 'holdings', values) }, 'latest'])
    }
    const dying = fund(0, params, state, earlier).catch(() => undefined)
    await earlier.sender.chain.until(async () => (Number(await held()) === 10 ? true : undefined))
    await earlier.close()
    await dying
    const later = await alice.connect({ finalityDepth: 4 })
    const funding = fund(0, params, state, later)
    for (let i = 0; i < 5; i++) await later.sender.chain.tick()
    await chain.anvil.rpc('anvil_reorg', [1, []])
    expect(Number(await held())).to.equal(0)
    await mining(later, funding)
    expect(Number(await held())).to.equal(10)
  })

  it('who funds last deposits only when everybody else has, and not at all when they do not', async () => {
    const last = await alice.connect({ funding: { last: true } })
    const { params, state } = channel([
      [10n, 10n],
      [3n, 3n],
    ])
    const before = await sent(alice)
    const funding = fund(0, params, state, last)
    await idle([last, b])
    expect(await sent(alice)).to.equal(before)
    await Promise.all([funding, fund(1, params, state)])
    expect(await sent(alice)).to.equal(before + 3)
    const lonely = channel([[10n, 10n]])
    const error = await passing(fund(0, lonely.params, lonely.state, last).catch((e: unknown) => e))
    expect(isError(error, 'FUNDING_TIMEOUT') && error.facts.missing).to.eql([
      { asset: 0, participants: [0, 1] },
    ])
    expect(await sent(alice)).to.equal(before + 3)
  })

  it('away while an old state ran out -> what the chain shows is concluded and paid', async () => {
    const { params, state } = channel([[10n, 10n]])
    const before = await alice.balanceOf(a.asset(chain.contracts.ethHolder))
    await Promise.all([fund(0, params, state), fund(1, params, state)])
    const newest = { ...state, version: 5n, allocation: { ...state.allocation, balances: [[20n, 0n]] } }
    await b.adjudicator.register({
      signed: { params, state, signatures: signatures(params, state) },
      subChannels: [],
    })
    await pass(chain.anvil, DURATION)
    await a.adjudicator.withdraw({
      params,
      state: newest,
      signatures: signatures(params, newest),
      subChannels: [],
      index: 0,
    })
    expect(await alice.balanceOf(a.asset(chain.contracts.ethHolder))).to.equal(before)
  })

  it('both conclude when the time of a dispute is over -> one does, the other is paid; no transaction is reverted', async () => {
    for (let round = 0; round < 3; round++) {
      const { params, state } = channel([[10n, 10n]])
      await Promise.all([fund(0, params, state), fund(1, params, state)])
      const request = { params, state, signatures: signatures(params, state), subChannels: [] }
      await b.adjudicator.register({ signed: request, subChannels: [] })
      await pass(chain.anvil, DURATION)
      const from = Number(await chain.anvil.rpc('eth_blockNumber'))
      await chain.anvil.rpc('evm_setAutomine', [false]) // what is sent at the same time meets in one block
      try {
        await mining(
          a,
          Promise.all([
            a.adjudicator.withdraw({ ...request, index: 0 }),
            b.adjudicator.withdraw({ ...request, index: 1 }),
          ]),
        )
      } finally {
        await chain.anvil.rpc('evm_setAutomine', [true])
      }
      const to = Number(await chain.anvil.rpc('eth_blockNumber'))
      for (let block = from; block <= to; block++) {
        const receipts = await chain.anvil.rpc('eth_getBlockReceipts', [`0x${block.toString(16)}`])
        expect(JSON.stringify(receipts)).not.to.contain('"status":"0x0"')
      }
    }
  })

  it('a receiver that refuses ether -> the token is paid, the ether is reported, and comes when it is taken', async () => {
    const wallet = await deployContract(chain.deployer, ContractWallet)
    const mode = (value: number) =>
      chain.deployer.send({ kind: 'mode', to: wallet.address, data: callData(WALLET, 'setMode', [value]) })
    const picky = await alice.connect({ receiver: wallet.address })
    const { params, state } = channel([
      [10n, 10n],
      [7n, 7n],
    ])
    await Promise.all([fund(0, params, state), fund(1, params, state)])
    await mode(1)
    const last = { ...state, version: 1n, isFinal: true }
    const request = { params, state: last, signatures: signatures(params, last), subChannels: [], index: 0 }
    const error = await picky.adjudicator.withdraw(request).catch((e: unknown) => e)
    expect(isError(error, 'TRANSACTION_FAILED') && error.facts).to.deep.include({
      kind: 'withdraw',
      reason: 'transfer failed',
    })
    const tokens = callData(TOKEN, 'balanceOf', [wallet.address])
    expect(
      BigInt(String(await chain.anvil.rpc('eth_call', [{ to: chain.token, data: tokens }, 'latest']))),
    ).to.equal(7n)
    expect(await chain.anvil.rpc('eth_getBalance', [wallet.address, 'latest'])).to.equal('0x0')
    await mode(0)
    await picky.adjudicator.withdraw(request)
    expect(await chain.anvil.rpc('eth_getBalance', [wallet.address, 'latest'])).to.equal('0xa')
  })

  /** Final, with everything for Bob, who has deposited nothing. */
  async function bobsGift() {
    const { params, state } = channel([
      [10n, 0n],
      [7n, 0n],
    ])
    const before = await balancesOf(bob)
    await fund(0, params, state)
    const allocation = {
      ...state.allocation,
      balances: [
        [0n, 10n],
        [0n, 7n],
      ],
    }
    const last: State = { ...state, version: 1n, isFinal: true, allocation }
    const request = { params, state: last, signatures: signatures(params, last), subChannels: [] }
    return { params, last, request, before }
  }

  function balancesOf(party: Party): Promise<bigint[]> {
    return Promise.all(
      [chain.contracts.ethHolder, chain.tokenHolder].map((holder) => party.balanceOf(a.asset(holder))),
    )
  }

  it('a holder fails -> the other asset is paid; when it obeys, also who has deposited nothing there is', async () => {
    const { params, last, request, before } = await bobsGift()
    const values = [paramsArgument(params), stateArgument(last), request.signatures]
    const data = callData(ADJUDICATOR, 'concludeFinal', values)
    // Real ones fail when whoever concludes gives them too little gas.
    const holder = chain.contracts.ethHolder
    const code = await chain.anvil.rpc('eth_getCode', [holder, 'latest'])
    await chain.anvil.rpc('anvil_setCode', [holder, '0x60006000fd'])
    await chain.deployer.send({ kind: 'concludeFinal', to: chain.contracts.adjudicator, data })
    const error = await b.adjudicator.withdraw({ ...request, index: 1 }).catch((e: unknown) => e)
    expect(isError(error, 'INVALID_CONTRACT') && error.facts.address).to.equal(holder)
    await chain.anvil.rpc('anvil_setCode', [holder, code])
    expect(await balancesOf(bob)).to.eql([before[0], (before[1] ?? 0n) + 7n])
    await b.adjudicator.withdraw({ ...request, index: 1 })
    const [ether = 0n, tokens = 0n] = before
    expect(await balancesOf(bob)).to.eql([ether + 10n, tokens + 7n])
    await b.adjudicator.withdraw({ ...request, index: 1 })
  })

  it('a gift to a closed channel does not keep anybody from ending', async () => {
    const { params, state } = channel([[10n, 10n]])
    await Promise.all([fund(0, params, state), fund(1, params, state)])
    const last: State = { ...state, version: 1n, isFinal: true }
    const request = { params, state: last, signatures: signatures(params, last), subChannels: [] }
    const authorizations = await Promise.all(
      [a, b].map(({ adjudicator }, index) => adjudicator.authorizeClose({ params, state: last, index })),
    )
    await a.adjudicator.close({ ...request, authorizations, index: 0 })
    const [before = 0n] = await balancesOf(bob)
    const holder = chain.contracts.ethHolder
    const data = callData(HOLDER, 'deposit', [fundingID(state.channelID, bob.address), 1n])
    await chain.deployer.send({ kind: 'deposit', to: holder, data, value: 1n })
    await b.adjudicator.withdraw({ ...request, index: 1 })
    expect((await balancesOf(bob))[0]).to.equal(before + 1n)
  })

  it('an earlier life was paid in a block that is replaced -> the next one is paid before it ends', async () => {
    const { request, before } = await bobsGift()
    const withdrawal = { ...request, index: 1 }
    await a.adjudicator.withdraw({ ...request, index: 0 })
    await chain.anvil.rpc('anvil_mine', ['0x5'])
    const earlier = await bob.connect({ finalityDepth: 4 })
    const paid = async () => (await balancesOf(bob)).every((amount, i) => amount > (before[i] ?? 0n))
    const dying = earlier.adjudicator.withdraw(withdrawal).catch(() => undefined)
    await earlier.sender.chain.until(async () => ((await paid()) ? true : undefined))
    await earlier.close()
    await dying
    const later = await bob.connect({ finalityDepth: 4 })
    const withdrawing = later.adjudicator.withdraw(withdrawal)
    await later.sender.chain.tick()
    await chain.anvil.rpc('anvil_reorg', [3, []])
    expect(await paid()).to.equal(false)
    await mining(later, withdrawing)
    expect(await paid()).to.equal(true)
  })

  it('the same withdrawal waits in the pool -> the next one does not take that for a failure', async () => {
    const { params, state } = channel([[10n, 0n]])
    const known = Object.entries(KNOWN_CONTRACTS).map(([hash, { kind }]) => [
      hash,
      { kind, generation: 'reference' as const },
    ])
    const old = await alice.connect({ knownContracts: Object.fromEntries(known) })
    await fund(0, params, state)
    const last: State = { ...state, version: 1n, isFinal: true }
    const request = { params, state: last, signatures: signatures(params, last), subChannels: [] }
    await b.adjudicator.withdraw({ ...request, index: 1 })
    const before = await sent(alice)
    await chain.anvil.rpc('evm_setAutomine', [false])
    const inPool = (count: number) =>
      old.sender.chain.until(async () => {
        const known = await old.sender.chain.transactionCount(alice.address, 'pending')
        return known === before + count ? true : undefined
      })
    try {
      const first = old.adjudicator.withdraw({ ...request, index: 0 })
      await inPool(1)
      const second = old.adjudicator.withdraw({ ...request, index: 0 })
      await Promise.race([second, inPool(2)])
      await chain.anvil.rpc('evm_mine')
      await Promise.all([first, second])
    } finally {
      await chain.anvil.rpc('evm_setAutomine', [true])
    }
  })

  it('an asset of a holder that is not allowed, and one of another chain -> refused', () => {
    const { params, state } = channel([[1n, 1n]])
    expect(a.rules.faultOfState(params, state)).to.equal(undefined)
    const holder = chain.contracts.adjudicator
    const foreign = { ...a.asset(chain.contracts.ethHolder) }
    const id: Hex = `0x${'1'.padStart(64, '0')}${foreign.id.slice(66)}`
    for (const bad of [a.asset(holder), { ...foreign, id }]) {
      const allocation = { ...state.allocation, assets: [bad] }
      expect(a.rules.faultOfState(params, { ...state, allocation })?.code).to.equal('INVALID_STATE')
    }
    const aux: Hex = `0x01${NO_AUX.slice(4)}`
    expect(a.rules.faultOfParams({ ...params, aux })?.code).to.equal('INVALID_PARAMS')
    expect(a.rules.faultOfParams({ ...params, challengeDuration: 2n ** 64n - 1n })?.code).to.equal(
      'INVALID_PARAMS',
    )
  })

  it('contracts that are none, unknown, or bound to another adjudicator -> INVALID_CONTRACT', async () => {
    const fails = async (options: Parameters<Party['connect']>[0]) => {
      const error = await alice.connect(options).catch((e: unknown) => e)
      return isError(error, 'INVALID_CONTRACT') ? error.facts.address : String(error)
    }
    const { adjudicator, ethHolder } = chain.contracts
    expect(await fails({ adjudicator: alice.address })).to.equal(alice.address)
    expect(await fails({ adjudicator: ethHolder })).to.equal(ethHolder)
    expect(await fails({ holders: [chain.token] })).to.equal(chain.token)
    expect(await fails({ holders: [adjudicator] })).to.equal(adjudicator)
    expect(await fails({ holders: [bob.address] })).to.equal(bob.address)
    expect(await fails({ adjudicator: chain.app, holders: [] })).to.equal(chain.app)
  })

  for (const transport of ['url', 'wsUrl'] as const) {
    it(`the node stops and comes back in the midst of a dispute (${transport}) -> it goes on`, async () => {
      const first = await startChain()
      const party = await Party.create(first)
      const backend = await party.connect({ provider: first.anvil[transport] })
      const params: Params = {
        challengeDuration: 60n,
        nonce: 1n,
        participants: [{ 1: party.address }, { 1: bob.address }],
        app: NO_APP,
        ledgerChannel: true,
        virtualChannel: false,
        aux: NO_AUX,
      }
      const allocation = {
        assets: [backend.asset(first.contracts.ethHolder)],
        balances: [[5n, 0n]],
        locked: [],
      }
      const state = initialState(backend.rules.channelID(params), params, allocation, '0x')
      const before = await party.balanceOf(backend.asset(first.contracts.ethHolder))
      await backend.funder.fund({ params, state, index: 0, agreement: allocation.balances })
      const events = backend.adjudicator.subscribe(state.channelID)[Symbol.asyncIterator]()
      const signed = { params, state, signatures: signedBy([party, bob], backend, params, state) }
      await backend.adjudicator.register({ signed, subChannels: [] })
      expect((await events.next()).value).to.include({ kind: 'registered', status: 'seen' })
      expect((await events.next()).value).to.include({ kind: 'registered', status: 'final' })
      const withdrawing = backend.adjudicator.withdraw({
        params,
        state,
        signatures: [],
        subChannels: [],
        index: 0,
      })
      const dump = await first.anvil.rpc('anvil_dumpState')
      await first.anvil.stop()
      const second = await startAnvil({ port: first.anvil.port, state: dump })
      await pass(second, 60n)
      await withdrawing
      expect((await events.next()).value).to.include({ kind: 'concluded', status: 'seen' })
      expect(await party.balanceOf(backend.asset(first.contracts.ethHolder))).to.equal(before)
      await party.close()
      first.deployer.chain.close()
      await second.stop()
    })
  }
})
