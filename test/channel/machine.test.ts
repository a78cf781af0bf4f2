import { expect } from 'chai'
import fc from 'fast-check'
import {
  apply,
  type ErrorCode,
  LEGAL,
  type Machine,
  missingSignatures,
  newMachine,
  nextVersion,
  type Operation,
  type Params,
  PerkunasError,
  PHASES,
  type Phase,
  type State,
  sameState,
  totals,
} from '../../channel/index.js'
import { mock, mockParams, mockStateApp } from './mock-app.js'
import {
  address,
  CHANNEL,
  first,
  frozen,
  id,
  ledger,
  paid,
  params,
  reach,
  rules,
  run,
  signAll,
  signature,
} from './sample.js'

/** An operation of each kind whose content is right wherever the phase allows it. */
function sample(kind: Operation['kind'], machine: Machine): Operation {
  const current = machine.current?.state ?? first()
  const signed = machine.staging?.state ?? current
  switch (kind) {
    case 'init':
      return { kind, state: first() }
    case 'update':
      return { kind, state: paid(current, 2n, { version: nextVersion(machine) }), actor: 1 }
    case 'addSignature':
      return { kind, participant: 0, signature: signature(params, signed, 0) }
    case 'adopt': {
      const state = paid(current, 5n, { version: 50n })
      const signatures = params.participants.map((_, i) => signature(params, state, i))
      return { kind, state, signatures }
    }
    case 'progressing':
      return { kind, state: paid(current, 1n) }
    case 'progressed':
      return { kind, state: paid(current, 1n) }
    case 'enable':
    case 'discard':
    case 'funded':
    case 'registering':
    case 'registered':
    case 'cleared':
    case 'withdrawing':
    case 'withdrawn':
      return { kind }
  }
}

/** A machine in a phase, with everybody's signature where `enable` shall succeed. */
function ready(phase: Phase, kind: Operation['kind']): Machine {
  const machine = reach(phase)
  if (kind !== 'enable' || machine.staging === undefined || !LEGAL.enable.includes(phase)) return machine
  return run(machine, signAll(params, machine.staging.state))
}

// Which phase each operation leads to; whatever is not there is PHASE_MISMATCH. Written out, not computed.
const alive = [
  'funding',
  'acting',
  'signing',
  'final',
  'registering',
  'registered',
  'progressing',
  'progressed',
] as const
const all = (to: Phase) => Object.fromEntries(alive.map((phase) => [phase, to]))
const CHART: Record<Operation['kind'], Partial<Record<Phase, Phase | 'PHASE_MISMATCH'>>> = {
  init: { initActing: 'initSigning' },
  update: { acting: 'signing' },
  addSignature: { initSigning: 'initSigning', signing: 'signing' },
  enable: { initSigning: 'funding', signing: 'acting' },
  discard: { signing: 'acting' },
  adopt: {
    funding: 'funding',
    acting: 'acting',
    signing: 'acting',
    registering: 'registering',
    registered: 'registered',
  },
  funded: { funding: 'acting' },
  registering: all('registering'),
  registered: all('registered'),
  progressing: { registered: 'progressing', progressing: 'progressing', progressed: 'progressing' },
  progressed: all('progressed'),
  cleared: { registering: 'acting', registered: 'acting' },
  withdrawing: {
    final: 'withdrawing',
    registered: 'withdrawing',
    progressed: 'withdrawing',
    withdrawing: 'withdrawing',
  },
  withdrawn: { withdrawing: 'withdrawn' },
}
const KINDS: readonly Operation['kind'][] = [
  'init',
  'update',
  'addSignature',
  'enable',
  'discard',
  'adopt',
  'funded',
  'registering',
  'registered',
  'progressing',
  'progressed',
  'cleared',
  'withdrawing',
  'withdrawn',
]

describe('channel: machine, every phase and operation', () => {
  for (const kind of KINDS) {
    for (const phase of PHASES) {
      const expected = CHART[kind][phase] ?? 'PHASE_MISMATCH'
      it(`${kind} in ${phase} -> ${expected}`, () => {
        const machine = frozen(ready(phase, kind))
        const before = structuredClone(machine)
        const result = apply(machine, sample(kind, machine), rules())
        expect(result instanceof PerkunasError ? result.code : result.phase).to.equal(expected)
        expect(machine, 'the given machine is left as it is').to.deep.equal(before)
        if (result instanceof PerkunasError) {
          expect(result.facts).to.include({ channel: CHANNEL, actual: phase })
        } else {
          expect(structuredClone(result), 'plain data').to.deep.equal(result)
        }
      })
    }
  }
})

/** What an operation gives in a phase: the error's code, or the machine's phase. */
function outcome(phase: Phase, operation: Operation, by = rules()): string {
  const result = apply(frozen(reach(phase)), operation, by)
  return result instanceof PerkunasError ? result.code : result.phase
}

describe('channel: machine, init', () => {
  const bad: Record<string, [State, ErrorCode]> = {
    'of another channel': [{ ...first(), channelID: id(9) }, 'INVALID_STATE'],
    'of version 1': [{ ...first(), version: 1n }, 'INVALID_STATE'],
    'that is final': [{ ...first(), isFinal: true }, 'INVALID_STATE'],
    'with data and no app': [{ ...first(), data: '0x01' }, 'INVALID_STATE'],
    'of another app': [{ ...first(), app: address(3) }, 'INVALID_STATE'],
  }
  for (const [name, [state, code]] of Object.entries(bad)) {
    it(`a state ${name} -> ${code}`, () => {
      expect(outcome('initActing', { kind: 'init', state })).to.equal(code)
    })
  }

  it('a state that the ledger or the app refuses, or an app that throws -> refused', () => {
    const fault = new PerkunasError('INVALID_STATE', 'unknown asset', { rule: 'known assets' })
    const strict = { ...rules(), ledger: { ...ledger, faultOfState: () => fault } }
    expect(outcome('initActing', { kind: 'init', state: first() }, strict)).to.equal('INVALID_STATE')
    const of = mockParams(params)
    for (const [operation, expected] of [
      ['valid', 'initSigning'],
      ['error', 'APP_REFUSED'],
      ['panic', 'APP_REFUSED'],
    ] as const) {
      const state = first({}, of, mock(operation))
      const result = apply(newMachine(CHANNEL, of, 0), { kind: 'init', state }, rules(mockStateApp))
      expect(result instanceof PerkunasError ? result.code : result.phase).to.equal(expected)
    }
  })
})

describe('channel: machine, signatures', () => {
  it('are collected in any order, each once; a repetition changes nothing', () => {
    const machine = reach('signing')
    const state = paid(first(), 1n)
    const [zero, one] = signAll(params, state)
    if (!zero || !one) throw new Error('two participants')
    expect(missingSignatures(machine)).to.deep.equal([0, 1])
    const half = run(machine, [one])
    expect(missingSignatures(half)).to.deep.equal([0])
    expect(apply(half, one, rules())).to.equal(half)
    expect(missingSignatures(run(half, [zero]))).to.deep.equal([])
    expect(missingSignatures(reach('acting'))).to.deep.equal([])
  })

  const bad: Record<string, Operation> = {
    'by another participant': {
      kind: 'addSignature',
      participant: 1,
      signature: signature(params, paid(first(), 1n), 0),
    },
    'over another state': {
      kind: 'addSignature',
      participant: 0,
      signature: signature(params, paid(first(), 2n), 0),
    },
    'that is none': { kind: 'addSignature', participant: 0, signature: '0x' },
    'of nobody': { kind: 'addSignature', participant: 2, signature: signature(params, paid(first(), 1n), 0) },
    'of nobody at all': { kind: 'addSignature', participant: -1, signature: '0x' },
  }
  for (const [name, operation] of Object.entries(bad)) {
    it(`a signature ${name} -> INVALID_SIGNATURE`, () => {
      expect(outcome('signing', operation)).to.equal('INVALID_SIGNATURE')
      expect(outcome('initSigning', operation)).to.equal('INVALID_SIGNATURE')
    })
  }

  it('a second valid signature of a participant -> the first one stays', () => {
    const lax = { ...rules(), ledger: { ...ledger, verify: () => true } }
    const machine = run(reach('signing'), [{ kind: 'addSignature', participant: 0, signature: '0x01' }], lax)
    const again = run(machine, [{ kind: 'addSignature', participant: 0, signature: '0x02' }], lax)
    expect(again).to.equal(machine)
  })

  it('enable with one missing -> INVALID_SIGNATURE that names him', () => {
    const machine = run(reach('signing'), signAll(params, paid(first(), 1n)).slice(1))
    const result = apply(machine, { kind: 'enable' }, rules())
    expect(result).to.include({ code: 'INVALID_SIGNATURE' })
    expect(result instanceof PerkunasError && result.facts).to.deep.equal({ participant: 0 })
  })

  it('enable of a final state -> final, and nothing follows', () => {
    const machine = reach('final')
    expect(machine.phase).to.equal('final')
    expect(
      outcome('final', { kind: 'update', state: paid(first(), 1n, { version: 2n }), actor: 0 }),
    ).to.equal('PHASE_MISMATCH')
  })

  it('what is being signed when a dispute begins may still be completed, and goes on when the dispute is cleared', () => {
    const state = paid(first(), 1n)
    const [zero, one] = signAll(params, state)
    if (!zero || !one) throw new Error('two participants')
    const disputed = run(reach('signing'), [zero, { kind: 'registered' }, one])
    expect(missingSignatures(disputed)).to.deep.equal([])
    const cleared = run(disputed, [{ kind: 'cleared' }])
    expect(cleared.phase).to.equal('signing')
    expect(run(cleared, [{ kind: 'enable' }]).current?.state).to.deep.equal(state)
  })

  it('what was completed in a dispute -> current when the ledger has it, also when it is concluded with', () => {
    const state = paid(first(), 1n)
    const [zero, one] = signAll(params, state)
    if (!zero || !one) throw new Error('two participants')
    const registered = run(reach('signing'), [zero, { kind: 'registered' }, one])
    for (const [machine, phase] of [
      [registered, 'registered'],
      [run(registered, [{ kind: 'withdrawing' }]), 'withdrawing'],
    ] as const) {
      const enabled = run(machine, [{ kind: 'enable' }])
      expect([enabled.phase, enabled.current?.state, enabled.staging]).to.deep.equal([
        phase,
        state,
        undefined,
      ])
    }
  })

  it('a signature, or enable, in a dispute where nothing is being signed -> PHASE_MISMATCH', () => {
    expect(outcome('registered', { kind: 'addSignature', participant: 0, signature: '0x00' })).to.equal(
      'PHASE_MISMATCH',
    )
    expect(outcome('registered', { kind: 'enable' })).to.equal('PHASE_MISMATCH')
  })
})

describe('channel: machine, versions', () => {
  it('a refused update uses its version up: the next one has a higher one', () => {
    const discarded = run(reach('signing'), [{ kind: 'discard' }])
    expect(discarded.current?.state.version).to.equal(0n)
    expect(nextVersion(discarded)).to.equal(2n)
    const reused: Operation = { kind: 'update', state: paid(first(), 2n), actor: 0 }
    expect(apply(discarded, reused, rules())).to.include({ code: 'INVALID_TRANSITION' })
    const next: Operation = { kind: 'update', state: paid(first(), 2n, { version: 2n }), actor: 0 }
    expect(run(discarded, [next]).staging?.state.version).to.equal(2n)
  })

  it('an adopted state must be newer, of this channel, valid, and signed by all', () => {
    const state = paid(first(), 1n, { version: 7n })
    const signatures = params.participants.map((_, i) => signature(params, state, i))
    const adopt = (changes: Partial<State>, by = signatures): Operation => ({
      kind: 'adopt',
      state: { ...state, ...changes },
      signatures: by,
    })
    const [one = '0x'] = signatures
    expect(outcome('acting', adopt({}))).to.equal('acting')
    expect(outcome('acting', adopt({ version: 0n }))).to.equal('INVALID_TRANSITION')
    expect(outcome('acting', adopt({ channelID: id(9) }))).to.equal('INVALID_TRANSITION')
    expect(outcome('acting', adopt({ data: '0x01' }))).to.equal('INVALID_STATE')
    expect(outcome('acting', adopt({ isFinal: true }))).to.equal('INVALID_SIGNATURE')
    expect(outcome('acting', adopt({}, [one]))).to.equal('INVALID_SIGNATURE')
    expect(outcome('acting', adopt({}, [one, one]))).to.equal('INVALID_SIGNATURE')
  })

  it('an adopted final state -> final; adopted over what was being signed -> that is dropped', () => {
    const state = paid(first(), 1n, { version: 7n, isFinal: true })
    const signatures = params.participants.map((_, i) => signature(params, state, i))
    const machine = run(reach('signing'), [{ kind: 'adopt', state, signatures }])
    expect([machine.phase, machine.staging, nextVersion(machine)]).to.deep.equal(['final', undefined, 8n])
  })

  it('a forced step has just the next version, even if that was signed for another state before', () => {
    const machine = run(reach('signing'), [{ kind: 'discard' }, { kind: 'registered' }])
    const step = (version: bigint): Operation => ({
      kind: 'progressing',
      state: paid(first(), 3n, { version }),
    })
    expect(run(machine, [step(1n)]).phase).to.equal('progressing')
    expect(apply(machine, step(2n), rules())).to.include({ code: 'INVALID_TRANSITION' })
  })

  it('an enforced state of another channel -> INVALID_STATE', () => {
    const state = { ...paid(first(), 1n), channelID: id(9) }
    expect(outcome('registered', { kind: 'progressed', state })).to.equal('INVALID_STATE')
  })

  it('an enforced state is current without signatures', () => {
    const { current, staging } = reach('progressed')
    expect(current?.signatures).to.deep.equal([undefined, undefined])
    expect(staging).to.equal(undefined)
  })
})

describe('channel: machine, any sequence of operations', () => {
  const three: Params = { ...params, participants: [1, 2, 3].map((n) => ({ 0: address(n) })) }
  const start = first(
    {
      balances: [
        [10n, 20n, 30n],
        [1n, 2n, 3n],
      ],
    },
    three,
  )

  const opening: Operation[] = [
    { kind: 'init', state: start },
    ...signAll(three, start),
    { kind: 'enable' },
    { kind: 'funded' },
  ]

  interface Script {
    /** Chooses among what is legal, or among everything. */
    readonly pick: number
    readonly isWild: boolean
    readonly amount: bigint
    readonly participant: number
    readonly version: bigint
    readonly isFinal: boolean
    readonly isForged: boolean
  }
  const script: fc.Arbitrary<Script> = fc.record({
    pick: fc.nat(1000),
    isWild: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    amount: fc.bigInt({ min: -5n, max: 5n }),
    participant: fc.oneof(fc.nat(2), fc.integer({ min: -1, max: 3 })),
    version: fc.bigInt({ min: -1n, max: 2n }),
    isFinal: fc.boolean(),
    isForged: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  })

  /** The operations of a line of the script; mostly right, sometimes wrong in one thing. */
  function operations(machine: Machine, { pick, isWild, ...line }: Script): Operation[] {
    const choices: (Operation['kind'] | 'signAll')[] = isWild
      ? [...KINDS, 'signAll']
      : [...KINDS.filter((each) => LEGAL[each].includes(machine.phase)), 'signAll']
    const kind = choices[pick % choices.length] ?? 'signAll'
    const { amount, participant, isFinal, isForged } = line
    const current = machine.current?.state ?? start
    const version = nextVersion(machine) + (isForged ? line.version : 0n)
    const staged = machine.staging?.state ?? current
    switch (kind) {
      case 'init':
        return [{ kind, state: start }]
      case 'update':
        return [{ kind, state: paid(current, amount, { version, isFinal }), actor: participant }]
      case 'addSignature': {
        const of = isForged ? paid(staged, 1n, { version: staged.version }) : staged
        return [{ kind, participant, signature: signature(three, of, participant) }]
      }
      case 'signAll':
        return signAll(three, staged)
      case 'adopt': {
        const state = paid(current, amount, { version, isFinal })
        const signatures = three.participants.map((_, i) => signature(three, state, isForged ? 0 : i))
        return [{ kind, state, signatures }]
      }
      case 'progressing':
        return [{ kind, state: paid(current, amount, { isFinal }) }]
      case 'progressed':
        return [{ kind, state: paid(current, 1n, { isFinal }) }]
      default:
        return [{ kind }]
    }
  }

  it('keeps the funds, never goes back, signs no version twice, and has all signatures of what is current', () => {
    const reached = new Set<Phase>()
    fc.assert(
      fc.property(fc.boolean(), fc.array(script, { maxLength: 60 }), (isOpen, lines) => {
        let machine = frozen(run(newMachine(CHANNEL, three, 1), isOpen ? opening : []))
        const stagedByVersion = new Map<bigint, State>()
        for (const line of lines) {
          for (const operation of operations(machine, line)) {
            const before = machine
            const result = apply(before, operation, rules())
            if (result instanceof PerkunasError) continue
            machine = frozen(result)
            reached.add(machine.phase)
            expect(LEGAL[operation.kind]).to.include(before.phase)
            expect(machine.signedVersion >= before.signedVersion, 'signed versions grow').to.equal(true)
            const { current, staging } = machine
            if (current && before.current) {
              expect(current.state.version >= before.current.state.version, 'versions grow').to.equal(true)
            }
            if (current && machine.phase !== 'progressed') {
              expect(totals(current.state.allocation)).to.deep.equal(totals(start.allocation))
            }
            if (current && operation.kind === 'enable') {
              for (const [i, signed] of current.signatures.entries()) {
                expect(signed).to.equal(signature(three, current.state, i))
              }
            }
            if (staging && staging !== before.staging && operation.kind === 'update') {
              const known = stagedByVersion.get(staging.state.version)
              expect(known === undefined || sameState(known, staging.state), 'one state a version').to.equal(
                true,
              )
              stagedByVersion.set(staging.state.version, staging.state)
              expect(staging.state.version).to.equal(machine.signedVersion)
            }
            if (['initActing', 'funding', 'acting', 'final'].includes(machine.phase)) {
              expect(staging, `nothing is being signed in ${machine.phase}`).to.equal(undefined)
            }
          }
        }
      }),
      { numRuns: 300 },
    )
    expect([...PHASES].filter((phase) => phase !== 'initActing' && !reached.has(phase))).to.deep.equal([])
  })
})
