// Lightning channels under the suite that every ledger's channels pass, on a simulated chain that keeps Bitcoin's rules.
import { BitcoinBackend, LIGHTNING_CAPABILITIES } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { Client } from '../../../../client/index.js'
import { createIdentity, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type ChannelParty, describeChannels } from '../../../conformance/index.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { LedgerChain } from '../node/ledger-chain.js'

/** Satoshis that each party owns at the start. */
const WEALTH = 10_000_000n
const UNIT = 100_000_000n

function bytesOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}

describeChannels('bitcoin, simulated', {
  capabilities: LIGHTNING_CAPABILITIES,
  async setup({ parties: count }) {
    const ledger = new BitcoinLedger(200)
    const chain = new LedgerChain(ledger)
    const transport = memoryTransport()
    const names = ['a', 'b', 'c'].slice(0, count)
    const identities = names.map((name) => createIdentity(bytesOf(`identity ${name}`)))
    const addresses = Object.fromEntries(identities.map(({ id }, i) => [id, `memory://${names[i]}`]))
    const wallets = names.map((name) => new SimWallet(ledger, bytesOf(`wallet ${name}`)))
    for (const { script } of wallets) ledger.mint(WEALTH, script)
    ledger.mine()
    const parties: ChannelParty[] = []
    for (const [i, name] of names.entries()) {
      const [identity, wallet] = [identities[i], wallets[i]]
      if (identity === undefined || wallet === undefined) throw new Error('an identity for each')
      const store = new MemoryStore()
      const start = async () => {
        const backend = new BitcoinBackend({
          chain,
          wallet,
          seed: bytesOf(`seed ${name}`),
          policy: { toSelfDelay: { min: 10, max: 20 } },
        })
        const bus = new PeerBus({
          identity,
          addresses,
          dialers: [transport.dialer],
          limits: { backoffMin: 1, backoffMax: 5 },
          ...backend.bus,
        })
        await bus.listen(transport.listener(name))
        return { backend, bus, client: new Client({ bus, store, backend }) }
      }
      let running = await start()
      parties.push({
        peer: identity.id,
        get client() {
          return running.client
        },
        async kill() {
          await running.bus.close()
          await running.client.close()
        },
        async restart() {
          running = await start()
          return running.client
        },
      })
    }
    return {
      parties,
      asset: { backend: 2, id: chain.chainHash },
      unit: UNIT,
      challengeDuration: 12n,
      lockDuration: 60n,
      costs: 20_000_000n,
      balanceOf: async (i) => (wallets[i]?.wealth ?? 0n) * 1000n,
      pass: () => chain.mine(),
      now: async () => BigInt(ledger.tip.height),
    }
  },
  async teardown({ parties }) {
    for (const party of parties) await party.kill()
  },
})
