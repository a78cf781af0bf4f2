// Which version we may have signed though no state of it is written.
//
// Whoever proposes signs first, and must never sign another state of that version, crash or not. To write each proposal
// before it leaves is one way to make sure of it; then an update waits for three commits, one after another. So whoever has
// proposed once reserves the next version with each record that is written: it may be signed. A proposal of it leaves at
// once, and is written with whatever happens next. What "write before you send" protects holds still: that a version is
// used is durable before it is signed.
//
// After a restart the reserved version counts as signed. What we signed, if anything, only the other participant knows: it
// has everybody's signature and gives the state back, or it declares the version used and never signs it. Until then
// nothing is proposed or accepted, since it would be built on a state that may not be the newest.
//
// What is not reserved is written first:
//  - proposals to more than one. Of three, one could be told that a version is used, and let go of a state that
//    another one completes.
//  - final states. Nothing but the same end is signed after one, so it must not be forgotten (`ChannelRecord.ending`).
//  - states that lock funds, which a restart reads from what is being signed (restore.ts).
//  - all answers: a state counts with the last of them.
//  - what a channel proposes first. Whoever only answers forgets nothing, and need not ask after a restart.
import { nextVersion } from '../channel/index.js'
import { type ChannelRecord, newestOf } from './conversation.js'

/** A record with what it reserves when it is written; a forgotten version that is agreed on is forgotten no more. */
export function reserving(record: ChannelRecord): ChannelRecord {
  const { machine } = record
  if (record.forgotten !== undefined) {
    return newestOf(record).state.version < record.forgotten ? record : { ...record, forgotten: undefined }
  }
  if (record.reserved === undefined) return record
  const isOpen = machine.phase === 'acting' && machine.params.participants.length === 2
  const reserved = isOpen ? nextVersion(machine) : machine.signedVersion
  return reserved === record.reserved ? record : { ...record, reserved }
}

/** Whether a proposal, by which a record differs from the one that is written, is of the version that this one reserves. */
export function isReserved(written: ChannelRecord, { machine, stagedBy }: ChannelRecord): boolean {
  const state = machine.staging?.state
  return (
    state !== undefined &&
    state.version === written.reserved &&
    stagedBy === machine.index &&
    machine.phase === 'signing' &&
    machine.params.participants.length === 2 &&
    !state.isFinal &&
    state.allocation.locked.length === 0
  )
}

/** A record as a new process takes it: what the last one reserved may be signed. */
export function afterRestart(record: ChannelRecord): ChannelRecord {
  const { reserved, machine } = record
  if (reserved === undefined) return record
  if (reserved <= machine.signedVersion) return { ...record, reserved: undefined }
  return {
    ...record,
    machine: { ...machine, signedVersion: reserved },
    reserved: undefined,
    forgotten: reserved,
  }
}
