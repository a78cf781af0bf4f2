// How participants repair what was lost with a connection. Whenever one stands again, each says which version
// it holds; whoever is ahead sends its newest state with all signatures, and whoever has signed a state that
// is not complete says so again. A participant whose client knows the channel later than the connection (after a
// restart, or because it is still writing it down) missed what was said before its own sync, so that is answered
// by the same.
import { type Index, PerkunasError } from '../channel/index.js'
import { superseded, taken } from './agreed.js'
import {
  allSignatures,
  type ChannelContext,
  type ChannelEffect,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  newestOf,
  stay,
} from './conversation.js'
import type { ChannelSync, MessageOfKind } from './messages.js'
import { burn, MAX_SKIP, receivedRej, repeat, sync, usedVersion } from './update.js'

/** A connection stands: say what we hold, and repeat what may be lost. */
export function connected(state: ChannelState, peer: Index): ChannelStep {
  const { machine } = state.record
  if (machine.current === undefined) return stay(state)
  return stay(state, sync(state.record, peer), ...repeat(state, peer), ...authorizationAgain(state, peer))
}

/** A participant says what it holds. */
export function receivedSync(state: ChannelState, from: Index, message: ChannelSync): ChannelStep {
  const { record } = state
  const { signedVersion } = record.machine
  if (record.machine.current === undefined) return stay(state)
  const newest = newestOf(record)
  const effects: ChannelEffect[] = []
  const signatures = allSignatures(newest)
  if (message.version < newest.state.version && signatures !== undefined) {
    effects.push({
      kind: 'send',
      to: from,
      message: { kind: 'signedState', state: newest.state, signatures },
    })
  }
  // It can't know that we lack its state, if it did not hear us; who is behind does not answer in kind. Who waits for an
  // answer that was lost learns that the version is used up.
  const isBehind =
    message.version === newest.state.version && message.usedVersion < usedVersion(record.machine)
  if (message.version > newest.state.version || isBehind) effects.push(sync(record, from))
  const ahead = message.usedVersion - signedVersion
  if (ahead > MAX_SKIP) {
    const reason = `used version ${message.usedVersion} claimed, ours is ${signedVersion}`
    const error = new PerkunasError('INVALID_MESSAGE', reason, { path: 'usedVersion', reason })
    // A third participant may have lied to it: that must not cost two others the connection of all their channels.
    const cost = record.peers.length > 2 ? 'message' : 'connection'
    return stay(state, ...effects, { kind: 'refuse', from, error, cost })
  }
  const { staging, channelID } = record.machine
  const actor = record.stagedBy
  const version = staging?.state.version
  if (version !== undefined && message.version < version && version <= message.usedVersion) {
    // It has done with the version that we are signing, and not by signing it.
    const reason = 'refused while there was no connection'
    const refusal = { kind: 'channelUpdateRej', channelID, version, actor, reason, crossed: false } as const
    const step = receivedRej(burn(state, message.usedVersion), from, refusal)
    return { next: step.next, effects: [...effects, ...step.effects] }
  }
  effects.push(...repeat(state, from), ...authorizationAgain(state, from))
  return { next: burn(state, message.usedVersion), effects }
}

/** A participant has a newer state that everybody signed, so we did too. */
export function receivedSignedState(
  state: ChannelState,
  from: Index,
  message: MessageOfKind<'signedState'>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  if (record.machine.current === undefined) return stay(state)
  if (message.state.version <= newestOf(record).state.version) return stay(state)
  const machine = taken(record.machine, message, context)
  if (machine instanceof PerkunasError) {
    const cost = machine.code === 'PHASE_MISMATCH' ? 'message' : 'connection'
    return stay(state, { kind: 'refuse', from, error: machine, cost })
  }
  const next = { ...state, asking: undefined, record: { ...record, machine } }
  const { next: done, effects } = superseded(state, next)
  return { next: done, effects: [...updated(record, done.record), ...effects] }
}

/** Our user hears of a newer state if it counts already. */
function updated(before: ChannelRecord, { machine }: ChannelRecord): ChannelEffect[] {
  const { current } = machine
  if (current === undefined || current === before.machine.current) return []
  return [{ kind: 'updated', from: currentOf(before).state, to: current.state }]
}

function authorizationAgain(state: ChannelState, to: Index): ChannelEffect[] {
  const { machine, authorizations } = state.record
  const authorization = authorizations[machine.index]
  if (machine.phase !== 'final' || machine.current === undefined || authorization === undefined) return []
  const { channelID } = machine
  const { version } = machine.current.state
  return [{ kind: 'send', to, message: { kind: 'closeAuthorization', channelID, version, authorization } }]
}
