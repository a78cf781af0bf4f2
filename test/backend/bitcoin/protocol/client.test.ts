// What the channels of a client on Lightning do beyond the suite that all ledgers share.
import { expect } from 'chai'
import type { NodeChain } from '../../../../backend/bitcoin/node/index.js'
import { BitcoinBackend, type BitcoinBackendOptions } from '../../../../backend/bitcoin/protocol/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { type Amount, isError, toHex, transfer } from '../../../../channel/index.js'
import { accept, type Channel, Client, reject } from '../../../../client/index.js'
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
const CAPACITY = 1_000_000_000n

function bytesOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}

/** Tells of the first message that its owner hears, whoever takes it. */
class HeedfulBus extends PeerBus {
  readonly heard: Promise<void>
  #hear: () => void = () => undefined

  constructor(...options: ConstructorParameters<typeof PeerBus>) {
    super(...options)
    this.heard = new Promise((resolve) => {
      this.#hear = resolve
    })
  }

  override onRaw(types: readonly number[], handler: RawHandler): () => void {
    return super.onRaw(types, (...message) => {
      this.#hear()
      return handler(...message)
    })
  }
}

/** Two clients over one chain, the first of which knows where the second is. */
class Two implements AsyncDisposable {
  readonly chain: LedgerChain
  readonly first: Client
  readonly second: Client
  readonly secondBus: HeedfulBus
  /** The first's. */
  readonly backend: BitcoinBackend
  readonly store: MemoryStore
  readonly #others: { readonly bus: PeerBus; readonly client: Client }[] = []
  readonly #alone: (store: MemoryStore) => Promise<Channel>
  readonly #buses: readonly PeerBus[]
  readonly #propose: () => Promise<Channel>

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
      return { bus, backend, store, client: new Client({ bus, store, backend }) }
    })
    const [one, other] = made
    if (one === undefined || other === undefined) throw new Error('two are made')
    this.first = one.client
    this.second = other.client
    this.secondBus = other.bus
    this.backend = one.backend
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
    this.#propose = async () => {
      if (!one.bus.isConnected(other.bus.id)) {
        await other.bus.listen(transport.listener('second'))
        one.bus.connect(other.bus.id, 'memory://second')
      }
      return one.client.proposeChannel({
        peers: [other.bus.id],
        allocation: { assets: [one.backend.asset], balances: [[CAPACITY, 0n]] },
        challengeDuration: 144n,
      })
    }
  }

  static async begin(
    second: (chain: LedgerChain) => Partial<BitcoinBackendOptions> = () => ({}),
    first: Partial<BitcoinBackendOptions> = {},
  ): Promise<Two> {
    const chain = new LedgerChain(new BitcoinLedger(200))
    const two = new Two(chain, second(chain), first)
    await chain.mine()
    return two
  }

  propose(): Promise<Channel> {
    return this.#propose()
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

  /** Opens a channel, and accepts whatever is paid over it. */
  async open(): Promise<Channel> {
    this.second.handleProposals(accept)
    this.second.handleUpdates(accept)
    const opened = this.propose()
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

describe('bitcoin: clients', () => {
  it('what a quick peer says while the node is starting waits for it, and costs no connection', async () => {
    let goOn: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const slow = (chain: LedgerChain): NodeChain => ({
      chainHash: chain.chainHash,
      follow: async (from, handler) => {
        await held
        return chain.follow(from, handler)
      },
      broadcast: (transactions) => chain.broadcast(transactions),
      feeTable: () => chain.feeTable(),
    })
    await using two = await Two.begin((chain) => ({ chain: slow(chain) }))
    two.second.handleProposals(() => reject('heard you'))
    const proposed = two.propose().catch((error: unknown) => error)
    await Promise.race([two.secondBus.heard, proposed])
    goOn()
    const error: unknown = await proposed
    expect(error instanceof Error && error.message).contains('heard you')
  })

  it('more updates at once than the channel carries HTLCs wait, and each edit is made of what there is then', async () => {
    await using two = await Two.begin(() => ({ policy: { maxAcceptedHtlcs: 1 } }))
    const channel = await two.open()
    const give = (amount: Amount) => channel.update((draft) => transfer(draft, { from: 0, to: 1, amount }))
    const giveUpTo = (amount: Amount) =>
      channel.update((draft) => {
        draft.balances[0] = [CAPACITY - amount, amount]
      })
    await give(100_000_000n)
    await Promise.all([give(1_000_000n), giveUpTo(104_000_000n), give(5_000_000n), giveUpTo(109_000_000n)])
    expect(channel.state.allocation.balances).deep.equals([[CAPACITY - 109_000_000n, 109_000_000n]])
  })

  it('a lock that our own limits refuse is refused at once, and says why', async () => {
    // Room for three of these, which no commitment has an output for.
    const policy = { maxDustExposure: { fixed: msat(1_000_000n) } }
    await using two = await Two.begin(undefined, { policy })
    const channel = await two.open()
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const lock = (n: number) =>
      channel.lock({ hash: toHex(bytesOf(`hash ${n}`)), amount: 300_000n, deadline })
    for (let n = 0; n < 3; n++) await lock(n)
    const refused = await lock(3).catch((error: unknown) => error)
    expect(isError(refused, 'INVALID_TRANSITION') && refused.message).contains('dust')
    expect(channel.locks.length).equals(3)
  })

  it('settled with an open lock: nothing is disputed while the other side is there, however long it takes', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const [peer] = two.second.channels()
    if (peer === undefined) throw new Error('it is the second’s, too')
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const preimage = bytesOf('preimage')
    const lock = await channel.lock({ hash: toHex(sha256(preimage)), amount: 10_000_000n, deadline })
    const refused = await channel.settle({ locks: 'refuse' }).catch((error: unknown) => error)
    expect(isError(refused, 'INVALID_TRANSITION') && channel.phase).equals('acting')
    const events = told(channel)
    const settled = channel.settle({ timeout: 1 })
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'final' ? true : undefined))
    const late = await channel
      .lock({ hash: toHex(bytesOf('another')), amount: 1n, deadline })
      .catch((error: unknown) => error)
    expect(isError(late, 'PHASE_MISMATCH'), 'nothing is locked any more').equals(true)
    for (let block = 0; block < 3; block++) await two.chain.mine()
    expect([channel.phase, channel.locks.map(({ id }) => id)]).deep.equals(['final', [lock.id]])
    await peer.release(lock.id, toHex(preimage))
    await node.eventually(() => {
      const agreed = node.channels().find(({ live }) => live?.isClosingAgreed)
      return agreed === undefined ? undefined : true
    })
    for (let block = 0; block < 10 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    expect(events.filter(({ kind }) => kind === 'registered')).deep.equals([])
    expect(peer.state.allocation.balances).deep.equals([[CAPACITY - 110_000_000n, 110_000_000n]])
  })

  it('settled while the other side is away, which comes back in its time: together', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const events = told(channel)
    two.part()
    const node = await two.backend.node()
    await node.eventually(() => (node.channels()[0]?.live?.isConnected === false ? true : undefined))
    const settled = channel.settle()
    two.meet()
    await node.eventually(() => (node.channels()[0]?.live?.isClosingAgreed ? true : undefined))
    for (let block = 0; block < 10 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    expect(events.map(({ kind }) => kind)).deep.equals(['concluded', 'concluded'])
  })

  it('a dispute is told as every ledger tells one, and its claims are obligations', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const [peer] = two.second.channels()
    if (peer === undefined) throw new Error('it is the second’s, too')
    await channel.update((draft) => transfer(draft, { from: 0, to: 1, amount: 100_000_000n }))
    const deadline = BigInt(two.chain.ledger.tip.height) + 60n
    const lock = await channel.lock({ hash: toHex(bytesOf('hash')), amount: 10_000_000n, deadline })
    const [ours, theirs] = [told(channel), told(peer)]
    expect(channel.obligations.map(({ action }) => action)).deep.equals(['goOnChain'])
    const settled = channel.settle({ timeout: 1, locks: 'dispute' })
    const node = await two.backend.node()
    await node.eventually(() => (channel.phase === 'registering' ? true : undefined))
    await two.chain.mine()
    const { height } = two.chain.ledger.tip
    const [registered] = ours
    expect(registered).deep.include({ kind: 'registered', status: 'seen', by: 0 })
    expect(theirs).deep.equals(ours)
    expect(told(peer), 'who listens only now hears the same').deep.equals(theirs)
    expect(registered?.deadline).equals(BigInt(height) + channel.params.challengeDuration)
    expect(channel.obligations.map(({ action, lock: about }) => [action, about])).deep.equals([
      ['timeOut', lock.id],
    ])
    for (let block = 0; block < 400 && channel.phase !== 'withdrawn'; block++) await two.chain.mine()
    await settled
    const kinds = ours.map((one) => [one.kind, one.status])
    expect(kinds.slice(0, 2)).deep.equals([
      ['registered', 'seen'],
      ['registered', 'final'],
    ])
    expect(kinds).deep.include(['concluded', 'final'])
    expect(kinds.filter(([kind]) => kind === 'concluded').length).equals(1)
  })

  it('who publishes what was revoked is seen at once, and what is taken for it', async () => {
    await using two = await Two.begin()
    const channel = await two.open()
    const give = (amount: Amount) => channel.update((draft) => transfer(draft, { from: 0, to: 1, amount }))
    await give(100_000_000n)
    const old = two.store.clone()
    await give(300_000_000n)
    const [victim] = two.second.channels()
    if (victim === undefined) throw new Error('it is the second’s, too')
    const cheat = await two.alone(old)
    const events = told(victim)
    cheat.settle({ timeout: 1 }).catch(() => undefined)
    while (cheat.phase !== 'registering') await new Promise(setImmediate)
    for (let block = 0; block < 12; block++) await two.chain.mine()
    const [registered, alarm, ...others] = events
    expect(registered).deep.include({ kind: 'registered', by: 0, status: 'seen' })
    expect(alarm).deep.include({ kind: 'atRisk', reason: 'olderState' })
    const taken = others.filter((one) => one.kind === 'punished')
    expect(taken.map(({ status }) => status)).deep.equals(['seen', 'final'])
    // All that the old commitment gave to who published it.
    expect(taken[0]?.amount).satisfies((amount: bigint) => amount > 880_000_000n && amount <= 900_000_000n)
  })
})

/** What is the same for both sides of what they are told. */
interface Told {
  readonly kind: string
  readonly status?: string
  readonly amount?: bigint
  readonly deadline?: bigint
}

/** All that a channel tells now and from now on. */
function told(channel: Channel): Told[] {
  const events: Told[] = []
  channel.events$.subscribe((event) => {
    if (event.kind !== 'ledger') return events.push(event)
    // Which channel it is, is each side's own.
    const { channelID: _, cursor: __, ...rest } = event.event
    return events.push(rest)
  })
  return events
}
