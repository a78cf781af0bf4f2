// Our channel machine with LDK at the other end of the wire and a real chain below: opened by either, with both forms of
// commitments, paid through in both directions, and closed.
import { randomBytes } from 'node:crypto'
import { expect } from 'chai'
import type { ChannelType } from '../../../backend/bitcoin/channel-type.js'
import { toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import type { Ours } from './driver.js'
import { channel, closed, rest } from './meeting.js'
import { Regtest } from './regtest.js'

const TYPES: readonly ChannelType['commitments'][] = ['anchors', 'static_remotekey']

describe('interop/ldk: channel', () => {
  let regtest: Regtest
  const nodes = new Map<string, Ldk>()
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    for (const type of TYPES) nodes.set(type, await regtest.ldk({ policy: { anchors: type === 'anchors' } }))
  })
  after(() => regtest[Symbol.asyncDispose]())

  for (const commitments of TYPES) {
    it(`${commitments}: we open, both pay with invoices and without, LDK closes`, async () => {
      const ldk = ldkOf(commitments)
      await using ours = await channel({ regtest, ldk, opener: 'ours', commitments })
      await payBothWays(ours, ldk)
      await ldk.call('close', { channel: ours.channel })
      await closed(ours, ldk, regtest)
    })

    it(`${commitments}: LDK opens, both pay with invoices and without, we close`, async () => {
      const ldk = ldkOf(commitments)
      await using ours = await channel({ regtest, ldk, opener: 'ldk', commitments })
      expect(ours.live.terms.type.commitments).to.equal(commitments)
      await payBothWays(ours, ldk)
      ours.input({ kind: 'shutdown' })
      await closed(ours, ldk, regtest)
    })
  }

  function ldkOf(type: string): Ldk {
    const found = nodes.get(type)
    if (found === undefined) throw new Error('no such node')
    return found
  }

  async function payBothWays(ours: Ours, ldk: Ldk): Promise<void> {
    const before = ours.balance
    const bought = ours.pay(ldk.id, { invoice: await ldk.call('invoice', { amount: 21_000_001n }) })
    expect(await ours.outcome(bought, 'paid', 'failed', 'refused')).to.include({ kind: 'paid' })
    const sent = ours.pay(ldk.id, { keysend: 1_234_567n })
    expect(await ours.outcome(sent, 'paid', 'failed', 'refused')).to.include({ kind: 'paid' })
    const sold = await ldk.call('pay', { invoice: ours.invoice(13_000_013n) })
    await ldk.event('paid', ({ hash }) => hash === sold)
    const got = await ldk.call('keysend', { peer: ours.id, amount: 999n, id: toHex(randomBytes(32)) })
    await ldk.event('paid', ({ hash }) => hash === got)
    await rest(ours, ldk, before - 21_000_001n - 1_234_567n + 13_000_013n + 999n)
  }
})
