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
import { crossing, enabled } from './agreed.js'
import {
  type ChannelContext,
  type ChannelEffect,
  type ChannelInput,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  type EarlyAnswer,
  stay,
  toAll,
} from './conversation.js'
import type { ChannelUpdate, ChannelUpdateAcc, ChannelUpdateRej } from './messages.js'
import { rejects, reply, resent, standing, sync } from './said.js'

/**
 * How far a peer may move the next version on by claiming that lower ones were signed. Honest peers are one
 * or two ahead; a liar needs 2^48 messages to use up the versions.
 */
export const MAX_SKIP = 65_536n

/** Most answers of one participant that are kept until their proposal comes: one slow connection may lag by some. */
const MAX_EARLY = 16

type Input<K extends ChannelInput['kind']> = Extract<ChannelInput, { kind: K }>

/** Whether our user may propose now: the channel goes on, and no state is being signed, considered or forgotten. */
export function isIdle({ record, asking }: ChannelState): boolean {
  return record.machine.phase === 'acting' && asking === undefined && record.forgotten === undefined
}

/** Our user proposes. The caller has checked the state by the same rules before signing it. */
export function propose(state: ChannelState, input: Input<'propose'>, context: ChannelContext): ChannelStep {
  const { record } = state
  const { index, phase } = record.machine
  // Something else came between the caller's look at the channel and this: a proposal, or news of used versions.
  const isOvertaken = phase === 'acting' && input.state.version !== nextVersion(record.machine)
  if (state.asking !== undefined || phase === 'signing' || isOvertaken || record.forgotten !== undefined) {
    const crossed = crossing(record, input.state.version)
    return stay(state, { kind: 'resolve', command: input.command, result: crossed })
  }
  const ending = faultOfEnding(record, input.state)
  if (ending) return stay(state, { kind: 'resolve', command: input.command, result: ending })
  const machine = stageAndSign(record.machine, input.state, index, [[index, input.signature]], context)
  if (machine instanceof PerkunasError) {
    return stay(state, { kind: 'resolve', command: input.command, result: machine })
  }
  const signed: ChannelRecord = {
    ...record,
    machine,
    stagedBy: index,
    ending: endingAfter(record, input.state),
    reserved: input.state.version,
  }
  const next = { ...state, record: signed, command: input.command }
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
    return update.actor === from ? hold(state, update) : stay(state)
  }
  const known = [machine.current, machine.staging].find((it) => it && sameState(it.state, update.state))
  if (known) {
    // Said again; or proposed by two alike, and then the second proposal is an answer to the first.
    const actor = known === machine.current ? update.actor : record.stagedBy
    const told = resent(record, from, { version, actor, signature: known.signatures[machine.index] })
    const step =
      update.actor === from && known === machine.staging
        ? signedBy(state, from, update, context)
        : stay(state)
    return { next: step.next, effects: [...told, ...step.effects] }
  }
  if (state.asking && sameState(state.asking.state, update.state)) {
    const { actor } = state.asking
    return update.actor === from && actor !== from
      ? remember(state, from, { version, actor, signature: update.signature, reason: '' })
      : stay(state)
  }
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
      reply(record, from, update, badSignature.message),
    )
  }
  if (record.forgotten !== undefined && version >= record.forgotten) return whenForgotten(state, update)
  const considered = machine.staging?.state ?? state.asking?.state
  if (considered !== undefined) {
    const proposer = state.asking?.actor ?? record.stagedBy
    if (proposer !== from || version <= considered.version) return cross(state, update)
    // Its own proposer is through with that state. Not having our signature it has given it up; having it, it may as
    // well have all others', and we must not forget what they agreed on: their answers are still on their way to us.
    if (machine.staging !== undefined) {
      const held = hold(state, update)
      // Answers may be lost or have come too early; the proposer knows which of the two it was.
      return { next: held.next, effects: [...held.effects, sync(record, from)] }
    }
    return receivedUpdate(dropped(state), from, update, context)
  }
  const checked = apply(machine, { kind: 'update', state: update.state, actor: from }, context.rules)
  if (checked instanceof PerkunasError) {
    const due = nextVersion(machine)
    // What was refused before may be said again when a connection stands: its sender has not heard our answer.
    if (version > currentOf(record).state.version && version <= machine.signedVersion) {
      const effects = [...rejects(record, update, checked.message, false), sync(record, from)]
      return { next: state, effects }
    }
    const refusal: ChannelEffect = { kind: 'refuse', from, error: checked, cost: 'message' }
    if (version === due) {
      // Its sender has signed it: no other state may have its version.
      const effects = [refusal, ...rejects(record, update, checked.message, false)]
      return { next: burn(state, version), effects }
    }
    // We have lost track of which versions are used up: learn it, or say it, and let the sender try again.
    const crossed = cross(state, update)
    return { next: crossed.next, effects: [refusal, ...crossed.effects, sync(crossed.next.record, from)] }
  }
  const ending = faultOfEnding(record, update.state)
  if (ending) return { next: burn(state, version), effects: rejects(record, update, ending.message, false) }
  if (state.early.some((answer) => isAnswerTo(answer, update) && answer.signature === undefined)) {
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
    return { next: burn(idle, version), effects: rejects(record, update, machine.message, false) }
  }
  const ending = endingAfter(record, update.state)
  let next: ChannelState = { ...idle, record: { ...record, machine, stagedBy: update.actor, ending } }
  const effects: ChannelEffect[] = toAll(record, {
    kind: 'channelUpdateAcc',
    channelID: machine.channelID,
    version,
    actor: update.actor,
    signature,
  })
  for (const answer of state.early) {
    if (answer.version !== version || answer.signature === undefined) continue
    const { from } = answer
    const { actor } = update
    const { params } = record.machine
    const isOfAnother =
      answer.actor !== actor &&
      faultOfSignature(params, update.state, from, answer.signature, context.rules) !== undefined
    if (isOfAnother) continue
    const step = addSignature(next, from, answer.signature, context)
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
  return { next, effects: rejects(state.record, input.update, input.reason, false) }
}

/** A participant signed. */
export function receivedAcc(
  state: ChannelState,
  from: Index,
  message: ChannelUpdateAcc,
  context: ChannelContext,
): ChannelStep {
  const { version, actor, signature } = message
  const { staging, current } = state.record.machine
  if (staging?.state.version === version) {
    if (state.record.stagedBy === actor) return signedBy(state, from, message, context)
    // Two may have proposed the same state: then the answer to one is an answer to the other.
    const fault = faultOfSignature(state.record.machine.params, staging.state, from, signature, context.rules)
    if (fault === undefined) return signedBy(state, from, message, context)
  }
  if (current !== undefined && version <= current.state.version) return stay(state) // a repetition
  // An answer to what we have forgotten: it has that state.
  if (version === state.record.forgotten) return stay(state, ...standing(state.record, from))
  return remember(state, from, { version, actor, signature, reason: '' })
}

/** A participant refused. */
export function receivedRej(state: ChannelState, from: Index, message: ChannelUpdateRej): ChannelStep {
  const { version, actor, reason, crossed } = message
  const { record, asking } = state
  const { machine } = record
  if (machine.current !== undefined && version <= machine.current.state.version) return stay(state)
  if (version === record.forgotten) return stay(state, ...standing(record, from))
  if (asking?.state.version === version && asking.actor === actor) {
    return { next: burn({ ...state, asking: undefined }, version), effects: [] }
  }
  const isStaged = machine.staging?.state.version === version && record.stagedBy === actor
  if (!isStaged || machine.phase !== 'signing') {
    return remember(state, from, { version, actor, signature: undefined, reason })
  }
  const denied = actor === machine.index ? refusedBy(dropped(state), version) : dropped(state)
  const next = { ...denied, command: undefined }
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

/** A participant's signature over what is being signed. */
function signedBy(
  state: ChannelState,
  from: Index,
  { signature }: { readonly signature: Hex },
  context: ChannelContext,
): ChannelStep {
  const step = addSignature(state, from, signature, context)
  const done = enableIfComplete(step.next, context)
  return { next: done.next, effects: [...step.effects, ...done.effects] }
}

/**
 * The other participant proposes while we don't know whether it has agreed to what we have forgotten. Another state of
 * that version says that it has not, and is not signed by us either; a later one may be built on what we lack.
 */
function whenForgotten(state: ChannelState, update: ChannelUpdate): ChannelStep {
  const { record } = state
  const isAnswer = update.state.version === record.forgotten
  const crossed = cross(isAnswer ? recalled(state) : state, update)
  return isAnswer
    ? crossed
    : { next: crossed.next, effects: [...crossed.effects, ...standing(crossed.next.record, update.actor)] }
}

/** The forgotten version will not be agreed on. */
export function recalled(state: ChannelState): ChannelState {
  const { forgotten } = state.record
  const free = { ...state, record: { ...state.record, forgotten: undefined } }
  return forgotten === undefined ? free : refusedBy(free, forgotten)
}

/** The other one of two has said that it will never sign a version of ours. Of more, a third one may be honest and have it. */
function refusedBy(state: ChannelState, version: bigint): ChannelState {
  const { record } = state
  return record.peers.length === 2 ? { ...state, record: { ...record, refused: version } } : state
}

function addSignature(
  state: ChannelState,
  from: Index,
  signature: Hex,
  context: ChannelContext,
): ChannelStep {
  const { record } = state
  const machine = apply(record.machine, { kind: 'addSignature', participant: from, signature }, context.rules)
  if (machine instanceof PerkunasError) {
    // It may be good for another state of this version: a proposer who says different things to different participants
    // must not set them against each other.
    return stay(state, { kind: 'refuse', from, error: machine, cost: 'message' })
  }
  return machine === record.machine ? stay(state) : stay({ ...state, record: { ...record, machine } })
}

function enableIfComplete(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const { staging } = record.machine
  // A dispute that began while we waited is refuted with it, if there is time: then it counts, and not before.
  if (staging === undefined || staging.signatures.includes(undefined) || record.machine.phase !== 'signing')
    return stay(state)
  return enabled(state, context)
}

/** Keeps an update until it can be handled; of two participants' one, since they cross. */
function hold(state: ChannelState, update: ChannelUpdate): ChannelStep {
  const { held } = state
  if (held !== undefined && held.actor !== update.actor) return cross(state, update)
  return held !== undefined && held.state.version > update.state.version
    ? stay(state)
    : stay({ ...state, held: update })
}

/** Refuses a signed state only because it came at the wrong time; its version is used up by it. */
function cross(state: ChannelState, update: ChannelUpdate): ChannelStep {
  const { version } = update.state
  const reason = 'another state of this version was proposed at the same time'
  // While our user considers a state, its version must stay free for our signature.
  const isKnown = state.asking === undefined && version - state.record.machine.signedVersion <= MAX_SKIP
  return {
    next: isKnown ? burn(state, version) : state,
    effects: rejects(state.record, update, reason, true),
  }
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

function remember(state: ChannelState, from: Index, answer: Omit<EarlyAnswer, 'from'>): ChannelStep {
  const agreed = state.record.machine.current?.state.version ?? -1n
  const others = state.early.filter((known) => known.from !== from)
  const own = state.early.filter((known) => known.from === from && known.version > agreed)
  const isKnown = (known: EarlyAnswer) =>
    known.version === answer.version && known.actor === answer.actor && known.signature === answer.signature
  const kept = own.filter((known) => !isKnown(known)).slice(1 - MAX_EARLY)
  return stay({ ...state, early: [...others, ...kept, { from, ...answer }] })
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
  return stay(state, { kind: 'refuse', from, error, cost }, reply(state.record, from, update, error.message))
}

/** What speaks against signing a state after a final one: see {@link ChannelRecord.ending}. */
export function faultOfEnding({ ending }: ChannelRecord, state: State): PerkunasError | undefined {
  if (ending === undefined) return undefined
  if (state.isFinal && sameAllocation(ending.allocation, state.allocation)) return undefined
  const rule = 'the end that was proposed'
  return new PerkunasError(
    'INVALID_TRANSITION',
    `the end of channel ${state.channelID} was signed with version ${ending.version}: nothing else can follow`,
    { rule },
  )
}

function endingAfter({ ending }: ChannelRecord, state: State): State | undefined {
  return ending ?? (state.isFinal ? state : undefined)
}

/** The same final allocation that anybody could get from the ledger: nobody needs to be asked. */
function isMereEnd(from: State, to: State): boolean {
  return (
    to.isFinal && to.data === from.data && to.data === '0x' && sameAllocation(from.allocation, to.allocation)
  )
}

function isAnswerTo(answer: EarlyAnswer, { state, actor }: ChannelUpdate): boolean {
  return answer.version === state.version && answer.actor === actor
}
