// Lightning channels under the suite that every ledger's channels pass, on a simulated chain that keeps Bitcoin's rules.
import {
  type BlockID,
  type BroadcastResult,
  type FeeTable,
  NETWORKS,
} from '../../../../backend/bitcoin/chain/index.js'
import type { NodeChain } from '../../../../backend/bitcoin/node/index.js'
import { BitcoinBackend, LIGHTNING_CAPABILITIES } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256, type Transaction } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../../channel/units.js'
import { Client } from '../../../../client/index.js'
import { createIdentity, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type ChannelParty, describeChannels } from '../../../conformance/index.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { blocksOf, cursorOf } from '../node/cursor.js'

/** Satoshis that each party owns at the start. */
const WEALTH = 10_000_000n
const UNIT = 100_000_000n

type Follow = Parameters<NodeChain['follow']>

/** The chain of all nodes of a world: each follows it block by block. No reorgs here. */
class Chain implements NodeChain {
  readonly chainHash = NETWORKS.regtest.genesis
  readonly #followers = new Set<() => Promise<void>>()

  constructor(readonly ledger: BitcoinLedger) {}

  async follow(from: Follow[0], handler: Follow[1]): Promise<{ stop(): Promise<void> }> {
    const known: BlockID[] = from === undefined ? this.ledger.recent(1) : blocksOf(from)
    let last: Promise<void> = Promise.resolve()
    let isStopped = false
    const next = () => this.ledger.block((known.at(-1)?.height ?? 0) + 1)
    const goOn = async () => {
      for (let block = next(); block !== undefined && !isStopped; block = next()) {
        known.push(block)
        const isTip = block.hash === this.ledger.tip.hash
        await handler({ kind: 'connected', block, isTip, cursor: cursorOf(known.slice(-6)) })
      }
    }
    const follower = () => {
      last = last.then(goOn)
      return last.catch(() => undefined)
    }
    await follower()
    this.#followers.add(follower)
    return {
      stop: async () => {
        isStopped = true
        this.#followers.delete(follower)
      },
    }
  }

  async broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult> {
    return this.ledger.submit(transactions)
  }

  async feeTable(): Promise<FeeTable> {
    return { floor: feeratePerKw(253), estimates: [{ blocks: 6, feerate: feeratePerKw(500) }] }
  }

  /** A block, which everybody has seen when it resolves. */
  async mine(): Promise<void> {
    this.ledger.mine()
    await Promise.all([...this.#followers].map((follower) => follower()))
  }
}

function bytesOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}

describeChannels('bitcoin, simulated', {
  capabilities: LIGHTNING_CAPABILITIES,
  async setup({ parties: count }) {
    const ledger = new BitcoinLedger(200)
    const chain = new Chain(ledger)
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
