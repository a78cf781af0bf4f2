// When a state counts as agreed, and who hears of it.
//
// A state that everybody has signed counts at once, unless a dispute runs: whatever is registered may have come to stand for
// good before the newer state can refute it. So that waits in staging. It refutes; and it counts when the ledger has it for
// good, by its registration, by what it cleared the dispute with, or by the end.
import {
  apply,
  type Hex,
  type Machine,
  PerkunasError,
  type Phase,
  type State,
  sameState,
} from '../channel/index.js'
import {
  type ChannelContext,
  type ChannelEffect,
  type ChannelRecord,
  type ChannelState,
  type ChannelStep,
  currentOf,
  stay,
} from './conversation.js'

/** Phases in which a state that everybody signed may come too late. */
const DISPUTED: readonly Phase[] = ['registering', 'registered']

/**
 * Takes a newer state that everybody signed: it is current, or waits in staging while a dispute runs.
 *
 * @returns PerkunasError what speaks against it: its version, its content, a signature, the phase
 */
export function taken(
  machine: Machine,
  { state, signatures }: { readonly state: State; readonly signatures: readonly Hex[] },
  context: ChannelContext,
): Machine | PerkunasError {
  const adopted = apply(machine, { kind: 'adopt', state, signatures }, context.rules)
  if (adopted instanceof PerkunasError || !DISPUTED.includes(machine.phase)) return adopted
  const { signedVersion, current: staging } = adopted
  return { ...machine, signedVersion, ...(staging && { staging }) }
}

/** What is staged, with everybody's signature, is agreed. */
export function enabled(state: ChannelState, context: ChannelContext): ChannelStep {
  const { record } = state
  const { staging } = record.machine
  const machine = apply(record.machine, { kind: 'enable' }, context.rules)
  if (machine instanceof PerkunasError || staging === undefined) return stay(state)
  const effects: ChannelEffect[] = [{ kind: 'updated', from: currentOf(record).state, to: staging.state }]
  if (state.command !== undefined) {
    effects.push({ kind: 'resolve', command: state.command, result: staging.state })
  }
  return { next: { ...state, record: { ...record, machine }, command: undefined }, effects }
}

/** After a newer state came another way (sync, ledger): the caller learns whether it is what was proposed. */
export function superseded(before: ChannelState, next: ChannelState): ChannelStep {
  const { staging } = before.record.machine
  const { current, staging: waiting } = next.record.machine
  if (before.command === undefined || staging === undefined) return stay(next)
  if (waiting !== undefined && sameState(waiting.state, staging.state)) return stay(next)
  const result =
    current && sameState(current.state, staging.state)
      ? staging.state
      : crossing(next.record, staging.state.version)
  return {
    next: { ...next, command: undefined },
    effects: [{ kind: 'resolve', command: before.command, result }],
  }
}

/** Why a proposal came to nothing though nobody refused it: its caller may try again. */
export function crossing(record: ChannelRecord, version: bigint): PerkunasError<'UPDATE_CROSSED'> {
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
