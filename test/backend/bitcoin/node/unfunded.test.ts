// The funding of a channel is reorged out, and its payer does not know or takes its coins back: whoever is paid over it takes
// nothing and shows no preimage, until the funding is there again.
import { expect } from 'chai'
import type { NodeChain } from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

const PREIMAGE = sha256(Uint8Array.of(99))
const AMOUNT = msat(400_000_000n)

describe('LightningNode: payments over a funding that is gone', () => {
  let world: TestWorld
  let payer: TestNode
  let payee: TestNode
  /** The payer sees no blocks any more, as one that took its coins back would pretend. */
  let isBlind: boolean
  let told: string[]
  let sent: number

  beforeEach(async () => {
    world = new TestWorld()
    payer = world.node('payer')
    payee = world.node('payee')
    isBlind = false
    told = []
    sent = 0
    for (const node of [payer, payee]) node.hasPayments = true
    await payee.start()
    const { chain } = world
    const seen: NodeChain = {
      chainHash: chain.chainHash,
      follow: (from, handler, tell) =>
        chain.follow(from, (event) => (isBlind ? Promise.resolve() : handler(event)), tell),
      broadcast: (transactions) => chain.broadcast(transactions),
      feeTable: () => chain.feeTable(),
    }
    await payer.start({ chain: seen })
    const { channel } = await payer.running.open({ peer: payee.id, capacity: sat(1_000_000n) })
    await chain.mine(6)
    for (const { running } of [payer, payee]) await running.until(channel, ({ phase }) => phase === 'normal')
    payee.running.events$.subscribe((event) => {
      if (event.kind === 'channel') told.push(event.event.kind)
    })
  })

  afterEach(() => world.stop())

  const balance = () => payee.running.channel(0n)?.live?.balances.local
  const inFlight = () => payee.running.channel(0n)?.live?.htlcs.length
  /** Pays an invoice; how that ended. */
  const pay = async (paymentHash?: `0x${string}`) => {
    const { invoice } = await payee.running.payments.invoice({
      amount: AMOUNT,
      description: { kind: 'text', text: 'a coat' },
      ...(paymentHash === undefined ? {} : { paymentHash }),
    })
    const id = toHex(sha256(Uint8Array.of(++sent)))
    const request = { kind: 'invoice', invoice: invoice?.text ?? '' } as const
    return (await payer.running.payments.pay({ id, request })).status.kind
  }
  /** Other blocks, with something else in place of the funding; returns that. */
  const undone = async () => {
    isBlind = true
    await world.chain.undo(6)
    const [funding] = [...world.chain.mempool.values()]
    world.chain.mempool.clear()
    await world.chain.mine(7)
    world.chain.mempool.clear()
    if (funding === undefined) throw new Error('the funding was in a block')
    return funding
  }

  it('f 2: spent twice -> what comes over it is failed and told, and nobody has been paid', async () => {
    await undone()
    expect(told).to.include('unconfirmed')
    expect(await pay()).to.equal('failed')
    expect(payee.running.payments.list().incoming.map(({ status }) => status.kind)).to.deep.equal(['awaited'])
    expect([balance(), payee.running.channel(0n)?.phase]).to.deep.equal([0n, 'normal'])
  })

  it('f 2: back in a block -> taken again only when it is as deep as it had to be at first', async () => {
    const funding = await undone()
    await world.chain.broadcast([funding])
    const { minimumDepth = 0 } = payee.running.channel(0n)?.live ?? {}
    expect(minimumDepth).to.equal(3)
    await world.chain.mine(2)
    expect(await pay()).to.equal('failed')
    await world.chain.mine(1)
    expect(await pay()).to.equal('succeeded')
    await until(() => inFlight() === 0)
    expect(balance()).to.equal(AMOUNT)
  })

  it('f 2: what was held before is not released until the funding is back', async () => {
    const hash = toHex(sha256(PREIMAGE))
    const paid = pay(hash)
    await until(() => payee.running.payments.list().incoming.some(({ status }) => status.kind === 'held'))
    const funding = await undone()
    const refused = await payee.running.payments.release(hash, PREIMAGE).catch((error: unknown) => error)
    expect(isError(refused, 'INVALID_TRANSITION'), String(refused)).to.equal(true)
    expect([inFlight(), balance()]).to.deep.equal([1, 0n])
    await world.chain.broadcast([funding])
    await world.chain.mine(3)
    await payee.running.payments.release(hash, PREIMAGE)
    expect(await paid).to.equal('succeeded')
    await until(() => inFlight() === 0)
    expect(balance()).to.equal(AMOUNT)
  })
})
