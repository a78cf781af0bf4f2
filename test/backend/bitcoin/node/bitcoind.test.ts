// Whole nodes on a real chain: opened, used, closed in agreement, alone with HTLCs, and by a cheat. Not a satoshi is lost
// but to fees.
import { expect } from 'chai'
import type { LightningNode } from '../../../../backend/bitcoin/node/index.js'
import { memoryTransport } from '../../../../peer/index.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { Party, World } from './regtest.js'

describe('LightningNode: bitcoind', function () {
  this.timeout(60_000)
  let bitcoind: Bitcoind
  let world: World

  before(async () => {
    bitcoind = await startBitcoind()
  })

  after(() => bitcoind.stop())

  beforeEach(() => {
    world = new World(bitcoind)
  })

  afterEach(() => world.stop())

  it('opens, pays and closes in agreement: balances are exact', async () => {
    const { alice, bob, channel, begun } = await world.opened()
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
    const { alice, bob, channel, begun } = await world.opened()
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
    await world.expectExact(alice, bob, begun)
    // All of his that was in outputs: his balance, what was claimed, and what came back.
    const his = (await bob.coins()) - begun.bob
    expect(his <= 360_000n && his > 340_000n, `${his}`).to.equal(true)
  })

  it('a revoked commitment costs all that the cheat had', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const old = alice.store.clone()
    const paid = await alice.send(bob, 1, 500_000_000n)
    await bob.running.payments.release(paid)
    await alice.running.eventually(
      () => alice.running.channels().every(({ live }) => live?.htlcs.length === 0) || undefined,
    )
    await alice.stop()
    // She goes back to what she had, and keeps away from her peer.
    const mallory = new Party('alice', world, alice.wallet, old)
    await mallory.start({ transport: memoryTransport() })
    await mallory.running.forceClose(channel)
    await mallory.stop()
    world.parties.splice(world.parties.indexOf(alice), 1)
    for (let i = 0; i < 20 && bob.running.channels().length > 0; i++) await world.mine(1)
    expect(bob.running.channels(), world.errors.join()).to.deep.equal([])
    const spends = (await bob.coins()) - begun.bob
    expect(spends <= 1_000_000n && spends > 980_000n, `${spends}`).to.equal(true)
    await world.expectExact(alice, bob, begun)
    await alice.wallet.close()
  })
})
