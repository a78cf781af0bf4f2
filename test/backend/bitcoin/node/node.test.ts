// Two nodes over real connections, with a chain and wallets in memory.
import { expect } from 'chai'
import { type ChannelView, LightningNode } from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { preimageOf, TestNode, TestWorld } from './world.js'

describe('LightningNode', () => {
  let world: TestWorld

  beforeEach(() => {
    world = new TestWorld()
  })

  afterEach(() => world.stop())

  it('opens a channel, pays in both directions, and closes it in agreement', async () => {
    const alice = world.node('alice')
    const bob = world.node('bob')
    const [a, b] = [await alice.start(), await bob.start()]
    const opened = await a.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(300_000_000n) })
    expect(opened.phase).to.equal('awaitingReady')
    await world.chain.mine(6)
    const isNormal = ({ phase }: { phase: string }) => phase === 'normal'
    await a.until(opened.channel, isNormal)
    await b.until(0n, isNormal)

    bob.htlcs.preimages.set(toHex(sha256(preimageOf(1))), preimageOf(1))
    alice.htlcs.preimages.set(toHex(sha256(preimageOf(2))), preimageOf(2))
    await alice.offer(0n, msat(20_000_000n), 1)
    await bob.offer(0n, msat(5_000_000n), 2)
    await alice.offer(0n, msat(7_000_000n), 3)
    const isSettled = ({ live }: { live?: { htlcs: readonly unknown[] } }) => live?.htlcs.length === 0
    await a.until(0n, isSettled)
    await b.until(0n, isSettled)
    expect([...alice.htlcs.ends]).to.have.deep.members([
      ['alice 1', 'fulfilled 20000000'],
      ['alice 3', 'failed 7000000'],
    ])
    expect([...bob.htlcs.ends]).to.deep.equal([['bob 2', 'fulfilled 5000000']])
    expect(a.channel(0n)?.live?.balances).to.deep.equal({ local: 685_000_000n, remote: 315_000_000n })
    expect(b.channel(0n)?.live?.balances).to.deep.equal({ local: 315_000_000n, remote: 685_000_000n })

    await a.close(0n)
    await a.until(0n, ({ phase }) => phase === 'negotiating')
    await b.until(0n, ({ phase }) => phase === 'negotiating')
    await a.until(0n, ({ live }) => live?.isClosingAgreed === true)
    await b.until(0n, ({ live }) => live?.isClosingAgreed === true)
    await world.chain.mine(6)
    expect(a.channels()).to.deep.equal([])
    expect(b.channels()).to.deep.equal([])
    const paid = (node: TestNode) =>
      node.wallet.scripts.reduce((sum, script) => sum + world.chain.paid(script), 0n)
    // Whose transaction it is pays for it.
    const fees = [685_000n - paid(alice), 315_000n - paid(bob)].sort((a, b) => (a < b ? -1 : 1))
    expect(fees).to.deep.equal([0n, 674n])
    const left = () => [alice, bob].flatMap(({ store }) => [...store.snapshot().keys()])
    // The last rows go page by page.
    while (left().some((key) => key.startsWith('lightning-revoked/'))) await nextTurn()
    // What each keeps for the other it keeps for two weeks.
    const isOther = (key: string) => /^(test-switch|lightning-stored|lightning-node\/kept)\//.test(key)
    expect(left().filter((key) => !isOther(key))).to.have.members([
      'lightning-node/cursor',
      'lightning-node/next',
      'lightning-node/cursor',
      'lightning-node/next',
    ])
  })

  it('a peer that was connected before the node began is as good as one that comes: it opens, and is opened to', async () => {
    const [alice, bob] = [world.node('alice'), world.node('bob')]
    const [first, b] = [await alice.start(), await bob.start()]
    first.connect(bob.id)
    await first.eventually(() => first.isConnected(bob.id) || undefined)
    await b.eventually(() => b.isConnected(alice.id) || undefined)
    await first.stop()
    const { bus } = alice
    if (bus === undefined) throw new Error('alice has a bus')
    for (const opener of ['alice', 'bob'] as const) {
      await using again = await LightningNode.start({
        bus,
        store: new MemoryStore(),
        chain: world.chain,
        wallet: alice.wallet,
        seed: sha256(new TextEncoder().encode(`another seed for ${opener}`)),
        htlcs: alice.htlcs,
      })
      again.handleChannels(() => ({ accept: true }))
      // Nobody has said anything yet.
      await again.eventually(() => again.isConnected(bob.id) || undefined)
      const opened =
        opener === 'alice'
          ? await again.open({ peer: bob.id, capacity: sat(1_000_000n) })
          : await b.open({ peer: alice.id, capacity: sat(1_000_000n) })
      expect(opened.phase).to.equal('awaitingReady')
    }
  })

  it('a peer whose address was given once -> is found again after each restart, until the last channel is over', async () => {
    const alice = world.node('alice')
    // Nobody's bus is told of him.
    const bob = new TestNode('bob', world)
    try {
      const [a, b] = [await alice.start(), await bob.start()]
      const { channel } = await a.open({ peer: bob.id, address: 'memory://bob', capacity: sat(1_000_000n) })
      await world.chain.mine(6)
      const isNormal = ({ phase }: { phase: string }) => phase === 'normal'
      await a.until(channel, isNormal)
      await b.until(0n, isNormal)
      for (let i = 0; i < 2; i++) {
        const again = await alice.crash()
        await again.until(channel, ({ live }) => live?.isConnected === true)
      }
      // He moves, and Alice is told.
      await bob.stop()
      const elsewhere = new TestNode('bob', world, bob.store, 'elsewhere')
      await elsewhere.start()
      alice.running.connect(bob.id, 'memory://elsewhere')
      await alice.running.until(channel, ({ live }) => live?.isConnected === true)
      const again = await alice.crash()
      await again.until(channel, ({ live }) => live?.isConnected === true)
      const addresses = () => [...alice.store.snapshot().keys()].filter((key) => key.includes('node/peer/'))
      expect(addresses()).to.have.length(1)
      await again.close(channel)
      await again.until(channel, ({ live }) => live?.isClosingAgreed === true)
      await world.chain.mine(6)
      await again.eventually(() => (again.channels().length === 0 ? true : undefined))
      expect(addresses()).to.deep.equal([])
      await elsewhere.stop()
    } finally {
      await bob.stop()
    }
  })

  it('the opener keeps commitments near to what gets them into blocks, and says what is ours meanwhile', async () => {
    const alice = world.node('alice')
    const bob = world.node('bob')
    const [a, b] = [await alice.start(), await bob.start()]
    await a.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(300_000_000n) })
    await world.chain.mine(6)
    const feerate = (rate: number) => (view: ChannelView) => view.live?.feerate === rate
    for (const node of [a, b]) await node.until(0n, feerate(1000))
    // A fifth off at most: nothing is said.
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate: feeratePerKw(1199) }] }
    await world.chain.mine(1)
    expect([a, b].map((node) => node.channel(0n)?.live?.feerate)).to.deep.equal([1000, 1000])
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate: feeratePerKw(1700) }] }
    await world.chain.mine(1)
    for (const node of [a, b]) await node.until(0n, feerate(1700))
    // A full mempool: estimates are far above what our commitments need to pay, for longer than anybody remembers.
    const dear = { 2: 40_000, 6: 30_000, 12: 25_000, 144: 8000, 1008: 6000 }
    const estimates = Object.entries(dear).map(([blocks, rate]) => ({
      blocks: Number(blocks),
      feerate: feeratePerKw(rate),
    }))
    for (const [floor, count] of [
      [2000, 150],
      [3200, 1],
    ] as const) {
      world.chain.fees = { floor: feeratePerKw(floor), estimates }
      await world.chain.mine(count)
      for (const node of [a, b]) await node.until(0n, feerate(Math.max(2500, floor)))
    }
    const [his] = b.claimable(0n)
    expect(his).to.deep.equal({ kind: 'onClose', amount: 300_000n })
    expect(a.obligations()).to.deep.equal([{ channel: 0n, kind: 'watch', within: 144 }])
  })
})

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
