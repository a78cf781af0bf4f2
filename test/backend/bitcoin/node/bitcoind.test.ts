// Whole nodes on a real chain: opened, used, closed in agreement, alone with HTLCs, and by a cheat. Not a satoshi is lost
// but to fees.
import { expect } from 'chai'
import { BitcoindSource } from '../../../../backend/bitcoin/chain/index.js'
import { LightningNode, lightningInit, sourceChain } from '../../../../backend/bitcoin/node/index.js'
import type { PaymentEvent } from '../../../../backend/bitcoin/payments/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { BitcoindWallet } from '../../../../backend/bitcoin/wallet/index.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { msat, sat } from '../../../../channel/units.js'
import { createIdentity, type MemoryTransport, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { mineNew } from '../chain/node.js'

const NETWORK = 'regtest'
/** Short, so that no test mines for a day. */
const DELAY = 6
/** Of an anchor, which nobody spends without need. */
const ANCHOR = 330n

/** A node with all that it stands on, but the connections, which come and go. */
class Party {
  readonly store: MemoryStore
  readonly seed: Uint8Array
  node: LightningNode | undefined
  bus: PeerBus | undefined
  readonly events: PaymentEvent[] = []

  constructor(
    readonly name: string,
    readonly world: World,
    readonly wallet: BitcoindWallet,
    store = new MemoryStore(),
  ) {
    this.store = store
    this.seed = sha256(new TextEncoder().encode(`seed of ${name}`))
  }

  get id() {
    return createIdentity(this.seed).id
  }

  get running(): LightningNode {
    if (this.node === undefined) throw new Error(`${this.name} does not run`)
    return this.node
  }

  async start(transport: MemoryTransport = this.world.transport): Promise<LightningNode> {
    const { source } = this.world
    const chain = sourceChain({ source, network: NETWORK, pollingInterval: 10 })
    const bus = new PeerBus({
      identity: createIdentity(this.seed),
      dialers: [transport.dialer],
      limits: { backoffMin: 5, backoffMax: 20 },
      ...lightningInit(chain.chainHash),
    })
    await bus.listen(transport.listener(this.name))
    this.bus = bus
    this.node = await LightningNode.start({
      bus,
      store: this.store,
      chain,
      wallet: this.wallet,
      seed: this.seed,
      policy: { toSelfDelay: { min: DELAY, max: DELAY } },
      payments: { spontaneous: 'hold' },
    })
    this.node.handleChannels(() => ({ accept: true }))
    this.node.payments.events$.subscribe((event) => this.events.push(event))
    this.node.errors$.subscribe((error) => this.world.errors.push(`${this.name}: ${error.message}`))
    return this.node
  }

  async stop(): Promise<void> {
    await this.node?.stop()
    await this.bus?.close()
    this.node = undefined
    this.bus = undefined
  }

  /** All that the wallet has or is about to have, in satoshis. */
  async coins(): Promise<bigint> {
    const { confirmed, unconfirmed, immature, reserved } = await this.wallet.balance()
    return confirmed + unconfirmed + immature + reserved
  }

  /** Pays what the peer gets without having asked, and returns when the peer holds it. */
  async send(to: Party, number: number, amount: bigint): Promise<Hex> {
    const request = { kind: 'spontaneous', peer: to.id, amount: msat(amount) } as const
    this.running.payments.pay({ id: toHex(sha256(Uint8Array.of(number))), request }).catch(() => undefined)
    const isThere = ({ kind, payment }: PaymentEvent) =>
      kind === 'held' && payment.since >= this.world.since && !this.world.held.has(payment.paymentHash)
    const event = await to.running.eventually(() => to.events.find(isThere))
    this.world.held.add(event.payment.paymentHash)
    return event.payment.paymentHash
  }
}

class World {
  readonly transport = memoryTransport()
  readonly parties: Party[] = []
  readonly errors: string[] = []
  /** Payments that were seen to be held. */
  readonly held = new Set<Hex>()
  readonly since = Date.now()

  constructor(
    readonly bitcoind: Bitcoind,
    readonly source: BitcoindSource,
  ) {}

  async party(name: string): Promise<Party> {
    const wallet = await BitcoindWallet.open({
      url: this.bitcoind.url,
      credentials: { cookieFile: this.bitcoind.cookieFile },
      wallet: `${name} ${this.since}`,
      store: new MemoryStore(),
    })
    const party = new Party(name, this, wallet)
    const { address } = await wallet.newAddress()
    await fundFromMiner(this.bitcoind, address)
    this.parties.push(party)
    return party
  }

  /** Blocks, one by one, each of which all have dealt with. */
  async mine(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await mineNew(this.bitcoind, 1)
      await this.synced()
    }
  }

  async synced(): Promise<void> {
    const height = Number(await this.bitcoind.rpc('getblockcount'))
    for (const { node } of this.parties) {
      await node?.eventually(() => node.height === height || undefined)
    }
    // What follows from the block has had its time to get into the mempool.
    for (let i = 0; i < 3; i++) await this.bitcoind.rpc('getblockcount')
  }

  /** Fees of all transactions in blocks above a height. */
  async feesAbove(height: number): Promise<bigint> {
    const top = Number(await this.bitcoind.rpc('getblockcount'))
    let fees = 0n
    for (let at = height + 1; at <= top; at++) {
      const stats = await this.bitcoind.rpc('getblockstats', [at, ['totalfee']])
      fees += BigInt((stats as { totalfee: number }).totalfee)
    }
    return fees
  }

  async stop(): Promise<void> {
    for (const party of this.parties) {
      await party.stop()
      await party.wallet.close()
    }
  }
}

/** What a block makes, and a hundred blocks above it. */
async function fundFromMiner(bitcoind: Bitcoind, address: string): Promise<void> {
  await bitcoind.rpc('generatetoaddress', [1, address])
  await mineNew(bitcoind, 100)
}

describe('LightningNode: bitcoind', function () {
  this.timeout(60_000)
  let bitcoind: Bitcoind
  let source: BitcoindSource
  let world: World

  before(async () => {
    bitcoind = await startBitcoind()
    source = new BitcoindSource({ url: bitcoind.url, credentials: { cookieFile: bitcoind.cookieFile } })
  })

  after(async () => {
    await source.close()
    await bitcoind.stop()
  })

  beforeEach(() => {
    world = new World(bitcoind, source)
  })

  afterEach(() => world.stop())

  it('opens, pays and closes in agreement: balances are exact', async () => {
    const { alice, bob, channel, begun } = await opened()
    const paid = await alice.send(bob, 1, 50_000_000n)
    await bob.running.payments.release(paid)
    const back = await bob.send(alice, 2, 20_000_000n)
    await alice.running.payments.release(back)
    const isSettled = (node: LightningNode) =>
      node.eventually(() => node.channels().every(({ live }) => live?.htlcs.length === 0) || undefined)
    await isSettled(alice.running)
    await isSettled(bob.running)
    await alice.running.close(channel)
    await alice.running.until(channel, ({ live }) => live?.isClosingAgreed === true)
    await bob.running.until(0n, ({ live }) => live?.isClosingAgreed === true)
    await world.mine(6)
    expect(alice.running.channels()).to.deep.equal([])
    expect(bob.running.channels()).to.deep.equal([])
    const fees = await world.feesAbove(begun.height)
    const [hers, his] = [await alice.coins(), await bob.coins()]
    expect(hers + his).to.equal(begun.alice + begun.bob - fees)
    // He pays at most for the closing transaction.
    const most = begun.bob + 330_000n
    expect(his <= most && his > most - 2000n, `${his} of ${most}`).to.equal(true)
    expect(world.errors).to.deep.equal([])
  })

  it('closes alone with HTLCs both ways: the one is claimed with its preimage, the other times out', async () => {
    const { alice, bob, channel, begun } = await opened()
    const claimed = await alice.send(bob, 1, 60_000_000n)
    await bob.send(alice, 2, 40_000_000n)
    // From now on nothing is said.
    await bob.stop()
    await alice.running.forceClose(channel)
    await world.mine(1)
    await bob.start()
    await bob.running.payments.release(claimed)
    for (let i = 0; i < 80 && alice.running.channels().length + bob.running.channels().length > 0; i++)
      await world.mine(1)
    expect(alice.running.channels(), world.errors.join()).to.deep.equal([])
    expect(bob.running.channels(), world.errors.join()).to.deep.equal([])
    const ends = (party: Party) => party.events.map(({ kind }) => kind).filter((kind) => kind !== 'held')
    expect(ends(alice)).to.deep.equal(['sent', 'cancelled'])
    expect(ends(bob)).to.deep.equal(['received', 'failed'])
    await expectExact(alice, bob, begun)
    // All of his that was in outputs: his balance, what was claimed, and what came back.
    const his = (await bob.coins()) - begun.bob
    expect(his <= 360_000n && his > 340_000n, `${his}`).to.equal(true)
  })

  it('a revoked commitment costs all that the cheat had', async () => {
    const { alice, bob, channel, begun } = await opened()
    const old = alice.store.clone()
    const paid = await alice.send(bob, 1, 500_000_000n)
    await bob.running.payments.release(paid)
    await alice.running.eventually(
      () => alice.running.channels().every(({ live }) => live?.htlcs.length === 0) || undefined,
    )
    await alice.stop()
    // She goes back to what she had, and keeps away from her peer.
    const mallory = new Party('alice', world, alice.wallet, old)
    await mallory.start(memoryTransport())
    await mallory.running.forceClose(channel)
    await mallory.stop()
    world.parties.splice(world.parties.indexOf(alice), 1)
    for (let i = 0; i < 20 && bob.running.channels().length > 0; i++) await world.mine(1)
    expect(bob.running.channels(), world.errors.join()).to.deep.equal([])
    const spends = (await bob.coins()) - begun.bob
    expect(spends <= 1_000_000n && spends > 980_000n, `${spends}`).to.equal(true)
    await expectExact(alice, bob, begun)
    await alice.wallet.close()
  })

  async function opened() {
    const alice = await world.party('alice')
    const bob = await world.party('bob')
    await alice.start()
    await bob.start()
    await world.synced()
    const height = Number(await bitcoind.rpc('getblockcount'))
    const begun = { alice: await alice.coins(), bob: await bob.coins(), height }
    const { channel } = await alice.running.open({
      peer: bob.id,
      address: 'memory://bob',
      capacity: sat(1_000_000n),
      push: msat(300_000_000n),
    })
    await world.mine(3)
    for (const { running } of [alice, bob]) await running.until(0n, ({ phase }) => phase === 'normal')
    return { alice, bob, channel, begun }
  }

  /** Whatever is not in a wallet went to miners, or is an anchor. */
  async function expectExact(
    alice: Party,
    bob: Party,
    begun: { alice: bigint; bob: bigint; height: number },
  ) {
    const fees = await world.feesAbove(begun.height)
    const missing = begun.alice + begun.bob - (await alice.coins()) - (await bob.coins()) - fees
    expect([0n, ANCHOR, 2n * ANCHOR], `${missing} sat are missing`).to.include(missing)
  }
})
