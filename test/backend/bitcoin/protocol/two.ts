// Two clients on Lightning over one simulated chain.
import { BitcoinBackend, type BitcoinBackendOptions } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { accept, type Channel, Client, type ProposalOptions } from '../../../../client/index.js'
import {
  createIdentity,
  memoryTransport,
  PeerBus,
  type PeerID,
  type RawHandler,
} from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { LedgerChain } from '../node/ledger-chain.js'

const WEALTH = 10_000_000n
export const CAPACITY = 1_000_000_000n

export function bytesOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}

/** Tells of the first message that its owner hears, whoever takes it, and says other things than it is told to. */
export class HeedfulBus extends PeerBus {
  /** What becomes of a message, without its type. */
  alter: (type: number, payload: Uint8Array) => Uint8Array = (_, payload) => payload
  readonly heard: Promise<void>
  #hear: () => void = () => undefined

  constructor(...options: ConstructorParameters<typeof PeerBus>) {
    super(...options)
    this.heard = new Promise((resolve) => {
      this.#hear = resolve
    })
  }

  override sendRaw(to: PeerID, type: number, payload: Uint8Array): void {
    super.sendRaw(to, type, this.alter(type, payload))
  }

  override onRaw(types: readonly number[], handler: RawHandler): () => void {
    return super.onRaw(types, (...message) => {
      this.#hear()
      return handler(...message)
    })
  }
}

/** Two clients over one chain, the first of which knows where the second is. */
export class Two implements AsyncDisposable {
  readonly chain: LedgerChain
  readonly first: Client
  readonly second: Client
  readonly secondBus: HeedfulBus
  /** The first's. */
  readonly backend: BitcoinBackend
  readonly secondBackend: BitcoinBackend
  readonly wallets: readonly SimWallet[]
  readonly store: MemoryStore
  readonly #others: { readonly bus: PeerBus; readonly client: Client }[] = []
  readonly #alone: (store: MemoryStore) => Promise<Channel>
  readonly #buses: readonly PeerBus[]
  readonly #propose: (options: Partial<ProposalOptions>) => Promise<Channel>

  private constructor(
    chain: LedgerChain,
    second: Partial<BitcoinBackendOptions>,
    first: Partial<BitcoinBackendOptions>,
  ) {
    this.chain = chain
    const transport = memoryTransport()
    const identities = ['first', 'second'].map((name) => createIdentity(bytesOf(`identity ${name}`)))
    const made = identities.map((identity, i) => {
      const wallet = new SimWallet(chain.ledger, bytesOf(`wallet ${i}`))
      chain.ledger.mint(WEALTH, wallet.script)
      const backend = new BitcoinBackend({
        chain,
        wallet,
        seed: bytesOf(`seed ${i}`),
        ...(i === 1 ? second : first),
      })
      const bus = new HeedfulBus({ identity, dialers: [transport.dialer], ...backend.bus })
      const store = new MemoryStore()
      return { bus, wallet, backend, store, client: new Client({ bus, store, backend }) }
    })
    const [one, other] = made
    if (one === undefined || other === undefined) throw new Error('two are made')
    this.first = one.client
    this.second = other.client
    this.secondBus = other.bus
    this.backend = one.backend
    this.secondBackend = other.backend
    this.wallets = made.map(({ wallet }) => wallet)
    this.store = one.store
    this.#alone = async (store) => {
      await one.bus.close()
      await one.client.close()
      const wallet = new SimWallet(chain.ledger, bytesOf('wallet 0'))
      const backend = new BitcoinBackend({ chain, wallet, seed: bytesOf('seed 0') })
      const bus = new PeerBus({ identity: createIdentity(bytesOf('identity first')), ...backend.bus })
      const client = new Client({ bus, store, backend })
      this.#others.push({ bus, client })
      const [channel] = await client.restore()
      if (channel === undefined) throw new Error('the store has a channel')
      return channel
    }
    this.#buses = made.map(({ bus }) => bus)
    this.#propose = async (options) => {
      if (!one.bus.isConnected(other.bus.id)) {
        await other.bus.listen(transport.listener('second'))
        one.bus.connect(other.bus.id, 'memory://second')
      }
      return one.client.proposeChannel({
        peers: [other.bus.id],
        allocation: { assets: [one.backend.asset], balances: [[CAPACITY, 0n]] },
        challengeDuration: 144n,
        ...options,
      })
    }
  }

  static async begin(
    second: (chain: LedgerChain) => Partial<BitcoinBackendOptions> = () => ({}),
    first: Partial<BitcoinBackendOptions> | ((chain: LedgerChain) => Partial<BitcoinBackendOptions>) = {},
  ): Promise<Two> {
    const chain = new LedgerChain(new BitcoinLedger(200))
    const two = new Two(chain, second(chain), typeof first === 'function' ? first(chain) : first)
    await chain.mine()
    return two
  }

  propose(options: Partial<ProposalOptions> = {}): Promise<Channel> {
    return this.#propose(options)
  }

  /** The connection is lost, and the first looks for no other. */
  part(): void {
    this.#between((bus, id) => {
      bus.release(id)
      bus.disconnect(id, 'parted')
    })
  }

  /** Until now. */
  meet(): void {
    this.#between((bus, id) => bus.connect(id))
  }

  #between(go: (bus: PeerBus, id: PeerID) => void): void {
    const [bus] = this.#buses
    if (bus !== undefined) go(bus, this.secondBus.id)
  }

  /** The first again, with that store and no way to reach anybody; its channel. */
  alone(store: MemoryStore): Promise<Channel> {
    return this.#alone(store)
  }

  /** The channel as the second has it. */
  get theirs(): Channel {
    const [channel] = this.second.channels()
    if (channel === undefined) throw new Error('it is the second’s, too')
    return channel
  }

  /** Blocks, until a channel is over. */
  async end(channel: Channel): Promise<void> {
    for (let block = 0; block < 400 && channel.phase !== 'withdrawn'; block++) await this.chain.mine()
  }

  /** Opens a channel, and accepts whatever is paid over it. */
  async open(options: Partial<ProposalOptions> = {}): Promise<Channel> {
    this.second.handleProposals(accept)
    this.second.handleUpdates(accept)
    const opened = this.propose(options)
    const node = await this.backend.node()
    await Promise.race([
      opened,
      node.eventually(() => node.channels().find(({ live }) => live !== undefined)),
    ])
    for (let block = 0; block < 6; block++) await this.chain.mine()
    return opened
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const bus of [...this.#buses, ...this.#others.map((one) => one.bus)]) await bus.close()
    for (const client of [this.first, this.second, ...this.#others.map((one) => one.client)])
      await client.close()
  }
}

/** What is the same for both sides of what they are told. */
export interface Told {
  readonly kind: string
  readonly status?: string
  readonly amount?: bigint
  readonly deadline?: bigint
}

/** All that a channel tells now and from now on. */
export function told(channel: Channel): Told[] {
  const events: Told[] = []
  channel.events$.subscribe((event) => {
    if (event.kind !== 'ledger') return events.push(event)
    // Which channel it is, is each side's own.
    const { channelID: _, cursor: __, ...rest } = event.event
    return events.push(rest)
  })
  return events
}
