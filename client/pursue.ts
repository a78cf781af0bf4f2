// What a channel asks of its ledger, computed from what is written of it: the same after a step and after a restart.
import {
  allSignatures,
  type ChannelContext,
  type ChannelEffect,
  type ChannelRecord,
  type ChannelState,
  currentOf,
  newestOf,
} from './conversation.js'

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

/** What the end that everybody signed asks for: being paid together, or by ourselves. */
export function pursueFinal(record: ChannelRecord, context: ChannelContext): ChannelEffect[] {
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

/** Everybody's agreement to be paid together, or undefined while some are missing. */
export function allAuthorizations(record: ChannelRecord) {
  return allSignatures({ state: currentOf(record).state, signatures: record.authorizations })
}

/** Registers the newest state that everybody signed, or refutes with it. */
export function registerNewest(record: ChannelRecord): ChannelEffect[] {
  const transaction = newestOf(record)
  return allSignatures(transaction) ? [{ kind: 'register', transaction }] : []
}

function withdrawal(record: ChannelRecord): ChannelEffect {
  const transaction = newestOf(record)
  const secondary = record.stagedBy !== record.machine.index && transaction.state.isFinal
  return { kind: 'withdraw', transaction, secondary }
}
