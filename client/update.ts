// How the participants of a unanimous channel come to agree on the next state (Perun core protocol, "Update").
//
//   proposer        update(v, state, sig) → all        each other: asks its user, signs
//   all others      updateAcc(v, sig)     → all        whoever has all signatures is at version v
//   or one of them  updateRej(v, reason)  → all        v is dropped by all, and never used again
//
// Whoever proposes signs first. Nobody signs two states of one version: a version that was proposed and refused,
// or that two participants proposed at once, stays unused, so the refused state can't return beside its successor.
// Having signed, a participant waits; a timeout ends the caller's call, not the signature.
import {
  apply,
  faultOfSignature,
  type Hex,
  type Index,
  type Machine,
  nextVersion,
  PerkunasError,
  type State,
  sameAllocation,
  sameState,
} from '../channel/index.js'
import {
  type ChannelContext,
  type ChannelEffect,
  type ChannelInput,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  stay,
  toAll,
} from './conversation.js'
import { type ChannelUpdate, type ChannelUpdateAcc, type ChannelUpdateRej, reasonOf } from './messages.js'

type Input<K extends ChannelInput['kind']> = Extract<ChannelInput, { kind: K }>

/** Whether our user may propose now: the channel goes on, and no state is being signed or considered. */
export function isIdle(state: ChannelState): boolean {
  return state.record.machine.phase === 'acting' && state.asking === undefined
}

/** Our user proposes. The caller has checked the state by the same rules before signing it. */
export function propose(state: ChannelState, input: Input<'propose'>, context: ChannelContext): ChannelStep {
  const { record } = state
  const { index } = record.machine
  if (state.asking !== undefined) {
    const crossed = crossing(record, state.asking.state.version)
    return stay(state, { kind: 'resolve', command: input.command, result: crossed })
  }
  const machine = stageAndSign(record.machine, input.state, index, [[index, input.signature]], context)
  if (machine instanceof PerkunasError) {
    return stay(state, { kind: 'resolve', command: input.command, result: machine })
  }
  const next = { ...state, record: { ...record, machine, stagedBy: index }, command: input.command }
  return {
    next,
    effects: toAll(record, {
      kind: 'channelUpdate',
      state: input.state,
      actor: index,
      signature: input.signature,
    }),
  }
}

/** A participant proposes. */
export function receivedUpdate(
  state: ChannelState,
  from: Index,
  update: ChannelUpdate,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const { machine } = record
  const { version } = update.state
  if (machine.phase === 'funding' || machine.phase === 'initSigning') {
    // The others may see the last deposit before we do. One is kept; its sender repeats what gets lost.
    return update.actor === from ? stay({ ...state, held: update }) : stay(state)
  }
  const known = [machine.current, machine.staging].find((it) => it && sameState(it.state, update.state))
  if (known) return stay(state, ...resent(record, from, known.state.version, known.signatures[machine.index]))
  if (state.asking && sameState(state.asking.state, update.state)) return stay(state)
  if (update.actor !== from) {
    return refuse(state, from, update, 'the actor is not the sender', 'connection')
  }
  if (machine.phase !== 'acting' && machine.phase !== 'signing') {
    return refuse(state, from, update, `the channel is ${machine.phase}`, 'message')
  }
  const badSignature = faultOfSignature(machine.params, update.state, from, update.signature, context.rules)
  if (badSignature) {
    return stay(
      state,
      { kind: 'refuse', from, error: badSignature, cost: 'connection' },
      reply(record, from, version, badSignature.message),
    )
  }
  const considered = machine.staging?.state ?? state.asking?.state
  if (considered !== undefined) {
    const proposer = state.asking?.actor ?? record.stagedBy
    if (proposer !== from || version <= considered.version) {
      const reason = 'another state of this version was proposed at the same time'
      return { next: state, effects: rejects(record, version, reason, true) }
    }
    // Its own proposer has given that state up, and the refusal that made it do so is still on its way to us.
    return receivedUpdate(dropped(state), from, update, context)
  }
  const checked = apply(machine, { kind: 'update', state: update.state, actor: from }, context.rules)
  if (checked instanceof PerkunasError) {
    // Its sender has signed it: if it is the version that is due, no other state may have it.
    const burnt = version === nextVersion(machine) ? burn(state, version) : state
    const answer = rejects(record, version, checked.message, false)
    // What was refused before may be said again when a connection stands: its sender has not heard our answer.
    if (version > currentOf(record).state.version && version <= machine.signedVersion) {
      return { next: state, effects: answer }
    }
    return { next: burnt, effects: [{ kind: 'refuse', from, error: checked, cost: 'message' }, ...answer] }
  }
  if (state.early.some((answer) => answer?.version === version && answer.signature === undefined)) {
    return { next: burn(state, version), effects: [] }
  }
  const current = currentOf(record).state
  const next = { ...state, asking: update }
  return isMereEnd(current, update.state)
    ? { next, effects: [{ kind: 'acceptByRule', update }] }
    : { next, effects: [{ kind: 'ask', update, current }] }
}

/** Our user accepted what was asked, and our signature is made. */
export function accept(state: ChannelState, input: Input<'accept'>, context: ChannelContext): ChannelStep {
  const { record } = state
  const { update, signature } = input
  if (state.asking !== update) return stay(state) // withdrawn meanwhile: another participant refused it
  const { index } = record.machine
  const { version } = update.state
  const signatures: [Index, Hex][] = [
    [update.actor, update.signature],
    [index, signature],
  ]
  const machine = stageAndSign(record.machine, update.state, update.actor, signatures, context)
  const idle = { ...state, asking: undefined }
  if (machine instanceof PerkunasError) {
    // The ledger moved on while the user thought: a dispute began.
    return { next: burn(idle, version), effects: rejects(record, version, machine.message, false) }
  }
  let next: ChannelState = { ...idle, record: { ...record, machine, stagedBy: update.actor } }
  const effects: ChannelEffect[] = toAll(record, {
    kind: 'channelUpdateAcc',
    channelID: machine.channelID,
    version,
    signature,
  })
  for (const [from, answer] of state.early.entries()) {
    if (answer?.version !== version || answer.signature === undefined) continue
    const step = addSignature(next, from, version, answer.signature, context)
    next = step.next
    effects.push(...step.effects)
  }
  const done = enableIfComplete(next, context)
  return { next: done.next, effects: [...effects, ...done.effects] }
}

/** Our user said no. */
export function reject(state: ChannelState, input: Input<'reject'>): ChannelStep {
  if (state.asking !== input.update) return stay(state)
  const { version } = input.update.state
  const next = burn({ ...state, asking: undefined }, version)
  return { next, effects: rejects(state.record, version, input.reason, false) }
}

/** A participant signed. */
export function receivedAcc(
  state: ChannelState,
  from: Index,
  message: ChannelUpdateAcc,
  context: ChannelContext,
): ChannelStep {
  const { version, signature } = message
  const { staging, current } = state.record.machine
  if (staging?.state.version === version) {
    const step = addSignature(state, from, version, signature, context)
    const done = enableIfComplete(step.next, context)
    return { next: done.next, effects: [...step.effects, ...done.effects] }
  }
  if (current !== undefined && version <= current.state.version) return stay(state) // a repetition
  return remember(state, from, { version, signature, reason: '' })
}

/** A participant refused. */
export function receivedRej(state: ChannelState, from: Index, message: ChannelUpdateRej): ChannelStep {
  const { version, reason, crossed } = message
  const { record } = state
  const { machine } = record
  if (machine.current !== undefined && version <= machine.current.state.version) return stay(state)
  if (state.asking?.state.version === version) {
    return { next: burn({ ...state, asking: undefined }, version), effects: [] }
  }
  if (machine.staging?.state.version !== version || machine.phase !== 'signing') {
    return remember(state, from, { version, signature: undefined, reason })
  }
  const next = { ...dropped(state), command: undefined }
  if (state.command === undefined) return { next, effects: [] }
  const peer = record.peers[from] ?? '0x'
  const result = crossed
    ? crossing(record, version)
    : new PerkunasError('PEER_REJECTED', `participant ${from} rejects version ${version}: ${reason}`, {
        peer,
        participant: from,
        reason,
      })
  return { next, effects: [{ kind: 'resolve', command: state.command, result }] }
}

/** The caller's time is over. What we signed stays staged, until it is answered or something newer is agreed. */
export function expired(state: ChannelState, input: Input<'expired'>): ChannelStep {
  if (state.command !== input.command) return stay(state)
  const next = { ...state, command: undefined }
  return { next, effects: [{ kind: 'resolve', command: input.command, result: input.error }] }
}

/** What we say again when a participant comes back: our part of the state that is being signed. */
export function repeat(state: ChannelState, to: Index): ChannelEffect[] {
  const { machine, stagedBy } = state.record
  const { staging, index } = machine
  const signature = staging?.signatures[index]
  if (staging === undefined || signature === undefined || machine.phase !== 'signing') return []
  return stagedBy === index
    ? [
        {
          kind: 'send',
          to,
          message: { kind: 'channelUpdate', state: staging.state, actor: index, signature },
        },
      ]
    : resent(state.record, to, staging.state.version, signature)
}

/** After a newer state came another way (sync, ledger): the caller learns whether it is what was proposed. */
export function superseded(before: ChannelState, next: ChannelState): ChannelStep {
  const { staging } = before.record.machine
  const current = next.record.machine.current
  if (before.command === undefined || staging === undefined || next.record.machine.staging !== undefined) {
    return stay(next)
  }
  const result =
    current && sameState(current.state, staging.state)
      ? staging.state
      : crossing(next.record, staging.state.version)
  return {
    next: { ...next, command: undefined },
    effects: [{ kind: 'resolve', command: before.command, result }],
  }
}

/** Marks a version as signed by somebody: it is not to be used for another state. */
export function burn(state: ChannelState, version: bigint): ChannelState {
  const { record } = state
  if (version <= record.machine.signedVersion) return state
  return { ...state, record: { ...record, machine: { ...record.machine, signedVersion: version } } }
}

function stageAndSign(
  machine: Machine,
  state: State,
  actor: Index,
  signatures: readonly (readonly [Index, Hex])[],
  context: ChannelContext,
): Machine | PerkunasError {
  const staged = apply(machine, { kind: 'update', state, actor }, context.rules)
  if (staged instanceof PerkunasError || staged.staging === undefined) return staged
  // Both signatures are known to be good: the peer's was checked on receipt, ours we made.
  const list = staged.staging.signatures.map((_, i) => signatures.find(([signer]) => signer === i)?.[1])
  return { ...staged, staging: { state, signatures: list } }
}

function addSignature(
  state: ChannelState,
  from: Index,
  version: bigint,
  signature: Hex,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'addSignature', participant: from, signature }, context.rules)
  if (machine instanceof PerkunasError) {
    const refusal: ChannelEffect = { kind: 'refuse', from, error: machine, cost: 'connection' }
    return stay(state, refusal, reply(record, from, version, machine.message))
  }
  return machine === record.machine ? stay(state) : stay({ ...state, record: { ...record, machine } })
}

function enableIfComplete(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const { staging } = record.machine
  if (staging === undefined || staging.signatures.includes(undefined)) return stay(state)
  const from = currentOf(record).state
  const operation =
    record.machine.phase === 'signing'
      ? ({ kind: 'enable' } as const)
      : // A dispute began while we waited: the state counts all the same, and will refute an older one.
        ({
          kind: 'adopt',
          state: staging.state,
          signatures: staging.signatures.filter((s) => s !== undefined),
        } as const)
  const machine = apply(record.machine, operation, context.rules)
  if (machine instanceof PerkunasError) return stay(state)
  const effects: ChannelEffect[] = [{ kind: 'updated', from, to: staging.state }]
  if (state.command !== undefined) {
    effects.push({ kind: 'resolve', command: state.command, result: staging.state })
  }
  return { next: { ...state, record: { ...record, machine }, command: undefined }, effects }
}

/** Without the state that was being signed or considered; its version stays used. */
function dropped(state: ChannelState): ChannelState {
  const { record, asking } = state
  const { staging, ...machine } = record.machine
  const free: ChannelState = {
    ...state,
    asking: undefined,
    record: staging === undefined ? record : { ...record, machine: { ...machine, phase: 'acting' } },
  }
  return asking === undefined ? free : burn(free, asking.state.version)
}

function remember(
  state: ChannelState,
  from: Index,
  answer: { readonly version: bigint; readonly signature: Hex | undefined; readonly reason: string },
): ChannelStep {
  return stay({ ...state, early: state.early.map((known, i) => (i === from ? answer : known)) })
}

function refuse(
  state: ChannelState,
  from: Index,
  update: ChannelUpdate,
  rule: string,
  cost: 'message' | 'connection',
): ChannelStep {
  const error = new PerkunasError('INVALID_TRANSITION', `participant ${from}'s update is refused: ${rule}`, {
    rule,
  })
  return stay(
    state,
    { kind: 'refuse', from, error, cost },
    reply(state.record, from, update.state.version, error.message),
  )
}

/** The same final allocation that anybody could get from the ledger: nobody needs to be asked. */
function isMereEnd(from: State, to: State): boolean {
  return (
    to.isFinal && to.data === from.data && to.data === '0x' && sameAllocation(from.allocation, to.allocation)
  )
}

function resent(
  record: ChannelRecord,
  to: Index,
  version: bigint,
  signature: Hex | undefined,
): ChannelEffect[] {
  if (signature === undefined) return []
  const { channelID } = record.machine
  return [{ kind: 'send', to, message: { kind: 'channelUpdateAcc', channelID, version, signature } }]
}

function rejects(record: ChannelRecord, version: bigint, reason: string, crossed: boolean): ChannelEffect[] {
  const { channelID } = record.machine
  return toAll(record, {
    kind: 'channelUpdateRej',
    channelID,
    version,
    reason: reasonOf(reason),
    crossed,
  })
}

function reply(record: ChannelRecord, to: Index, version: bigint, reason: string): ChannelEffect {
  const { channelID } = record.machine
  const message = {
    kind: 'channelUpdateRej',
    channelID,
    version,
    reason: reasonOf(reason),
    crossed: false,
  } as const
  return { kind: 'send', to, message }
}

function crossing(record: ChannelRecord, version: bigint): PerkunasError<'UPDATE_CROSSED'> {
  const { channelID } = record.machine
  return new PerkunasError(
    'UPDATE_CROSSED',
    `version ${version} of channel ${channelID} was proposed by two`,
    {
      channel: channelID,
      version,
    },
  )
}
