import { expect } from 'chai'
import fc from 'fast-check'
import {
  type Allocation,
  type Asset,
  type ErrorCode,
  faultOfAllocation,
  MAX_AMOUNT,
  type SubAllocation,
  sameAllocation,
  sameLocked,
  sameSums,
  sum,
  totals,
  width,
} from '../../channel/index.js'
import { allocation, id } from './sample.js'

const child = (changes: Partial<SubAllocation> = {}): SubAllocation => ({
  channelID: id(1),
  balances: [1n, 2n],
  indexMap: [1, 0],
  ...changes,
})
const assets = (n: number): Asset[] =>
  Array.from({ length: n }, (_, i) => ({ backend: 0, id: `0x${i.toString(16).padStart(8, '0')}` }))
const rows = (n: number, columns: number) =>
  Array.from({ length: n }, () => Array.from({ length: columns }, () => 1n))

describe('channel: allocation', () => {
  const good: Record<string, Allocation> = {
    plain: allocation(),
    'with a child': allocation({ locked: [child()] }),
    'with a child of the same participants': allocation({ locked: [child({ indexMap: [] })] }),
    'with a child of fewer participants': allocation({ locked: [child({ indexMap: [1] })] }),
    '1024 assets': allocation({ assets: assets(1024), balances: rows(1024, 2) }),
    '1024 participants': allocation({ balances: rows(2, 1024) }),
    '1024 children': allocation({
      locked: Array.from({ length: 1024 }, (_, i) =>
        child({ channelID: `0x${i.toString(16).padStart(64, '0')}` }),
      ),
    }),
    'the largest total': allocation({
      balances: [
        [MAX_AMOUNT - 1n, 0n],
        [0n, 0n],
      ],
      locked: [child()],
    }),
    'one ID on two ledgers': allocation({
      assets: [
        { backend: 0, id: '0x0a' },
        { backend: 1, id: '0x0a' },
      ],
    }),
  }
  for (const [name, each] of Object.entries(good)) {
    it(`${name} -> taken`, () => {
      expect(faultOfAllocation(each)).to.equal(undefined)
    })
  }

  const bad: Record<string, [Allocation, ErrorCode]> = {
    'no asset': [allocation({ assets: [], balances: [] }), 'INVALID_STATE'],
    '1025 assets': [allocation({ assets: assets(1025), balances: rows(1025, 2) }), 'INVALID_STATE'],
    'fewer rows than assets': [allocation({ balances: [[1n, 2n]] }), 'INVALID_STATE'],
    'more rows than assets': [allocation({ balances: rows(3, 2) }), 'INVALID_STATE'],
    'no participant': [allocation({ balances: [[], []] }), 'INVALID_STATE'],
    '1025 participants': [allocation({ balances: rows(2, 1025) }), 'INVALID_STATE'],
    'rows of different length': [allocation({ balances: [[1n, 2n], [1n]] }), 'INVALID_STATE'],
    'a negative balance': [
      allocation({
        balances: [
          [-1n, 2n],
          [1n, 2n],
        ],
      }),
      'INVALID_AMOUNT',
    ],
    'a balance of 33 bytes': [
      allocation({ balances: [[MAX_AMOUNT + 1n, 0n], rows(1, 2)[0] ?? []] }),
      'INVALID_AMOUNT',
    ],
    'a total of 33 bytes in balances': [
      allocation({
        balances: [
          [MAX_AMOUNT, 1n],
          [0n, 0n],
        ],
      }),
      'INVALID_AMOUNT',
    ],
    'a total of 33 bytes with locked funds': [
      allocation({
        balances: [
          [MAX_AMOUNT, 0n],
          [0n, 0n],
        ],
        locked: [child()],
      }),
      'INVALID_AMOUNT',
    ],
    'a repeated asset': [allocation({ assets: [...assets(1), ...assets(1)] }), 'INVALID_STATE'],
    'an asset that is not bytes': [
      allocation({ assets: [...assets(1), { backend: 0, id: '0xA' }] }),
      'INVALID_STATE',
    ],
    '1025 children': [
      allocation({
        locked: Array.from({ length: 1025 }, (_, i) =>
          child({ channelID: `0x${i.toString(16).padStart(64, '0')}` }),
        ),
      }),
      'INVALID_STATE',
    ],
    'a repeated child': [allocation({ locked: [child(), child({ balances: [0n, 0n] })] }), 'INVALID_STATE'],
    'a child ID of 31 bytes': [allocation({ locked: [child({ channelID: '0x01' })] }), 'INVALID_STATE'],
    'a child with fewer amounts than assets': [
      allocation({ locked: [child({ balances: [1n] })] }),
      'INVALID_STATE',
    ],
    'a child with more amounts than assets': [
      allocation({ locked: [child({ balances: [1n, 1n, 1n] })] }),
      'INVALID_STATE',
    ],
    'a negative locked amount': [allocation({ locked: [child({ balances: [1n, -1n] })] }), 'INVALID_AMOUNT'],
    'an index map entry out of range': [
      allocation({ locked: [child({ indexMap: [0, 2] })] }),
      'INVALID_STATE',
    ],
    'a negative index map entry': [allocation({ locked: [child({ indexMap: [0, -1] })] }), 'INVALID_STATE'],
    'an index map entry that is no integer': [
      allocation({ locked: [child({ indexMap: [0.5] })] }),
      'INVALID_STATE',
    ],
    'an index map entry that is not a number': [
      allocation({ locked: [child({ indexMap: [Number.NaN] })] }),
      'INVALID_STATE',
    ],
    'an index map with a repeated entry': [
      allocation({ locked: [child({ indexMap: [1, 1] })] }),
      'INVALID_STATE',
    ],
    'an index map of 1025 entries': [
      allocation({ locked: [child({ indexMap: Array.from({ length: 1025 }, (_, i) => i) })] }),
      'INVALID_STATE',
    ],
  }
  for (const [name, [each, code]] of Object.entries(bad)) {
    it(`${name} -> ${code}`, () => {
      expect(faultOfAllocation(each)?.code).to.equal(code)
    })
  }

  it('index maps, IDs and amounts of locked funds are compared', () => {
    const one = [child()]
    expect(sameLocked(one, [child()])).to.equal(true)
    const others = [child({ indexMap: [0, 1] }), child({ indexMap: [] }), child({ balances: [2n, 1n] })]
    for (const other of [...others, child({ channelID: id(2) })]) {
      expect(sameLocked(one, [other])).to.equal(false)
    }
    expect(sameLocked(one, [])).to.equal(false)
  })

  it('assets are compared with their ledger', () => {
    const other = allocation({ assets: allocation().assets.map((asset) => ({ ...asset, backend: 1 })) })
    expect(sameAllocation(allocation(), allocation())).to.equal(true)
    expect(sameAllocation(allocation(), other)).to.equal(false)
  })

  it('totals count locked funds', () => {
    const locked = [child(), child({ channelID: id(2), balances: [100n, 0n] })]
    expect(totals(allocation({ locked }))).to.deep.equal([131n, 72n])
  })

  const amount = fc.oneof(
    fc.bigInt({ min: 0n, max: 20n }),
    fc.bigInt({ min: 0n, max: 2n ** 250n }),
    fc.constant(0n),
  )
  const table = fc
    .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5 }))
    .chain(([n, p]) =>
      fc.array(fc.array(amount, { minLength: p, maxLength: p }), { minLength: n, maxLength: n }),
    )

  it('moving funds between participants, or into a child and back, keeps the totals', () => {
    fc.assert(
      fc.property(table, fc.nat(), fc.nat(), fc.nat(), (balances, a, from, to) => {
        const asset = a % balances.length
        const before: Allocation = { assets: assets(balances.length), balances, locked: [] }
        const columns = width(before)
        const moved = balances.map((row) => [...row])
        const row = moved[asset] ?? []
        const share = (row[from % columns] ?? 0n) / 2n
        row[from % columns] = (row[from % columns] ?? 0n) - share
        const given = moved.map((each) => [...each])
        const target = given[asset] ?? []
        target[to % columns] = (target[to % columns] ?? 0n) + share
        const inChild = child({ balances: balances.map((_, i) => (i === asset ? share : 0n)), indexMap: [] })
        expect(totals({ ...before, balances: given })).to.deep.equal(totals(before))
        expect(totals({ ...before, balances: moved, locked: [inChild] })).to.deep.equal(totals(before))
        expect(sameSums(balances, given)).to.equal(true)
        expect(sameSums(balances, moved)).to.equal(share === 0n)
        expect(faultOfAllocation({ ...before, balances: given })).to.equal(undefined)
      }),
    )
  })

  it('sums of different shape are never the same', () => {
    expect(sameSums([[1n, 2n]], [[3n]])).to.equal(false)
    expect(sameSums([[1n], [2n]], [[1n]])).to.equal(false)
    expect(sum([])).to.equal(0n)
  })
})
