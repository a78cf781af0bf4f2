// HTLCs of many expiries, claimed together, on chains that are undone and grow again in other ways.
import { expect } from 'chai'
import fc from 'fast-check'
import { toHex } from '../../../../channel/bytes.js'
import type { Name } from '../channel/pair.js'
import { Arena, fulfil, type Guard } from './arena.js'
import { nameOf, SimLedger } from './ledger.js'
import { newestOf } from './scenarios.js'

type Incident =
  | { readonly kind: 'mine'; readonly count: number }
  | { readonly kind: 'undo'; readonly count: number }
  /** Blocks without anything of ours. */
  | { readonly kind: 'starve'; readonly count: number }
  | { readonly kind: 'restart' }

const offers = fc.array(
  fc.record({
    by: fc.constantFrom<Name>('alice', 'bob'),
    /** Blocks from now. */
    expiry: fc.integer({ min: 3, max: 30 }),
    /** Whether who can claim it knows the preimage before the channel closes. */
    isKnown: fc.boolean(),
  }),
  { minLength: 4, maxLength: 9 },
)
const count = (max: number) => fc.integer({ min: 1, max })
const incidents = fc.array(
  fc.oneof<fc.Arbitrary<Incident>[]>(
    fc.record({ kind: fc.constant('mine' as const), count: count(6) }),
    fc.record({ kind: fc.constant('undo' as const), count: count(5) }),
    fc.record({ kind: fc.constant('starve' as const), count: count(4) }),
    fc.record({ kind: fc.constant('restart' as const) }),
  ),
  { minLength: 3, maxLength: 14 },
)

describe('monitor: batches', () => {
  for (const closing of ['ours', 'theirs', 'revoked'] as const) {
    it(`f.3 row 45: ${closing}: claims of unlike expiries in few transactions, and reorgs -> each output in one attempt, all of it ends`, async () => {
      await fc.assert(
        fc.asyncProperty(offers, incidents, async (list, rest) => {
          const ledger = new SimLedger()
          const arena = await Arena.open(ledger, { coins: 12 })
          const { pair, guards } = arena
          const ids = { alice: 0n, bob: 0n }
          const known: (() => void)[] = []
          for (const [i, { by, expiry, isKnown }] of list.entries()) {
            pair.offer(pair[by], 20_000_000n + BigInt(i) * 1_000_000n, i + 1, ledger.height + expiry)
            const id = ids[by]++
            if (isKnown) known.push(() => fulfil(arena, by === 'alice' ? 'bob' : 'alice', id, i + 1))
          }
          pair.settle()
          await arena.work()
          if (closing === 'revoked') {
            const old = newestOf(arena, 'bob')
            pair.offer(pair.alice, 1_000_000n, 99, ledger.height + 100)
            pair.settle()
            await arena.work()
            guards.bob.isMute = true
            expect(await ledger.submit([old.transaction])).to.equal('accepted')
          } else {
            for (const learn of known) learn()
            await arena.forceClose(closing === 'ours' ? 'alice' : 'bob')
          }
          await arena.mine()
          for (const one of rest) {
            await happen(arena, one)
            verify(guards.alice)
          }
          await arena.finish(closing === 'revoked' ? ['alice'] : ['alice', 'bob'])
          const ends = guards.alice.handoffs.flatMap((one) =>
            one.kind === 'htlcResolved' ? [`${one.htlc.offerer} ${one.htlc.id}`] : [],
          )
          expect(new Set(ends).size, 'each once').to.equal(ends.length)
          expect(ends).to.have.length(list.length + (closing === 'revoked' ? 1 : 0))
        }),
        { numRuns: 5, endOnFailure: true },
      )
    })
  }
})

async function happen(arena: Arena, one: Incident): Promise<void> {
  const { ledger, guards } = arena
  if (!(ledger instanceof SimLedger)) throw new Error('a chain in memory')
  switch (one.kind) {
    case 'mine':
      return arena.mine(one.count)
    case 'starve':
      return arena.mine(one.count, ({ inputs }) => inputs.length > 0)
    case 'undo':
      // What is six deep stays.
      if (ledger.height - one.count < Math.max(101, ledger.peak - 5)) return
      return arena.undo(one.count)
    case 'restart':
      return arena.restart(guards.alice)
  }
}

/** What is in a batch is nowhere else, and the batch can be in a block as soon as it is tried. */
function verify({ known, party }: Guard): void {
  const members = known.attempts.flatMap((one) => one.members.map(nameOf))
  expect(new Set(members).size, 'each output in one attempt').to.equal(members.length)
  for (const { last, kind, members: own } of known.attempts) {
    if (last === undefined || kind === 'anchor') continue
    const { inputs, locktime } = last.transaction
    expect(inputs.length).to.be.at.least(1)
    const outpoints = new Set(own.map(nameOf))
    const others = inputs.filter(({ outpoint }) => !outpoints.has(nameOf(outpoint)))
    // Beside its own it has coins of the wallet, and those only where it has to pay.
    if (kind === 'claim') expect(others.map(({ outpoint }) => toHex(outpoint.txid))).to.deep.equal([])
    expect(locktime, 'no expiry of the future').to.be.at.most(party.env.height + 5)
  }
}
