// What it costs to get what is ours is less than what it is worth, whatever fees are and whoever makes us go on chain.
import { expect } from 'chai'
import fc from 'fast-check'
import { claimBudget, commitmentBudget, type Stake } from '../../../../backend/bitcoin/resolver/budget.js'
import { RESOLVER_POLICY, resolverPolicy } from '../../../../backend/bitcoin/resolver/policy.js'
import { transactionID } from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { Arena, fulfil, type Guard } from '../monitor/arena.js'
import { SimLedger } from '../monitor/ledger.js'

const CAPACITY = 1_000_000n
const DELAYED = { kind: 'claim', claim: { kind: 'delayed' } } as const
const HTLC = { kind: 'claim', claim: { kind: 'htlc_preimage' } } as const
const PENALTY = { kind: 'claim', claim: { kind: 'penalty' } } as const

describe('resolver: budget', () => {
  it('shares of an HTLC that are more than all of it are refused', () => {
    const wanted = { budgetMillionths: 500_001 }
    expect(() => resolverPolicy(wanted)).to.throw(/resolver\.budgetMillionths/)
    expect(resolverPolicy({ ...wanted, sweepMillionths: 249_999 }).budgetMillionths).to.equal(500_001)
  })

  it('whatever the policy: the commitment, the claim and the sweep of an HTLC cost what it is worth, at most', () => {
    const share = fc.integer({ min: 0, max: 1_000_000 })
    fc.assert(
      fc.property(share, share, share, fc.bigInt(0n, 10n ** 12n), fc.boolean(), (a, b, c, amount, isLast) => {
        const wanted = { budgetMillionths: a, commitmentMillionths: b, sweepMillionths: c }
        fc.pre(a + b + c <= 1_000_000)
        const policy = resolverPolicy(wanted)
        const child = commitmentBudget({ htlcs: amount, balance: 0n }, policy)
        const budget = (kind: Stake['kind'], recipe: Stake['recipe']) =>
          claimBudget([{ kind, recipe, amount: sat(amount) }], isLast, policy)
        const second = budget('htlc', { kind: 'htlcTransaction' }) + budget('secondLevel', DELAYED)
        expect(child + second <= amount).to.equal(true)
        expect(child + budget('htlc', HTLC) <= amount).to.equal(true)
        expect(budget('htlc', PENALTY) <= amount && budget('toLocal', PENALTY) <= amount).to.equal(true)
      }),
    )
  })

  it('one block before an HTLC of our own is over, all is dear -> to take 100 000 sat back is in no haste, and cheap', async () => {
    const ledger = new SimLedger()
    const arena = await Arena.open(ledger)
    const { pair, guards } = arena
    pair.offer(pair.alice, 100_000_000n, 1, ledger.height + 20)
    pair.settle()
    await arena.work()
    guards.bob.isMute = true
    await arena.mineTo(ledger.height + 19)
    await arena.forceClose('alice')
    // Blocks are slow to take what pays little.
    for (let i = 0; i < 12; i++) await arena.mine(1, () => i < 6)
    await arena.finish(['alice'])
    // At 2 sat/vB and less.
    expect(Number(arena.costsOf('alice'))).to.be.within(1, 3000)
  })

  it('one block before an HTLC that we forwarded is over, all is dear -> never more than its budget, which is less than it', async () => {
    const ledger = new SimLedger()
    const arena = await Arena.open(ledger, { incomingExpiry: ledger.height + 40 })
    const { pair, guards } = arena
    pair.offer(pair.alice, 100_000_000n, 1, ledger.height + 20)
    pair.settle()
    await arena.work()
    guards.bob.isMute = true
    await arena.mineTo(ledger.height + 19)
    ledger.estimates = [{ blocks: 1, feerate: feeratePerKw(2_000_000) }]
    await arena.forceClose('alice')
    for (let i = 0; i < 30; i++) await arena.mine(1, ({ inputs }) => i % 10 < 8 && inputs.length > 0)
    await arena.finish(['alice'])
    const costs = arena.costsOf('alice')
    const balance = (500_000n * BigInt(RESOLVER_POLICY.closeMillionths)) / 1_000_000n
    // The child, the claim, the sweep of it, and that of the balance, which has a budget of its own.
    expect(costs <= 100_000n + balance + 250_000n, `${costs}`).to.equal(true)
    const child = highest(guards.alice, 'anchor')
    expect(child > 20_000n && child <= 25_000n + balance, `child ${child}`).to.equal(true)
    const claim = highest(guards.alice, 'htlc')
    expect(claim > 40_000n && claim <= 50_000n, `claim ${claim}`).to.equal(true)
  })

  it('a small HTLC that is due does not spend what a large one, due much later, is worth', async () => {
    const ledger = new SimLedger()
    const arena = await Arena.open(ledger, { coins: 5 })
    const { pair, guards } = arena
    pair.offer(pair.bob, 4_000_000n, 3, ledger.height + 30)
    pair.offer(pair.bob, 300_000_000n, 4, ledger.height + 400)
    pair.settle()
    fulfil(arena, 'alice', 0n, 3)
    fulfil(arena, 'alice', 1n, 4)
    await arena.work()
    guards.bob.isMute = true
    await arena.forceClose('alice')
    await arena.mine(40, () => true)
    const child = highest(guards.alice, 'anchor')
    const balance = BigInt(RESOLVER_POLICY.closeMillionths) * 600_000n
    expect(child > 0n && child <= 1000n + balance / 1_000_000n + 1500n, `child ${child}`).to.equal(true)
  })

  it('whatever fees and blocks do: what blocks have of our transactions cost what they brought in, at most', async () => {
    const world = fc.record({
      amounts: fc.array(fc.bigInt(1_500n, 60_000n), { minLength: 1, maxLength: 4 }),
      received: fc.array(fc.bigInt(1_500n, 60_000n), { maxLength: 3 }),
      incoming: fc.option(fc.integer({ min: 10, max: 90 }), { nil: undefined }),
      by: fc.constantFrom('alice' as const, 'bob' as const),
      days: fc.array(
        fc.record({
          estimate: fc.integer({ min: 253, max: 500_000 }),
          blocks: fc.integer({ min: 1, max: 12 }),
          isFull: fc.boolean(),
          isEvicted: fc.boolean(),
        }),
        { minLength: 1, maxLength: 8 },
      ),
    })
    await fc.assert(
      fc.asyncProperty(world, async ({ amounts, received, incoming, by, days }) => {
        const ledger = new SimLedger()
        const { height } = ledger
        const arena = await Arena.open(ledger, {
          coins: 12,
          ...(incoming === undefined ? {} : { incomingExpiry: height + incoming }),
        })
        const { pair, guards } = arena
        amounts.forEach((one, i) => {
          pair.offer(pair.alice, one * 1000n, 1, height + 15 + 5 * i)
        })
        received.forEach((one, i) => {
          pair.offer(pair.bob, one * 1000n, 2, height + 20 + 5 * i)
        })
        pair.settle()
        received.forEach((_, i) => {
          fulfil(arena, 'alice', BigInt(i), 2)
        })
        await arena.work()
        await arena.mineTo(height + 14)
        await arena.forceClose(by)
        for (const { estimate, blocks, isFull, isEvicted } of days) {
          ledger.estimates = [{ blocks: 1, feerate: feeratePerKw(estimate) }]
          if (isEvicted) ledger.evict(() => true)
          await arena.mine(blocks, ({ inputs }) => isFull && inputs.length > 0)
        }
        ledger.estimates = [{ blocks: 1, feerate: feeratePerKw(400) }]
        await arena.finish(['alice'])
        const htlcs = [...amounts, ...received].reduce((sum, one) => sum + one, 0n)
        for (const name of ['alice', 'bob'] as const) inBudget(arena, guards[name], htlcs)
      }),
      { numRuns: 12 },
    )
  })
})

/** What blocks have of each kind, against the most that HTLCs and balances allow of it. */
function inBudget(arena: Arena, guard: Guard, htlcs: bigint): void {
  const { name } = guard.party
  const ofBalance = (CAPACITY * BigInt(RESOLVER_POLICY.closeMillionths)) / 1_000_000n
  const child = feesOf(arena, guard, 'anchor').reduce((sum, { fee }) => sum + fee, 0n)
  expect(4n * (child - ofBalance) <= htlcs, `${name}: commitment ${child} for ${htlcs}`).to.equal(true)
  const htlc = feesOf(arena, guard, 'htlc').reduce((sum, { fee }) => sum + fee, 0n)
  expect(2n * htlc <= htlcs, `${name}: claims ${htlc} of ${htlcs}`).to.equal(true)
  for (const { fee, left } of feesOf(arena, guard, 'claim'))
    expect(4n * fee <= 3n * (fee + left), `${name}: ${fee}, and ${left} left`).to.equal(true)
}

/** What a guard published of a kind, and blocks have. */
function feesOf(arena: Arena, { published }: Guard, kind: string) {
  const found = new Map(
    published.flatMap(({ what, transactions }) => {
      const last = transactions.at(-1)
      if (what !== kind || last === undefined || !arena.isConfirmed(last)) return []
      return [[toHex(transactionID(last)), last] as const]
    }),
  )
  return [...found.values()].map((one) => ({ fee: arena.feeOf(one), left: sumOf(one.outputs) }))
}

/** The highest fee of what a guard published of a kind, in a block or not. */
function highest({ published }: Guard, kind: string): bigint {
  return published.reduce((most, { what, transactions, spent = [] }) => {
    const fee = sumOf(spent) - sumOf(transactions.at(-1)?.outputs ?? [])
    return what === kind && fee > most ? fee : most
  }, 0n)
}

function sumOf(list: readonly { readonly amount: bigint }[]): bigint {
  return list.reduce((sum, { amount }) => sum + amount, 0n)
}
