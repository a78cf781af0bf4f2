// A process that brings very many channels back: a client over a durable store, and what it takes of the memory.
import { readFileSync } from 'node:fs'
import { accept, type Channel, Client, transfer } from 'perkunas'
import { fromHex, type Hex } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { MemoryWallet } from 'perkunas/wallet'
import { serve } from './child.js'
import { type Contracts, openLedger } from './updates-ledger.js'

/** Who a process is. */
export interface PartyOptions {
  /** Where its store is. */
  readonly directory: string
  /** Of its account. */
  readonly secret: Hex
  /** Of its network identity. */
  readonly identity: Hex
  readonly contracts: Contracts
}

/** Bytes, after garbage collections. */
export interface Memory {
  /** All that is resident, as the system counts it. */
  readonly resident: number
  /** The part of it that is pages of files: of the store, which LMDB maps, and of Node.js itself. Undefined where the system does not tell. */
  readonly file: number | undefined
  /** What JavaScript uses. */
  readonly heap: number
}

/** What this process can be asked. */
export type PartyCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: PartyOptions): Promise<{ readonly address: string }>
}

/** Updates that are under way at once. */
const WIDTH = 64

async function begin({ directory, secret, identity, contracts }: PartyOptions) {
  const wallet = new MemoryWallet([fromHex(secret)])
  const [own] = await wallet.addresses()
  const signer = await wallet.account(own ?? '0x')
  const { backend } = await openLedger(contracts, { wallet, signer })
  const store = new LmdbStore(`${directory}/store`)
  const bus = new PeerBus({ identity: createIdentity(fromHex(identity)), dialers: [tcpDialer()] })
  const address = await bus.listen(tcpListener())
  const client = new Client({ bus, store, wallet, backend })
  client.handleProposals(() => accept())
  client.handleUpdates(() => ({ accept: true }))
  client.errors$.subscribe((error) => console.error(error))
  let heard = 0
  bus.onMessage(() => void heard++)

  const calls = {
    /** Brings all channels back. */
    async restore(_: null): Promise<{ readonly channels: number; readonly seconds: number }> {
      const started = performance.now()
      const { length } = await client.restore()
      return { channels: length, seconds: (performance.now() - started) / 1000 }
    },

    memory: (_: null) => memory(),

    /** Seconds of processor time that this process has used. */
    cpu(_: null): number {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    },

    /** Goes and meets a peer. */
    connect: (peer: { readonly peer: Hex; readonly address: string }) => bus.connect(peer.peer, peer.address),

    /** Returns when so many messages have come. */
    async heard(count: number): Promise<void> {
      while (heard < count) await new Promise((resolve) => setTimeout(resolve, 20))
    },

    /** Updates so many channels, each once, and lets go of them. */
    async use(count: number): Promise<{ readonly seconds: number }> {
      const started = performance.now()
      const channels = client.channels().slice(0, count).values()
      const user = async (mine: Iterable<Channel>) => {
        for (const channel of mine) {
          const { index } = channel
          await channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount: 1n }))
        }
      }
      await Promise.all(Array.from({ length: WIDTH }, () => user(channels)))
      return { seconds: (performance.now() - started) / 1000 }
    },
  }
  const end = async () => {
    await client.close()
    await bus.close()
    await backend.close()
    await store.close()
  }
  return { calls, end, address }
}

async function memory(): Promise<Memory> {
  if (globalThis.gc === undefined) throw new Error('node --expose-gc expected')
  for (let i = 0; i < 4; i++) {
    await new Promise((resolve) => setTimeout(resolve, 250))
    globalThis.gc()
  }
  const { rss, heapUsed, external } = process.memoryUsage()
  return { resident: rss, file: filePages(), heap: heapUsed + external }
}

function filePages(): number | undefined {
  try {
    const kilobytes = /^RssFile:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    return kilobytes === undefined ? undefined : 1024 * Number(kilobytes)
  } catch {
    return undefined
  }
}

let end = async () => {}
const calls: Record<string, (argument: never) => unknown> = {
  async begin(options: PartyOptions) {
    const party = await begin(options)
    Object.assign(calls, party.calls)
    end = party.end
    return { address: party.address }
  },
}
serve(calls, () => end())
