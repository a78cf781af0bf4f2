import { expect } from 'chai'
import type { Asset, State } from '../../channel/index.js'
import { firstState, party, RICH, signedByAll, simWorld } from '../backend/sim/world.js'
import { Chain } from './chain.js'
import { Oracle } from './oracle.js'

/** What an honest participant, told that `agreed` is agreed, has against a channel concluded with an older state. */
function judged(change: {
  readonly decided?: Partial<State>
  readonly agreed?: Partial<State>
  /** What is agreed, by participant; 10 each by default. */
  readonly balances?: readonly bigint[]
}): string[] {
  const chain = new Chain(() => undefined)
  const { parties, params } = simWorld()
  const { address } = party(parties, 0)
  const asset: Asset = chain.createAsset()
  for (const it of parties) chain.mint(asset, it.address, RICH)
  const first = firstState(parties, params, [asset])
  const { channelID } = first
  for (const { address: participant } of parties) {
    chain.submit(participant, { kind: 'deposit', channelID, participant, asset: asset.id, amount: 10n })
  }
  const decided: State = { ...first, version: 2n, isFinal: true, ...change.decided }
  const signed = signedByAll(parties, params, decided)
  if (decided.isFinal) chain.submit(address, { kind: 'concludeFinal', signed })
  else {
    chain.submit(address, { kind: 'register', signed, subChannels: [] })
    chain.mine()
    chain.advance(1_000n)
    chain.submit(address, { kind: 'conclude', params, state: decided, subStates: [] })
  }
  chain.mine()
  const oracle = new Oracle()
  const witness = { name: 'a', address, written: new Set<string>() }
  const allocation = { ...first.allocation, balances: [change.balances ?? [10n, 10n]] }
  oracle.told(witness, 0, { ...first, allocation, version: 3n, isFinal: true, ...change.agreed }, 'agreed')
  oracle.judge(chain, [witness], [asset], RICH)
  return oracle.violations
    .filter(({ invariant }) => invariant === 'agreed state or newer decides')
    .map(({ words }) => words.replace(/^.*: /, ''))
}

describe('simulation: oracle', () => {
  const older = ['version 2 decided, 3 was agreed']

  it('an end signed twice, since its first proposal crossed another -> either version may decide', () => {
    expect(judged({})).deep.equals([])
  })

  it('an older end that pays otherwise, or an older state that is no end -> a violation', () => {
    expect(judged({ balances: [9n, 11n] })).deep.equals(older)
    expect(judged({ agreed: { isFinal: false } })).deep.equals(older)
    expect(judged({ decided: { isFinal: false } })).deep.equals(older)
  })

  it('a proposal that is built on another state than that of whoever is asked -> a violation, unless its maker cheats', () => {
    const { parties, params } = simWorld()
    const first = firstState(parties, params, [])
    const oracle = new Oracle()
    const witness = { name: 'b', address: party(parties, 1).address, written: new Set<string>() }
    const proposed: State = { ...first, version: 3n }
    oracle.proposed('a', proposed, 1n)
    for (const proposer of ['a', 'c'])
      for (const version of [1n, 2n])
        oracle.asked(witness, proposer, { current: { ...first, version }, proposed })
    expect(oracle.violations.map(({ words }) => words)).deep.equals([
      'a built version 3 on 1, b is asked about it at 2',
    ])
  })
})
