// A payment that is held costs its payee nothing, whatever becomes of the payer: it goes back in time, or is claimed in time.
import { expect } from 'chai'
import type { PaymentEvent } from '../../../../backend/bitcoin/payments/index.js'
import { sha256, type Transaction } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

/** Blocks before the expiry: given back while the payer can still take it off-chain, and claimed where that is too late. */
const [FAIL_BACK, CLAIM] = [39, 36]
const PREIMAGE = sha256(Uint8Array.of(99))
const PAYMENT = toHex(sha256(Uint8Array.of(1)))

describe('LightningNode: held payments near their expiry', () => {
  let world: TestWorld
  let a: TestNode
  let b: TestNode
  let expiry: number
  let hash: Hex

  beforeEach(async () => {
    world = new TestWorld()
    a = world.node('a')
    b = world.node('b')
    for (const node of [a, b]) {
      node.hasPayments = true
      await node.start()
    }
    const { channel } = await a.running.open({ peer: b.id, capacity: sat(1_000_000n) })
    await world.chain.mine(10)
    await a.running.until(channel, ({ phase }) => phase === 'normal')
    const { invoice, paymentHash } = await b.running.payments.invoice({
      amount: msat(60_000_000n),
      description: { kind: 'text', text: 'a coat' },
      paymentHash: toHex(sha256(PREIMAGE)),
    })
    hash = paymentHash
    // It fails in the end, or its node is stopped before.
    a.running.payments
      .pay({ id: PAYMENT, request: { kind: 'invoice', invoice: invoice?.text ?? '' } })
      .catch(() => undefined)
    await until(() => b.running.payments.list().incoming.some(({ status }) => status.kind === 'held'))
    expiry = b.running.channel(0n)?.live?.htlcs[0]?.cltvExpiry ?? 0
    expect(expiry - world.chain.tip.height).to.be.greaterThan(FAIL_BACK)
  })

  afterEach(() => world.stop())

  const mineTo = async (height: number) => {
    while (world.chain.tip.height < height) {
      await world.chain.mine(1)
      for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const phases = () => [a, b].map(({ node }) => node?.channel(0n)?.phase)
  const inFlight = (node: TestNode) => node.running.channel(0n)?.live?.htlcs.length

  it('f 32: nobody decides -> given back 39 blocks before, and no channel is closed', async () => {
    const told: PaymentEvent[] = []
    b.running.payments.events$.subscribe((event) => told.push(event))
    await mineTo(expiry - FAIL_BACK - 1)
    expect(inFlight(b)).to.equal(1)
    await mineTo(expiry - FAIL_BACK)
    await until(() => inFlight(a) === 0 && inFlight(b) === 0)
    expect(told.at(-1)).to.deep.nested.include({
      kind: 'cancelled',
      'payment.status.reason': 'deadline',
    })
    await mineTo(expiry + 10)
    expect(phases()).to.deep.equal(['normal', 'normal'])
  })

  it('f 32: the payee is away when the time comes -> given back when it is there again', async () => {
    await b.stop()
    await mineTo(expiry - CLAIM + 5)
    await b.start()
    await until(() => inFlight(a) === 0 && inFlight(b) === 0)
    await mineTo(expiry + 10)
    expect(phases()).to.deep.equal(['normal', 'normal'])
  })

  it('released, and the payer is gone -> on chain 36 blocks before, and claimed there before the expiry', async () => {
    await a.stop()
    const published: { readonly height: number; readonly transaction: Transaction }[] = []
    const { chain } = world
    const broadcast = chain.broadcast.bind(chain)
    chain.broadcast = async (transactions) => {
      for (const transaction of transactions) published.push({ height: chain.tip.height, transaction })
      return broadcast(transactions)
    }
    await mineTo(expiry - FAIL_BACK - 1)
    await b.running.payments.release(hash, PREIMAGE)
    await mineTo(expiry - CLAIM - 1)
    expect(published).to.deep.equal([])
    expect(phases()[1]).to.equal('normal')
    await mineTo(expiry - CLAIM)
    await until(() => b.running.channel(0n)?.phase === 'failed' && published.length > 0)
    const shows = ({ inputs }: Transaction) =>
      inputs.some(({ witness }) => witness.some((item) => toHex(item) === toHex(PREIMAGE)))
    await mineTo(expiry - CLAIM + 3)
    const claim = published.find(({ transaction }) => shows(transaction))
    expect(claim?.height).to.be.lessThan(expiry - CLAIM + 3)
    expect(chain.mempool.size, 'it is in a block').to.equal(0)
    await mineTo(expiry + 20)
    const past = b.running.payments.list().incoming.find(({ paymentHash }) => paymentHash === hash)
    expect(past?.status ?? { kind: 'claimed', lost: 0n }).to.deep.include({ kind: 'claimed', lost: 0n })
  })

  it('neither released nor given back, and the payer is gone -> nothing is published for what can not be claimed', async () => {
    await a.stop()
    await mineTo(expiry - 1)
    expect(phases()[1]).to.equal('normal')
    const error = await b.running.payments.release(hash, PREIMAGE).then(
      () => undefined,
      (cause: unknown) => cause,
    )
    expect(error).to.have.property('code')
    // Who was too late has shown its preimage to nobody.
    expect(JSON.stringify([...world.chain.mempool.keys()])).to.equal('[]')
  })
})
