// What participants say about updates beside proposing and accepting: answers and proposals once more, refusals, and where
// each of them stands.
import type { Hex, Index } from '../channel/index.js'
import {
  allSignatures,
  type ChannelEffect,
  type ChannelRecord,
  type ChannelState,
  heldIn,
  toAll,
} from './conversation.js'
import { type ChannelUpdate, type ChannelUpdateRej, reasonOf } from './messages.js'

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
    : resent(state.record, to, { version: staging.state.version, actor: stagedBy, signature })
}

/** Says which version we hold, and which are used up. */
export function sync(record: ChannelRecord, to: Index, used = usedVersion(record)): ChannelEffect {
  const { channelID, current } = record.machine
  const version = (heldIn(record) ?? current)?.state.version ?? 0n
  return { kind: 'send', to, message: { kind: 'channelSync', channelID, version, usedVersion: used } }
}

/**
 * The same, and asks for a version that is forgotten: by the first sync it is used up, so that whoever has not signed it
 * never will, and whoever has it complete shows it; whoever is asked is ahead of the second one, and says where it stands.
 */
export function standing(record: ChannelRecord, to: Index): ChannelEffect[] {
  const said = sync(record, to)
  return record.forgotten === undefined ? [said] : [sync(record, to, record.machine.signedVersion), said]
}

/** The highest version that will not be agreed on any more; what is being signed now, or is forgotten, still may be. */
export function usedVersion({ machine: { staging, signedVersion }, forgotten }: ChannelRecord): bigint {
  if (forgotten !== undefined) return forgotten - 1n
  return staging === undefined || allSignatures(staging) ? signedVersion : staging.state.version - 1n
}

/** Our answer to a proposal, once more; nothing if we gave none. */
export function resent(
  record: ChannelRecord,
  to: Index,
  answer: { readonly version: bigint; readonly actor: Index; readonly signature: Hex | undefined },
): ChannelEffect[] {
  const { version, actor, signature } = answer
  if (signature === undefined) return []
  const { channelID } = record.machine
  return [{ kind: 'send', to, message: { kind: 'channelUpdateAcc', channelID, version, actor, signature } }]
}

/** Says no to all. @param crossed only because it came at the wrong time */
export function rejects(
  record: ChannelRecord,
  update: ChannelUpdate,
  reason: string,
  crossed: boolean,
): ChannelEffect[] {
  return toAll(record, rejection(record, update, reason, crossed))
}

/** Says no to its sender alone. */
export function reply(
  record: ChannelRecord,
  to: Index,
  update: ChannelUpdate,
  reason: string,
): ChannelEffect {
  return { kind: 'send', to, message: rejection(record, update, reason, false) }
}

function rejection(
  record: ChannelRecord,
  { state, actor }: ChannelUpdate,
  reason: string,
  crossed: boolean,
): ChannelUpdateRej {
  const { channelID } = record.machine
  const { version } = state
  return { kind: 'channelUpdateRej', channelID, version, actor, reason: reasonOf(reason), crossed }
}
