// What users run, on a real node that fails them: trouble costs time, or one call a typed error, and no money.
import { expect } from 'chai'
import { JsonRpcProvider } from 'ethers'
import type { EthereumBackend, EthereumOptions } from '../../../backend/ethereum/index.js'
import {
  appResolver,
  isError,
  type PerkunasError,
  type StateApp,
  toHex,
  transfer,
} from '../../../channel/index.js'
import { accept, type Channel, Client, type ProposalOptions, reject } from '../../../client/index.js'
import { memoryNetwork, type PeerID } from '../../../peer/index.js'
import { MemoryStore } from '../../../persistence/index.js'
import { startAnvil } from '../../../scripts/anvil.js'
import {
  type Chain,
  type CreationCodes,
  foreignContracts,
  idle,
  looked,
  Party,
  pass,
  startChain,
  TOKENS,
} from './world.js'

const DURATION = 3600n

/** Somebody with a client. */
interface User {
  readonly party: Party
  readonly peer: PeerID
  readonly backend: EthereumBackend
  readonly client: Client
  readonly before: bigint
}

const foreign = foreignContracts()
lives('ethereum: clients')
if (foreign) lives('ethereum: clients, foreign contracts', foreign)

function lives(title: string, codes?: CreationCodes): void {
  describe(title, () => {
    let chain: Chain
    let users: User[]

    beforeEach(async () => {
      chain = await startChain({}, codes)
      users = []
    })

    afterEach(async () => {
      for (const { client } of users) await client.close()
      for (const { party } of users) await party.close()
      await chain[Symbol.asyncDispose]()
    })

    /** Alice and Bob, who accept everything. */
    async function meet(options: readonly Partial<EthereumOptions>[] = []): Promise<[User, User]> {
      const network = memoryNetwork()
      const user = async (index: number): Promise<User> => {
        const party = await Party.create(chain)
        const backend = await party.connect(options[index])
        const peer = toHex(Uint8Array.from({ length: 33 }, (_, i) => (i === 0 ? 2 : index + 1)))
        const { wallet, address } = party
        const bus = network.bus(peer)
        const timeouts = { settlement: 1_000 }
        const apps = appResolver(app())
        const client = new Client({ bus, store: new MemoryStore(), wallet, backend, address, timeouts, apps })
        client.handleProposals(() => accept())
        client.handleUpdates(() => accept())
        return { party, peer, backend, client, before: await ether({ party, backend }) }
      }
      const [alice, bob] = [await user(0), await user(1)]
      users = [alice, bob]
      return [alice, bob]
    }

    function app(): StateApp {
      return {
        kind: 'state',
        id: chain.app,
        faultOfInit: () => undefined,
        faultOfTransition: () => undefined,
      }
    }

    function ether({ party, backend }: Pick<User, 'party' | 'backend'>): Promise<bigint> {
      return party.balanceOf(backend.asset(chain.contracts.ethHolder))
    }

    function propose(
      [alice, bob]: readonly [User, User],
      terms: Partial<ProposalOptions> = {},
    ): Promise<Channel> {
      const assets = [alice.backend.asset(chain.contracts.ethHolder)]
      const allocation = { assets, balances: [[100n, 100n]] }
      return alice.client.proposeChannel({
        peers: [bob.peer],
        allocation,
        challengeDuration: DURATION,
        ...terms,
      })
    }

    async function pay(channel: Channel, times = 1): Promise<void> {
      for (let i = 0; i < times; i++) {
        await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
      }
    }

    function held(): Promise<bigint> {
      return chain.anvil.rpc('eth_getBalance', [chain.contracts.ethHolder, 'latest']).then((answer) => {
        return BigInt(String(answer))
      })
    }

    /** Does something again and again, until the promise is settled. */
    async function meanwhile<T>(promise: Promise<T>, act: () => Promise<unknown>): Promise<T> {
      let isOver = false
      const over = () => {
        isOver = true
      }
      promise.then(over, over)
      while (!isOver) await act()
      return promise
    }

    const backends = () => users.map(({ backend }) => backend)

    async function mine(): Promise<void> {
      await chain.anvil.rpc('evm_mine')
      await looked(backends())
    }

    async function over(client: Client): Promise<void> {
      while (client.channels().length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    }

    async function expectGains(gains: readonly bigint[]): Promise<void> {
      const now = await Promise.all(users.map(ether))
      expect(now.map((balance, i) => balance - (users[i]?.before ?? 0n))).to.eql(gains)
    }

    it('the node stops while one channel is settled, and comes back -> the other is used meanwhile, both are paid', async () => {
      const [alice, bob] = await meet()
      const [one, other] = [await propose([alice, bob]), await propose([alice, bob])]
      await pay(one, 10)
      const dump = await chain.anvil.rpc('anvil_dumpState')
      await chain.anvil.stop()
      const settling = one.settle()
      await pay(other, 20)
      const again = await startAnvil({ port: chain.anvil.port, state: dump })
      await settling
      await pay(other, 5)
      await other.settle()
      await over(bob.client)
      await expectGains([-35n, 35n])
      await again.stop()
    })

    it('reorgs take away a deposit and later the end -> the channel opens, is used, and everybody is paid', async () => {
      const [alice, bob] = await meet([{ finalityDepth: 3 }, { finalityDepth: 3 }])
      const opening = propose([alice, bob])
      while ((await held()) === 0n) await looked(backends())
      await chain.anvil.rpc('anvil_reorg', [1, []])
      const channel = await meanwhile(opening, mine)
      await pay(channel, 10)
      const settling = Promise.all([channel.settle(), over(bob.client)])
      // Generation 1 pays in transactions of their own, when the end is final.
      while ((await held()) > 0n) await (codes === undefined ? looked(backends()) : mine())
      if (codes === undefined) await mine()
      await chain.anvil.rpc('anvil_reorg', [2, []])
      const back = await held()
      if (codes === undefined) expect(back).to.equal(200n)
      else expect(back > 0n, `${back} of 200 are back`).to.equal(true)
      await meanwhile(settling, mine)
      await expectGains([-10n, 10n])
    })

    it('a node rejects a transaction -> FUNDING_FAILED says why, other channels go on, and deposits come back', async () => {
      const provider = new MoodyProvider(chain.anvil.url, 31_337, { staticNetwork: true, cacheTimeout: -1 })
      const [alice, bob] = await meet([{ provider }])
      const errors: PerkunasError[] = []
      alice.client.errors$.subscribe((error) => errors.push(error))
      const channel = await propose([alice, bob])
      provider.refuses = true
      const error = await propose([alice, bob]).catch((e: unknown) => e)
      if (!isError(error, 'FUNDING_FAILED')) throw error
      expect(isError(error.cause, 'TRANSACTION_FAILED') && error.cause.facts).to.eql({
        kind: 'deposit',
        reason: 'exceeds the limits of this node',
      })
      await pay(channel, 10)
      provider.refuses = false
      const lost = alice.client.channel(error.facts.channel)
      expect(lost?.id).to.equal(error.facts.channel)
      await channel.settle()
      const waiting = Promise.all([over(alice.client), over(bob.client)])
      await meanwhile(waiting, async () => {
        await idle(backends())
        await pass(chain.anvil, DURATION)
      })
      await expectGains([-10n, 10n])
      provider.destroy()
    })

    it('Bob registers an old state with ether and tokens -> it is refuted, and both are paid the newest', async () => {
      const [alice, bob] = await meet()
      const tokens = alice.backend.asset(chain.tokenHolder)
      const assets = [alice.backend.asset(chain.contracts.ethHolder), tokens]
      const allocation = {
        assets,
        balances: [
          [100n, 100n],
          [50n, 0n],
        ],
      }
      const channel = await propose([alice, bob], { allocation })
      await pay(channel)
      const old = bob.client.channel(channel.id)?.signedState
      if (old === undefined) throw new Error('a state that both have signed expected')
      await channel.update((draft) => {
        transfer(draft, { asset: 0, from: 1, to: 0, amount: 21n })
        transfer(draft, { asset: 1, from: 0, to: 1, amount: 30n })
      })
      await bob.backend.adjudicator.register({ signed: old, subChannels: [] })
      const settling = Promise.all([channel.settle(), over(bob.client)])
      await meanwhile(settling, async () => {
        await idle(backends())
        await pass(chain.anvil, DURATION / 4n)
      })
      await expectGains([20n, -20n])
      const owned = users.map(({ party }) => party.balanceOf(tokens))
      expect(await Promise.all(owned)).to.eql([TOKENS - 30n, TOKENS + 30n])
    })

    it('Bob refuses a step of an app -> it is enforced, and both are paid what it says', async () => {
      const [alice, bob] = await meet()
      const channel = await propose([alice, bob], { app: chain.app, data: '0x00' })
      await pay(channel)
      bob.client.handleUpdates(() => reject('no'))
      const enforced = channel.forceUpdate((draft) => transfer(draft, { from: 0, to: 1, amount: 10n }))
      const flies = async () => {
        await idle(backends())
        await pass(chain.anvil, DURATION / 4n)
      }
      expect((await meanwhile(enforced, flies)).allocation.balances).to.eql([[89n, 111n]])
      await meanwhile(Promise.all([channel.settle(), over(bob.client)]), flies)
      await expectGains([-11n, 11n])
    })
  })
}

/** Takes no transactions while it does not feel like it. */
class MoodyProvider extends JsonRpcProvider {
  refuses = false

  override async send(method: string, params: unknown[]): Promise<unknown> {
    if (!this.refuses || method !== 'eth_sendRawTransaction') return super.send(method, params)
    throw Object.assign(new Error('could not coalesce error'), {
      error: { code: -32_000, message: 'exceeds the limits of this node' },
    })
  }
}
