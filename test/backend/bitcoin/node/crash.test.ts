// Nodes that end at any moment: before a commit, after it, between any two effects. What is on disk must be enough.
import { expect } from 'chai'
import fc from 'fast-check'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { preimageOf, type TestNode, TestWorld } from './world.js'

type Name = 'alice' | 'bob'

type Act =
  | { readonly kind: 'offer'; readonly by: Name; readonly amount: bigint; readonly isKnown: boolean }
  /** At the so-many-eth commit or effect from now. */
  | { readonly kind: 'crash'; readonly by: Name; readonly at: number; readonly isWritten: boolean }
  | { readonly kind: 'mine'; readonly count: number }
  | { readonly kind: 'turns'; readonly count: number }

const names = fc.constantFrom<Name>('alice', 'bob')
const acts: fc.Arbitrary<readonly Act[]> = fc.array(
  fc.oneof(
    fc.record({
      kind: fc.constant('offer' as const),
      by: names,
      amount: fc.oneof(fc.constantFrom(1n, 353_999n, 354_000n), fc.bigInt(1n, 60_000_000n)),
      isKnown: fc.boolean(),
    }),
    fc.record({
      kind: fc.constant('crash' as const),
      by: names,
      at: fc.integer({ min: 1, max: 12 }),
      isWritten: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('mine' as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 40 }) }),
  ),
  { minLength: 5, maxLength: 25 },
)
const CAPACITY = 1_000_000_000n
const PUSH = 400_000_000n
/** Far more than it takes: connections come back within milliseconds. */
const MOST_ROUNDS = 5000

describe('LightningNode: crashes', function () {
  this.timeout(30_000)

  it('f 29: whenever nodes end, they go on with what is on disk, nothing is lost or paid twice, and no channel is closed for it', () =>
    fc.assert(
      fc.asyncProperty(acts, async (list) => {
        const run = await Run.begin()
        try {
          for (const act of list) await run.act(act)
          await run.settle()
          run.verify()
        } finally {
          await run.world.stop()
        }
      }),
      { numRuns: 25 },
    ))

  it('f 29: at each commit and effect of opening a channel, either end', async () => {
    for (const by of ['alice', 'bob'] as const) {
      for (let at = 1; at <= 8; at++) {
        for (const isWritten of [false, true]) {
          const world = new TestWorld()
          try {
            const nodes = { alice: world.node('alice'), bob: world.node('bob') }
            const alice = await nodes.alice.start()
            await nodes.bob.start()
            arm(nodes[by], at, isWritten)
            const opening = alice.open({ peer: nodes.bob.id, capacity: sat(1_000_000n) })
            opening.catch(() => undefined)
            await turns(60)
            const revive = async () => {
              for (const node of world.nodes) if (node.fuse.isBlown) await node.crash()
            }
            await revive()
            await world.chain.mine(6)
            await turns(60)
            await revive()
            const [a] = nodes.alice.running.channels()
            const where = `${by} ${at} ${isWritten}`
            if (a === undefined) {
              // Nothing was paid for: all of it can be spent again.
              expect(nodes.alice.wallet.reserved.size, where).to.equal(0)
              continue
            }
            // What is paid for is there for both.
            await nodes.alice.running.until(a.channel, ({ phase }) => phase === 'normal')
            await nodes.bob.running.until(0n, ({ phase }) => phase === 'normal')
          } finally {
            await world.stop()
          }
        }
      }
    }
  })
})

class Run {
  readonly world = new TestWorld()
  readonly alice = this.world.node('alice')
  readonly bob = this.world.node('bob')
  #number = 0
  #channels: Record<Name, bigint> = { alice: 0n, bob: 0n }

  static async begin(): Promise<Run> {
    const run = new Run()
    const alice = await run.alice.start()
    const bob = await run.bob.start()
    await alice.open({ peer: run.bob.id, capacity: sat(CAPACITY / 1000n), push: msat(PUSH) })
    await run.world.chain.mine(3)
    await alice.until(0n, ({ phase }) => phase === 'normal')
    await bob.until(0n, ({ phase }) => phase === 'normal')
    return run
  }

  async act(act: Act): Promise<void> {
    await this.revive()
    switch (act.kind) {
      case 'offer': {
        const number = ++this.#number
        const by = this[act.by]
        const to = act.by === 'alice' ? this.bob : this.alice
        if (act.isKnown) to.htlcs.preimages.set(toHex(sha256(preimageOf(number))), preimageOf(number))
        // It never ends if the process does before.
        by.offer(this.#channels[act.by], msat(act.amount), number).catch(() => undefined)
        return
      }
      case 'crash':
        arm(this[act.by], act.at, act.isWritten)
        return
      case 'mine':
        return this.world.chain.mine(act.count)
      case 'turns':
        return turns(act.count)
    }
  }

  /** Whoever has ended begins again. */
  async revive(): Promise<void> {
    for (const node of this.world.nodes) if (node.fuse.isBlown) await node.crash()
  }

  /** Until nothing is under way. */
  async settle(): Promise<void> {
    for (const node of [this.alice, this.bob]) {
      node.fuse.left = undefined
      await node.crash()
    }
    for (let quiet = 0, round = 0; quiet < 5; round++) {
      if (round > MOST_ROUNDS) throw new Error('they never come to rest')
      await turns(5)
      const isQuiet = [this.alice, this.bob].every(({ running }) => {
        expect(running.stopped).to.equal(undefined)
        const live = running.channel(0n)?.live
        expect(live?.failure, JSON.stringify(live?.failure)).to.equal(undefined)
        return live?.isConnected === true && live.htlcs.length === 0 && live.wanted === 0
      })
      quiet = isQuiet ? quiet + 1 : 0
    }
  }

  verify(): void {
    const [a, b] = [this.alice, this.bob].map(({ running }) => running.channel(0n)?.live?.balances)
    expect(a?.local).to.equal(b?.remote)
    expect(a?.remote).to.equal(b?.local)
    expect(a?.local).to.equal(CAPACITY - PUSH - sent(this.alice) + this.alice.htlcs.received)
    expect(b?.local).to.equal(PUSH - sent(this.bob) + this.bob.htlcs.received)
    expect(sent(this.alice)).to.equal(this.bob.htlcs.received)
    expect(sent(this.bob)).to.equal(this.alice.htlcs.received)
  }
}

function sent({ htlcs }: TestNode): bigint {
  const paid = [...htlcs.ends.values()].filter((how) => how.startsWith('fulfilled '))
  return paid.reduce((sum, how) => sum + BigInt(how.slice(10)), 0n)
}

function arm({ fuse }: TestNode, at: number, isWritten: boolean): void {
  fuse.left = at
  fuse.isWritten = isWritten
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
