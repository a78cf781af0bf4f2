// One of the benchmark's two processes: a client with a durable store that its peer reaches by TCP, and beside it
// the bare parts of its work.
import { mkdirSync } from 'node:fs'
import { accept, type Channel, Client, transfer } from 'perkunas'
import type { Hex } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { MemoryWallet, secp256k1 } from 'perkunas/wallet'
import { median, quantile } from './figures.js'
import { partyCalls, serveParty } from './party.js'
import { openTable, runFloor, type Speed, serveFloor } from './updates-floor.js'
import { type Contracts, openLedger } from './updates-ledger.js'

/** Who a process is. */
export interface PartyOptions {
  /** An existing directory of its own. */
  readonly directory: string
  readonly contracts: Contracts
}

/** What the other process and the benchmark must know of this one. */
export interface About {
  readonly peer: Hex
  readonly address: string
  /** Pays its deposits. */
  readonly account: Hex
  readonly provider: string
}

/** What this process can be asked. */
export type PartyCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: PartyOptions): Promise<About>
}

const BALANCE = 10n ** 15n

async function begin({ directory, contracts }: PartyOptions) {
  mkdirSync(directory, { recursive: true })
  const wallet = new MemoryWallet()
  const signer = await wallet.newAccount()
  const { backend, asset } = await openLedger(contracts, { wallet, signer })
  const store = new LmdbStore(`${directory}/store`)
  const bus = new PeerBus({ identity: createIdentity(), dialers: [tcpDialer()] })
  const address = await bus.listen(tcpListener())
  const client = new Client({ bus, store, wallet, backend })
  client.handleProposals(() => accept())
  client.handleUpdates(() => ({ accept: true }))
  client.errors$.subscribe((error) => {
    // Whoever finishes opening a channel first speaks of it a moment before the other one knows it.
    if (error.code !== 'UNKNOWN_CHANNEL') console.error(error)
  })
  const table = openTable(directory)
  const channels: Channel[] = []

  const calls = {
    /** Learns where the other one is. */
    connect: (peer: { readonly peer: Hex; readonly address: string }) => bus.connect(peer.peer, peer.address),

    /** Opens so many channels with the peer, some at once. */
    async open({ peer, count }: { readonly peer: Hex; readonly count: number }): Promise<void> {
      let left = count
      const opener = async () => {
        while (left-- > 0) {
          channels.push(
            await client.proposeChannel({
              peers: [peer],
              allocation: { assets: [asset], balances: [[BALANCE, BALANCE]] },
              challengeDuration: 3_600n,
            }),
          )
        }
      }
      await Promise.all(Array.from({ length: 32 }, opener))
    },

    /** Returns when the peer has opened so many channels with us. */
    async opened(count: number): Promise<void> {
      while (client.channels().filter(({ phase }) => phase === 'acting').length < count) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
    },

    /** Updates the first so many channels, each one update after another, for some seconds. */
    async update(options: { readonly count: number; readonly seconds: number }): Promise<Speed> {
      const samples: number[] = []
      const started = performance.now()
      const end = started + options.seconds * 1000
      const pay = async (channel: Channel) => {
        for (let since = performance.now(); since < end; ) {
          await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 1n }))
          const now = performance.now()
          samples.push(now - since)
          since = now
        }
      }
      await Promise.all(channels.slice(0, options.count).map(pay))
      const seconds = (performance.now() - started) / 1000
      return { updates: samples.length, seconds, p50: median(samples), p99: quantile(samples, 0.99) }
    },

    ...partyCalls(directory, table),
    serveFloor: (count: number) => serveFloor(table, count),
    floor: (options: Parameters<typeof runFloor>[1]) => runFloor(table, options),
  }
  const end = async () => {
    await client.close()
    await bus.close()
    await backend.close()
    await store.close()
    await table.close()
  }
  return { calls, end, about: { peer: bus.id, address, account: signer.address, provider: secp256k1.name } }
}

serveParty(begin)
