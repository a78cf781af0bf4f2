// Channels whose participants act instead of proposing states: each may add one action per step, and the app
// computes the next state from all of them (Perun core protocol, "ActionMachine").
import type { ActionApp, StateApp } from './app.js'
import { byteLength, type Hex, isHex } from './bytes.js'
import { PerkunasError } from './errors.js'
import type { LedgerRules } from './ledger.js'
import { MAX_DATA_LENGTH } from './limits.js'
import { apply, type Machine, newMachine, nextVersion, type Operation } from './machine.js'
import type { ChannelID, Index, Params } from './params.js'
import { freezeState, initialState, type State, sameAllocation } from './state.js'

/** A machine, and who has acted how since its last state. Plain data. */
export interface ActionMachine {
  readonly machine: Machine
  /** By participant; empty whenever nothing may be added. */
  readonly actions: readonly (Hex | undefined)[]
}

/** What can happen to an {@link ActionMachine}: states are computed, all else is as for any machine. */
export type ActionOperation =
  /** A participant acts: before the first state or between two. */
  | { readonly kind: 'addAction'; readonly participant: Index; readonly action: Hex }
  /** Stage the initial state that follows from the opening actions. */
  | { readonly kind: 'init' }
  /** Stage the state that follows from the actions; `actor` asks for it. */
  | { readonly kind: 'update'; readonly actor: Index }
  | Exclude<Operation, { readonly kind: 'init' | 'update' }>

/** As `Rules`, for a channel with an action app. */
export interface ActionRules {
  readonly ledger: LedgerRules
  readonly app: ActionApp
}

/** Before the opening actions. */
export function newActionMachine(channelID: ChannelID, params: Params, index: Index): ActionMachine {
  return { machine: newMachine(channelID, params, index), actions: nobody(params) }
}

/**
 * The machine after an operation, or what speaks against it. The given machine is left as it is.
 *
 * @returns what `apply` returns; and for actions PHASE_MISMATCH outside of `initActing` and `acting`,
 *   INVALID_ARGUMENT for a participant that is none, TOO_LARGE, APP_REFUSED if the app refuses an action or throws,
 *   or if the participant has acted in this step already
 */
export function applyAction(
  { machine, actions }: ActionMachine,
  operation: ActionOperation,
  rules: ActionRules,
): ActionMachine | PerkunasError {
  const { ledger, app } = rules
  switch (operation.kind) {
    case 'addAction': {
      const { participant, action } = operation
      const fault = faultOfAddition({ machine, actions }, participant, action, app)
      return fault ?? { machine, actions: actions.map((each, i) => (i === participant ? action : each)) }
    }
    case 'init': {
      const state = attempt(() => {
        const { allocation, data } = app.init(machine.params, actions)
        return initialState(machine.channelID, machine.params, allocation, data)
      })
      if (state instanceof PerkunasError) return state
      return staged(apply(machine, { kind: 'init', state }, rules))
    }
    case 'update': {
      const from = machine.current?.state
      // Without a current state the phase does not allow it: `apply` says so before it looks at the state.
      const state = attempt(() => from && following(app, machine.params, from, actions, nextVersion(machine)))
      if (state instanceof PerkunasError) return state
      const update = { kind: 'update', state: state ?? placeholder(machine), actor: operation.actor } as const
      return staged(apply(machine, update, { ledger, app: acted(app, actions) }))
    }
    default: {
      const next = apply(machine, operation, rules)
      if (next instanceof PerkunasError) return next
      return { machine: next, actions: next.phase === machine.phase ? actions : nobody(machine.params) }
    }
  }
}

/**
 * The state app that an action app is once the participants have acted: it takes the one state that follows from
 * their actions. Whoever is sent a state and the actions checks it like any other update.
 */
export function acted(app: ActionApp, actions: readonly (Hex | undefined)[]): StateApp {
  return Object.freeze<StateApp>({
    kind: 'state',
    id: app.id,
    faultOfInit(params, state) {
      const { allocation, data } = app.init(params, actions)
      return state.data === data && sameAllocation(state.allocation, allocation)
        ? undefined
        : 'the state that follows from the opening actions expected'
    },
    faultOfTransition(params, from, to) {
      for (const [participant, action] of actions.entries()) {
        if (action === undefined) continue
        const rule = app.faultOfAction(params, from, participant, action)
        if (rule !== undefined) return rule
      }
      const { allocation, data, isFinal } = app.apply(params, from, actions)
      return to.data === data && to.isFinal === isFinal && sameAllocation(to.allocation, allocation)
        ? undefined
        : 'the state that follows from the actions expected'
    },
  })
}

function faultOfAddition(
  { machine, actions }: ActionMachine,
  participant: Index,
  action: Hex,
  app: ActionApp,
): PerkunasError | undefined {
  const { phase, channelID, params, current } = machine
  const legal = ['initActing', 'acting'] as const
  if (!legal.some((each) => each === phase)) {
    return new PerkunasError(
      'PHASE_MISMATCH',
      `actions are possible in ${legal.join(', ')}; channel ${channelID} is ${phase}`,
      { channel: channelID, expected: legal, actual: phase },
    )
  }
  if (!Number.isInteger(participant) || participant < 0 || participant >= params.participants.length) {
    return new PerkunasError('INVALID_ARGUMENT', `a participant expected, got ${participant}`, {
      argument: 'participant',
    })
  }
  if (!isHex(action)) {
    return new PerkunasError('INVALID_ARGUMENT', 'an action as bytes expected', { argument: 'action' })
  }
  const size = byteLength(action)
  if (size > MAX_DATA_LENGTH) {
    const facts = { limit: MAX_DATA_LENGTH, actual: size }
    return new PerkunasError('TOO_LARGE', `an action of at most ${MAX_DATA_LENGTH} bytes expected`, facts)
  }
  if (actions[participant] !== undefined) return refusal(`participant ${participant} has acted already`)
  const rule = attempt(() => app.faultOfAction(params, current?.state, participant, action))
  return typeof rule === 'string' ? refusal(rule) : rule
}

function following(
  app: ActionApp,
  params: Params,
  from: State,
  actions: readonly (Hex | undefined)[],
  version: bigint,
): State {
  const { allocation, data, isFinal } = app.apply(params, from, actions)
  return freezeState({ ...from, version, allocation, data, isFinal })
}

function placeholder({ channelID, params }: Machine): State {
  return initialState(channelID, params, { assets: [], balances: [], locked: [] }, '0x')
}

/** After a state was staged, the actions that made it are spent. */
function staged(machine: Machine | PerkunasError): ActionMachine | PerkunasError {
  return machine instanceof PerkunasError ? machine : { machine, actions: nobody(machine.params) }
}

function nobody({ participants }: Params): undefined[] {
  return participants.map(() => undefined)
}

function refusal(rule: string, cause?: unknown): PerkunasError<'APP_REFUSED'> {
  const options = cause === undefined ? {} : { cause }
  return new PerkunasError('APP_REFUSED', `the app refuses: ${rule}`, { rule }, options)
}

/** Runs code of the app; what it throws is its refusal. */
function attempt<T>(run: () => T): T | PerkunasError<'APP_REFUSED'> {
  try {
    return run()
  } catch (cause) {
    return refusal('the app threw', cause)
  }
}
