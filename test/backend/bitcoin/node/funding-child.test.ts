// A funding that no block takes: paid for by children, each of which pays more, and given up in the end.
import { expect } from 'chai'
import type { LightningNode, NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { type Transaction, transactionID, weightOf } from '../../../../backend/bitcoin/script/index.js'
import { type FeeratePerKw, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { equalBytes, toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import { until } from './stranger.js'
import { type TestNode, TestWorld } from './world.js'

type Bumped = NodeEvent & { readonly kind: 'fundingBumped' }

const FEE = sat(160n)

describe('LightningNode: a funding that no block takes', () => {
  let world: TestWorld
  let alice: TestNode
  let bumped: Bumped[]
  let errors: PerkunasError[]
  let funding: Transaction

  beforeEach(async () => {
    world = new TestWorld()
    alice = world.node('alice')
    alice.wallet.change = { amount: sat(500_000n), fee: FEE }
    bumped = []
    errors = []
    const bob = world.node('bob')
    await bob.start()
    listen(await alice.start())
    await alice.running.open({ peer: bob.id, address: 'memory://bob', capacity: sat(200_000n) })
    const [only] = world.chain.mempool.values()
    if (only === undefined) throw new Error('no funding')
    funding = only
  })

  afterEach(() => world.stop())

  function listen(node: LightningNode): void {
    node.events$.subscribe((event) => event.kind === 'fundingBumped' && bumped.push(event))
    node.errors$.subscribe((error) => errors.push(error))
  }

  /** Blocks that take nothing of ours. */
  async function pass(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      world.chain.mempool.clear()
      await world.chain.mine(1)
      for (let j = 0; j < 4; j++) await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** What both pay together, in sat/kw. */
  function feerate({ transaction, fee }: Bumped): number {
    return (Number(fee + FEE) * 1000) / (weightOf(funding) + weightOf(transaction))
  }

  const feesAre = (feerate: FeeratePerKw) => {
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate }] }
  }

  it('six blocks -> a child of its change pays what is usual now, published with it until a block has both', async () => {
    await pass(5)
    expect(bumped).to.deep.equal([])
    feesAre(feeratePerKw(5000))
    await pass(1)
    await until(() => bumped.length === 1)
    const [one] = bumped
    if (one === undefined) throw new Error('no child')
    expect(one.transaction.inputs.map(({ outpoint }) => outpoint)).to.deep.equal([
      { txid: transactionID(funding), index: 1 },
    ])
    // A witness is paid for that this wallet does not make.
    expect(feerate(one)).to.be.within(5000, 7000)
    await world.chain.mine(1)
    await alice.running.until(0n, ({ live }) => live?.confirmations === 1)
    await pass(12)
    expect(bumped).to.have.length(1)
    expect(errors).to.deep.equal([])
  })

  it('again and again -> each replaces the one before it and pays more, also after a crash, up to a tenth of the channel', async () => {
    feesAre(feeratePerKw(5000))
    await pass(6)
    await until(() => bumped.length === 1)
    listen(await alice.crash())
    await pass(6)
    await until(() => bumped.length === 2)
    const [one, two] = bumped
    if (one === undefined || two === undefined) throw new Error('no children')
    expect(two.transaction.inputs).to.deep.equal(one.transaction.inputs)
    expect(feerate(two) / feerate(one)).to.be.within(1.25, 1.6)
    expect(alice.wallet.reserved.size, 'the funding and its child').to.equal(2)
    await pass(120)
    await until(() => errors.length > 0)
    expect(errors[0]).to.include({ code: 'INSUFFICIENT_FUNDS' })
    for (const { fee } of bumped) expect(Number(fee)).to.be.below(20_000)
    expect(bumped.length).to.be.within(3, 20)
    expect(world.chain.mempool.size).to.equal(2)
  })

  it('no change -> its user is told that nothing can be done', async () => {
    alice.wallet.change = undefined
    const peer = world.nodes[1]?.id ?? alice.id
    await alice.running.open({ peer, capacity: sat(1_000_000n) })
    await pass(6)
    await until(() => errors.length === 1)
    expect(errors[0]).to.include({ code: 'INSUFFICIENT_FUNDS' })
  })

  it('two weeks -> both have given it up; if a block takes it after all, it comes back by our commitment', async function () {
    this.timeout(30_000)
    alice.wallet.change = undefined
    for (let i = 0; i < 2016; i++) {
      world.chain.mempool.clear()
      await world.chain.mine(1)
    }
    await until(() => alice.running.channel(0n)?.phase === 'failed')
    expect(world.nodes[1]?.running.channels()).to.deep.equal([])
    const commitment = [...world.chain.mempool.values()].find(({ inputs }) =>
      inputs.some(({ outpoint }) => equalBytes(outpoint.txid, transactionID(funding))),
    )
    expect(commitment, 'our commitment').to.not.equal(undefined)
    expect([...world.chain.mempool.keys()]).to.include(toHex(transactionID(funding)))
  })
})
