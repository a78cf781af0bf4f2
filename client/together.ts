// How a channel ends together, and how its shares are paid out.
//
//   final state, signed by all → each authorizes being paid → one participant closes for all
//   somebody does not authorize, or the closing fails → conclude and withdraw, as anybody can alone
import { apply, type Index, PerkunasError } from '../channel/index.js'
import {
  type ChannelContext,
  type ChannelInput,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  stay,
  toAll,
} from './conversation.js'
import type { MessageOfKind } from './messages.js'
import { allAuthorizations, pursue, pursueFinal } from './pursue.js'

type Input<K extends ChannelInput['kind']> = Extract<ChannelInput, { kind: K }>

/** Our user wants the end of a final channel, or of any with `dispute`. */
export function settle(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  if (record.wanted === 'settlement' && record.machine.phase !== 'final') return stay(state)
  const next = { ...record, wanted: 'settlement' as const }
  const effects = record.machine.phase === 'final' ? pursueFinal(next, context) : []
  return { next: { ...state, record: next }, effects }
}

/** Our own agreement to be paid together is made: keep it, tell the others. */
export function authorized(
  state: ChannelState,
  input: Input<'authorized'>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { machine } = record
  if (machine.phase !== 'final') return stay(state)
  const { version } = currentOf(record).state
  const { authorization } = input
  const next = withAuthorization(record, machine.index, authorization)
  const { channelID } = machine
  const told = toAll(record, { kind: 'closeAuthorization', channelID, version, authorization })
  return { next: { ...state, record: next }, effects: [...told, ...pursueFinal(next, context)] }
}

/** A participant agrees to be paid together. */
export function receivedAuthorization(
  state: ChannelState,
  from: Index,
  message: MessageOfKind<'closeAuthorization'>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { machine } = record
  if (machine.phase !== 'final' || record.authorizations[from] !== undefined) return stay(state)
  const current = currentOf(record).state
  const { params } = machine
  const { version, authorization } = message
  const request = { params, state: current, participant: from, authorization }
  if (version !== current.version || !context.verifyCloseAuthorization(request)) {
    const error = new PerkunasError(
      'INVALID_SIGNATURE',
      `participant ${from}'s close authorization is not valid`,
      {
        participant: from,
      },
    )
    return stay(state, { kind: 'refuse', from, error, cost: 'connection' })
  }
  const next = withAuthorization(record, from, authorization)
  return { next: { ...state, record: next }, effects: pursueFinal(next, context) }
}

/** The others had their time: go on without them. */
export function patienceOver(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  if (record.machine.phase !== 'final' || record.wanted !== 'settlement') return stay(state)
  const complete = allAuthorizations(record)
  if (complete)
    return stay(state, { kind: 'close', transaction: currentOf(record), authorizations: complete })
  return withdrawing(state, context)
}

/** Conclude if nobody has, and withdraw what is ours. */
export function withdrawing(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'withdrawing' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const next = { ...record, machine }
  return {
    next: { ...state, record: next },
    effects: [{ kind: 'cancel', what: ['wait', 'close'] }, ...pursue(next, context)],
  }
}

/** Our share is paid out: nothing is left to do. */
export function paid(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'withdrawn' }, context.rules)
  if (machine instanceof PerkunasError) {
    // Paid while the phase says otherwise: a withdrawal began before the event that explains it was seen.
    return stay(withPhases(state, ['registered', 'withdrawing', 'withdrawn'], context), { kind: 'over' })
  }
  return { next: { ...state, record: { ...record, machine } }, effects: [{ kind: 'over' }] }
}

function withAuthorization(
  record: ChannelRecord,
  participant: Index,
  authorization: `0x${string}`,
): ChannelRecord {
  return {
    ...record,
    authorizations: record.authorizations.map((known, i) => (i === participant ? authorization : known)),
  }
}

/** A channel after as many of these changes of phase as are legal, one after the other. */
export function withPhases(
  state: ChannelState,
  kinds: readonly ('registered' | 'withdrawing' | 'withdrawn')[],
  context: ChannelContext,
): ChannelState {
  let { machine } = state.record
  for (const kind of kinds) {
    const next = apply(machine, { kind }, context.rules)
    if (!(next instanceof PerkunasError)) machine = next
  }
  return { ...state, record: { ...state.record, machine } }
}
