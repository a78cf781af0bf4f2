// Payments between our node and LDK beyond one HTLC of an invoice: in parts over two channels, held and decided later, and asked
// for twice. Balances are exact to the millisatoshi.
import { createHash, randomBytes } from 'node:crypto'
import { expect } from 'chai'
import { channelName } from '../../../backend/bitcoin/node/desk.js'
import type { PayRequest } from '../../../backend/bitcoin/payments/index.js'
import { msat } from '../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../channel/index.js'
import type { Ldk } from '../../../scripts/ldk/ldk.js'
import { VALUE } from './meeting.js'
import { OurNode, randomID } from './our-node.js'
import { Regtest } from './regtest.js'

const PUSH = 400_000_000n
const OURS = VALUE * 1000n - PUSH

describe('interop/ldk: payments', () => {
  let regtest: Regtest
  let ldk: Ldk
  let party: OurNode
  let channels: readonly bigint[]
  /** What is ours of both channels together. */
  let balance = 2n * OURS
  before(async function () {
    this.timeout(60_000)
    regtest = await Regtest.start()
    ldk = await regtest.ldk()
    party = await OurNode.begin(regtest, ldk)
    const first = await party.opened(ldk, PUSH)
    channels = [first.channel, (await party.opened(ldk, PUSH)).channel]
  })
  after(async () => {
    await party.stop()
    await regtest[Symbol.asyncDispose]()
    expect(party.errors).to.deep.equal([])
  })
  afterEach(() => rest())

  it('LDK pays more than a channel has, in parts -> all of them are claimed at once, and it is received once', async () => {
    const amount = 600_000_006n
    const hash = await ldk.call('pay', { invoice: await party.call('invoice', amount) })
    await ldk.event('paid', (one) => one.hash === hash)
    balance += amount
    await rest()
    expect(party.received.get(hash)).to.deep.include({ amount })
    await leveled()
  })

  it('LDK pays in parts what we hold -> nothing is claimed before we release it', async () => {
    const amount = 500_000_005n
    const { invoice, hash } = await party.call('heldInvoice', amount)
    await ldk.call('pay', { invoice })
    await party.event('held', hash)
    expect(await inFlight()).to.deep.equal([1, 1])
    expect((await theirs()).map(({ outgoing }) => outgoing)).to.deep.equal([1, 1])
    await party.call('release', hash)
    await ldk.event('paid', (one) => one.hash === hash)
    balance += amount
    await leveled()
  })

  it('LDK pays in parts what we hold -> we cancel it, and LDK has all of it back and learns why', async () => {
    const { invoice, hash } = await party.call('heldInvoice', 450_000_005n)
    await ldk.call('pay', { invoice })
    await party.event('held', hash)
    await party.call('cancel', hash)
    expect(await ldk.event('failed', (one) => one.hash === hash)).to.include({ reason: 'RecipientRejected' })
  })

  it('we pay in parts what LDK holds -> it fails it, and we have all of it back', async () => {
    const hash = hashOf(randomBytes(32))
    const id = randomID()
    const paid = party.call('pay', { id, request: await invoiceOf(700_000_007n, hash) })
    await ldk.event('claimable', (one) => one.hash === hash)
    await ldk.call('fail', hash)
    expect(await paid).to.equal('failed')
  })

  it('we pay in parts what LDK holds -> it is told when all is there, and claims it', async () => {
    const amount = 900_000_009n
    const preimage = randomBytes(32)
    const hash = hashOf(preimage)
    const paid = party.call('pay', { id: randomID(), request: await invoiceOf(amount, hash) })
    expect(await ldk.event('claimable', (one) => one.hash === hash)).to.include({ amount })
    expect(await inFlight()).to.deep.equal([1, 1])
    await ldk.call('claim', toHex(preimage))
    expect(await paid).to.equal('succeeded')
    balance -= amount
  })

  it('keysend both ways, with LDK’s held and given back', async () => {
    const hash = await ldk.call('keysend', { peer: party.id, amount: 2_000_002n, id: randomID() })
    await ldk.event('paid', (one) => one.hash === hash)
    balance += 2_000_002n
    const { id: peer } = ldk
    const sent = await party.call('pay', {
      id: randomID(),
      request: { kind: 'spontaneous', peer, amount: msat(1_000_001n) },
    })
    expect(sent).to.equal('succeeded')
    balance -= 1_000_001n
    await rest()
    await ldk.call('claimAtOnce', false)
    const given = party.call('pay', {
      id: randomID(),
      request: { kind: 'spontaneous', peer, amount: msat(3_000_003n) },
    })
    const held = await ldk.event('claimable', (one) => one.amount === 3_000_003n)
    expect(held).to.include({ isKeysend: true })
    await ldk.call('fail', held.hash)
    expect(await given).to.equal('failed')
    await ldk.call('claimAtOnce', true)
  })

  it('the same payment is asked for twice -> each pays once', async () => {
    const request = await invoiceOf(4_000_004n)
    const id = randomID()
    const both = await Promise.all([party.call('pay', { id, request }), party.call('pay', { id, request })])
    expect(both).to.deep.equal(['succeeded', 'succeeded'])
    balance -= 4_000_004n
    const invoice = await party.call('invoice', 5_000_005n)
    const hash = await ldk.call('pay', { invoice })
    const again = await ldk.call('pay', { invoice }).catch((error: Error) => error.message)
    expect(again).to.match(/DuplicatePayment/)
    await ldk.event('paid', (one) => one.hash === hash)
    balance += 5_000_005n
  })

  async function invoiceOf(amount: bigint, hash?: Hex): Promise<PayRequest> {
    const invoice = await ldk.call('invoice', { amount, ...(hash && { hash }) })
    return { kind: 'invoice', invoice }
  }

  /** Each channel is again as it was opened. */
  async function leveled(): Promise<void> {
    for (const channel of channels) {
      const { local } = await party.call('idle', channel)
      const [amount, id] = [msat(local - OURS), randomID()]
      if (amount === 0n) continue
      const request = { kind: 'spontaneous', peer: ldk.id, channel: channelName(channel), amount } as const
      expect(await party.call('pay', { id, request })).to.equal('succeeded')
      balance -= amount
    }
  }

  /** Nothing is in flight, and both say the same of who has what. */
  async function rest(): Promise<void> {
    const views = await Promise.all(channels.map((channel) => party.call('idle', channel)))
    for (const { id = '0x' } of views) await ldk.call('idle', id)
    expect(views.reduce((sum, { local }) => sum + local, 0n)).to.equal(balance)
    const whole = await theirs()
    for (const { id, local } of views)
      expect(whole.find((one) => one.id === id)?.balance ?? VALUE * 1000n - local).to.equal(
        VALUE * 1000n - local,
      )
  }

  async function theirs() {
    return (await ldk.call('channels', null)).filter(({ peer }) => peer === party.id)
  }

  async function inFlight(): Promise<readonly number[]> {
    return Promise.all(channels.map(async (channel) => (await party.view(channel)).htlcs))
  }
})

function hashOf(preimage: Uint8Array): Hex {
  return toHex(createHash('sha256').update(preimage).digest())
}
