// A bitcoind that is stopped, or killed, and started again under whole nodes that go on meanwhile. One that is killed has lost
// its mempool and the blocks that it had not written. Not a satoshi is lost but to fees.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { type Bitcoind, startBitcoind } from '../../../../scripts/bitcoind.js'
import { mineNew } from '../chain/node.js'
import { CAPACITY, type Party, PUSH, World } from './regtest.js'

describe('LightningNode: a bitcoind that is started again', function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'perkunas-restarts-'))
  let bitcoind: Bitcoind
  let world: World

  before(async () => {
    bitcoind = await startBitcoind({ directory })
  })

  after(async () => {
    await bitcoind.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  beforeEach(() => {
    world = new World(bitcoind, { minimumDepth: { min: 1, max: 1 } })
  })

  afterEach(() => world.stop())

  it('while payments fly -> none waits for it, and the blocks that come are read', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const going = down('stop')
    const paid = [...pays(alice, bob, 40, 3_000_003n), ...pays(bob, alice, 40, 1_000_001n)]
    await going
    for (const one of paid) expect((await one).status.kind).to.equal('succeeded')
    await up()
    await world.mine(1)
    await Promise.all([alice.idle(), bob.idle()])
    expect(alice.running.channel(channel)?.live?.balances.local).to.equal(
      700_000_000n - 40n * 3_000_003n + 40n * 1_000_001n,
    )
    await alice.running.close(channel)
    await alice.running.until(channel, ({ live }) => live?.isClosingAgreed === true)
    await world.mineOut(12)
    await world.expectExact(alice, bob, begun)
    expect(faults()).to.deep.equal([])
  })

  it('killed when it has a funding in its mempool -> the funding is published again, and the channel comes to be', async () => {
    const [alice, bob] = await world.met()
    const opening = { peer: bob.id, address: 'memory://bob', capacity: CAPACITY, push: PUSH }
    const { channel } = await alice.running.open(opening)
    await alice.publishes(() => true)
    await flushed()
    await down('kill')
    await up()
    await world.mine(2)
    for (const { running } of [alice, bob]) await running.until(channel, ({ phase }) => phase === 'normal')
    await pays(alice, bob, 1, 1_000_000n)[0]
    expect(faults()).to.deep.equal([])
  })

  it('killed with a commitment and claims in blocks that it forgets -> all is published again, HTLCs end as they should', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    const claimed = await alice.send(bob, 1, 60_000_000n)
    await bob.send(alice, 2, 40_000_000n)
    await flushed()
    const before = await world.height()
    await alice.running.forceClose(channel)
    await bob.running.until(0n, ({ phase }) => phase === 'failed')
    await alice.publishes(({ inputs, outputs }) => inputs.length === 1 && outputs.length >= 4)
    await world.mine(1)
    await bob.running.payments.release(claimed)
    await world.mine(2)
    expect(alice.events.map(({ kind }) => kind)).to.include('sent')
    await down('kill')
    await up()
    expect(await world.height()).to.equal(before)
    await mineNew(bitcoind, 3)
    await world.synced()
    await world.mineOut(90)
    const ends = (party: Party) => party.events.map(({ kind }) => kind).filter((kind) => kind !== 'held')
    expect(ends(alice)).to.deep.equal(['sent', 'cancelled'])
    expect(ends(bob)).to.deep.equal(['received', 'failed'])
    await world.expectExact(alice, bob, begun)
    expect(faults()).to.deep.equal([])
  })

  it('a channel is closed alone while it is away -> the commitment is published when it is back', async () => {
    const { alice, bob, channel, begun } = await world.opened()
    await down('stop')
    await alice.running.forceClose(channel)
    await bob.running.until(0n, ({ phase }) => phase === 'failed')
    await up()
    await world.mineOut(20)
    await world.expectExact(alice, bob, begun)
    const his = (await bob.coins()) - begun.bob
    expect(his <= 300_000n && his > 290_000n, `${his}`).to.equal(true)
    expect(faults()).to.deep.equal([])
  })

  /** What went wrong beside that bitcoind was away: that is said, and what could not be published is with the next block. */
  function faults(): readonly string[] {
    return world.errors.filter((one) => !/no answer from/.test(one))
  }

  async function down(how: 'stop' | 'kill'): Promise<void> {
    if (how === 'kill') process.kill(bitcoind.pid, 'SIGKILL')
    await bitcoind.stop()
  }

  async function up(): Promise<void> {
    bitcoind = await startBitcoind({ directory, port: Number(new URL(bitcoind.url).port) })
    world.bitcoind = bitcoind
  }

  /** It has written all of its blocks. */
  async function flushed(): Promise<void> {
    await bitcoind.rpc('gettxoutsetinfo')
  }

  function pays(from: Party, to: Party, count: number, amount: bigint) {
    return Array.from({ length: count }, async (_, i) => {
      const { invoice } = await to.running.payments.invoice({
        amount: msat(amount),
        description: { kind: 'text', text: 'test' },
      })
      const id = toHex(sha256(new TextEncoder().encode(`${from.name} ${i}`)))
      return from.running.payments.pay({ id, request: { kind: 'invoice', invoice: invoice?.text ?? '' } })
    })
  }
})
