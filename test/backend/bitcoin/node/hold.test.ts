// What waits for a backup, and what does not.
import { expect } from 'chai'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { preimageOf, TestWorld } from './world.js'

/** A place where backups are kept, one at a time, when somebody says so. */
class Shelf {
  begun = 0
  isOpen = true
  #go: () => void = () => {}

  readonly keep = (): void | Promise<void> => {
    this.begun++
    if (this.isOpen) return
    return new Promise((resolve) => {
      this.#go = resolve
    })
  }

  /** What is being kept is. */
  go(): void {
    this.#go()
  }
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('LightningNode: a backup that has no end', () => {
  it('the new channel waits, whoever opened it; all others go on, also with the same peer', async () => {
    const world = new TestWorld()
    const [alice, bob, eve] = [world.node('alice'), world.node('bob'), world.node('eve')]
    const shelf = new Shelf()
    const a = await alice.start({ onBackup: shelf.keep })
    const b = await bob.start()
    const e = await eve.start()
    await a.open({ peer: bob.id, capacity: sat(1_000_000n), push: msat(300_000_000n) })
    await world.chain.mine(6)
    for (const node of [a, b]) await node.until(0n, ({ phase }) => phase === 'normal')

    shelf.isOpen = false
    const { begun } = shelf
    const opened = e.open({ peer: alice.id, capacity: sat(20_000n) })
    await a.eventually(() => a.channel(1n)?.live)
    const mine = a.open({ peer: bob.id, capacity: sat(30_000n) })
    await b.eventually(() => b.channel(1n)?.live)
    await a.eventually(() => a.channel(2n)?.live)
    await turns(20)
    expect(e.channel(0n)?.live, 'funding_signed').to.equal(undefined)
    expect([...world.chain.mempool.keys()], 'the funding of ours').to.deep.equal([])
    expect(shelf.begun - begun).to.equal(1)

    // Meanwhile.
    bob.htlcs.preimages.set(toHex(sha256(preimageOf(1))), preimageOf(1))
    await alice.offer(0n, msat(20_000_000n), 1)
    await a.until(0n, ({ live }) => live?.htlcs.length === 0)
    expect([...alice.htlcs.ends]).to.deep.equal([['alice 1', 'fulfilled 20000000']])
    // A connection that is lost.
    await world.chain.mine(1)
    await bob.stop()
    await bob.start()
    await a.until(0n, ({ live }) => live?.isConnected === true)

    // One after the other, each of its own time.
    shelf.go()
    await opened
    expect(shelf.begun - begun).to.equal(2)
    expect([...world.chain.mempool.keys()]).to.have.length(1)
    shelf.isOpen = true
    shelf.go()
    await mine
    expect([...world.chain.mempool.keys()]).to.have.length(2)
    await world.chain.mine(6)
    for (const channel of [1n, 2n]) await a.until(channel, ({ phase }) => phase === 'normal')

    shelf.isOpen = false
    await a.forceClose(0n)
    await turns(5)
    expect([...world.chain.mempool.keys()]).to.have.length(1)
    await world.chain.mine(1)
    while (a.channel(0n) !== undefined) {
      await world.chain.mine(1)
      await turns(2)
    }
    await world.stop()
  })
})
