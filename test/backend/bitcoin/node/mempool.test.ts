// What a node makes of a mempool: hints that come before a block does, or instead of one.
import { expect } from 'chai'
import { type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, msat, sat } from '../../../../backend/bitcoin/units.js'
import { equalBytes } from '../../../../channel/bytes.js'
import { StoppedClock } from '../../../peer/support.js'
import { type StrangeChannel, Stranger, until } from './stranger.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

describe('LightningNode: mempool', () => {
  let world: TestWorld
  let alice: TestNode
  let clock: StoppedClock
  let mallory: Stranger

  beforeEach(async () => {
    world = new TestWorld()
    clock = new StoppedClock()
    alice = world.node('alice')
    await alice.start({ clock })
    mallory = await Stranger.meet(world, alice, 'mallory')
  })

  afterEach(async () => {
    await mallory.close()
    await world.stop()
  })

  /** A channel of Mallory's in which Alice has offered an HTLC, and the commitment with which Mallory ends it. */
  async function ended(): Promise<Transaction> {
    const channel = mallory.open(1, { push: msat(400_000_000n) })
    await channel.use(world)
    await until(() => alice.running.channel(0n)?.phase === 'normal')
    await alice.offer(0n, msat(50_000_000n), 1)
    await locked(channel)
    const { effects } = channel.input({ kind: 'forceClose' })
    const [theirs] = effects.flatMap((effect) => (effect.kind === 'publish' ? [effect.transaction] : []))
    if (theirs === undefined) throw new Error('nothing is published')
    return theirs
  }

  async function locked(channel: StrangeChannel): Promise<void> {
    await until(() => {
      channel.hear()
      channel.input({ kind: 'flush' })
      return alice.running.channel(0n)?.live?.htlcs[0]?.stage === 'locked'
    })
  }

  const childOf = (parent: Transaction) =>
    [...world.chain.mempool.values()].find(({ inputs }) =>
      inputs.some(({ outpoint }) => equalBytes(outpoint.txid, transactionID(parent))),
    )

  it('the peer’s commitment is there, and pays too little -> our anchor pays for it', async () => {
    const theirs = await ended()
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate: feeratePerKw(5000) }] }
    await world.chain.mine(1)
    await world.chain.broadcast([theirs])
    expect(childOf(theirs)).to.equal(undefined)
    clock.advance(15_000)
    await until(() => childOf(theirs) !== undefined)
    const child = childOf(theirs)
    expect(child?.inputs).to.have.length(2)
    expect(theirs.outputs[child?.inputs[0]?.outpoint.index ?? 9]?.amount).to.equal(330n)
  })

  it('f.1 row 6: a preimage is shown there, and taken away before a block has it -> we have it, after a restart too', async () => {
    const theirs = await ended()
    await world.chain.broadcast([theirs])
    await world.chain.mine(1)
    await until(() => alice.running.channel(0n)?.phase === 'failed')
    const index = theirs.outputs.findIndex(({ amount }) => amount === sat(50_000n))
    const witness = [
      new Uint8Array(),
      new Uint8Array(72),
      new Uint8Array(72),
      preimageOf(1),
      new Uint8Array(9),
    ]
    const shown: Transaction = {
      version: 2,
      inputs: [{ outpoint: { txid: transactionID(theirs), index }, sequence: 1, witness }],
      outputs: [],
      locktime: 0,
    }
    await world.chain.broadcast([shown])
    clock.advance(15_000)
    await until(() => alice.htlcs.seen.has('learned 0 local 0'))
    world.chain.mempool.clear()
    await alice.crash()
    for (let i = 0; i < 100 && !alice.htlcs.seen.has('resolved 0 local 0'); i++) {
      await world.chain.mine(1)
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(alice.htlcs.seen.get('resolved 0 local 0')).to.equal('receiver')
  })

  it('a chain that does not answer -> is reported, and asked again', async () => {
    const theirs = await ended()
    const { mempoolSpends } = world.chain
    const errors: string[] = []
    alice.running.errors$.subscribe(({ message }) => errors.push(message))
    world.chain.mempoolSpends = () => Promise.reject(new Error('it is busy'))
    clock.advance(15_000)
    await until(() => errors.some((text) => text.includes('it is busy')))
    world.chain.fees = { ...world.chain.fees, estimates: [{ blocks: 6, feerate: feeratePerKw(5000) }] }
    world.chain.mempoolSpends = mempoolSpends
    await world.chain.mine(1)
    await world.chain.broadcast([theirs])
    clock.advance(15_000)
    await until(() => childOf(theirs) !== undefined)
  })
})
