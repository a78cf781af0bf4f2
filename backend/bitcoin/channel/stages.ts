// The life of an HTLC as a table. P is who offers it, Q the other one; each commits by signing the other's next
// commitment and by revoking its own last one, so that an HTLC comes into both commitments, and goes out of them, in
// eight moves. A change of the feerate has the first half of the same life, and P is who pays the fees.
//
//     stage            what just happened              in P's commitment   in Q's commitment
//     offered          P sent update_add_htlc          no                  no
//     signed           P signed Q's next               no                  next
//     acked            Q revoked its last              no                  yes
//     countersigned    Q signed P's next               next                yes
//     locked           P revoked its last              yes                 yes                  irrevocable for both
//     resolving        Q sent fulfil or fail           yes                 yes
//     removalSigned    Q signed P's next               until revoked       yes
//     removalAcked     P revoked its last              no                  yes
//     removalCountersigned  P signed Q's next          no                  until revoked
//     gone             Q revoked its last              no                  no
//
// BOLT 2, "Normal Operation".
import type { Side } from '../monitor/record.js'

/** Where an HTLC stands between the two commitments. */
export type Stage =
  | 'offered'
  | 'signed'
  | 'acked'
  | 'countersigned'
  | 'locked'
  | 'resolving'
  | 'removalSigned'
  | 'removalAcked'
  | 'removalCountersigned'
  | 'gone'

/** What moves HTLCs on, and nothing else does. */
export type Fact = { readonly by: Side; readonly what: 'signature' | 'revocation' }

/** Whether an HTLC is in a side's commitment: in the next one only, in all that are not revoked, or in the last only. */
export type Membership = 'no' | 'next' | 'yes' | 'untilRevoked'

/** One row. */
export interface StageRow {
  /** In the commitment of who offered it. */
  readonly offerer: Membership
  /** In the commitment of who receives it. */
  readonly receiver: Membership
  /** What moves it on, and where to. */
  readonly moves?: {
    readonly by: 'offerer' | 'receiver'
    readonly what: 'signature' | 'revocation'
    readonly to: Stage
  }
}

/** The table. */
export const STAGES: Readonly<Record<Stage, StageRow>> = {
  offered: { offerer: 'no', receiver: 'no', moves: { by: 'offerer', what: 'signature', to: 'signed' } },
  signed: { offerer: 'no', receiver: 'next', moves: { by: 'receiver', what: 'revocation', to: 'acked' } },
  acked: {
    offerer: 'no',
    receiver: 'yes',
    moves: { by: 'receiver', what: 'signature', to: 'countersigned' },
  },
  countersigned: {
    offerer: 'next',
    receiver: 'yes',
    moves: { by: 'offerer', what: 'revocation', to: 'locked' },
  },
  // Only an update moves it on.
  locked: { offerer: 'yes', receiver: 'yes' },
  resolving: {
    offerer: 'yes',
    receiver: 'yes',
    moves: { by: 'receiver', what: 'signature', to: 'removalSigned' },
  },
  removalSigned: {
    offerer: 'untilRevoked',
    receiver: 'yes',
    moves: { by: 'offerer', what: 'revocation', to: 'removalAcked' },
  },
  removalAcked: {
    offerer: 'no',
    receiver: 'yes',
    moves: { by: 'offerer', what: 'signature', to: 'removalCountersigned' },
  },
  removalCountersigned: {
    offerer: 'no',
    receiver: 'untilRevoked',
    moves: { by: 'receiver', what: 'revocation', to: 'gone' },
  },
  gone: { offerer: 'no', receiver: 'no' },
}

/** All stages, in order. */
export const STAGE_NAMES = Object.keys(STAGES) as readonly Stage[]

/** The other participant. */
export function otherSide(side: Side): Side {
  return side === 'local' ? 'remote' : 'local'
}

/** Where a fact takes what `offerer` offered; the same stage if it does not concern it. */
export function advanceStage(stage: Stage, offerer: Side, fact: Fact): Stage {
  const { moves } = STAGES[stage]
  if (moves === undefined || moves.what !== fact.what) return stage
  return (moves.by === 'offerer') === (fact.by === offerer) ? moves.to : stage
}

/** Which of the two commitments of a side that may be unrevoked. */
export type Age = 'newest' | 'oldest'

/** Whether what `offerer` offered is in a commitment of `holder`: its newest signed one, or the oldest not revoked. */
export function isIn(stage: Stage, offerer: Side, holder: Side, age: Age): boolean {
  const row = STAGES[stage]
  const membership = holder === offerer ? row.offerer : row.receiver
  return membership === 'yes' || membership === (age === 'newest' ? 'next' : 'untilRevoked')
}

/** Whether the removal of what was offered has begun and is not in that commitment any more. */
export function isRemoved(stage: Stage, offerer: Side, holder: Side, age: Age): boolean {
  return isRemoval(stage) && !isIn(stage, offerer, holder, age)
}

/** Whether it is on its way out. */
export function isRemoval(stage: Stage): boolean {
  return REMOVALS.has(stage)
}

const REMOVALS: ReadonlySet<Stage> = new Set(STAGE_NAMES.slice(STAGE_NAMES.indexOf('locked') + 1))
