// What only somebody with his own client would send to the contract.
import { expect } from 'chai'
import { withdrawalMessage } from '../../../backend/sim/encode.js'
import type { SimCall } from '../../../backend/sim/index.js'
import {
  appResolver,
  initialState,
  type Params,
  paymentApp,
  type SignedState,
  type State,
  stateOf,
} from '../../../channel/index.js'
import { firstState, party, RICH, signedByAll, simWorld } from './world.js'

const app = paymentApp(`0x${'99'.repeat(20)}`)

/** A funded channel on a ledger that mines at once, and how calls end on it. */
function funded(changes: Partial<Params> = {}) {
  const world = simWorld({ autoMine: 'instant', apps: appResolver(app) })
  const { ledger, parties, assets } = world
  const params = { ...world.params, ...changes }
  const state = firstState(parties, params, assets)
  const { channelID } = state
  const alice = party(parties, 0)
  const send = (call: SimCall, from = alice.address): string => {
    const place = ledger.whereabouts(ledger.submit(from, call))
    return place.kind === 'mined' ? (place.receipt.reverted ?? 'done') : place.kind
  }
  for (const { address: participant } of parties) {
    for (const { id: asset } of assets) {
      send({ kind: 'deposit', channelID, participant, asset, amount: 10n }, participant)
    }
  }
  const sign = (each: State, of: Params = params) => signedByAll(parties, of, each)
  const register = (signed: SignedState, subChannels: SignedState[] = []) =>
    send({ kind: 'register', signed, subChannels })
  return { ...world, params, state, channelID, send, sign, register }
}

function later(state: State, version: bigint, isFinal = false): State {
  const { assets, balances } = state.allocation
  return stateOf(state, { assets, balances: balances.map((r) => [...r]), data: state.data, isFinal }, version)
}

describe('backend/sim: contract, register', () => {
  it('params that are not those of the ID, or that break a rule -> refused', () => {
    const { state, sign, register, params } = funded()
    expect(register({ ...sign(state), params: { ...params, nonce: 99n } })).to.equal('invalid params')
    expect(register({ ...sign(state), params: { ...params, challengeDuration: 2n ** 32n } })).to.include(
      'challenge duration',
    )
    const [first] = params.participants
    const twice = { ...params, participants: first ? [first, first] : [] }
    expect(register({ ...sign(state), params: twice })).to.include('distinct participants')
    expect(register({ ...sign(state), params: { ...params, ledgerChannel: false } })).to.equal('not ledger')
  })

  it('an older state, or any after the time for refutation -> refused; the same again -> nothing happens', () => {
    const { ledger, state, sign, register, channelID } = funded()
    expect(register(sign(later(state, 2n)))).to.equal('done')
    expect(register(sign(later(state, 1n)))).to.equal('invalid version')
    const other = later(state, 2n, true)
    expect(register(sign(other)), 'another state of the same version').to.equal('invalid version')
    expect(register(sign(later(state, 2n)))).to.equal('done')
    expect([...ledger.logs(channelID)].filter(({ event }) => event.kind === 'registered').length).to.equal(1)
    ledger.advance(100n)
    expect(register(sign(later(state, 3n)))).to.equal('refutation timeout passed')
  })

  it('a state that could never be concluded -> refused', () => {
    const { state, sign, register } = funded()
    const { allocation } = state
    const wide = { ...state, allocation: { ...allocation, balances: [[1n], [1n]] } }
    const locked = [{ channelID: state.channelID, balances: [1n, 1n], indexMap: [7] }]
    expect(register(sign(wide))).to.include('balances')
    expect(register(sign({ ...state, allocation: { ...allocation, locked } }))).to.include('index map')
  })

  it('a ledger channel as a sub-channel -> refused: its deposits would not follow its outcome', () => {
    const { state, sign, register, params, assets, parties } = funded()
    const childParams = { ...params, nonce: 8n }
    const child = firstState(parties, childParams, assets)
    const locked = [{ channelID: child.channelID, balances: [20n, 20n], indexMap: [] }]
    const zero = [
      [0n, 0n],
      [0n, 0n],
    ]
    const parent = { ...later(state, 1n), allocation: { ...state.allocation, balances: zero, locked } }
    const signed = sign(child, childParams)
    expect(register(sign(parent), [signed])).to.equal('ledger channel as sub-channel')
  })

  it('a virtual channel with an app or with locked funds -> refused', () => {
    const { state, sign, register, params, parties, assets } = funded()
    const virtual = { ...params, ledgerChannel: false, virtualChannel: true, nonce: 8n, app: app.id }
    const child = firstState(parties, virtual, assets)
    const locked = [{ channelID: child.channelID, balances: [20n, 20n], indexMap: [1, 0] }]
    const parent = { ...later(state, 1n), allocation: { ...state.allocation, locked } }
    expect(register(sign(parent), [sign(child, virtual)])).to.equal('cannot have app')
  })
})

describe('backend/sim: rules', () => {
  it('as many assets as the capabilities say -> taken; one more -> refused', () => {
    const { ledger, parties, params, assets } = simWorld()
    const { rules, capabilities } = party(parties, 0).backend
    const many = [...assets]
    while (many.length <= capabilities.maxAssets) many.push(ledger.createAsset())
    const fault = (n: number) =>
      rules.faultOfState(params, firstState(parties, params, many.slice(0, n)))?.code
    expect([fault(capabilities.maxAssets), fault(capabilities.maxAssets + 1)]).to.deep.equal([
      undefined,
      'INVALID_STATE',
    ])
  })
})

describe('backend/sim: contract, conclusion', () => {
  it('before its time, of another state, or twice -> refused', () => {
    const { ledger, params, state, sign, register, send } = funded()
    const conclude = (each: State) => send({ kind: 'conclude', params, state: each, subStates: [] })
    expect(conclude(state)).to.equal('not registered')
    expect(register(sign(state))).to.equal('done')
    expect(conclude(state)).to.equal('timeout not passed yet')
    ledger.advance(100n)
    expect(conclude(later(state, 1n))).to.equal('invalid state')
    expect(conclude(state)).to.equal('done')
    expect(conclude(state)).to.equal('already concluded')
    expect(register(sign(later(state, 5n)))).to.equal('incorrect phase')
  })

  it('an app channel has one more duration for its first step; a final state has none', () => {
    const one = funded({ app: app.id })
    const end = (world: typeof one, state: State) =>
      world.send({ kind: 'conclude', params: world.params, state, subStates: [] })
    one.register(one.sign(one.state))
    one.ledger.advance(100n)
    expect(end(one, one.state)).to.equal('timeout not passed yet')
    one.ledger.advance(100n)
    expect(end(one, one.state)).to.equal('done')
    const two = funded({ app: app.id })
    const last = later(two.state, 1n, true)
    two.register(two.sign(last))
    expect(end(two, last)).to.equal('done')
  })

  it("a descendant's own time must be over, whichever parent asks", () => {
    const { ledger, params, state, sign, register, send, parties, assets } = funded()
    const childParams = { ...params, ledgerChannel: false, challengeDuration: 500n }
    const balances = [
      [5n, 5n],
      [5n, 5n],
    ]
    const child = initialState(
      party(parties, 0).backend.rules.channelID(childParams),
      childParams,
      { assets, balances, locked: [] },
      '0x',
    )
    const locked = [{ channelID: child.channelID, balances: [10n, 10n], indexMap: [] }]
    const parent = { ...later(state, 1n), allocation: { assets, balances, locked } }
    expect(register(sign(parent), [sign(child, childParams)])).to.equal('done')
    const conclude = (subStates: State[]) => send({ kind: 'conclude', params, state: parent, subStates })
    ledger.advance(200n)
    expect(conclude([child])).to.equal('timeout not passed yet')
    expect(conclude([])).to.equal('subStates too short')
    expect(conclude([parent])).to.equal('invalid sub-channel id')
    ledger.advance(300n)
    expect(conclude([child])).to.equal('done')
  })

  it('concludeFinal of a state that is not final, or signed by others -> refused', () => {
    const { state, sign, send } = funded()
    const last = later(state, 1n, true)
    expect(send({ kind: 'concludeFinal', signed: sign(state) })).to.equal('state not final')
    const signed = sign(last)
    const forged = { ...signed, signatures: signed.signatures.toReversed() }
    expect(send({ kind: 'concludeFinal', signed: forged })).to.equal('invalid signature')
    expect(send({ kind: 'concludeFinal', signed })).to.equal('done')
    expect(send({ kind: 'concludeFinal', signed })).to.equal('concluded already')
  })
})

describe('backend/sim: contract, funds', () => {
  it('a withdrawal before the end, for somebody else, or by a signature for another asset -> refused', () => {
    const { state, sign, send, parties, assets, channelID, ledger } = funded()
    const [alice, bob] = [party(parties, 0), party(parties, 1)]
    const asset = assets[0].id
    const payment = { channelID, participant: alice.address, asset, receiver: alice.address }
    const good = {
      kind: 'withdraw',
      ...payment,
      signature: alice.sign(withdrawalMessage(payment)),
    } as const
    expect(send(good)).to.equal('channel not settled')
    send({ kind: 'concludeFinal', signed: sign(later(state, 1n, true)) })
    const bad: SimCall[] = [
      { ...good, receiver: bob.address },
      { ...good, participant: bob.address },
      { ...good, asset: assets[1].id },
      { ...good, signature: bob.sign(withdrawalMessage(payment)) },
    ]
    for (const call of bad) expect(send(call, bob.address)).to.equal('signature verification failed')
    expect(send(good, bob.address), 'anybody may send it').to.equal('done')
    expect(send(good)).to.equal('done')
    expect(ledger.balanceOf(assets[0], alice.address)).to.equal(RICH)
  })

  it('a deposit after the end -> refused', () => {
    const { state, sign, send, channelID, assets, parties } = funded()
    send({ kind: 'concludeFinal', signed: sign(later(state, 1n, true)) })
    const { address: participant } = party(parties, 0)
    const call = { kind: 'deposit', channelID, participant, asset: assets[0].id, amount: 1n } as const
    expect(send(call)).to.equal('channel concluded')
  })

  it('a surplus goes back to who put in more than he gets, and nobody loses', () => {
    const { state, sign, send, channelID, assets, parties, ledger } = funded()
    const [alice, bob] = [party(parties, 0), party(parties, 1)]
    const asset = assets[0].id
    send({ kind: 'deposit', channelID, participant: alice.address, asset, amount: 7n })
    send({ kind: 'concludeFinal', signed: sign(later(state, 1n, true)) })
    const held = [alice, bob].map(({ address: participant }) =>
      ledger.holding(asset, { channelID, participant }),
    )
    expect(held).to.deep.equal([17n, 10n])
  })
})
