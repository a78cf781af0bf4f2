// Blocks that are undone under a channel with LDK. What LDK does about a funding that is gone is its own: it gives up a channel
// in use, where BOLT 2 lets it wait. Nobody loses a satoshi by it but for fees.
import { expect } from 'chai'
import { msat } from '../../../backend/bitcoin/units.js'
import type { Hex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { VALUE } from './meeting.js'
import { OurNode, randomID } from './our-node.js'
import { Regtest } from './regtest.js'

const PUSH = 400_000_000n
/** Satoshis that fees may take of what we get. */
const FEES = 15_000n

describe('interop/ldk: reorgs', () => {
  let regtest: Regtest
  let ldk: Ldk
  let party: OurNode
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
    await regtest.give(await ldk.call('address', null), 0.1, 3)
    party = await OurNode.begin(regtest, ldk)
  })
  after(async () => {
    await party.stop()
    await regtest[Symbol.asyncDispose]()
  })

  it('5 blocks that do not have the funding are undone -> both go on', async () => {
    const { channel, id } = await party.opened(ldk, PUSH)
    await regtest.mine(5)
    await party.seen()
    await undone(5)
    await bothPay(channel, VALUE * 1000n - PUSH)
    await party.call('close', channel)
    await ldk.event('channelClosed', (one) => one.channel === id)
    await ended()
  })

  for (const depth of [1, 2, 3, 4, 5]) {
    it(`the agreed closing is undone with ${depth} blocks -> it is in another one, and each has its own`, async () => {
      const before = await party.call('funds', null)
      const { channel, id } = await party.opened(ldk, PUSH)
      await bothPay(channel, VALUE * 1000n - PUSH)
      await party.call('close', channel)
      await ldk.event('channelClosed', (one) => one.channel === id)
      // LDK has published it.
      await regtest.sync()
      const told = (await kinds()).length
      await regtest.mine(depth)
      await party.seen()
      await undone(depth)
      expect((await kinds()).slice(told)).to.deep.equal(['spent', 'reorged'])
      const [view] = await party.call('channels', null)
      expect(view).to.include({ channel, phase: 'negotiating' })
      await ended()
      await expectGain(before, -(PUSH / 1000n))
    })
  }

  for (const depth of [1, 3]) {
    it(`the funding is undone with ${depth} blocks -> LDK gives up, and each has its own`, async () => {
      const before = await party.call('funds', null)
      const { channel, id } = await party.opened(ldk, PUSH)
      await regtest.mine(depth - 1)
      await party.seen()
      await bothPay(channel, VALUE * 1000n - PUSH)
      await undone(depth)
      const { text } = await ldk.event('channelClosed', (one) => one.channel === id)
      expect(text).to.match(/un-confirmed/)
      await party.call('until', { channel, phase: 'failed' })
      await ended()
      await expectGain(before, -(PUSH / 1000n))
    })
  }

  /** The newest blocks are gone, and as many and one more are there in their place, with nothing in them. */
  async function undone(depth: number): Promise<void> {
    await regtest.undo(depth)
    await party.seen()
  }

  /** What our node was told of the chain so far. */
  async function kinds(): Promise<readonly unknown[]> {
    const events = await party.call('chainEvents', null)
    return events.map((one): unknown => JSON.parse(one).kind)
  }

  /** A payment each way, of the same amount; afterwards all is as it was. */
  async function bothPay(channel: bigint, local: bigint): Promise<void> {
    const amount = msat(10_000_010n)
    const request = { kind: 'spontaneous', peer: ldk.id, amount } as const
    expect(await party.call('pay', { id: randomID(), request })).to.equal('succeeded')
    const hash: Hex = await ldk.call('keysend', { peer: party.id, amount, id: randomID() })
    await ldk.event('paid', (one) => one.hash === hash)
    expect(await party.call('idle', channel)).to.include({ local })
  }

  /** Blocks, until nothing is left to do for us. */
  async function ended(): Promise<void> {
    for (let count = 0; (await party.call('channels', null)).length > 0; count += 2) {
      if (count > 200) throw new Error(`not over: ${JSON.stringify(await party.call('chainEvents', null))}`)
      await regtest.mine(2)
      await party.seen()
    }
    expect(party.errors).to.deep.equal([])
  }

  async function expectGain(before: bigint, due: bigint): Promise<void> {
    const gained = (await party.call('funds', null)) - before
    expect(gained > due - FEES && gained < due, `${gained} of ${due}`).to.equal(true)
  }
})
