// Blocks that are undone under whole nodes, on a real chain: the funding of a channel is not in them any more, or what closed
// it is not, and something else comes in its place. Not a satoshi is lost but to fees.
import { expect } from 'chai'
import { encodeTransaction, sha256, type Transaction } from '../../../../backend/bitcoin/script/index.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { memoryTransport } from '../../../../peer/index.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { invalidate, mineEmpty } from '../chain/node.js'
import { CAPACITY, Party, World } from './regtest.js'

const DEPTHS = [1, 2, 3, 4, 5] as const

describe('LightningNode: reorgs', function () {
  this.timeout(60_000)
  let bitcoind: Bitcoind
  let world: World

  before(async () => {
    bitcoind = await startBitcoind()
  })

  after(() => bitcoind.stop())

  beforeEach(() => {
    world = new World(bitcoind, { minimumDepth: { min: 1, max: 1 } })
  })

  afterEach(() => world.stop())

  for (const depth of DEPTHS) {
    it(`${depth} blocks take the funding with them -> nothing is added until another block has it, then all goes on`, async () => {
      const { alice, bob, channel, begun, funding } = await world.opened()
      const place = alice.running.channel(channel)?.live?.shortChannelID
      await world.mine(depth - 1)
      const held = await alice.send(bob, 1, 50_000_000n)
      await undone(depth)
      for (const { running } of [alice, bob])
        expect(running.channel(0n)?.live).to.include({ confirmations: 0, isConnected: true })
      // A child that pays for it may be there, too.
      expect(await bitcoind.rpc('getrawmempool')).to.include(funding)
      const request = { kind: 'spontaneous', peer: bob.id, amount: msat(20_000_000n) } as const
      const early = alice.running.payments.pay({ id: toHex(sha256(Uint8Array.of(2))), request })
      const refusal = await early.catch((error: unknown) => error)
      expect(isError(refusal, 'PAYMENT_REFUSED'), String(refusal)).to.equal(true)
      await world.mine(1)
      for (const { running } of [alice, bob]) {
        const live = running.channel(0n)?.live
        expect(live).to.include({ confirmations: 1 })
        expect(live?.shortChannelID).to.not.equal(place)
      }
      await bob.running.payments.release(held)
      const late = await alice.send(bob, 3, 30_000_000n)
      await bob.running.payments.release(late)
      await Promise.all([alice.idle(), bob.idle()])
      expect(alice.running.channel(channel)?.live?.balances.local).to.equal(620_000_000n)
      await alice.running.close(channel)
      await alice.publishes(({ outputs }) => outputs.length === 2 && outputs[0]?.amount !== CAPACITY)
      await world.mineOut(7)
      await world.expectExact(alice, bob, begun)
      expect(world.errors).to.deep.equal([])
    })
  }

  for (const depth of DEPTHS) {
    const closer = depth % 2 === 0 ? 'alice' : 'bob'
    it(`${depth} blocks take the agreed closing with them, and ${closer}'s commitment comes in its place -> each has its own`, async () => {
      const { alice, bob, channel, begun } = await world.opened()
      const paid = await alice.send(bob, 1, 50_000_000n)
      await bob.running.payments.release(paid)
      await Promise.all([alice.idle(), bob.idle()])
      const commitment = await commitmentOf(closer === 'alice' ? alice : bob)
      await alice.running.close(channel)
      for (const { running } of [alice, bob])
        await running.until(0n, ({ live }) => live?.isClosingAgreed === true)
      await alice.publishes(({ outputs }) => outputs.length === 2 && outputs[0]?.amount !== CAPACITY)
      await world.mine(depth)
      const phases = [alice, bob].map(({ running }) => running.channel(0n)?.phase)
      await undone(depth, commitment)
      expect(phases.includes('failed')).to.equal(false)
      for (const { running } of [alice, bob]) expect(running.channel(0n)?.phase).to.equal('failed')
      await world.mineOut(20)
      await world.expectExact(alice, bob, begun)
      const his = (await bob.coins()) - begun.bob
      expect(his <= 350_000n && his > 340_000n, `${his}`).to.equal(true)
      expect(world.errors).to.deep.equal([])
    })
  }

  it('5 blocks take our commitment and its claims with them, and theirs comes in its place -> HTLCs end as they should', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const claimed = await alice.send(bob, 1, 60_000_000n)
    await bob.send(alice, 2, 40_000_000n)
    const his = await commitmentOf(bob)
    await alice.running.forceClose(channel)
    await bob.running.until(0n, ({ phase }) => phase === 'failed')
    await alice.publishes(({ inputs, outputs }) => inputs.length === 1 && outputs.length >= 4)
    await world.mine(1)
    await bob.running.payments.release(claimed)
    await world.mine(4)
    expect(alice.events.map(({ kind }) => kind)).to.include('sent')
    await undone(5, his)
    await world.mineOut(90)
    const ends = (party: Party) => party.events.map(({ kind }) => kind).filter((kind) => kind !== 'held')
    expect(ends(alice)).to.deep.equal(['sent', 'cancelled'])
    expect(ends(bob)).to.deep.equal(['received', 'failed'])
    await world.expectExact(alice, bob, begun)
  })

  /** Other blocks are there in place of the newest ones, and one more: the first has a transaction, the others nothing. */
  async function undone(depth: number, transaction?: Transaction): Promise<void> {
    await invalidate(bitcoind, depth)
    const chosen = transaction === undefined ? [] : [toHex(encodeTransaction(transaction)).slice(2)]
    await mineEmpty(bitcoind, depth + 1, chosen)
    await world.synced()
  }

  /** What a party would publish to close alone: told by another node with the same store, and published by nobody. */
  async function commitmentOf(party: Party): Promise<Transaction> {
    const twin = new Party(party.name, world, party.wallet, party.store.clone())
    const node = await twin.start({
      transport: memoryTransport(),
      broadcast: async () => ({ kind: 'accepted' }),
    })
    await node.forceClose(0n)
    const commitment = await twin.publishes(({ inputs }) => inputs.length === 1)
    await twin.stop()
    return commitment
  }
})
