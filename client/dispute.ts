// How a channel ends before the ledger, as far as our user asks for it. What the ledger says is ledger-event.ts.
//
//   register the newest state → others may refute until the deadline → steps of an app → conclude → withdraw
import { apply, PerkunasError } from '../channel/index.js'
import {
  type ChannelContext,
  type ChannelInput,
  type ChannelState,
  type ChannelStep,
  currentOf,
  stay,
} from './conversation.js'
import { pursue } from './pursue.js'
import { settle } from './together.js'

type Input<K extends ChannelInput['kind']> = Extract<ChannelInput, { kind: K }>

/** Everybody's funds are there. */
export function funded(state: ChannelState, context: ChannelContext): ChannelStep {
  const machine = apply(state.record.machine, { kind: 'funded' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  return stay({ ...state, record: { ...state.record, machine } })
}

/** Registers the newest state, unless something is registered already. */
export function dispute(state: ChannelState, input: Input<'dispute'>, context: ChannelContext): ChannelStep {
  const { record } = state
  const wanting = { ...record, wanted: input.wanted }
  const { phase } = record.machine
  if (phase === 'registered' || phase === 'progressed' || phase === 'withdrawing') {
    return { next: { ...state, record: wanting }, effects: pursue(wanting, context) }
  }
  if (phase === 'final') return settle({ ...state, record: wanting }, context)
  const machine = apply(record.machine, { kind: 'registering' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const next = { ...wanting, machine }
  return {
    next: { ...state, record: next },
    effects: [{ kind: 'cancel', what: ['fund'] }, ...pursue(next, context)],
  }
}

/** Our user enforces a step. */
export function force(state: ChannelState, input: Input<'force'>, context: ChannelContext): ChannelStep {
  const { record } = state
  const { index, phase } = record.machine
  // A step goes on from what is registered, and from nothing else.
  if (phase === 'registered' && record.registered?.version !== currentOf(record).state.version)
    return stay(state)
  const staged = apply(record.machine, { kind: 'progressing', state: input.state }, context.rules)
  if (staged instanceof PerkunasError || staged.staging === undefined) return stay(state)
  const signatures = staged.staging.signatures.map((_, i) => (i === index ? input.signature : undefined))
  const machine = { ...staged, staging: { ...staged.staging, signatures } }
  const next = { ...record, machine, wanted: 'settlement' as const }
  return {
    next: { ...state, record: next },
    effects: [{ kind: 'cancel', what: ['withdraw'] }, ...pursue(next, context)],
  }
}

/** The ledger refused the step: what is registered stands. */
export function progressFailed(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  if (record.machine.phase !== 'progressing') return stay(state)
  const { staging: _, ...unstaged } = record.machine
  const machine = apply(unstaged, { kind: 'registered' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const next = { ...record, machine }
  return { next: { ...state, record: next }, effects: pursue(next, context) }
}
