// One side of the demo: a process with a client of its own, told by the main process what to do.
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { accept, type Channel, type ChannelEvent, Client, transfer } from 'perkunas'
import { EthereumBackend } from 'perkunas/backend/ethereum'
import { fromHex, type SignedState } from 'perkunas/channel'
import { createIdentity, PeerBus } from 'perkunas/peer'
import { tcpDialer, tcpListener } from 'perkunas/peer/tcp'
import { LmdbStore } from 'perkunas/persistence/lmdb'
import { MemoryWallet } from 'perkunas/wallet'
import type { Call, PartyOptions, Terms } from './calls.js'

/** A client and the little that the demo adds to it. */
class Party {
  readonly #client: Client
  readonly #bus: PeerBus
  readonly #backend: EthereumBackend
  readonly #store: LmdbStore
  readonly #path: string
  readonly #events = new Map<string, ChannelEvent['kind'][]>()
  /** Old states, kept by those who mean to cheat. */
  readonly #kept = new Map<string, SignedState>()

  private constructor(wallet: MemoryWallet, bus: PeerBus, backend: EthereumBackend, path: string) {
    this.#bus = bus
    this.#backend = backend
    this.#path = path
    this.#store = new LmdbStore(path)
    this.#client = new Client({ bus, store: this.#store, wallet, backend })
    this.#client.handleProposals(() => accept())
    this.#client.handleUpdates(() => accept())
    this.#client.newChannels$.subscribe((channel) => {
      const kinds: ChannelEvent['kind'][] = []
      this.#events.set(channel.id, kinds)
      channel.events$.subscribe(({ kind }) => kinds.push(kind))
    })
  }

  static async start(options: PartyOptions): Promise<Party> {
    const { name, secret, rpc, contracts } = options
    const wallet = new MemoryWallet([fromHex(secret)])
    const [address] = await wallet.addresses()
    if (address === undefined) throw new Error('a wallet with a key has an address')
    const backend = await EthereumBackend.connect({
      provider: rpc,
      signer: await wallet.account(address),
      wallet,
      adjudicator: contracts.adjudicator,
      holders: [contracts.ethHolder],
      firstBlock: contracts.firstBlock,
      receiver: address,
      pollingInterval: 20,
    })
    const bus = new PeerBus({ identity: createIdentity(), dialers: [tcpDialer()] })
    return new Party(wallet, bus, backend, join(tmpdir(), `perkunas-demo-${process.pid}-${name}`))
  }

  async listen() {
    return { peer: this.#bus.id, address: await this.#bus.listen(tcpListener()) }
  }

  async open({ peer, address, assets, balances, challengeDuration }: Terms): Promise<string> {
    this.#bus.connect(peer, address)
    const allocation = { assets, balances: [balances.map(BigInt)] }
    const duration = BigInt(challengeDuration)
    const channel = await this.#client.proposeChannel({
      peers: [peer],
      allocation,
      challengeDuration: duration,
    })
    return channel.id
  }

  /** Pays the other side again and again; tells of its progress. */
  async pay(id: string, times: number, amount: string): Promise<number> {
    const channel = this.#channel(id)
    const { index } = channel
    const started = performance.now()
    for (let i = 1; i <= times; i++) {
      await channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount: BigInt(amount) }))
      if (i % 50 === 0) process.send?.({ progress: i })
    }
    return (performance.now() - started) / 1000
  }

  /** Keeps the state that is the newest now. */
  keep(id: string): void {
    const { signedState } = this.#channel(id)
    if (signedState) this.#kept.set(id, signedState)
  }

  settle(id: string): Promise<void> {
    return this.#channel(id).settle()
  }

  /** Registers the state that was kept, as if nothing had happened since. */
  async cheat(id: string): Promise<string> {
    const signed = this.#kept.get(id)
    if (signed === undefined) throw new Error('nothing was kept')
    this.#channel(id).close() // an honest client would refute its own cheating
    await this.#backend.adjudicator.register({ signed, subChannels: [] })
    return String(signed.state.version)
  }

  /** After cheating: take what is left. */
  async comeBack(): Promise<void> {
    await this.#client.restore()
  }

  /** Resolves when the channel is over for us. */
  async over(id: string): Promise<void> {
    await this.#client.channel(id as Channel['id'])?.watch()
  }

  state(id: string) {
    const channel = this.#client.channel(id as Channel['id'])
    if (channel === undefined) return undefined
    const { version, allocation } = channel.state
    return {
      phase: channel.phase,
      version: String(version),
      balances: (allocation.balances[0] ?? []).map(String),
      events: this.#events.get(id) ?? [],
    }
  }

  async stop(): Promise<void> {
    await this.#client.close()
    await this.#bus.close()
    await this.#backend.close()
    await this.#store.close()
    await rm(this.#path, { recursive: true, force: true })
  }

  #channel(id: string): Channel {
    const channel = this.#client.channel(id as Channel['id'])
    if (channel === undefined) throw new Error(`there is no channel ${id}`)
    return channel
  }
}

let party: Party | undefined
process.on('message', (call: Call) => void answer(call))
process.on('disconnect', () => process.exit(0))

async function answer({ id, method, args }: Call): Promise<void> {
  try {
    process.send?.({ id, result: await perform(method, args) })
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  }
}

async function perform(method: string, args: readonly unknown[]): Promise<unknown> {
  if (method === 'start') {
    party = await Party.start(args[0] as PartyOptions)
    return party.listen()
  }
  if (party === undefined) throw new Error('start comes first')
  const call: unknown = Reflect.get(party, method)
  if (typeof call !== 'function') throw new Error(`no method ${method}`)
  return Reflect.apply(call, party, args)
}
