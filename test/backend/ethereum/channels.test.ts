// Channels on a real Ethereum node under the suite that every ledger's channels pass.
import { CHALLENGE_DURATION, capabilitiesOf, type EthereumBackend } from '../../../backend/ethereum/index.js'
import { Client } from '../../../client/index.js'
import { memoryNetwork, type PeerID } from '../../../peer/index.js'
import { MemoryStore } from '../../../persistence/index.js'
import type { Wallet } from '../../../wallet/index.js'
import { type ChannelParty, describeChannels } from '../../conformance/index.js'
import { type Chain, idle, Party, pass, startChain } from './world.js'

const DURATION = 3600n

let chain: Chain

before(async () => {
  chain = await startChain()
})

after(async () => {
  await chain[Symbol.asyncDispose]()
})

describeChannels('ethereum', {
  capabilities: capabilitiesOf({
    generation: 'perkunas',
    challengeDuration: CHALLENGE_DURATION,
    finalityDepth: 1,
  }),
  async setup({ parties: count }) {
    const network = memoryNetwork()
    const members = await Promise.all(Array.from({ length: count }, () => Party.create(chain)))
    const backends = () => members.flatMap((party): EthereumBackend[] => party.backends)
    const parties = await Promise.all(
      members.map(async (party, i): Promise<ChannelParty> => {
        const peer: PeerID = `0x02${[1, 2, 3][i]?.toString(16).padStart(64, '0')}` // points on the curve
        const store = new MemoryStore()
        const { address } = party
        const wallet = lasting(party.wallet)
        const start = async () => {
          const bus = network.bus(peer)
          const backend = await party.connect()
          return { bus, backend, client: new Client({ bus, store, wallet, backend, address }) }
        }
        let running = await start()
        return {
          peer,
          get client() {
            return running.client
          },
          async kill() {
            const { bus, backend, client } = running
            await bus.close()
            await client.close()
            await backend.close()
          },
          async restart() {
            running = await start()
            return running.client
          },
        }
      }),
    )
    const [first] = backends()
    const asset = first?.asset(chain.contracts.ethHolder)
    if (first === undefined || asset === undefined) throw new Error('a party expected')
    return {
      parties,
      members,
      asset,
      unit: 10n ** 15n,
      challengeDuration: DURATION,
      costs: 0n,
      balanceOf: async (i) => (await members[i]?.balanceOf(asset)) ?? 0n,
      // Transactions are mined at once. Time flies only while nobody works: they take a moment on a real node.
      async pass(wait) {
        await idle(backends())
        if (wait === 'deadline') await pass(chain.anvil, DURATION)
      },
      now: () => first.adjudicator.now(),
    }
  },
  async teardown({ parties, members }) {
    for (const { client } of parties) await client.close()
    for (const member of members) await member.close()
  },
})

/** A wallet that a client's end does not lock: who restarts opens the same keys again. */
function lasting(wallet: Wallet): Wallet {
  return {
    account: (address) => wallet.account(address),
    addresses: () => wallet.addresses(),
    newAccount: () => wallet.newAccount(),
    incrementUsage: (address) => wallet.incrementUsage(address),
    decrementUsage: (address) => wallet.decrementUsage(address),
    lock: async () => undefined,
  }
}
