// What a claim pays, block by block.
import { expect } from 'chai'
import fc from 'fast-check'
import type { FeeTable } from '../../../../backend/bitcoin/chain/index.js'
import type { Price } from '../../../../backend/bitcoin/resolver/attempt.js'
import { RESOLVER_POLICY } from '../../../../backend/bitcoin/resolver/policy.js'
import { capOf, priceOf, RELAY_STEP, type Stakes } from '../../../../backend/bitcoin/resolver/price.js'
import { feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'

const policy = RESOLVER_POLICY

function fees(urgent: number, lazy: number, floor = 253): FeeTable {
  return {
    floor: feeratePerKw(floor),
    estimates: [
      { blocks: 2, feerate: feeratePerKw(urgent) },
      { blocks: 36, feerate: feeratePerKw(lazy) },
    ],
  }
}

function paidFrom(
  height: number,
  stakes: Omit<Stakes, 'height'>,
  market: {
    readonly fees: (height: number) => FeeTable
    readonly isRefused?: boolean
    readonly blocks: number
  },
): readonly Price[] {
  const prices: Price[] = []
  for (let at = height; at < height + market.blocks; at++) {
    const { isRefused = false } = market
    const next = priceOf(
      prices.at(-1),
      { ...stakes, height: at },
      { fees: market.fees(at), policy, isRefused },
    )
    if (next !== undefined) prices.push(next)
  }
  return prices
}

describe('resolver: price', () => {
  const budget = sat(50_000n)
  const weight = 1000

  it('it begins with the estimate for what is left', () => {
    const [far] = paidFrom(100, { due: 136, budget, weight }, { fees: () => fees(5000, 500), blocks: 1 })
    const [near] = paidFrom(100, { due: 101, budget, weight }, { fees: () => fees(5000, 500), blocks: 1 })
    expect([far?.feerate, near?.feerate]).to.deep.equal([500, 5000])
  })

  it('to the deadline it rises along a line to its budget, and no further', () => {
    const prices = paidFrom(100, { due: 140, budget, weight }, { fees: () => fees(500, 500), blocks: 40 })
    const rates = prices.map(({ feerate }) => feerate)
    expect(rates).to.deep.equal([...rates].sort((a, b) => a - b))
    expect(prices.filter(({ at }) => at <= 132).at(-1)?.feerate).to.be.within(30_000, 50_000)
    expect(rates.at(-1)).to.equal(50_000)
  })

  it('without a deadline it follows the estimates up, a quarter or more at a time, and never down', () => {
    const at = (height: number) =>
      fees(10_000, height < 120 ? 500 : height < 140 ? 550 : height < 170 ? 900 : 300)
    const rates = paidFrom(100, { budget, weight }, { fees: at, blocks: 120 }).map(({ feerate }) => feerate)
    expect([...new Set(rates)]).to.deep.equal([500, 900])
  })

  it('what nodes refuse, or what is below their floor, is raised with the next block', () => {
    const refused = paidFrom(
      100,
      { budget, weight },
      { fees: () => fees(500, 500), isRefused: true, blocks: 3 },
    )
    expect(refused.map(({ feerate }) => feerate)).to.deep.equal([500, 753, 1006])
    const rising = paidFrom(
      100,
      { budget, weight },
      { fees: (h) => fees(500, 500, h < 101 ? 253 : 4000), blocks: 2 },
    )
    expect(rising.map(({ feerate }) => feerate)).to.deep.equal([500, 4040])
  })

  it('what is not worth the floor waits', () => {
    const stakes = { height: 1, budget: sat(100n), weight }
    expect(priceOf(undefined, stakes, { fees: fees(500, 500), policy })).to.equal(undefined)
  })

  it('f.1 row 15: whatever comes, it never falls, never restarts, each rise can replace, none exceeds its budget', () => {
    const block = fc.record({
      urgent: fc.integer({ min: 253, max: 50_000 }),
      lazy: fc.integer({ min: 253, max: 50_000 }),
      floor: fc.integer({ min: 253, max: 5000 }),
      // A stranger takes parts away, and a reorg brings them back.
      budget: fc.bigInt(1000n, 1_000_000n).map(sat),
      isRefused: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(block, { minLength: 1, maxLength: 60 }),
        fc.option(fc.integer({ min: 1, max: 50 })),
        (blocks, left) => {
          let price: Price | undefined
          for (const [i, one] of blocks.entries()) {
            const height = 100 + i
            const stakes = {
              height,
              budget: one.budget,
              weight,
              ...(left === null ? {} : { due: 100 + left }),
            }
            const market = { fees: fees(one.urgent, one.lazy, one.floor), policy, isRefused: one.isRefused }
            const next = priceOf(price, stakes, market)
            if (price !== undefined) {
              expect(next?.since).to.equal(price.since)
              expect(next?.start).to.equal(price.start)
            }
            if (next === undefined || next === price) continue
            expect(next.feerate).to.be.at.most(capOf(stakes))
            if (price !== undefined) expect(next.feerate).to.be.at.least(price.feerate + RELAY_STEP)
            price = next
          }
        },
      ),
    )
  })
})
