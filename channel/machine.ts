// The phases of a channel as one pure transition function (Perun core protocol, "Machine").
//
//   initActing → initSigning → funding → acting ⇄ signing → final
//                                 │        │  │      │        │
//                                 └────────┴──┴──┬───┴────────┘
//                       registering → registered → progressing ⇄ progressed
//                            └────────────┴──→ withdrawing ←─────────┘ → withdrawn
import type { App } from './app.js'
import type { Hex } from './bytes.js'
import { PerkunasError } from './errors.js'
import type { LedgerRules } from './ledger.js'
import type { ChannelID, Index, Params } from './params.js'
import type { Signatures, State } from './state.js'
import { faultOfState } from './state.js'
import { faultByAppAtInit, faultOfTransition, faultOfUpdate } from './transition.js'

/** Where a channel stands. */
export type Phase = (typeof PHASES)[number]

/** All phases, in the order of a life. */
export const PHASES = [
  'initActing',
  'initSigning',
  'funding',
  'acting',
  'signing',
  'final',
  'registering',
  'registered',
  'progressing',
  'progressed',
  'withdrawing',
  'withdrawn',
] as const

/** A state and the signatures that are there. */
export interface Transaction {
  readonly state: State
  readonly signatures: Signatures
}

/** A channel as one participant holds it. Plain data. */
export interface Machine {
  readonly phase: Phase
  readonly channelID: ChannelID
  readonly params: Params
  /** Which participant we are. */
  readonly index: Index
  /** Whether all funds were seen on the ledger. */
  readonly isFunded: boolean
  /** The newest state that everybody signed, or that the ledger enforced (then without all signatures). */
  readonly current?: Transaction
  /** What is being signed. */
  readonly staging?: Transaction
  /** The highest version that any participant has signed, or may have: it is never signed again for another state. */
  readonly signedVersion: bigint
}

/** What can happen to a machine. */
export type Operation =
  /** Begin: stage the initial state. */
  | { readonly kind: 'init'; readonly state: State }
  /** Stage the next state, made by `actor`. */
  | { readonly kind: 'update'; readonly state: State; readonly actor: Index }
  /** Add a participant's signature (our own too) to what is staged. */
  | { readonly kind: 'addSignature'; readonly participant: Index; readonly signature: Hex }
  /** Everybody has signed what is staged: make it current. */
  | { readonly kind: 'enable' }
  /** Somebody refused what is staged: drop it. Its version stays used. */
  | { readonly kind: 'discard' }
  /** Take a fully signed state of higher version than ours, from a peer or the ledger. */
  | { readonly kind: 'adopt'; readonly state: State; readonly signatures: readonly Hex[] }
  | { readonly kind: 'funded' }
  | { readonly kind: 'registering' }
  | { readonly kind: 'registered' }
  /** Stage a state that the ledger shall enforce without the others' signatures. */
  | { readonly kind: 'progressing'; readonly state: State }
  /** The ledger enforced this state. */
  | { readonly kind: 'progressed'; readonly state: State }
  /** The dispute was cleared by a checkpoint: the channel goes on. */
  | { readonly kind: 'cleared' }
  | { readonly kind: 'withdrawing' }
  | { readonly kind: 'withdrawn' }

/** What the transition function must know of the world; both are pure. */
export interface Rules {
  readonly ledger: LedgerRules
  readonly app: App
}

const ALIVE: readonly Phase[] = [
  'funding',
  'acting',
  'signing',
  'final',
  'registering',
  'registered',
  'progressing',
  'progressed',
]

/** From which phases each operation is legal: the only table of phase changes. */
export const LEGAL: Readonly<Record<Operation['kind'], readonly Phase[]>> = {
  init: ['initActing'],
  update: ['acting'],
  // also while a dispute runs: what gets complete then still counts
  addSignature: ['initSigning', 'signing', 'registering', 'registered'],
  // in a dispute and after it: when the ledger has what was signed
  enable: ['initSigning', 'signing', 'registered', 'withdrawing'],
  discard: ['signing'],
  adopt: ['funding', 'acting', 'signing', 'registering', 'registered'],
  funded: ['funding'],
  registering: ALIVE,
  registered: ALIVE,
  progressing: ['registered', 'progressing', 'progressed'],
  progressed: ALIVE,
  cleared: ['registering', 'registered'],
  withdrawing: ['final', 'registered', 'progressed', 'withdrawing'],
  withdrawn: ['withdrawing'],
}

/** A machine before its initial state. */
export function newMachine(channelID: ChannelID, params: Params, index: Index): Machine {
  return { phase: 'initActing', channelID, params, index, isFunded: false, signedVersion: -1n }
}

/** The version that the next update must have: one above all that are known to be signed. */
export function nextVersion(machine: Machine): bigint {
  const current = machine.current?.state.version ?? -1n
  return (machine.signedVersion > current ? machine.signedVersion : current) + 1n
}

/** Who has not signed what is staged. */
export function missingSignatures(machine: Machine): Index[] {
  const { staging } = machine
  if (staging === undefined) return []
  return machine.params.participants.flatMap((_, i) => (staging.signatures[i] === undefined ? [i] : []))
}

/**
 * The machine after an operation, or what speaks against it. The given machine is left as it is.
 *
 * @returns PerkunasError PHASE_MISMATCH where the phase does not allow the operation; INVALID_TRANSITION,
 *   INVALID_STATE, INVALID_AMOUNT, APP_REFUSED or INVALID_SIGNATURE where its content is refused
 */
export function apply(machine: Machine, operation: Operation, rules: Rules): Machine | PerkunasError {
  const legal = LEGAL[operation.kind]
  if (!legal.includes(machine.phase)) {
    return new PerkunasError(
      'PHASE_MISMATCH',
      `${operation.kind} is possible in ${legal.join(', ')}; channel ${machine.channelID} is ${machine.phase}`,
      { channel: machine.channelID, expected: legal, actual: machine.phase },
    )
  }
  switch (operation.kind) {
    case 'init':
      return whenInit(machine, operation.state, rules)
    case 'update':
      return whenUpdate(machine, operation.state, operation.actor, rules)
    case 'addSignature':
      return whenAddSignature(machine, operation.participant, operation.signature, rules)
    case 'enable':
      return whenEnable(machine)
    case 'discard':
      return unstaged({ ...machine, phase: 'acting' })
    case 'adopt':
      return whenAdopt(machine, operation.state, operation.signatures, rules)
    case 'progressing':
      return whenProgressing(machine, operation.state, rules)
    case 'progressed': {
      if (operation.state.channelID !== machine.channelID) {
        return new PerkunasError('INVALID_STATE', 'an enforced state of this channel expected', {
          rule: 'the same channel',
        })
      }
      const signatures = machine.params.participants.map(() => undefined)
      const signedVersion = max(machine.signedVersion, operation.state.version)
      return unstaged({
        ...machine,
        phase: 'progressed',
        current: { state: operation.state, signatures },
        signedVersion,
      })
    }
    case 'funded':
      return { ...machine, phase: 'acting', isFunded: true }
    case 'cleared':
      return whenCleared(machine)
    default:
      return { ...machine, phase: operation.kind }
  }
}

function whenInit(machine: Machine, state: State, rules: Rules): Machine | PerkunasError {
  const fault = faultOfState(machine.params, state) ?? rules.ledger.faultOfState(machine.params, state)
  if (fault) return fault
  if (state.channelID !== machine.channelID || state.version !== 0n || state.isFinal) {
    return new PerkunasError('INVALID_STATE', 'an initial state of this channel expected', {
      rule: 'initial state',
    })
  }
  const refusal = faultByAppAtInit(rules.app, machine.params, state)
  if (refusal) return refusal
  return stage(machine, state, 'initSigning')
}

function whenUpdate(machine: Machine, to: State, actor: Index, rules: Rules): Machine | PerkunasError {
  const { current, params } = machine
  if (current === undefined) throw new Error('a channel in phase acting has a current state')
  const transition = { params, from: current.state, to, actor, version: nextVersion(machine) }
  const fault = faultOfUpdate(transition, rules.app) ?? rules.ledger.faultOfState(params, to)
  return fault ?? stage(machine, to, 'signing')
}

function whenProgressing(machine: Machine, to: State, rules: Rules): Machine | PerkunasError {
  const { current, params, index } = machine
  if (current === undefined) throw new Error('a registered channel has a current state')
  // The ledger demands exactly one more than what is registered. It is safe although the version may have been
  // signed for another state before: once forced progression begins, no state can be registered any more.
  const transition = { params, from: current.state, to, actor: index, version: current.state.version + 1n }
  const fault = faultOfTransition(transition) ?? rules.ledger.faultOfState(params, to)
  return fault ?? stage(machine, to, 'progressing')
}

function whenAddSignature(
  machine: Machine,
  participant: Index,
  signature: Hex,
  rules: Rules,
): Machine | PerkunasError {
  const { staging, params } = machine
  if (staging === undefined) return nothingStaged(machine, LEGAL.addSignature)
  const known = staging.signatures[participant]
  if (known === signature) return machine
  const fault = faultOfSignature(params, staging.state, participant, signature, rules)
  if (fault) return fault
  // A second valid signature over the same state adds nothing: the first one stays.
  if (known !== undefined) return machine
  return {
    ...machine,
    staging: {
      ...staging,
      signatures: staging.signatures.map((s, i) => (i === participant ? signature : s)),
    },
  }
}

function whenEnable(machine: Machine): Machine | PerkunasError {
  const { staging } = machine
  if (staging === undefined) return nothingStaged(machine, LEGAL.enable)
  const missing = missingSignatures(machine)
  if (missing.length > 0) {
    return new PerkunasError(
      'INVALID_SIGNATURE',
      `signatures of participants ${missing.join(', ')} are missing`,
      {
        participant: missing[0] ?? 0,
      },
    )
  }
  const next = unstaged({ ...machine, current: staging })
  if (machine.phase === 'initSigning') return { ...next, phase: 'funding' }
  return machine.phase === 'signing' ? { ...next, phase: settledPhase(next) } : next
}

function whenAdopt(
  machine: Machine,
  state: State,
  signatures: readonly Hex[],
  rules: Rules,
): Machine | PerkunasError {
  const { params, current } = machine
  const version = current?.state.version ?? -1n
  if (state.channelID !== machine.channelID || state.version <= version) {
    return new PerkunasError(
      'INVALID_TRANSITION',
      `a state of channel ${machine.channelID} above version ${version} expected, got ${state.version} of ${state.channelID}`,
      { rule: 'higher version' },
    )
  }
  const fault = faultOfState(params, state) ?? rules.ledger.faultOfState(params, state)
  if (fault) return fault
  if (signatures.length !== params.participants.length) {
    return new PerkunasError('INVALID_SIGNATURE', `${params.participants.length} signatures expected`, {})
  }
  for (const [participant, signature] of signatures.entries()) {
    const ofSignature = faultOfSignature(params, state, participant, signature, rules)
    if (ofSignature) return ofSignature
  }
  const next = unstaged({
    ...machine,
    current: { state, signatures },
    signedVersion: max(machine.signedVersion, state.version),
  })
  return machine.phase === 'acting' || machine.phase === 'signing'
    ? { ...next, phase: settledPhase(next) }
    : next
}

function whenCleared(machine: Machine): Machine {
  const { staging, current } = machine
  // What was being signed when the dispute began may still get its last signature: it is not forgotten.
  if (staging !== undefined && staging.state.version > (current?.state.version ?? -1n)) {
    return { ...machine, phase: 'signing' }
  }
  return unstaged({ ...machine, phase: settledPhase(machine) })
}

/** What speaks against a participant's signature over a state, or undefined. */
export function faultOfSignature(
  params: Params,
  state: State,
  participant: Index,
  signature: Hex,
  rules: Rules,
): PerkunasError<'INVALID_SIGNATURE'> | undefined {
  const addresses = params.participants[participant]
  if (addresses && rules.ledger.verify(rules.ledger.message(params, state), signature, addresses))
    return undefined
  return new PerkunasError(
    'INVALID_SIGNATURE',
    `no valid signature of participant ${participant} over version ${state.version} of channel ${state.channelID}`,
    { participant },
  )
}

// These two change which fields there are, and are written out: a spread that does so takes thirty times as long.

function stage(machine: Machine, state: State, phase: Phase): Machine {
  const { channelID, params, index, isFunded, current } = machine
  const staging = { state, signatures: params.participants.map(() => undefined) }
  const signedVersion = max(machine.signedVersion, state.version)
  return current === undefined
    ? { phase, channelID, params, index, isFunded, staging, signedVersion }
    : { phase, channelID, params, index, isFunded, current, staging, signedVersion }
}

function unstaged(machine: Machine): Machine {
  const { phase, channelID, params, index, isFunded, current, signedVersion } = machine
  return current === undefined
    ? { phase, channelID, params, index, isFunded, signedVersion }
    : { phase, channelID, params, index, isFunded, current, signedVersion }
}

function nothingStaged({ channelID, phase }: Machine, expected: readonly Phase[]): PerkunasError {
  const message = `nothing is being signed in channel ${channelID}`
  return new PerkunasError('PHASE_MISMATCH', message, { channel: channelID, expected, actual: phase })
}

function settledPhase(machine: Machine): Phase {
  if (!machine.isFunded) return 'funding'
  return machine.current?.state.isFinal ? 'final' : 'acting'
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
