import { expect } from 'chai'
import fc from 'fast-check'
import {
  type ErrorCode,
  faultOfAgreement,
  faultOfTransition,
  faultOfUpdate,
  noApp,
  type State,
  type Transition,
  totals,
} from '../../channel/index.js'
import { MOCK_APP, mock, mockParams, mockStateApp } from './mock-app.js'
import { address, first, id, paid, params } from './sample.js'

const step = (from: State, to: State, changes: Partial<Transition> = {}): Transition => ({
  params,
  from,
  to,
  actor: 0,
  version: from.version + 1n,
  ...changes,
})
const locked = { channelID: id(1), balances: [5n, 5n], indexMap: [1, 0] }
const within = (state: State, changes: Partial<State['allocation']>): State => ({
  ...state,
  allocation: { ...state.allocation, ...changes },
})

describe('channel: transitions', () => {
  const from = first({ locked: [locked] })
  const to = paid(from, 3n)

  it('a payment -> taken', () => {
    expect(faultOfTransition(step(from, to))).to.equal(undefined)
    expect(faultOfUpdate(step(from, to), noApp)).to.equal(undefined)
  })

  it('a final state after one that is not -> taken', () => {
    const free = first()
    expect(faultOfUpdate(step(free, { ...paid(free, 3n), isFinal: true }), noApp)).to.equal(undefined)
  })

  it('a final state while funds are locked -> a transition, but no ordinary update', () => {
    const end = { ...to, isFinal: true }
    expect(faultOfTransition(step(from, end))).to.equal(undefined)
    expect(faultOfUpdate(step(from, end), noApp)?.code).to.equal('INVALID_TRANSITION')
  })

  const bad: Record<string, [Transition, ErrorCode]> = {
    'another channel': [step(from, { ...to, channelID: id(9) }), 'INVALID_TRANSITION'],
    'another app': [step(from, { ...to, app: address(3) }), 'INVALID_TRANSITION'],
    'after a final state': [step({ ...from, isFinal: true }, to), 'INVALID_TRANSITION'],
    'the same version': [step(from, { ...to, version: 0n }), 'INVALID_TRANSITION'],
    'a version left out': [step(from, { ...to, version: 2n }), 'INVALID_TRANSITION'],
    'a version beyond 64 bits': [
      step({ ...from, version: 2n ** 64n - 1n }, { ...to, version: 2n ** 64n }),
      'INVALID_STATE',
    ],
    'an actor out of range': [step(from, to, { actor: 2 }), 'INVALID_TRANSITION'],
    'a negative actor': [step(from, to, { actor: -1 }), 'INVALID_TRANSITION'],
    'an actor that is no integer': [step(from, to, { actor: 0.5 }), 'INVALID_TRANSITION'],
    'a total that grows': [
      step(
        from,
        within(to, {
          balances: [
            [11n, 20n],
            [30n, 40n],
          ],
        }),
      ),
      'INVALID_TRANSITION',
    ],
    'a total that shrinks': [
      step(
        from,
        within(to, {
          balances: [
            [10n, 20n],
            [30n, 39n],
          ],
        }),
      ),
      'INVALID_TRANSITION',
    ],
    'totals exchanged between assets': [
      step(from, within(to, { balances: to.allocation.balances.toReversed() })),
      'INVALID_TRANSITION',
    ],
    'a negative balance': [step(from, paid(from, 11n)), 'INVALID_AMOUNT'],
    'other assets': [
      step(
        from,
        within(to, { assets: to.allocation.assets.map((asset) => ({ ...asset, id: `${asset.id}00` })) }),
      ),
      'INVALID_TRANSITION',
    ],
    'assets of another ledger (identical backends)': [
      step(from, within(to, { assets: to.allocation.assets.map((asset) => ({ ...asset, backend: 1 })) })),
      'INVALID_TRANSITION',
    ],
    'assets in another order': [
      step(from, within(to, { assets: to.allocation.assets.toReversed() })),
      'INVALID_TRANSITION',
    ],
    'rows of another width (identical row width)': [
      step(
        from,
        within(to, {
          balances: [
            [10n, 10n, 10n],
            [30n, 40n, 0n],
          ],
        }),
      ),
      'INVALID_STATE',
    ],
    'data without an app (no data for no app)': [step(from, { ...to, data: '0x01' }), 'INVALID_STATE'],
  }
  for (const [name, [transition, code]] of Object.entries(bad)) {
    it(`${name} -> ${code}`, () => {
      expect(faultOfTransition(transition)?.code).to.equal(code)
      expect(faultOfUpdate(transition, noApp)?.code).to.equal(code)
    })
  }

  it('the wanted version may be higher than the next one, where versions between were signed and refused', () => {
    const later = { ...to, version: 5n }
    expect(faultOfTransition(step(from, later, { version: 5n }))).to.equal(undefined)
    expect(faultOfTransition(step(from, to, { version: 5n }))?.code).to.equal('INVALID_TRANSITION')
  })

  const locks: Record<string, State> = {
    'funds locked': within(to, {
      balances: [
        [9n, 20n],
        [30n, 40n],
      ],
      locked: [locked, { channelID: id(2), balances: [1n, 0n], indexMap: [] }],
    }),
    'funds released': within(to, {
      balances: [
        [15n, 20n],
        [35n, 40n],
      ],
      locked: [],
    }),
    'another index map': within(to, { locked: [{ ...locked, indexMap: [0, 1] }] }),
    'another child': within(to, { locked: [{ ...locked, channelID: id(3) }] }),
  }
  for (const [name, changed] of Object.entries(locks)) {
    it(`${name}: totals are kept -> a transition, but no ordinary update`, () => {
      expect(faultOfTransition(step(from, changed))).to.equal(undefined)
      expect(faultOfUpdate(step(from, changed), noApp)?.code).to.equal('INVALID_TRANSITION')
    })
  }

  it('the app is asked after the generic rules', () => {
    const of = mockParams(params)
    const start = first({}, of, mock('transitionError'))
    const next = paid(start, 1n)
    expect(faultOfUpdate(step(start, next, { params: of }), mockStateApp)?.code).to.equal('APP_REFUSED')
    const broken = { ...next, version: 7n }
    expect(faultOfUpdate(step(start, broken, { params: of }), mockStateApp)?.code).to.equal(
      'INVALID_TRANSITION',
    )
    expect(start.app).to.equal(MOCK_APP)
  })

  it('whatever is taken keeps totals, assets, participants and locked funds', () => {
    const amount = fc.bigInt({ min: -3n, max: 45n })
    const row = fc.array(amount, { minLength: 1, maxLength: 3 })
    const anyState = fc.record({
      version: fc.bigInt({ min: 0n, max: 2n }),
      isFinal: fc.boolean(),
      balances: fc.oneof(
        fc.array(row, { minLength: 1, maxLength: 3 }),
        fc.bigInt({ min: -2n, max: 12n }).map((moved) => paid(from, moved).allocation.balances),
      ),
      locked: fc.constantFrom([], [locked], [{ ...locked, indexMap: [] }]),
      actor: fc.integer({ min: -1, max: 2 }),
    })
    let taken = 0
    fc.assert(
      fc.property(anyState, ({ version, isFinal, balances, locked: locks, actor }) => {
        const next = within({ ...to, version, isFinal }, { balances, locked: locks })
        if (faultOfUpdate(step(from, next, { actor }), noApp)) return
        taken++
        expect(totals(next.allocation)).to.deep.equal(totals(from.allocation))
        expect(next.allocation.balances.flat().every((each) => each >= 0n)).to.equal(true)
        expect(next.allocation.balances.map(({ length }) => length)).to.deep.equal([2, 2])
        expect(next.allocation.locked).to.deep.equal(from.allocation.locked)
        expect(next.version).to.equal(1n)
      }),
      { numRuns: 2000 },
    )
    expect(taken, 'the generator reaches good ones').to.be.greaterThan(20)
  })
})

describe('channel: funding agreements', () => {
  it('the balances, or another distribution of the same sums -> taken', () => {
    expect(faultOfAgreement(first(), first().allocation.balances)).to.equal(undefined)
    expect(
      faultOfAgreement(first(), [
        [30n, 0n],
        [0n, 70n],
      ]),
    ).to.equal(undefined)
  })

  const bad: Record<string, bigint[][]> = {
    'another sum': [
      [30n, 1n],
      [0n, 70n],
    ],
    'sums exchanged': [
      [30n, 40n],
      [10n, 20n],
    ],
    'a row too few': [[30n, 0n]],
    'a column too many': [
      [30n, 0n, 0n],
      [0n, 70n, 0n],
    ],
    'a negative share': [
      [31n, -1n],
      [0n, 70n],
    ],
    nothing: [],
  }
  for (const [name, agreement] of Object.entries(bad)) {
    it(`${name} -> INVALID_STATE`, () => {
      expect(faultOfAgreement(first(), agreement)?.code).to.equal('INVALID_STATE')
    })
  }
})
