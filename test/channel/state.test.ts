import { expect } from 'chai'
import {
  draftOf,
  type ErrorCode,
  faultOfState,
  initialState,
  isError,
  type State,
  sameState,
  stateOf,
  transfer,
} from '../../channel/index.js'
import { address, allocation, CHANNEL, first, id, paid, params } from './sample.js'

describe('channel: state', () => {
  it('an initial state has version 0, the app of the params, and is not final', () => {
    expect(first()).to.deep.equal({
      channelID: CHANNEL,
      version: 0n,
      app: params.app,
      allocation: allocation(),
      data: '0x',
      isFinal: false,
    })
  })

  const withApp = { ...params, app: address(5) }
  const good: Record<string, [State, typeof params]> = {
    'a first one': [first(), params],
    'the largest version': [{ ...first(), version: 2n ** 64n - 1n }, params],
    'data of 65 535 bytes': [first({}, withApp, `0x${'00'.repeat(65_535)}`), withApp],
  }
  for (const [name, [state, of]] of Object.entries(good)) {
    it(`${name} -> taken`, () => {
      expect(faultOfState(of, state)).to.equal(undefined)
    })
  }

  const bad: Record<string, [State, ErrorCode, typeof params]> = {
    'version -1': [{ ...first(), version: -1n }, 'INVALID_STATE', params],
    'version 2^64': [{ ...first(), version: 2n ** 64n }, 'INVALID_STATE', params],
    'an ID of 31 bytes': [{ ...first(), channelID: '0x00' }, 'INVALID_STATE', params],
    'another app': [{ ...first(), app: address(5) }, 'INVALID_STATE', params],
    'no app where the params have one': [first(), 'INVALID_STATE', withApp],
    'data without an app': [{ ...first(), data: '0x00' }, 'INVALID_STATE', params],
    'data of 65 536 bytes': [first({}, withApp, `0x${'00'.repeat(65_536)}`), 'INVALID_STATE', withApp],
    'data that is not bytes': [first({}, withApp, '0x0'), 'INVALID_STATE', withApp],
    'balances of three for two participants': [
      first({
        balances: [
          [1n, 2n, 3n],
          [1n, 2n, 3n],
        ],
      }),
      'INVALID_STATE',
      params,
    ],
    'a negative balance': [
      first({
        balances: [
          [1n, -1n],
          [1n, 2n],
        ],
      }),
      'INVALID_AMOUNT',
      params,
    ],
  }
  for (const [name, [state, code, of]] of Object.entries(bad)) {
    it(`${name} -> ${code}`, () => {
      expect(faultOfState(of, state)?.code).to.equal(code)
    })
  }

  it('a change of any field makes another state', () => {
    const state = first({ locked: [{ channelID: id(1), balances: [1n, 2n], indexMap: [1, 0] }] })
    const [locked] = state.allocation.locked
    if (!locked) throw new Error('there is one')
    const within = (changes: Partial<State['allocation']>): State => ({
      ...state,
      allocation: { ...state.allocation, ...changes },
    })
    const others: State[] = [
      { ...state, channelID: id(2) },
      { ...state, version: 1n },
      { ...state, app: address(5) },
      { ...state, data: '0x00' },
      { ...state, isFinal: true },
      within({ assets: state.allocation.assets.toReversed() }),
      within({ balances: state.allocation.balances.toReversed() }),
      within({ locked: [] }),
      within({ locked: [{ ...locked, indexMap: [0, 1] }] }),
      within({ locked: [{ ...locked, balances: [2n, 1n] }] }),
    ]
    expect(sameState(state, structuredClone(state))).to.equal(true)
    for (const other of others) expect(sameState(state, other)).to.equal(false)
  })

  it('is frozen to the bottom', () => {
    const { allocation: given } = first({ locked: [{ channelID: id(1), balances: [1n, 2n], indexMap: [] }] })
    const parts: unknown[] = [given, given.assets, given.balances, given.locked]
    for (const part of [...parts, ...given.assets, ...given.balances, ...given.locked]) {
      expect(Object.isFrozen(part)).to.equal(true)
    }
    expect(Object.isFrozen(given.locked[0]?.balances) && Object.isFrozen(given.locked[0]?.indexMap)).to.equal(
      true,
    )
  })

  it('an edited draft makes a new state and leaves the old one alone', () => {
    const state = first()
    const draft = draftOf(state)
    transfer(draft, { from: 0, to: 1, amount: 3n })
    transfer(draft, { from: 1, to: 0, amount: 5n, asset: 1 })
    draft.isFinal = true
    const next = stateOf(state, draft, 4n)
    expect(state).to.deep.equal(first())
    expect(next.allocation.balances).to.deep.equal([
      [7n, 23n],
      [35n, 35n],
    ])
    expect([next.version, next.isFinal]).to.deep.equal([4n, true])
    transfer(draft, { from: 0, to: 1, amount: 1n })
    expect(next.allocation.balances[0], 'the draft is not the state').to.deep.equal([7n, 23n])
  })

  it('a transfer of all, of nothing and to oneself keeps the sum', () => {
    const draft = draftOf(first())
    for (const [from, to, amount] of [
      [0, 1, 10n],
      [0, 1, 0n],
      [1, 1, 30n],
    ] as const) {
      transfer(draft, { from, to, amount })
    }
    expect(draft.balances[0]).to.deep.equal([0n, 30n])
  })

  it('a transfer of more than there is, or of less than nothing -> INVALID_AMOUNT, nothing moved', () => {
    for (const amount of [11n, -1n]) {
      const draft = draftOf(first())
      expect(() => transfer(draft, { from: 0, to: 1, amount }))
        .to.throw()
        .satisfies((error: unknown) => isError(error, 'INVALID_AMOUNT'))
      expect(draft).to.deep.equal(draftOf(first()))
    }
  })

  it('a transfer by or to nobody, or of no asset -> INVALID_ARGUMENT', () => {
    for (const move of [
      { from: 2, to: 0, amount: 0n },
      { from: 0, to: -1, amount: 0n },
      { from: 0, to: 1, amount: 0n, asset: 2 },
    ]) {
      expect(() => transfer(draftOf(first()), move))
        .to.throw()
        .satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    }
  })

  it('the sample states of these tests follow each other', () => {
    const state = initialState(CHANNEL, params, allocation(), '0x')
    expect(paid(state, 2n).allocation.balances[0]).to.deep.equal([8n, 22n])
  })
})
