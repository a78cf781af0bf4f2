import { expect } from 'chai'
import fc from 'fast-check'
import {
  type ActionApp,
  type ActionMachine,
  type ActionOperation,
  acted,
  applyAction,
  faultOfUpdate,
  type Hex,
  newActionMachine,
  PerkunasError,
  sum,
} from '../../channel/index.js'
import { mock, mockActionApp, mockParams } from './mock-app.js'
import { CHANNEL, frozen, ledger, params, signAll } from './sample.js'

const of = mockParams(params)
const rules = { ledger, app: mockActionApp }
const start = newActionMachine(CHANNEL, of, 0)
const act = (participant: number, action: Hex = mock('valid')): ActionOperation => ({
  kind: 'addAction',
  participant,
  action,
})

function run(machine: ActionMachine, operations: readonly ActionOperation[], by = rules): ActionMachine {
  return operations.reduce((before, operation) => {
    const after = applyAction(frozen(before), operation, by)
    if (after instanceof PerkunasError) throw after
    return after
  }, machine)
}

function code(machine: ActionMachine, operation: ActionOperation, by = rules): string {
  const result = applyAction(frozen(machine), operation, by)
  return result instanceof PerkunasError ? result.code : result.machine.phase
}

/** Everybody signs what is staged, and it becomes current. */
function enabled(machine: ActionMachine): ActionMachine {
  const state = machine.machine.staging?.state
  if (!state) throw new Error('something is staged')
  return run(machine, [...signAll(of, state), { kind: 'enable' }])
}

function acting(): ActionMachine {
  return run(enabled(run(start, [act(0), act(1), { kind: 'init' }])), [{ kind: 'funded' }])
}

describe('channel: actions', () => {
  it('opening actions -> the app makes the initial state, and the actions are spent', () => {
    const machine = run(start, [act(1), { kind: 'init' }])
    expect(machine.machine.phase).to.equal('initSigning')
    expect(machine.machine.staging?.state).to.include({ version: 0n, data: mock('valid'), isFinal: false })
    expect(machine.actions).to.deep.equal([undefined, undefined])
  })

  it('actions of all -> the app makes the next state from them', () => {
    const machine = run(acting(), [act(0), act(1), { kind: 'update', actor: 0 }])
    expect(machine.machine.staging?.state.version).to.equal(1n)
    expect(machine.machine.staging?.state.allocation.balances[0]).to.deep.equal([8n, 22n])
    expect(machine.actions).to.deep.equal([undefined, undefined])
    expect(enabled(machine).machine.phase).to.equal('acting')
  })

  it('a participant may leave his action out', () => {
    const machine = run(acting(), [act(1), { kind: 'update', actor: 1 }])
    expect(machine.machine.staging?.state.allocation.balances[0]).to.deep.equal([9n, 21n])
  })

  it('a refused step uses its version up and its actions too', () => {
    const machine = run(acting(), [act(0), { kind: 'update', actor: 0 }, { kind: 'discard' }])
    expect(machine.actions).to.deep.equal([undefined, undefined])
    expect(run(machine, [act(0), { kind: 'update', actor: 0 }]).machine.staging?.state.version).to.equal(2n)
  })

  it('an operation that stays in its phase keeps the actions', () => {
    const before = run(acting(), [act(0)])
    const state = before.machine.current?.state
    if (!state) throw new Error('there is a current state')
    expect(code(before, { kind: 'enable' })).to.equal('PHASE_MISMATCH')
    expect(before.actions[0]).to.equal(mock('valid'))
  })

  const bad: [string, ActionOperation, string][] = [
    ['by nobody', act(2), 'INVALID_ARGUMENT'],
    ['by participant -1', act(-1), 'INVALID_ARGUMENT'],
    ['by half a participant', act(0.5), 'INVALID_ARGUMENT'],
    ['that is not bytes', act(0, '0x0'), 'INVALID_ARGUMENT'],
    ['of 65 536 bytes', act(0, `0x${'00'.repeat(65_536)}`), 'TOO_LARGE'],
    ['that the app refuses', act(0, mock('actionError')), 'APP_REFUSED'],
    ['at which the app throws', act(0, mock('panic')), 'APP_REFUSED'],
    ['that the app can not read', act(0, '0x01'), 'APP_REFUSED'],
  ]
  for (const [name, operation, expected] of bad) {
    it(`an action ${name} -> ${expected}, also as an opening action`, () => {
      expect(code(acting(), operation)).to.equal(expected)
      expect(code(start, operation)).to.equal(expected)
    })
  }

  it('a second action of one participant in one step -> APP_REFUSED', () => {
    expect(code(run(acting(), [act(0)]), act(0))).to.equal('APP_REFUSED')
    expect(code(run(acting(), [act(0)]), act(1))).to.equal('acting')
  })

  it('an action while something is being signed, or after the end -> PHASE_MISMATCH', () => {
    const signing = run(acting(), [act(0), { kind: 'update', actor: 0 }])
    const registered = run(acting(), [{ kind: 'registered' }])
    for (const machine of [run(start, [{ kind: 'init' }]), signing, registered]) {
      expect(code(machine, act(1))).to.equal('PHASE_MISMATCH')
    }
  })

  it('update before there is a state -> PHASE_MISMATCH', () => {
    expect(code(start, { kind: 'update', actor: 0 })).to.equal('PHASE_MISMATCH')
  })

  it('an app that throws, makes money, or answers nonsense -> refused, and the machine stays', () => {
    const machine = run(acting(), [act(0)])
    const hostile = (changes: Partial<ActionApp>) => ({ ledger, app: { ...mockActionApp, ...changes } })
    const panic = () => {
      throw new Error('no')
    }
    const rich = hostile({
      apply: (p, state, actions) => {
        const next = mockActionApp.apply(p, state, actions)
        return {
          ...next,
          allocation: {
            ...next.allocation,
            balances: [
              [1000n, 0n],
              [30n, 40n],
            ],
          },
        }
      },
    })
    expect(code(machine, { kind: 'update', actor: 0 }, hostile({ apply: panic }))).to.equal('APP_REFUSED')
    expect(code(machine, { kind: 'update', actor: 0 }, rich)).to.equal('INVALID_TRANSITION')
    expect(code(start, { kind: 'init' }, hostile({ init: panic }))).to.equal('APP_REFUSED')
    expect(code(start, act(0), hostile({ faultOfAction: panic }))).to.equal('APP_REFUSED')
  })

  it('whoever is sent the state and the actions checks it as an update of a state app', () => {
    const machine = run(acting(), [act(0), act(1)])
    const from = machine.machine.current?.state
    const to = run(machine, [{ kind: 'update', actor: 0 }]).machine.staging?.state
    if (!from || !to) throw new Error('both are there')
    const update = { params: of, from, to, actor: 0, version: 1n }
    expect(faultOfUpdate(update, acted(mockActionApp, machine.actions))).to.equal(undefined)
    expect(faultOfUpdate(update, acted(mockActionApp, [mock('valid'), undefined]))?.code).to.equal(
      'APP_REFUSED',
    )
    const forged = [mock('valid'), mock('actionError')]
    expect(faultOfUpdate(update, acted(mockActionApp, forged))?.code).to.equal('APP_REFUSED')
    const final = { ...update, to: { ...to, isFinal: true } }
    expect(faultOfUpdate(final, acted(mockActionApp, machine.actions))?.code).to.equal('APP_REFUSED')
  })

  it('the opening state is checked likewise', () => {
    const state = run(start, [{ kind: 'init' }]).machine.staging?.state
    if (!state) throw new Error('it is staged')
    const app = acted(mockActionApp, [undefined, undefined])
    expect(app.faultOfInit(of, state)).to.equal(undefined)
    expect(app.faultOfInit(of, { ...state, data: mock('error') })).to.be.a('string')
  })

  it('any sequence of steps -> funds are kept, versions count up', () => {
    const step = fc.subarray([0, 1])
    fc.assert(
      fc.property(fc.array(step, { maxLength: 4 }), (steps) => {
        let machine = acting()
        for (const [i, participants] of steps.entries()) {
          machine = enabled(
            run(machine, [...participants.map((each) => act(each)), { kind: 'update', actor: 0 }]),
          )
          const state = machine.machine.current?.state
          expect(state?.version).to.equal(BigInt(i + 1))
          expect(state?.allocation.balances.map(sum)).to.deep.equal([30n, 70n])
        }
      }),
      { numRuns: 50 },
    )
  })
})
