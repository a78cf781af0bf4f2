// Nodes that close in agreement, and what becomes of a closing that no block takes.
import { expect } from 'chai'
import { filter, firstValueFrom, take, toArray } from 'rxjs'
import type { LightningNode, NodeEvent } from '../../../../backend/bitcoin/node/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { PerkunasError } from '../../../../channel/errors.js'
import { TestWorld } from './world.js'

const CAPACITY = sat(1_000_000n)

describe('LightningNode: closings', () => {
  let world: TestWorld

  beforeEach(() => {
    world = new TestWorld()
  })

  afterEach(() => world.stop())

  it('a closing can be made to pay more', async () => {
    const [a] = await closing()
    await a.bumpClosing(0n, sat(7000n))
    await closings(a, 1)
    const [transaction] = world.chain.mempool.values()
    const paid = transaction?.outputs.reduce((left: bigint, { amount }) => left - amount, CAPACITY)
    expect(paid).to.equal(7000n)
    expect(await codeOf(a.bumpClosing(0n, sat(1n)))).to.equal('INVALID_AMOUNT')
    expect(await codeOf(a.bumpClosing(9n, sat(7000n)))).to.equal('UNKNOWN_CHANNEL')
    await world.chain.mine(6)
    expect(a.channels()).to.deep.equal([])
  })

  it('a closing that no block takes for a day gives way to our commitment', async () => {
    const [a, b] = await closing()
    // Both do the same: one is enough.
    await b.stop()
    for (let i = 0; i < 143; i++) await mineWithoutMempool()
    expect(a.channel(0n)?.phase).to.equal('negotiating')
    await mineWithoutMempool()
    const failed = await a.until(0n, ({ phase }) => phase === 'failed')
    expect(failed.live?.failure?.cause).to.equal('expiry')
    expect([...world.chain.mempool.values()].map(({ outputs }) => outputs.length)).to.deep.equal([4])
    await world.chain.mine(1)
    expect(a.claimable(0n).map(({ kind }) => kind)).to.deep.equal(['awaitingDelay'])
  })

  it('a closing that is in a block has all the time it takes', async () => {
    const [a] = await closing()
    for (let i = 0; i < 142; i++) await mineWithoutMempool()
    await world.chain.mine(3)
    expect(a.channel(0n)?.phase).to.equal('negotiating')
    await world.chain.mine(3)
    expect(a.channels()).to.deep.equal([])
  })

  it('force-close gets our commitment out, whatever both have signed', async () => {
    const [a] = await closing()
    world.chain.mempool.clear()
    await a.forceClose(0n)
    await world.chain.mine(1)
    expect(a.claimable(0n).map(({ kind }) => kind)).to.deep.equal(['awaitingDelay'])
  })

  /** Two nodes whose channel both have signed a closing of. */
  async function closing(): Promise<readonly [LightningNode, LightningNode]> {
    const [alice, bob] = [world.node('alice'), world.node('bob')]
    const [a, b] = [await alice.start(), await bob.start()]
    await a.open({ peer: bob.id, capacity: CAPACITY, push: msat(300_000_000n) })
    await world.chain.mine(6)
    for (const node of [a, b]) await node.until(0n, ({ phase }) => phase === 'normal')
    // Each side has one of its own.
    const signed = Promise.all([a, b].map((node) => closings(node, 2)))
    await a.close(0n)
    await signed
    return [a, b]
  }

  async function mineWithoutMempool(): Promise<void> {
    world.chain.mempool.clear()
    await world.chain.mine(1)
  }
})

/** So many more that both have signed, and that were published. */
async function closings({ events$ }: LightningNode, count: number): Promise<void> {
  const isClosing = (event: NodeEvent) => event.kind === 'channel' && event.event.kind === 'closing'
  await firstValueFrom(events$.pipe(filter(isClosing), take(count), toArray()))
}

async function codeOf(call: Promise<void>): Promise<string> {
  try {
    await call
    return 'done'
  } catch (cause) {
    return cause instanceof PerkunasError ? cause.code : 'untyped'
  }
}
