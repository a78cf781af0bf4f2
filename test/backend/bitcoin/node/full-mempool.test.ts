// A mempool that is full and asks for more and more, under whole nodes: what they publish is refused or thrown out, and gets
// into blocks all the same, in time or when it is cheaper again. Not a satoshi is lost but to fees.
import { expect } from 'chai'
import { type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { equalBytes, toHex } from '../../../../channel/bytes.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { Chain } from '../chain.js'
import { RegtestLedger } from '../monitor/regtest.js'
import { CAPACITY, type Party, PUSH, World } from './regtest.js'

/** Of the transaction that gives a filling its coins. */
const SPLIT_FEE = 1_000_000n
const DAY = 24 * 60 * 60

describe('LightningNode: a full mempool', function () {
  this.timeout(60_000)
  let bitcoind: Bitcoind
  let ledger: RegtestLedger
  let world: World

  beforeEach(async () => {
    bitcoind = await startBitcoind({ args: ['-maxmempool=5'] })
    ledger = await RegtestLedger.on(bitcoind, await Chain.start(bitcoind, 1))
    world = new World(bitcoind, { minimumDepth: { min: 1, max: 1 } }, () => ledger.mine())
  })

  afterEach(async () => {
    await world.stop()
    await bitcoind.stop()
  })

  it('its floor rises above a commitment, and again while claims wait -> a child pays, and an HTLC is claimed in time', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const claimed = await alice.send(bob, 1, 60_000_000n)
    const feerate = alice.running.channel(channel)?.live?.feerate ?? 0
    // She alone hears of no block yet: what she publishes is made for a cheaper one.
    await ledger.fill(42, (i) => 20 + i / 4)
    expect(await floor()).to.be.above(feerate)
    await bob.stop()
    await alice.running.forceClose(channel)
    await world.mine(2)
    await bob.start()
    await bob.running.payments.release(claimed)
    const commitment = await alice.publishes(
      ({ inputs, outputs }) => inputs.length === 1 && outputs.length >= 3,
    )
    const spends = ({ inputs }: Transaction) =>
      inputs.some(({ outpoint }) => equalBytes(outpoint.txid, transactionID(commitment)))
    await bob.publishes(spends)
    const low = await floor()
    await ledger.fill(15, () => 60)
    expect(await floor()).to.be.above(low)
    await world.synced()
    await world.mineOut(40)
    const ends = (party: Party) => party.events.map(({ kind }) => kind).filter((kind) => kind !== 'held')
    expect(ends(alice)).to.deep.equal(['sent'])
    expect(ends(bob)).to.deep.equal(['received'])
    const his = (await bob.coins()) - begun.bob
    expect(his <= 360_000n && his > 300_000n, `${his}`).to.equal(true)
    await world.expectExact(alice, bob, begun, { fees: 2n * SPLIT_FEE })
  })

  it('its floor rises above a funding -> a child of its change pays for both, and the channel is used', async () => {
    const [alice, bob] = await world.met()
    const opening = { peer: bob.id, address: 'memory://bob', capacity: CAPACITY, push: PUSH }
    const { channel, live } = await alice.running.open(opening)
    const funding = await alice.publishes((one) => toHex(transactionID(one)) === live?.channelID)
    await ledger.fill(42, (i) => 20 + i / 4)
    expect(await ledger.has(funding)).to.equal(false)
    await world.mine(5)
    expect(alice.running.channel(channel)?.live?.confirmations).to.equal(0)
    await world.mine(1)
    await alice.publishes(({ inputs }) =>
      inputs.some(({ outpoint }) => equalBytes(outpoint.txid, transactionID(funding))),
    )
    await world.mine(1)
    for (const { running } of [alice, bob]) await running.until(channel, ({ phase }) => phase === 'normal')
    expect(world.errors).to.deep.equal([])
  })

  it('its floor rises above an agreed closing -> it waits, and is there when the floor has fallen', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const failures: string[] = []
    for (const { running } of [alice, bob]) {
      running.events$.subscribe((one) => {
        if (one.kind === 'channel' && one.event.kind === 'failed') failures.push(one.event.reason)
      })
    }
    await alice.running.close(channel)
    const closing = await alice.publishes(
      ({ outputs }) => outputs.length === 2 && outputs[0]?.amount !== CAPACITY,
    )
    expect(await ledger.has(closing)).to.equal(true)
    await ledger.fill(42, (i) => 20 + i / 4)
    await ledger.mine(() => true)
    await world.synced()
    expect(await ledger.has(closing)).to.equal(false)
    const high = await floor()
    // It halves twice a day from the last block on.
    await bitcoind.rpc('setmocktime', [Math.floor(Date.now() / 1000) + 20 * DAY])
    expect(await floor()).to.be.below(high / 2)
    await world.mineOut(9)
    await world.expectExact(alice, bob, begun, { fees: SPLIT_FEE, left: [0n] })
    expect(failures).to.deep.equal([])
  })

  /** In sat/kw. */
  async function floor(): Promise<number> {
    await ledger.refresh()
    return ledger.fees().floor
  }
})
