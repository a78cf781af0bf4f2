// What the ledger says decides: whatever state is registered, by whomever, is refuted if ours is newer, and our
// share is withdrawn in the end, whether our user asked for it or not. If the refutation comes too late, the ledger's
// withdrawal concludes with what is registered.
//
// What a reorg may take back is kept until it is final.
import { apply, type LedgerEvent, PerkunasError, type Phase } from '../channel/index.js'
import { enabled, superseded, taken } from './agreed.js'
import {
  allSignatures,
  type ChannelContext,
  type ChannelEffect,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  heldIn,
  newestOf,
  type Overruled,
  stay,
} from './conversation.js'
import { pursue, registerNewest } from './pursue.js'
import { withPhases } from './together.js'

/** Phases in which no registered state can be refuted any more. */
const BEYOND: readonly Phase[] = ['progressed', 'withdrawing', 'withdrawn']

/** The ledger says something about the channel. */
export function ledgerEvent(state: ChannelState, event: LedgerEvent, context: ChannelContext): ChannelStep {
  if (event.status === 'reorged') return whenReorged(state, event, context)
  const seen = whenSeen(state, event, context)
  if (event.status === 'seen') return seen
  const counted = whenFinal(seen.next, event, context)
  const effects = [...seen.effects, ...counted.effects]
  const settled = { ...counted.next, overruled: afterFinal(counted.next.overruled, event) }
  const { record } = settled
  // What refutes a registration may still go away with its block: after a restart it must be told again.
  if (record.cursor === event.cursor || event.kind === 'registered') return { next: settled, effects }
  // No reorg takes this step back, so what was before it is of no more use.
  const before =
    event.kind === 'progressed'
      ? record.before.filter((_, i) => enforcedAfter(record, i) > event.version)
      : record.before
  return { next: { ...settled, record: { ...record, before, cursor: event.cursor } }, effects }
}

/** The ledger has for good what it said before: what waits for that counts now, or a cleared channel goes on. */
function whenFinal(
  state: ChannelState,
  { kind, version }: LedgerEvent,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  if (kind === 'cleared') return isFreed(record) ? cleared(state, context) : stay(state)
  const isHeld = heldIn(record)?.state.version === version
  return isHeld && (kind === 'registered' || kind === 'concluded') ? enabled(state, context) : stay(state)
}

/** Whether nothing is registered any more that our user wants to go on with. */
function isFreed({ machine, registered, wanted }: ChannelRecord): boolean {
  return machine.phase === 'registered' && registered === undefined && wanted === 'nothing'
}

/** The version of the step that was enforced on the i-th of what was current before. */
function enforcedAfter({ before, machine }: ChannelRecord, i: number): bigint {
  return (before[i + 1] ?? machine.current)?.state.version ?? 0n
}

function whenSeen(state: ChannelState, event: LedgerEvent, context: ChannelContext): ChannelStep {
  switch (event.kind) {
    case 'registered':
      return whenRegistered(state, event, context)
    case 'progressed':
      return whenProgressed(state, event, context)
    case 'cleared': {
      if (event.version < (state.record.registered?.version ?? 0n)) return stay(state)
      return whenCleared(state, event, context)
    }
    case 'concluded': {
      if (state.record.machine.phase === 'withdrawing' || state.record.machine.phase === 'withdrawn')
        return stay(state)
      const next = withPhases(state, ['registered', 'withdrawing'], context)
      const effects = pursue(next.record, context)
      return {
        next,
        effects: [{ kind: 'cancel', what: ['fund', 'register', 'wait', 'close', 'progress'] }, ...effects],
      }
    }
    default:
      return stay(state)
  }
}

function whenRegistered(
  state: ChannelState,
  event: Extract<LedgerEvent, { kind: 'registered' }>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { machine } = record
  const { version, deadline } = event
  const last = record.registered
  if (
    last !== undefined &&
    (version < last.version || (version === last.version && deadline === last.deadline))
  ) {
    return stay(state) // told again
  }
  const overruled = overruledBy(state, event)
  // A reorg took a conclusion away: another state may stand registered than the one that it was made with.
  if (machine.phase === 'withdrawing') {
    const next = { ...record, registered: { version, deadline } }
    return { next: { ...state, overruled, record: next }, effects: pursue(next, context) }
  }
  // Where steps are enforced, or all is over, no registration counts any more: it is told again.
  if (BEYOND.includes(machine.phase)) return stay(state)
  const registered = apply(machine, { kind: 'registered' }, context.rules)
  if (registered instanceof PerkunasError) return stay(state)
  const ahead = takenFrom({ ...record, machine: registered }, event, context)
  return whenDisputed({ ...state, overruled, record: ahead }, state, event, context)
}

/** A state stands registered, perhaps again. @param before the channel as it was until then */
function whenDisputed(
  state: ChannelState,
  before: ChannelState,
  { version, deadline }: { readonly version: bigint; readonly deadline: bigint },
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'registered' }, context.rules)
  if (machine instanceof PerkunasError) return stay(before)
  const next: ChannelState = {
    ...state,
    asking: undefined,
    record: { ...record, machine, registered: { version, deadline } },
  }
  const { next: done, effects } = superseded(before, next)
  const newest = newestOf(done.record).state.version
  const alarm: ChannelEffect[] =
    version < newest ? [{ kind: 'atRisk', registered: version, newest, deadline }] : []
  const cancel: ChannelEffect = { kind: 'cancel', what: ['fund', 'register', 'wait', 'close'] }
  return { next: done, effects: [...effects, ...alarm, cancel, ...pursue(done.record, context)] }
}

function whenProgressed(
  state: ChannelState,
  event: Extract<LedgerEvent, { kind: 'progressed' }>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { state: enforced, version, deadline } = event
  if (record.machine.phase === 'withdrawing' || record.machine.phase === 'withdrawn') return stay(state)
  if (enforced === undefined)
    return stay({ ...state, record: { ...record, registered: { version, deadline } } })
  const current = record.machine.current?.state
  if (record.machine.phase === 'progressed' && current !== undefined && current.version >= version)
    return stay(state)
  const machine = apply(record.machine, { kind: 'progressed', state: enforced }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const held = heldIn(record)
  const base = held?.state.version === version - 1n ? held : record.machine.current
  const before = base === undefined ? record.before : [...record.before, base]
  const next = { ...record, machine, registered: { version, deadline }, before }
  const overruled = overruledBy(state, event)
  const update: ChannelEffect[] =
    current === undefined ? [] : [{ kind: 'updated', from: current, to: enforced }]
  // A step of our own stays wanted until it is final: a reorg may lose it.
  const isOurs = event.actor === record.machine.index
  const what = ['fund', 'register', 'withdraw', ...(isOurs ? [] : (['progress'] as const))] as const
  const cancel: ChannelEffect = { kind: 'cancel', what }
  return {
    next: { ...state, asking: undefined, overruled, record: next },
    effects: [...update, cancel, ...pursue(next, context)],
  }
}

/** What stood registered before a dispute's event, which is told for the first time or again. */
function overruledBy(
  { overruled, record }: ChannelState,
  { kind, version }: LedgerEvent,
): readonly Overruled[] {
  const by = { kind, version }
  if (overruled.some((known) => isSame(known.by, by))) return overruled
  return [...overruled, { by, registered: record.registered }]
}

/** No reorg takes a final event back, nor what came before it. */
function afterFinal(overruled: readonly Overruled[], event: LedgerEvent): readonly Overruled[] {
  const at = overruled.findIndex(({ by }) => isSame(by, event))
  return at < 0 ? overruled.filter(({ by }) => by.version >= event.version) : overruled.slice(at + 1)
}

function isSame(by: Overruled['by'], event: Overruled['by']): boolean {
  return by.kind === event.kind && by.version === event.version
}

/** A block went away, and what it said with it. What replaces it is told by events of its own. */
function whenReorged(state: ChannelState, event: LedgerEvent, context: ChannelContext): ChannelStep {
  const { record } = state
  if (event.kind === 'registered' || event.kind === 'cleared') {
    const at = state.overruled.findLastIndex(({ by }) => isSame(by, event))
    const { registered } = state.overruled[at] ?? {}
    // Else gone with what came before it, or known before a restart only.
    const isLast =
      event.kind === 'registered' && record.machine.phase === 'registered' && record.registered === undefined
    if (at < 0 && !isLast) return stay(state)
    const reverted = { ...state, overruled: state.overruled.slice(0, Math.max(0, at)) }
    if (record.machine.phase === 'withdrawing') {
      const next = { ...record, registered }
      return { next: { ...reverted, record: next }, effects: pursue(next, context) }
    }
    if (BEYOND.includes(record.machine.phase)) return stay(reverted, ...pursue(record, context))
    // What it had overruled stands again, and nobody tells that once more.
    if (registered !== undefined) return whenDisputed(reverted, state, registered, context)
    const forgotten = { ...reverted, record: { ...record, registered } }
    if (record.wanted !== 'nothing') return stay(forgotten, ...registerNewest(record))
    // Until a checkpoint before it is final too, what that cleared may come back.
    return reverted.overruled.at(-1)?.by.kind === 'cleared'
      ? stay(forgotten, { kind: 'cancel', what: ['register', 'withdraw'] })
      : cleared(forgotten, context)
  }
  if (event.kind === 'progressed') {
    const at = state.overruled.findLastIndex(({ by }) => isSame(by, event))
    const { registered } = state.overruled[at] ?? {}
    const overruled = state.overruled.slice(0, Math.max(0, at))
    const back = rewound(record, event.version)
    const next = back === record ? record : { ...back, registered }
    const cancel: ChannelEffect = { kind: 'cancel', what: ['withdraw'] }
    return { next: { ...state, overruled, record: next }, effects: [cancel, ...pursue(next, context)] }
  }
  return stay(state, ...pursue(record, context))
}

/**
 * A record without the enforced steps from a version on: with the first of them, what was current before it is back.
 *
 * After a restart all that are not final are taken back, because those that are still there are told again.
 */
export function rewound(record: ChannelRecord, version = 0n): ChannelRecord {
  const { machine, before } = record
  if (machine.phase === 'registered' && version === 0n) return { ...record, registered: undefined }
  if (machine.phase !== 'progressed' && machine.phase !== 'progressing' && machine.phase !== 'withdrawing')
    return record
  const at = before.findIndex((_, i) => enforcedAfter(record, i) >= version)
  const current = before[at]
  if (current === undefined) return record
  const { staging: _, ...unstaged } = machine
  const phase = allSignatures(current) ? 'registered' : 'progressed'
  return {
    ...record,
    machine: { ...unstaged, phase, current },
    registered: undefined,
    before: before.slice(0, at),
  }
}

/**
 * Somebody cleared the dispute, perhaps with a state that we do not hold: without it we could not register anything any
 * more. The channel goes on as soon as no reorg brings back what was registered, for that can be past refuting by then. If
 * our user wants the end, it is registered again.
 */
function whenCleared(
  state: ChannelState,
  event: Extract<LedgerEvent, { kind: 'cleared' }>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  if (state.overruled.some(({ by }) => isSame(by, event))) return stay(state) // told again
  const overruled = overruledBy(state, event)
  const ahead = takenFrom(record, event, context)
  const { next, effects } = superseded(state, {
    ...state,
    overruled,
    record: ahead,
    ...(ahead !== record && { asking: undefined }),
  })
  const { current } = record.machine
  const { current: newer, phase } = next.record.machine
  const update: ChannelEffect[] =
    current && newer && current !== newer ? [{ kind: 'updated', from: current.state, to: newer.state }] : []
  if (phase !== 'registered') return { next, effects: [...update, ...effects] }
  const cancel: ChannelEffect = { kind: 'cancel', what: ['register', 'withdraw'] }
  const freed = { ...next.record, registered: undefined }
  if (freed.wanted === 'nothing') return { next: { ...next, record: freed }, effects: [...effects, cancel] }
  const machine = apply(freed.machine, { kind: 'registering' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const again = { ...freed, machine }
  return { next: { ...next, record: again }, effects: [...effects, cancel, ...pursue(again, context)] }
}

/** A dispute is over without an end: the channel goes on, with what waited for it. */
function cleared(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'cleared' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const free: ChannelState = { ...state, record: { ...record, machine, registered: undefined } }
  const { next, effects } = heldIn(free.record) ? enabled(free, context) : stay(free)
  const cancel: ChannelEffect = { kind: 'cancel', what: ['register', 'withdraw'] }
  return { next, effects: [...effects, cancel, ...pursue(next.record, context)] }
}

/** With the state that the ledger shows, if it is newer than ours: a participant was ahead of us. */
function takenFrom(
  record: ChannelRecord,
  event: Extract<LedgerEvent, { kind: 'registered' | 'cleared' }>,
  context: ChannelContext,
): ChannelRecord {
  const { state, signatures } = event
  if (state === undefined || signatures === undefined) return record
  if (record.machine.current !== undefined && state.version <= newestOf(record).state.version) return record
  const machine = taken(record.machine, { state, signatures }, context)
  return machine instanceof PerkunasError ? record : { ...record, machine }
}
