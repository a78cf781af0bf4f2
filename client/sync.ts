// How participants repair what was lost with a connection. Whenever one stands again, each says which version
// it holds; whoever is ahead sends its newest state with all signatures, and whoever has signed a state that
// is not complete says so again.
import { apply, type Index, PerkunasError } from '../channel/index.js'
import {
  allSignatures,
  type ChannelContext,
  type ChannelEffect,
  type ChannelState,
  type ChannelStep,
  stay,
} from './conversation.js'
import type { ChannelSync, MessageOfKind } from './messages.js'
import { repeat, superseded } from './update.js'

/**
 * How far a peer may move the next version on by claiming that lower ones were signed. Honest peers are one
 * or two ahead; a liar needs 2^48 connections to use up the versions.
 */
const MAX_SKIP = 65_536n

/** A connection stands: say what we hold, and repeat what may be lost. */
export function connected(state: ChannelState, peer: Index): ChannelStep {
  const { machine } = state.record
  if (machine.current === undefined) return stay(state)
  const { channelID, signedVersion } = machine
  const { version } = machine.current.state
  return stay(
    state,
    { kind: 'send', to: peer, message: { kind: 'channelSync', channelID, version, signedVersion } },
    ...repeat(state, peer),
    ...authorizationAgain(state, peer),
  )
}

/** A participant says what it holds. */
export function receivedSync(state: ChannelState, from: Index, message: ChannelSync): ChannelStep {
  const { record } = state
  const { current, signedVersion } = record.machine
  if (current === undefined) return stay(state)
  const effects: ChannelEffect[] = []
  const signatures = allSignatures(current)
  if (message.version < current.state.version && signatures !== undefined) {
    effects.push({
      kind: 'send',
      to: from,
      message: { kind: 'signedState', state: current.state, signatures },
    })
  }
  const ahead = message.signedVersion - signedVersion
  if (ahead <= 0n) return stay(state, ...effects)
  if (ahead > MAX_SKIP) {
    const reason = `signed version ${message.signedVersion} claimed, ours is ${signedVersion}`
    const error = new PerkunasError('INVALID_MESSAGE', reason, { path: 'signedVersion', reason })
    return stay(state, ...effects, { kind: 'refuse', from, error, cost: 'connection' })
  }
  // Versions that somebody signed while we were away are not used for another state. What we ourselves are
  // signing stays: its version is below and it is answered or superseded as always.
  const machine = { ...record.machine, signedVersion: message.signedVersion }
  return { next: { ...state, record: { ...record, machine } }, effects }
}

/** A participant has a newer state that everybody signed, so we did too. */
export function receivedSignedState(
  state: ChannelState,
  from: Index,
  message: MessageOfKind<'signedState'>,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { current } = record.machine
  if (current === undefined || message.state.version <= current.state.version) return stay(state)
  const operation = { kind: 'adopt', state: message.state, signatures: message.signatures } as const
  const machine = apply(record.machine, operation, context.rules)
  if (machine instanceof PerkunasError) {
    const cost = machine.code === 'PHASE_MISMATCH' ? 'message' : 'connection'
    return stay(state, { kind: 'refuse', from, error: machine, cost })
  }
  const next = { ...state, asking: undefined, record: { ...record, machine } }
  const { next: done, effects } = superseded(state, next)
  return { next: done, effects: [{ kind: 'updated', from: current.state, to: message.state }, ...effects] }
}

function authorizationAgain(state: ChannelState, to: Index): ChannelEffect[] {
  const { machine, authorizations } = state.record
  const authorization = authorizations[machine.index]
  if (machine.phase !== 'final' || machine.current === undefined || authorization === undefined) return []
  const { channelID } = machine
  const { version } = machine.current.state
  return [{ kind: 'send', to, message: { kind: 'closeAuthorization', channelID, version, authorization } }]
}
