// What a node's wallet is asked for when channels close, and what it keeps for that while they are open.
import { expect } from 'chai'
import { anchorReserve } from '../../../../backend/bitcoin/node/anchor-reserve.js'
import { feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import type { InputsRequest } from '../../../../backend/bitcoin/wallet/index.js'
import { type StrangeChannel, Stranger, until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

describe('LightningNode: coins', () => {
  let world: TestWorld
  let alice: TestNode
  let mallory: Stranger

  beforeEach(async () => {
    world = new TestWorld()
    alice = world.node('alice')
    await alice.start()
    mallory = await Stranger.meet(world, alice, 'mallory')
  })

  afterEach(async () => {
    await mallory.close()
    await world.stop()
  })

  it('f.1 row 20: many channels close at once, coins are short -> what is due soonest asks first, then where most is at stake', async () => {
    const offers = [
      { amount: 20_000_000n, within: 60 },
      { amount: 20_000_000n, within: 30 },
      { amount: 50_000_000n, within: 30 },
    ]
    const channels: StrangeChannel[] = []
    for (const i of offers.keys()) channels.push(await inUse(i))
    for (const [i, { amount, within }] of offers.entries()) {
      const expiry = world.chain.tip.height + within
      await alice.offer(BigInt(i), msat(amount), i, expiry)
      alice.htlcs.incoming.set(BigInt(i), expiry + 40)
      await locked(channels[i], BigInt(i))
    }
    const asked: string[] = []
    const { wallet } = alice
    let isPoor = true
    const reserve = wallet.reserveInputs.bind(wallet)
    wallet.reserveInputs = async (request: InputsRequest) => {
      asked.push(request.purpose)
      if (isPoor) throw new Error('all coins are in use')
      isPoor = true
      return reserve(request)
    }
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate: feeratePerKw(5000) }] }
    await world.chain.mine(1)
    for (const i of offers.keys()) await alice.running.forceClose(BigInt(i))
    await until(() => asked.length === 3)
    // No miner takes any of them.
    world.chain.mempool.clear()
    asked.length = 0
    isPoor = false
    await world.chain.mine(1)
    await until(() => asked.length === 3)
    expect(asked.map((purpose) => purpose.split(' ')[2])).to.deep.equal(['2', '1', '0'])
    expect(wallet.reserved.size, 'there was a coin for one').to.equal(1)
  })

  it('f.1 row 14: who funds a channel keeps what children cost if all channels closed at once', async () => {
    const kept: (bigint | undefined)[] = []
    const { wallet } = alice
    const fund = wallet.fund.bind(wallet)
    wallet.fund = async (request) => {
      kept.push(request.keep)
      return fund(request)
    }
    const bob = world.node('bob')
    await bob.start()
    const one = anchorReserve(feeratePerKw(1000))
    for (let i = 0; i < 3; i++)
      await alice.running.open({ peer: bob.id, address: 'memory://bob', capacity: sat(100_000n) })
    expect(kept).to.deep.equal([one, 2n * one, 3n * one])
    // One that a peer paid for may have to be closed as well.
    await inUse(0, 3n)
    await alice.running.open({ peer: bob.id, capacity: sat(100_000n) })
    expect(kept.at(-1)).to.equal(5n * one)
  })

  it('f.1 row 14: what is kept for a channel pays for its commitment with ten HTLCs and a child, at what is urgent', () => {
    const weight = BigInt(1124 + 10 * 172 + 700)
    for (const [urgent, reckoned] of [
      [253, 2500n],
      [2500, 2500n],
      [7000, 7000n],
      [12_500, 12_500n],
      [1_000_000, 12_500n],
    ] as const)
      expect(anchorReserve(feeratePerKw(urgent))).to.equal((reckoned * weight + 999n) / 1000n)
  })

  async function inUse(number: number, channel = BigInt(number)): Promise<StrangeChannel> {
    const opened = mallory.open(number, { push: msat(400_000_000n) })
    await opened.use(world)
    await until(() => alice.running.channel(channel)?.phase === 'normal')
    return opened
  }

  async function locked(opened: StrangeChannel | undefined, channel: bigint): Promise<void> {
    await until(() => {
      opened?.hear()
      opened?.input({ kind: 'flush' })
      return alice.running.channel(channel)?.live?.htlcs[0]?.stage === 'locked'
    })
  }
})
