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
import { repeat, standing, sync, usedVersion } from './said.js'
import { burn, MAX_SKIP, recalled, receivedRej } from './update.js'

/** A connection stands: say what we hold, and repeat what may be lost. */
export function connected(state: ChannelState, peer: Index): ChannelStep {
  const { machine } = state.record
  if (machine.current === undefined) return stay(state)
  return stay(
    state,
    ...standing(state.record, peer),
    ...repeat(state, peer),
    ...authorizationAgain(state, peer),
  )
}

/** Our user wants to go on: ask the others what became of what we have forgotten. */
export function recall(state: ChannelState): ChannelStep {
  const { machine, peers, forgotten } = state.record
  if (forgotten === undefined) return stay(state)
  const others = peers.map((_, i) => i).filter((i) => i !== machine.index)
  return stay(state, ...others.flatMap((i) => standing(state.record, i)))
}

/** A participant says what it holds. */
export function receivedSync(before: ChannelState, from: Index, message: ChannelSync): ChannelStep {
  if (before.record.machine.current === undefined) return stay(before)
  const state = isDead(before.record, message) ? recalled(before) : before
  const { record } = state
  const { signedVersion } = record.machine
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
  // answer that was lost learns that the version is used up. Who came later than our question is asked again.
  if (message.version > newest.state.version) effects.push(sync(record, from))
  else if (message.version === newest.state.version) {
    const isBehind = message.usedVersion < usedVersion(record)
    if (isBehind || record.forgotten !== undefined) effects.push(...standing(record, from))
  }
  const ahead = message.usedVersion - signedVersion
  if (ahead > MAX_SKIP) {
    const reason = `used version ${message.usedVersion} claimed, ours is ${signedVersion}`
    const error = new PerkunasError('INVALID_MESSAGE', reason, { path: 'usedVersion', reason })
    // A third participant may have lied to it: that must not cost two others the connection of all their channels.
    const cost = record.peers.length > 2 ? 'message' : 'connection'
    return stay(before, ...effects, { kind: 'refuse', from, error, cost })
  }
  const { staging, channelID } = record.machine
  const actor = record.stagedBy
  const version = staging?.state.version
  if (version !== undefined && message.version < version && version <= message.usedVersion) {
    // It has done with the version that we are signing, and not by signing it.
    // Refused, crossed by another one, or forgotten in a restart: whoever proposes it again learns which.
    const reason = 'used up while there was no connection'
    const refusal = { kind: 'channelUpdateRej', channelID, version, actor, reason, crossed: true } as const
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
  const denied = faultOfShown(record, message.state.version)
  if (denied !== undefined) return stay(state, { kind: 'refuse', from, error: denied, cost: 'connection' })
  const machine = taken(record.machine, message, context)
  if (machine instanceof PerkunasError) {
    const cost = machine.code === 'PHASE_MISMATCH' ? 'message' : 'connection'
    return stay(state, { kind: 'refuse', from, error: machine, cost })
  }
  const next = { ...state, asking: undefined, record: { ...record, machine } }
  const { next: done, effects } = superseded(state, next)
  // Whoever gave it may have asked what we could not say without it: which versions are used.
  return { next: done, effects: [...updated(record, done.record), ...effects, sync(done.record, from)] }
}

/** Whoever said that it never signs a version can't show it signed: by then we may have signed another state on top. */
function faultOfShown({ refused }: ChannelRecord, version: bigint): PerkunasError | undefined {
  if (refused === undefined || version > refused) return undefined
  const reason = `version ${version} is shown signed by who refused it`
  return new PerkunasError('INVALID_MESSAGE', reason, { path: 'state.version', reason })
}

/** Our user hears of a newer state if it counts already. */
function updated(before: ChannelRecord, { machine }: ChannelRecord): ChannelEffect[] {
  const { current } = machine
  if (current === undefined || current === before.machine.current) return []
  return [{ kind: 'updated', from: currentOf(before).state, to: current.state }]
}

/** Whether a participant has done with a version that we have forgotten, and not by signing it. */
function isDead({ forgotten }: ChannelRecord, { version, usedVersion }: ChannelSync): boolean {
  return forgotten !== undefined && version < forgotten && forgotten <= usedVersion
}

function authorizationAgain(state: ChannelState, to: Index): ChannelEffect[] {
  const { machine, authorizations } = state.record
  const authorization = authorizations[machine.index]
  if (machine.phase !== 'final' || machine.current === undefined || authorization === undefined) return []
  const { channelID } = machine
  const { version } = machine.current.state
  return [{ kind: 'send', to, message: { kind: 'closeAuthorization', channelID, version, authorization } }]
}
