// One side of the Bitcoin demo: a process with a client of its own, told by the main process what to do.
import { accept, type Channel, Client, transfer } from 'perkunas'
import { BitcoinBackend } from 'perkunas/backend/bitcoin'
import { BitcoindSource, type TrackerStatus } from 'perkunas/backend/bitcoin/chain'
import { LightningNode, type NodeChain, sourceChain } from 'perkunas/backend/bitcoin/node'
import { BitcoindWallet } from 'perkunas/backend/bitcoin/wallet'
import { toHex } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { MemoryStore } from 'perkunas/persistence'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { serve } from '../../scripts/remote.js'

/** What a party is told. */
export interface StartOptions {
  readonly name: string
  readonly url: string
  readonly cookieFile: string
  /** For its store. Whoever starts a party removes it: a party may vanish. */
  readonly directory: string
}

/** A channel to open; amounts in millisatoshis. */
export interface OpenTerms {
  readonly peer: `0x${string}`
  readonly address: string
  readonly capacity: bigint
  readonly push: bigint
}

/** What a party can be asked. */
export type PartyCalls = {
  start(
    options: StartOptions,
  ): Promise<{ readonly peer: `0x${string}`; readonly address: string; readonly receive: string }>
  open(terms: OpenTerms): Promise<`0x${string}`>
  /** @returns seconds that it took */
  pay(order: {
    readonly id: string
    readonly times: number
    readonly amount: bigint
    readonly inFlight: number
  }): Promise<number>
  lock(order: {
    readonly id: string
    readonly amount: bigint
    readonly hash: `0x${string}`
    readonly deadline: bigint
  }): Promise<void>
  /** Takes what the other side has locked, of which the preimage is known here. Does not wait. */
  release(order: {
    readonly id: string
    readonly hash: `0x${string}`
    readonly preimage: `0x${string}`
  }): Promise<void>
  settle(order: { readonly id: string; readonly timeout: number }): Promise<void>
  over(id: string): Promise<void>
  keep(id: string): Promise<void>
  cheat(id: string): Promise<void>
  view(id: string): Promise<ChannelView | undefined>
  /** Resolves when all blocks up to a height are read. */
  reached(height: number): Promise<void>
  /** Satoshis on chain, wherever in the wallet. */
  wealth(argument: null): Promise<bigint>
}

/** How a party sees a channel. */
export interface ChannelView {
  readonly phase: string
  readonly balances: readonly bigint[]
  readonly locks: number
}

/** Blocks that who closes alone waits. Real channels take a day or two. */
const DELAY = { min: 12, max: 12 }
const CHALLENGE_DURATION = 12n

let party: Party | undefined

/** How far the chain is read. */
class Reading {
  #height = 0
  #next = 0
  readonly #waiting = new Set<() => void>()

  hear(status: TrackerStatus): void {
    if (status.kind === 'catchingUp') this.#next = Math.max(this.#next, status.of)
    if (status.kind !== 'synced') return
    this.#height = this.#next
    for (const look of [...this.#waiting]) look()
  }

  async reached(height: number): Promise<void> {
    if (this.#height >= height) return
    await new Promise<void>((resolve) => {
      const look = () => {
        if (this.#height < height) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
    })
  }
}

/** A client and the little that the demo adds to it. */
class Party {
  readonly #client: Client
  readonly #old = new MemoryStore()

  private constructor(
    readonly bus: PeerBus,
    readonly backend: BitcoinBackend,
    readonly wallet: BitcoindWallet,
    readonly chain: NodeChain,
    readonly reading: Reading,
    readonly store: LmdbStore,
    readonly seed: Uint8Array,
  ) {
    this.#client = new Client({ bus, store, backend })
    this.#client.handleProposals(accept)
    this.#client.handleUpdates(accept)
  }

  static async start({ name, url, cookieFile, directory }: StartOptions): Promise<Party> {
    const store = new LmdbStore(directory)
    const rpc = { url, credentials: { cookieFile } }
    const source = new BitcoindSource(rpc)
    const reading = new Reading()
    const chain = sourceChain({
      source,
      network: 'regtest',
      pollingInterval: 20,
      onStatus: (status) => reading.hear(status),
    })
    const wallet = await BitcoindWallet.open({ ...rpc, wallet: name, store })
    const seed = crypto.getRandomValues(new Uint8Array(32))
    const backend = new BitcoinBackend({ chain, wallet, seed, policy: { toSelfDelay: DELAY } })
    const bus = new PeerBus({ identity: createIdentity(), dialers: [tcpDialer()], ...backend.bus })
    return new Party(bus, backend, wallet, chain, reading, store, seed)
  }

  async open({ peer, address, capacity, push }: OpenTerms): Promise<`0x${string}`> {
    this.bus.connect(peer, address)
    const { id } = await this.#client.proposeChannel({
      peers: [peer],
      allocation: { assets: [this.backend.asset], balances: [[capacity - push, push]] },
      // The opener of a Lightning channel brings in all of it: what the other side begins with is a gift.
      agreement: [[capacity, 0n]],
      challengeDuration: CHALLENGE_DURATION,
    })
    return id
  }

  /** Pays the other side again and again, several times at once; tells of its progress. */
  async pay(id: string, times: number, amount: bigint, inFlight: number): Promise<number> {
    const channel = this.channel(id)
    const { index } = channel
    const started = performance.now()
    let begun = 0
    let done = 0
    const lane = async () => {
      while (begun++ < times) {
        await channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount }))
        if (++done % 25 === 0) tell(done)
      }
    }
    await Promise.all(Array.from({ length: inFlight }, lane))
    return (performance.now() - started) / 1000
  }

  /** Keeps the disk as it is now. */
  async keep(): Promise<void> {
    const rows: { kind: 'put'; key: string; value: Uint8Array }[] = []
    for await (const [key, value] of this.store.scan(''))
      rows.push({ kind: 'put', key, value: value.slice() })
    await this.#old.commit(rows)
  }

  /** Goes on chain with the disk that was kept, as if nothing had happened since, and with nobody to hear of it. */
  async cheat(): Promise<void> {
    await this.#client.close()
    await this.bus.close()
    const bus = new PeerBus({ identity: createIdentity(), ...this.backend.bus })
    const { chain, wallet, seed } = this
    const node = await LightningNode.start({ bus, store: this.#old, chain, wallet, seed })
    for (const { channel } of node.channels()) await node.forceClose(channel)
  }

  channel(id: string): Channel {
    const channel = this.#client.channels().find((one) => one.id === id || one.params.nonce === BigInt(id))
    if (channel === undefined) throw new Error(`there is no channel ${id}`)
    return channel
  }

  find(id: string): Channel | undefined {
    return this.#client.channels().find((one) => one.id === id || one.params.nonce === BigInt(id))
  }

  async stop(): Promise<void> {
    await this.#client.close()
    await this.bus.close()
    await this.backend.close()
    await this.wallet.close()
    await this.store.close()
  }
}

function running(): Party {
  if (party === undefined) throw new Error('start comes first')
  return party
}

const calls: PartyCalls = {
  async start(options) {
    party = await Party.start(options)
    const { address: receive } = await party.wallet.newAddress()
    return { peer: party.bus.id, address: await party.bus.listen(tcpListener()), receive }
  },
  async open(terms) {
    const id = await running().open(terms)
    return toHex(nonceBytes(running().channel(id).params.nonce))
  },
  pay: ({ id, times, amount, inFlight }) => running().pay(id, times, amount, inFlight),
  async lock({ id, ...request }) {
    await running().channel(id).lock(request)
  },
  async release({ id, hash, preimage }) {
    const channel = running().channel(id)
    const lock = channel.locks.find((one) => one.hash === hash && one.from !== channel.index)
    if (lock === undefined) throw new Error(`nothing is locked under ${hash}`)
    channel.release(lock.id, preimage).catch(() => undefined)
  },
  settle: ({ id, timeout }) => running().channel(id).settle({ timeout }),
  over: async (id) => running().find(id)?.watch(),
  keep: () => running().keep(),
  cheat: () => running().cheat(),
  async view(id) {
    const channel = running().find(id)
    if (channel === undefined) return undefined
    const { phase, state, locks } = channel
    return { phase, balances: state.allocation.balances[0] ?? [], locks: locks.length }
  },
  reached: (height) => running().reading.reached(height),
  async wealth() {
    const { confirmed, unconfirmed, reserved } = await running().wallet.balance()
    return confirmed + unconfirmed + reserved
  },
}

function nonceBytes(nonce: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((nonce >> BigInt(8 * (31 - i))) & 0xffn))
}

const tell = serve(calls, async () => party?.stop())
