// Our node as it is used, in a process of its own with a store on disk, with an LDK node at the other end; and killed again
// and again while payments fly in both directions.
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'chai'
import { decodeInvoice } from '../../../backend/bitcoin/invoice/index.js'
import type { PayRequest } from '../../../backend/bitcoin/payments/index.js'
import { msat } from '../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { Random } from '../../simulation/random.js'
import { VALUE } from './meeting.js'
import { OurNode, randomID } from './our-node.js'
import type { PartyChannel } from './party.js'
import { Regtest } from './regtest.js'

const PUSH = 400_000_000n
const KILLS = Number(process.env['INTEROP_KILLS'] ?? 10)

describe('interop/ldk: node', () => {
  let regtest: Regtest
  let ldk: Ldk
  const parties: OurNode[] = []
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
  })
  after(async () => {
    await Promise.all(parties.map((party) => party.stop()))
    await regtest[Symbol.asyncDispose]()
  })

  async function started(): Promise<OurNode> {
    const party = await OurNode.begin(regtest, ldk)
    parties.push(party)
    return party
  }

  it('opens a channel with LDK, pays and is paid with invoices and without, and closes it', async () => {
    const party = await started()
    const { channel, id } = await party.opened(ldk, PUSH)
    await party.call('pay', { id: randomID(), request: await invoiceOf(12_000_012n) })
    const spontaneous: PayRequest = { kind: 'spontaneous', peer: ldk.id, amount: msat(3_000_003n) }
    expect(await party.call('pay', { id: randomID(), request: spontaneous })).to.equal('succeeded')
    const sold = await ldk.call('pay', { invoice: await party.call('invoice', 7_000_007n) })
    await ldk.event('paid', ({ hash }) => hash === sold)
    const got = await ldk.call('keysend', { peer: party.id, amount: 1_001n, id: randomID() })
    await ldk.event('paid', ({ hash }) => hash === got)
    await rest(party, channel, VALUE * 1000n - PUSH - 15_000_015n + 7_000_007n + 1_001n)
    await party.call('close', channel)
    await ldk.event('channelClosed', (one) => one.channel === id)
    await party.stop()
  })

  it('takes a channel that LDK opens, is restarted, and goes on', async () => {
    const party = await started()
    await ldk.call('connect', { peer: party.id, port: party.port })
    const temporary = await ldk.call('open', { peer: party.id, value: VALUE, push: PUSH })
    const { channel: id } = await ldk.event('channelPending', (one) => one.temporary === temporary)
    await ldk.call('sync', null)
    await regtest.mine()
    await ldk.call('usable', id)
    await party.stop()
    await party.start()
    const [channel] = await party.call('channels', null)
    if (channel === undefined) throw new Error('it is forgotten')
    await party.call('usable', channel.channel)
    await ldk.call('usable', id)
    expect(await party.call('pay', { id: randomID(), request: await invoiceOf(50_000n) })).to.equal(
      'succeeded',
    )
    await rest(party, channel.channel, PUSH - 50_000n)
    await ldk.call('close', { channel: id })
    await ldk.event('channelClosed', (one) => one.channel === id)
    await party.stop()
  })

  it('killed again and again while payments fly: each is paid once or not at all, to the millisatoshi', async function () {
    this.timeout(120_000 + 10_000 * KILLS)
    const random = new Random('interop')
    const party = await started()
    const { channel } = await party.opened(ldk, PUSH)
    const paying = new Map<Hex, PayRequest>()
    const sold: { readonly hash: Hex; readonly amount: bigint }[] = []
    const amounts = () => Array.from({ length: 8 }, (_, i) => BigInt(100_000 * (i + 1) + random.int(999)))
    for (let kill = 0; kill < KILLS; kill++) {
      await party.call('usable', channel)
      const ours = await Promise.all(amounts().map(invoiceOf))
      const theirs = await Promise.all(
        amounts().map(async (amount) => ({ amount, invoice: await party.call('invoice', amount) })),
      )
      const when = random.int(2) === 0 ? 'before' : 'after'
      await party.call('doom', { commits: 1 + random.int(12), when })
      const traffic = [
        ...ours.map(async (request) => {
          const id = randomID()
          paying.set(id, request)
          await party.call('pay', { id, request })
        }),
        ...theirs.map(async ({ amount, invoice }) => {
          sold.push({ hash: await ldk.call('pay', { invoice }), amount })
        }),
      ]
      // What is under way fails with the process; what became of it is seen in the end.
      const settled = Promise.allSettled(traffic)
      await Promise.race([party.gone, pause(10 + random.int(200))])
      await party.kill()
      await settled
      if (kill % 4 === 3) await regtest.mine()
      await party.start()
      // Some never come as far as to look for their peer.
      if (random.int(4) === 0) {
        await pause(random.int(60))
        await party.kill()
        await party.start()
      }
    }
    await party.call('usable', channel)
    await ldk.call('usable', (await only(party)).id ?? '0x')
    let balance = VALUE * 1000n - PUSH
    let count = 0
    for (const [id, request] of paying) {
      if (request.kind !== 'invoice') continue
      // The same ID and request: it is told how that one ended.
      const outcome = await party.call('pay', { id, request })
      const amount = claimedOf(request.invoice)
      expect(amount !== undefined, `${outcome}, and LDK claimed ${amount}`).to.equal(outcome === 'succeeded')
      balance -= amount ?? 0n
      if (amount !== undefined) count++
    }
    for (const { hash, amount } of sold) {
      const event = await Promise.race([
        ldk.event('paid', (one) => one.hash === hash),
        ldk.event('failed', (one) => one.hash === hash),
      ])
      if (event.kind === 'failed') continue
      balance += amount
      count++
    }
    await rest(party, channel, balance)
    const received = sold.filter(({ hash }) =>
      ldk.events.some((one) => one.kind === 'paid' && one.hash === hash),
    )
    expect([...party.received.keys()].sort()).to.deep.equal(received.map(({ hash }) => hash).sort())
    expect(count).to.be.above(KILLS)
    expect(party.errors).to.deep.equal([])
  })

  async function invoiceOf(amount: bigint): Promise<PayRequest> {
    return { kind: 'invoice', invoice: await ldk.call('invoice', { amount }) }
  }

  /** What LDK got for an invoice of its own, if anything. */
  function claimedOf(invoice: string): bigint | undefined {
    const hash = toHex(decodeInvoice(invoice).paymentHash)
    const claimed = ldk.events.flatMap((one) =>
      one.kind === 'claimed' && one.hash === hash ? [one.amount] : [],
    )
    expect(claimed.length).to.be.oneOf([0, 1])
    return claimed[0]
  }

  /** Both say the same of who has what, and nothing is in flight. */
  async function rest(party: OurNode, channel: bigint, local: bigint): Promise<void> {
    const view = await party.call('idle', channel)
    await ldk.call('idle', view.id ?? '0x')
    expect([view.local, view.remote]).to.deep.equal([local, VALUE * 1000n - local])
    const theirs = (await ldk.call('channels', null)).find(({ id }) => id === view.id)
    expect(theirs?.balance).to.equal(VALUE * 1000n - local)
  }

  async function only(party: OurNode): Promise<PartyChannel> {
    const [channel] = await party.call('channels', null)
    if (channel === undefined) throw new Error('there is no channel')
    return channel
  }
})
