// What channels go through beside the plain way, with LDK at the other end: payments that are held and fail, many at a time,
// other fees, closings with payments under way, closings by one side alone, and a side that has lost its memory.
import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import type { ChannelType } from '../../../backend/bitcoin/channel-type.js'
import { displayID, type Outpoint } from '../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import type { Ours } from './driver.js'
import { channel, closed, PUSH, rest, theirs } from './meeting.js'
import { Regtest } from './regtest.js'

describe('interop/ldk: conduct', () => {
  let regtest: Regtest
  let ldk: Ldk
  let plain: Ldk
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
    plain = await regtest.ldk({ policy: { anchors: false } })
  })
  after(() => regtest[Symbol.asyncDispose]())

  it('payments are held, claimed and failed by either, and the payer learns why', async () => {
    await using ours = await channel({ regtest, ldk, opener: 'ours' })
    const { balance } = ours
    const kept = randomPreimage()
    const claimed = ours.pay(ldk.id, {
      invoice: await ldk.call('invoice', { amount: 7_000_007n, hash: kept.hash }),
    })
    await ldk.event('claimable', ({ hash }) => hash === claimed)
    expect(await theirs(ours, ldk)).to.include({ incoming: 1, outgoing: 0 })
    const { hash: unknown } = randomPreimage()
    const failed = ours.pay(ldk.id, { invoice: await ldk.call('invoice', { amount: 5_000n, hash: unknown }) })
    await ldk.event('claimable', ({ hash }) => hash === failed)
    await ldk.call('fail', failed)
    expect(await ours.outcome(failed, 'paid', 'failed')).to.include({
      kind: 'failed',
      failure: 'incorrect_or_unknown_payment_details',
    })
    await ldk.call('claim', kept.preimage)
    expect(await ours.outcome(claimed, 'paid', 'failed')).to.include({ preimage: kept.preimage })

    ours.claims = 'hold'
    const [sold, refused] = [
      await ldk.call('pay', { invoice: ours.invoice(3_000_003n) }),
      await keysend(ours, 9_000n),
    ]
    await Promise.all([sold, refused].map((hash) => ours.outcome(hash, 'arrived')))
    expect(await theirs(ours, ldk)).to.include({ incoming: 0, outgoing: 2 })
    ours.resolve(refused, 'fail')
    ours.resolve(sold, 'claim')
    await ldk.event('paid', ({ hash }) => hash === sold)
    expect(await ldk.event('failed', ({ hash }) => hash === refused)).to.include({
      reason: 'RecipientRejected',
    })
    await rest(ours, ldk, balance - 7_000_007n + 3_000_003n)
  })

  it('sixty payments each way at once, with an output of their own and without: balances are exact', async () => {
    await using ours = await channel({ regtest, ldk, opener: 'ldk' })
    const amounts = Array.from({ length: 60 }, (_, i) => (i % 3 === 0 ? 100_001n : 1_000_000n) + BigInt(i))
    const invoices = await Promise.all(amounts.map((amount) => ldk.call('invoice', { amount })))
    const { balance } = ours
    const bought = invoices.map((invoice) => ours.pay(ldk.id, { invoice }))
    const sold = await Promise.all(
      amounts.map((amount) => ldk.call('pay', { invoice: ours.invoice(2n * amount) })),
    )
    for (const hash of bought)
      expect(await ours.outcome(hash, 'paid', 'failed', 'refused')).to.include({ kind: 'paid' })
    for (const hash of sold) await ldk.event('paid', (one) => one.hash === hash)
    const sum = amounts.reduce((all, one) => all + one, 0n)
    await rest(ours, ldk, balance - sum + 2n * sum)
  })

  for (const commitments of ['anchors', 'static_remotekey'] as const) {
    it(`${commitments}: either opener changes the fee, with payments under way`, async () => {
      const node = nodeOf(commitments)
      for (const opener of ['ours', 'ldk'] as const) {
        await using ours = await channel({ regtest, ldk: node, opener, commitments })
        const { balance } = ours
        ours.claims = 'hold'
        const held = await node.call('keysend', { peer: ours.id, amount: 20_000_000n, id: randomID() })
        await ours.outcome(held, 'arrived')
        for (const feerate of [3000, 500]) {
          const bought = ours.pay(node.id, { keysend: 1_000_000n })
          if (opener === 'ours')
            ours.input({ kind: 'want', intent: { kind: 'fee', feerate: feeratePerKw(feerate) } })
          else await node.call('tick', { feerate })
          await ours.until(() => ours.live.book.feerate === feerate && ours.live.book.changes.length === 0)
          expect(await ours.outcome(bought, 'paid', 'failed', 'refused')).to.include({ kind: 'paid' })
        }
        ours.resolve(held, 'claim')
        await node.event('paid', ({ hash }) => hash === held)
        await rest(ours, node, balance + 18_000_000n)
        await node.call('tick', { feerate: 1000 })
      }
    })
  }

  it('either closes with payments under way: they are ended first, and nothing is added', async () => {
    for (const closer of ['ours', 'ldk'] as const) {
      await using ours = await channel({ regtest, ldk, opener: 'ours' })
      const { balance } = ours
      ours.claims = 'hold'
      const held = await keysend(ours, 4_000_000n)
      await ours.outcome(held, 'arrived')
      const kept = randomPreimage()
      const bought = ours.pay(ldk.id, {
        invoice: await ldk.call('invoice', { amount: 6_000_000n, hash: kept.hash }),
      })
      await ldk.event('claimable', ({ hash }) => hash === bought)
      if (closer === 'ours') ours.input({ kind: 'shutdown' })
      else await ldk.call('close', { channel: ours.channel })
      await ours.until(
        () => ours.live.shutdown.local !== undefined && ours.live.shutdown.remote !== undefined,
      )
      const late = ours.pay(ldk.id, { keysend: 1_000_000n })
      expect(await ours.outcome(late, 'refused', 'paid')).to.include({ kind: 'refused' })
      expect(await keysend(ours, 1_000n).catch((e: Error) => e.message)).to.match(/RouteNotFound/)
      await ldk.call('claim', kept.preimage)
      await ours.outcome(bought, 'paid')
      ours.resolve(held, 'claim')
      await ldk.event('paid', ({ hash }) => hash === held)
      await ours.until(() => ours.live.phase === 'negotiating')
      expect(ours.balance).to.equal(balance - 6_000_000n + 4_000_000n)
      await closed(ours, ldk, regtest)
    }
  })

  it('without confirmations, by an alias: both use it at once, whoever opened', async () => {
    const trusting = await regtest.ldk({ policy: { zeroConf: true, scidPrivacy: true } })
    for (const opener of ['ours', 'ldk'] as const) {
      const type = { commitments: 'anchors', scidAlias: true, zeroconf: opener === 'ours' } as const
      await using ours = await channel(
        { regtest, ldk: trusting, opener, type, options: { isZeroConf: true } },
        'unmined',
      )
      expect([ours.live.ready.depth, ours.live.terms.minimumDepth]).to.deep.equal([0, 0])
      const { balance } = ours
      const sent = ours.pay(trusting.id, { keysend: 1_000_000n })
      expect(await ours.outcome(sent, 'paid', 'failed', 'refused')).to.include({ kind: 'paid' })
      const got = await trusting.call('keysend', { peer: ours.id, amount: 1n, id: randomID() })
      await trusting.event('paid', ({ hash }) => hash === got)
      await rest(ours, trusting, balance - 1_000_000n + 1n)
      await regtest.mine()
    }
    await trusting.stop()
  })

  it('LDK closes alone: the channel has failed, and its commitment is on the chain', async () => {
    await using ours = await channel({ regtest, ldk, opener: 'ldk' })
    const { channel: id, live } = ours
    await ldk.call('forceClose', id)
    await ours.until(() => ours.state?.phase === 'failed')
    expect(ours.live.failure).to.include({ cause: 'peerError' })
    await minedSpend(live.terms.funding.outpoint)
    await ours.sync()
  })

  it('we close alone: LDK sees our commitment, and has its balance', async () => {
    await using ours = await channel({ regtest, ldk, opener: 'ours' })
    const { channel: id } = ours
    ours.input({ kind: 'forceClose' })
    await ours.sync()
    const [commitment] = ours.published
    if (commitment === undefined) throw new Error('nothing was published')
    expect(await ldk.event('channelClosed', (one) => one.channel === id)).to.include({
      reason: 'CounterpartyForceClosed',
    })
    // LDK, which is told, publishes its own as well: one of the two comes into a block, whichever is first. What is LDK's in
    // ours it has after six blocks, and what it pays to itself after its delay.
    await minedSpend(ours.live.terms.funding.outpoint)
    let isSpendable = false
    const spendable = ldk
      .event('spendable', (one) => one.channel === id)
      .then(() => {
        isSpendable = true
      })
    while (!isSpendable) await regtest.mine(6)
    await spendable
    const { amount } = commitment.transaction.outputs.find((one) => one.amount === PUSH / 1000n) ?? {}
    expect(amount).to.equal(300_000n)
  })

  it('our disk is an old one -> LDK proves it, we publish nothing, and LDK closes', async () => {
    await using ours = await channel({ regtest, ldk, opener: 'ours' })
    const { channel: id } = ours
    const old = new Map(ours.disk)
    for (let i = 0; i < 3; i++) await ours.outcome(ours.pay(ldk.id, { keysend: 10_000_000n }), 'paid')
    await ours.idle()
    ours.restore(old)
    await ours.connect(ldk)
    await ours.until(() => ours.state?.phase === 'failed')
    expect(ours.live.failure).to.include({ cause: 'dataLoss' })
    expect(ours.published).to.deep.equal([])
    const { reason } = await ldk.event('channelClosed', (one) => one.channel === id)
    expect(reason).to.equal('CounterpartyForceClosed')
    await minedSpend(ours.live.terms.funding.outpoint)
  })

  /** Mines until an output is spent: LDK says that it has closed before its transaction is in the pool. */
  async function minedSpend({ txid, index }: Outpoint): Promise<void> {
    while ((await regtest.output(displayID(txid), index))?.isSpent !== true) {
      await regtest.mine()
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  function nodeOf(commitments: ChannelType['commitments']): Ldk {
    return commitments === 'anchors' ? ldk : plain
  }

  function keysend(ours: Ours, amount: bigint): Promise<Hex> {
    return ldk.call('keysend', { peer: ours.id, amount, id: randomID() })
  }
})

function randomID(): Hex {
  return toHex(randomBytes(32))
}

function randomPreimage(): { readonly preimage: Hex; readonly hash: Hex } {
  const preimage = randomBytes(32)
  return { preimage: toHex(preimage), hash: toHex(createHash('sha256').update(preimage).digest()) }
}
