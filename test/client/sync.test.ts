import { expect } from 'chai'
import fc from 'fast-check'
import { type Index, isError, type State, sameState, transfer } from '../../channel/index.js'
import type { ChannelEffect } from '../../client/conversation.js'
import type { Message } from '../../client/messages.js'
import { MAX_SKIP } from '../../client/update.js'
import {
  agree,
  at,
  type Conversations,
  currentAt,
  deliver,
  feed,
  propose,
  reachActing,
  settleDown,
  signed,
} from './conversations.js'

const pay = (all: Conversations, from: Index, to: Index) =>
  propose(all, from, (draft) => transfer(draft, { from, to, amount: 1n }))

/** A new connection between two: what was on its way is lost, both ends are told. */
function reconnect(all: Conversations, a: Index, b: Index): void {
  lose(all, a, b)
  feed(all, a, { kind: 'connected', peer: b })
  feed(all, b, { kind: 'connected', peer: a })
}

function lose({ wire }: Conversations, a: Index, b: Index): void {
  const rest = wire.filter(({ from, to }) => !(from === a && to === b) && !(from === b && to === a))
  wire.splice(0, wire.length, ...rest)
}

/** Lets arrive what is on its way between two; what others say stays on its way. */
function settleBetween(all: Conversations, a: Index, b: Index): void {
  for (;;) {
    const i = all.wire.findIndex(({ from, to }) => (from === a && to === b) || (from === b && to === a))
    if (i < 0) return
    for (const sent of all.wire.splice(i, 1))
      for (const effect of deliver(all, sent)) agree(all, sent.to, effect)
  }
}

/** Everybody but one agrees on a state, which that one has signed too but never sees complete. */
function leaveBehind(all: Conversations, late: Index): State {
  // Of two, whoever signs last has it complete.
  const other = late === 0 ? 1 : 0
  const state = all.states.length === 2 ? pay(all, late, other) : pay(all, other, late)
  for (let sent = all.wire.shift(); sent !== undefined; sent = all.wire.shift()) {
    const isLost = sent.to === late && sent.message.kind === 'channelUpdateAcc'
    if (isLost) continue
    for (const effect of deliver(all, sent)) agree(all, sent.to, effect)
  }
  return state
}

const versions = ({ states }: Conversations) => states.map((_, i) => i)
const refusals = (effects: readonly ChannelEffect[]) =>
  effects.flatMap((effect) => (effect.kind === 'refuse' ? [effect] : []))
const kinds = (all: Conversations, from: Index): Message['kind'][] =>
  all.wire.filter((sent) => sent.from === from).map(({ message }) => message.kind)

describe('sync: after a connection was lost', () => {
  it('both say what they hold, and nothing else when nothing was lost', () => {
    const all = reachActing(2)
    reconnect(all, 0, 1)
    expect(kinds(all, 0)).deep.equals(['channelSync'])
    expect(kinds(all, 1)).deep.equals(['channelSync'])
    settleDown(all)
    expect(all.wire).deep.equals([])
  })

  it('a proposal that was lost -> said again, and agreed on', () => {
    const all = reachActing(2)
    const state = pay(all, 0, 1)
    reconnect(all, 0, 1)
    settleDown(all)
    for (const i of versions(all)) expect(currentAt(all, i).state).deep.equals(state)
  })

  it('an acceptance that was lost -> said again', () => {
    const all = reachActing(2)
    const state = pay(all, 0, 1)
    const [proposal] = all.wire.splice(0)
    if (proposal === undefined) throw new Error('a proposal')
    for (const effect of deliver(all, proposal)) agree(all, 1, effect)
    expect(currentAt(all, 1).state.version).equals(1n)
    reconnect(all, 0, 1)
    settleDown(all)
    expect(currentAt(all, 0).state).deep.equals(state)
  })

  it('acceptances of three that were lost -> each says its own again, to whoever lacks it', () => {
    const all = reachActing(3)
    const state = pay(all, 0, 1)
    for (const sent of all.wire.splice(0))
      for (const effect of deliver(all, sent)) agree(all, sent.to, effect)
    all.wire.splice(0)
    for (const i of versions(all)) expect(currentAt(all, i).state.version).equals(0n)
    for (const [a, b] of [
      [0, 1],
      [0, 2],
      [1, 2],
    ] as const)
      reconnect(all, a, b)
    expect(kinds(all, 1).filter((kind) => kind === 'channelUpdateAcc').length).at.least(2)
    settleDown(all)
    for (const i of versions(all)) expect(currentAt(all, i).state).deep.equals(state)
  })

  it('a refusal that was lost -> known from what the other says is used up', () => {
    const all = reachActing(2)
    pay(all, 0, 1)
    const [proposal] = all.wire.splice(0)
    if (proposal === undefined) throw new Error('a proposal')
    for (const effect of deliver(all, proposal)) {
      if (effect.kind === 'ask') feed(all, 1, { kind: 'reject', update: effect.update, reason: 'no' })
    }
    reconnect(all, 0, 1)
    settleDown(all)
    expect(at(all.states, 0).record.machine.phase).equals('acting')
    pay(all, 1, 0)
    settleDown(all)
    for (const i of versions(all)) expect(currentAt(all, i).state.version).equals(2n)
  })

  for (const size of [2, 3, 5]) {
    for (const late of [0, size - 1]) {
      it(`${size} participants, number ${late} is a fully signed state behind -> has it from any other, with all signatures`, () => {
        for (let helper = 0; helper < size; helper++) {
          if (helper === late) continue
          const all = reachActing(size)
          const state = leaveBehind(all, late)
          expect(currentAt(all, late).state.version).equals(0n)
          all.wire.splice(0)
          // Only these two are online.
          reconnect(all, helper, late)
          const sent = all.wire.find(
            ({ message }) => message.kind === 'channelSync' && message.version === 0n,
          )
          if (sent === undefined) throw new Error('a sync')
          settleBetween(all, helper, late)
          expect(sameState(currentAt(all, late).state, state)).equals(true)
          expect(currentAt(all, late).signatures).deep.equals(currentAt(all, helper).signatures)
          expect(currentAt(all, late).signatures).not.includes(undefined)
        }
      })
    }
  }

  it('one who lags behind by several states -> is at the newest at once', () => {
    const all = reachActing(3)
    for (let i = 0; i < 3; i++) {
      pay(all, 0, 1)
      settleDown(all)
    }
    const old = reachActing(3)
    all.states[2] = at(old.states, 2)
    reconnect(all, 1, 2)
    settleBetween(all, 1, 2)
    expect(currentAt(all, 2).state.version).equals(3n)
  })

  it('any messages lost, any subset online, whoever proposes -> when all are connected, all agree and can go on', () => {
    const index = fc.nat(3)
    const move = fc.oneof(
      fc.record({ kind: fc.constant('pay' as const), a: index, b: index }),
      fc.record({
        kind: fc.constant('deliver' as const),
        a: index,
        b: index,
        n: fc.integer({ min: 1, max: 4 }),
      }),
      fc.record({ kind: fc.constant('lose' as const), a: index, b: index }),
      fc.record({ kind: fc.constant('reconnect' as const), a: index, b: index }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 4 }), fc.array(move, { maxLength: 30 }), (size, moves) => {
        const all = reachActing(size)
        const isIdle = (i: Index) =>
          at(all.states, i).record.machine.phase === 'acting' && at(all.states, i).asking === undefined
        for (const one of moves) {
          const [a, b] = [one.a % size, one.b % size]
          if (a === b) continue
          if (one.kind === 'pay' && isIdle(a) && !isPoor(all, a)) pay(all, a, b)
          if (one.kind === 'lose') lose(all, a, b)
          if (one.kind === 'reconnect') reconnect(all, a, b)
          if (one.kind === 'deliver') {
            for (let n = 0; n < one.n; n++) {
              const i = all.wire.findIndex(({ from, to }) => from === a && to === b)
              const [sent] = i < 0 ? [] : all.wire.splice(i, 1)
              for (const effect of sent ? deliver(all, sent) : []) agree(all, b, effect)
            }
          }
        }
        for (const round of [0, 1]) {
          for (let a = 0; a < size; a++) for (let b = a + 1; b < size; b++) reconnect(all, a, b)
          settleDown(all)
          const held = all.states.map((_, i) => currentAt(all, i).state)
          for (const state of held) expect(sameState(state, at(held, 0))).equals(true)
          for (let i = 0; i < size; i++) expect(at(all.states, i).record.machine.phase).equals('acting')
          pay(all, round, 1 - round)
          settleDown(all)
          for (let i = 0; i < size; i++) {
            expect(currentAt(all, i).state.version > at(held, 0).version, `participant ${i} moved on`).equals(
              true,
            )
          }
        }
      }),
      { numRuns: 60 },
    )
  })
})

function isPoor(all: Conversations, index: Index): boolean {
  return (currentAt(all, index).state.allocation.balances[0]?.[index] ?? 0n) === 0n
}

describe('sync: a participant who claims nonsense', () => {
  const hostile = (message: (all: Conversations) => Parameters<typeof deliver>[1]['message']) => {
    const all = reachActing(3)
    pay(all, 0, 1)
    settleDown(all)
    const before = at(all.states, 0)
    const effects = deliver(all, { from: 2, to: 0, message: message(all) })
    return { all, before, effects }
  }
  const channelID = (all: Conversations) => currentAt(all, 0).state.channelID

  it('a used version that nobody can have reached -> an error and the end of the connection, nothing changes', () => {
    const all = reachActing(2)
    const before = at(all.states, 0)
    const usedVersion = MAX_SKIP + 2n
    const message = { kind: 'channelSync', channelID: channelID(all), version: 0n, usedVersion } as const
    const [refusal] = refusals(feed(all, 0, { kind: 'received', from: 1, message }))
    expect(refusal?.cost).equals('connection')
    expect(isError(refusal?.error, 'INVALID_MESSAGE')).equals(true)
    expect(at(all.states, 0).record).equals(before.record)
  })

  it('a third one lies to another of used versions -> what that one says then is refused, and costs no connection', () => {
    const all = reachActing(3)
    for (const usedVersion of [MAX_SKIP, 2n * MAX_SKIP]) {
      const message = { kind: 'channelSync', channelID: channelID(all), version: 0n, usedVersion } as const
      feed(all, 0, { kind: 'received', from: 2, message })
    }
    all.wire.length = 0
    feed(all, 0, { kind: 'connected', peer: 1 })
    const told = all.wire.splice(0).flatMap((sent) => deliver(all, sent))
    expect(refusals(told).map(({ cost }) => cost)).deep.equals(['message'])
  })

  it('a version above ours that it never shows -> we say what we hold, wait for nothing, and go on', () => {
    const { all } = hostile((it) => {
      return { kind: 'channelSync', channelID: channelID(it), version: 2n ** 64n - 1n, usedVersion: 1n }
    })
    expect(kinds(all, 0)).deep.equals(['channelSync'])
    settleDown(all)
    pay(all, 0, 1)
    settleDown(all)
    for (const i of versions(all)) expect(currentAt(all, i).state.version).equals(2n)
  })

  const newer = (all: Conversations, change: (state: State) => State = (state) => state): State => {
    const { state } = currentAt(all, 0)
    return change({ ...state, version: state.version + 1n })
  }
  const lies: Record<string, (all: Conversations) => { state: State; signatures: readonly `0x${string}`[] }> =
    {
      'a newer state with one signature of each but us': (all) => {
        const state = newer(all)
        return { state, signatures: [signed(all, 1, state), signed(all, 1, state), signed(all, 2, state)] }
      },
      'a newer state with the old signatures': (all) => {
        const { signatures } = currentAt(all, 0)
        return { state: newer(all), signatures: signatures.filter((one) => one !== undefined) }
      },
      'a newer state with too few signatures': (all) => ({ state: newer(all), signatures: [] }),
      'a newer state of other totals, signed by all': (all) => {
        const state = newer(all, (it) => ({ ...it, allocation: { ...it.allocation, balances: [[1n, 1n]] } }))
        return { state, signatures: [0, 1, 2].map((i) => signed(all, i, state)) }
      },
    }
  for (const [what, lie] of Object.entries(lies)) {
    it(`${what} -> an error and the end of the connection, nothing changes`, () => {
      const { all, before, effects } = hostile((it) => ({ kind: 'signedState', ...lie(it) }))
      expect(refusals(effects).map(({ cost }) => cost)).deep.equals(['connection'])
      expect(at(all.states, 0)).equals(before)
    })
  }

  it('an older state with all signatures -> nothing happens', () => {
    const { all, before, effects } = hostile((it) => {
      const { state, signatures } = at(reachActing(3).states, 0).record.machine.current ?? currentAt(it, 0)
      return { kind: 'signedState', state, signatures: signatures.filter((one) => one !== undefined) }
    })
    expect(effects).deep.equals([])
    expect(at(all.states, 0)).equals(before)
  })
})
