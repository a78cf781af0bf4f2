// How a channel ends: together, or before the ledger.
//
//   together   final state, signed by all → each authorizes being paid → one participant closes for all
//   alone      register the newest state → others may refute until the deadline → conclude → withdraw
//
// What the ledger says decides: whatever state is registered, by whomever, is refuted if ours is newer, and our
// share is withdrawn in the end, whether our user asked for it or not. If the refutation comes too late, the ledger's
// withdrawal concludes with what is registered.
import {
  apply,
  type Index,
  type LedgerEvent,
  type Operation,
  PerkunasError,
  type Phase,
} from '../channel/index.js'
import { enabled, superseded, taken } from './agreed.js'
import {
  allSignatures,
  type ChannelContext,
  type ChannelEffect,
  type ChannelInput,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  heldIn,
  newestOf,
  type Overruled,
  stay,
  toAll,
} from './conversation.js'
import type { MessageOfKind } from './messages.js'

type Input<K extends ChannelInput['kind']> = Extract<ChannelInput, { kind: K }>

/** Phases in which no registered state can be refuted any more. */
const BEYOND: readonly Phase[] = ['progressed', 'withdrawing', 'withdrawn']

/** What the ledger must be asked to do now, given what is written: the same after a step and after a restart. */
export function pursue(record: ChannelRecord, context: ChannelContext): ChannelEffect[] {
  const { machine, registered } = record
  switch (machine.phase) {
    case 'funding':
      return [{ kind: 'fund' }]
    case 'final':
      return pursueFinal(record, context)
    case 'registering':
      return registerNewest(record)
    case 'registered':
    case 'withdrawing': {
      const older = registered !== undefined && registered.version < newestOf(record).state.version
      // Withdrawing waits for the deadlines, and comes to an end whether the refutation is in time or not. A step that our
      // user enforces meanwhile takes its place.
      return [...(older ? registerNewest(record) : []), withdrawal(record)]
    }
    case 'progressing': {
      const { staging, index } = machine
      const signature = staging?.signatures[index]
      if (staging === undefined || signature === undefined) return []
      return [{ kind: 'progress', registered: currentOf(record).state, next: staging.state, signature }]
    }
    case 'progressed':
      return [withdrawal(record)]
    case 'withdrawn':
      return [{ kind: 'over' }]
    default:
      return []
  }
}

/**
 * Whether nothing is to be done about a channel until something happens to it, and its record says all that there is
 * to know of it.
 */
export function isQuiet(state: ChannelState, context: ChannelContext): boolean {
  const { record, asking, held, command, early, overruled } = state
  const { phase, current } = record.machine
  return (
    (phase === 'acting' || phase === 'signing' || phase === 'final') &&
    record.wanted === 'nothing' &&
    asking === undefined &&
    held === undefined &&
    command === undefined &&
    overruled.length === 0 &&
    early.every(({ version }) => version <= (current?.state.version ?? 0n)) &&
    pursue(record, context).length === 0
  )
}

/** Everybody's funds are there. */
export function funded(state: ChannelState, context: ChannelContext): ChannelStep {
  const machine = apply(state.record.machine, { kind: 'funded' }, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  return stay({ ...state, record: { ...state.record, machine } })
}

/** Our user wants the end of a final channel, or of any with `dispute`. */
export function settle(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  if (record.wanted === 'settlement' && record.machine.phase !== 'final') return stay(state)
  const next = { ...record, wanted: 'settlement' as const }
  const effects = record.machine.phase === 'final' ? pursueFinal(next, context) : []
  return { next: { ...state, record: next }, effects }
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

function pursueFinal(record: ChannelRecord, context: ChannelContext): ChannelEffect[] {
  const { machine, wanted, stagedBy } = record
  const current = currentOf(record)
  if (!context.capabilities.cooperativeClose) return wanted === 'settlement' ? [withdrawal(record)] : []
  if (record.authorizations[machine.index] === undefined) return [{ kind: 'authorize', state: current.state }]
  if (wanted !== 'settlement') return []
  const authorizations = allAuthorizations(record)
  // One transaction is enough: whoever made the final state sends it, the others look on for a while.
  return authorizations && stagedBy === machine.index
    ? [{ kind: 'close', transaction: current, authorizations }]
    : [{ kind: 'wait' }]
}

function allAuthorizations(record: ChannelRecord) {
  return allSignatures({ state: currentOf(record).state, signatures: record.authorizations })
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

function registerNewest(record: ChannelRecord): ChannelEffect[] {
  const transaction = newestOf(record)
  return allSignatures(transaction) ? [{ kind: 'register', transaction }] : []
}

function withdrawal(record: ChannelRecord): ChannelEffect {
  const transaction = newestOf(record)
  const secondary = record.stagedBy !== record.machine.index && transaction.state.isFinal
  return { kind: 'withdraw', transaction, secondary }
}

function withPhases(
  state: ChannelState,
  kinds: readonly Operation['kind'][],
  context: ChannelContext,
): ChannelState {
  let { machine } = state.record
  for (const kind of kinds) {
    if (kind !== 'registered' && kind !== 'withdrawing' && kind !== 'withdrawn') continue
    const next = apply(machine, { kind }, context.rules)
    if (!(next instanceof PerkunasError)) machine = next
  }
  return { ...state, record: { ...state.record, machine } }
}
