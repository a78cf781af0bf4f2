// Channels with LDK that end on the chain: by either side alone, with payments under way, and by a cheat. What counts is what
// is in our wallet in the end.
import { createHash, randomBytes } from 'node:crypto'
import { cpSync } from 'node:fs'
import { expect } from 'chai'
import { type Hex, toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { VALUE } from './meeting.js'
import { OurNode, randomID } from './our-node.js'
import { Regtest } from './regtest.js'

const PUSH = 400_000_000n
/** Satoshis that fees may take of what we get: commitment, claims and what brings them in. */
const FEES = 15_000n

describe('interop/ldk: on chain', () => {
  let regtest: Regtest
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
  })
  after(() => regtest[Symbol.asyncDispose]())

  for (const closer of ['ldk', 'ours'] as const) {
    it(`${closer} closes alone: what either can claim is claimed, what nobody claims goes back`, async function () {
      this.timeout(60_000)
      const ldk = await regtest.ldk()
      await regtest.give(await ldk.call('address', null), 0.1, 3)
      const party = await OurNode.begin(regtest, ldk)
      const { channel, id } = await party.opened(ldk, PUSH)
      const before = await party.call('funds', null)
      // Theirs, which we claim; ours, which they claim; ours, which nobody claims.
      const { invoice, hash } = await party.call('heldInvoice', 50_000_000n)
      await ldk.call('pay', { invoice })
      await party.event('held', hash)
      const preimage = randomBytes(32)
      const bought = payHash(party, ldk, 60_000_000n, hashOf(preimage))
      const lost = payHash(party, ldk, 70_000_000n, hashOf(randomBytes(32)))
      await Promise.all(
        [60_000_000n, 70_000_000n].map((amount) => ldk.event('claimable', (one) => one.amount === amount)),
      )

      if (closer === 'ldk') await ldk.call('forceClose', id)
      else await party.call('forceClose', channel)
      await party.call('until', { channel, phase: 'failed' })
      await ldk.event('channelClosed', (one) => one.channel === id)
      await mined(party)
      await party.call('release', hash)
      await ldk.call('claim', toHex(preimage))
      let isOver = false
      const over = () => {
        isOver = true
      }
      void lost.then(over, over)
      await minedUntil(party, async () => isOver)
      // Whoever closed waits for what is its own, which takes no less than LDK's 144 blocks.
      await minedUntil(party, async () => (await party.call('channels', null)).length === 0, 12)

      expect(await bought).to.equal('succeeded')
      expect(await lost).to.equal('failed')
      await ldk.event('paid', (one) => one.hash === hash)
      const gained = (await party.call('funds', null)) - before
      const due = 600_000n + 50_000n - 60_000n
      expect(gained > due - FEES && gained < due, `${gained} of ${due}`).to.equal(true)
      expect(party.errors).to.deep.equal([])
      await party.stop()
      await ldk.stop()
    })
  }

  it('LDK publishes an old commitment: we take all that there is', async function () {
    this.timeout(60_000)
    const directory = regtest.directory()
    const seed = randomID()
    const first = await regtest.ldk({ directory, seed })
    const party = await OurNode.begin(regtest, first)
    const { channel, id } = await party.opened(first, PUSH)
    const before = await party.call('funds', null)
    await first.stop()
    const old = regtest.directory()
    cpSync(directory, old, { recursive: true })
    // It goes on, and gives us nearly all it has.
    const second = await regtest.ldk({ directory, seed })
    await party.call('connect', second.port)
    await Promise.all([party.call('usable', channel), second.call('usable', id)])
    const hash = await second.call('keysend', { peer: party.id, amount: 350_000_000n, id: randomID() })
    await second.event('paid', (one) => one.hash === hash)
    await party.call('idle', channel)
    await second.stop()

    const cheat = await regtest.ldk({ directory: old, seed })
    await cheat.call('forceClose', id)
    await mined(party)
    await minedUntil(party, async () => (await party.call('channels', null)).length === 0)
    const gained = (await party.call('funds', null)) - before
    expect(gained > VALUE - FEES && gained < VALUE, `${gained} of ${VALUE}`).to.equal(true)
    await party.stop()
    await cheat.stop()
  })

  it('our store is lost: LDK closes, and the backup brings back what is ours', async function () {
    this.timeout(60_000)
    const ldk = await regtest.ldk()
    const party = await OurNode.begin(regtest, ldk)
    const { channel, id } = await party.opened(ldk, PUSH)
    const backup = await party.call('backup', null)
    const before = await party.call('funds', null)
    const hash = await ldk.call('keysend', { peer: party.id, amount: 50_000_000n, id: randomID() })
    await ldk.event('paid', (one) => one.hash === hash)
    await party.call('idle', channel)

    await party.lose(backup)
    const [lost] = await party.call('channels', null)
    expect(lost).to.deep.include({ channel, phase: 'failed' })
    await ldk.event('channelClosed', (one) => one.channel === id)
    await mined(party)
    await minedUntil(party, async () => (await party.call('channels', null)).length === 0)
    const gained = (await party.call('funds', null)) - before
    const due = 600_000n + 50_000n
    expect(gained > due - FEES && gained < due, `${gained} of ${due}`).to.equal(true)
    expect(party.errors).to.deep.equal([])
    await party.stop()
    await ldk.stop()
  })

  /** More blocks that both have read; what follows from them is published. */
  async function mined(party: OurNode, count = 1): Promise<void> {
    await regtest.mine(count)
    await party.seen()
  }

  /** Blocks, as many as it takes, so many at a time. */
  async function minedUntil(party: OurNode, isTrue: () => Promise<boolean>, step = 1): Promise<void> {
    for (let count = 0; count < 400; count += step) {
      if (await isTrue()) return
      await mined(party, step)
    }
    throw new Error(`not after 400 blocks: ${JSON.stringify(await party.call('chainEvents', null))}`)
  }
})

function payHash(party: OurNode, ldk: Ldk, amount: bigint, hash: Hex): Promise<string> {
  const paid = (async () => {
    const invoice = await ldk.call('invoice', { amount, hash })
    return party.call('pay', { id: randomID(), request: { kind: 'invoice', invoice } })
  })()
  // Looked at in the end.
  paid.catch(() => {})
  return paid
}

function hashOf(preimage: Uint8Array): Hex {
  return toHex(createHash('sha256').update(preimage).digest())
}
