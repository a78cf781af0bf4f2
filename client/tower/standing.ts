// What is registered of one channel, from the ledger's events in whatever order reorgs bring them.
import type { LedgerEvent } from '../../channel/index.js'

/** Something that an event said and no reorg took back. */
export interface Standing {
  readonly kind: 'registered' | 'progressed' | 'cleared' | 'concluded'
  readonly version: bigint
  /** 0 without one. In the ledger's unit. */
  readonly deadline: bigint
}

/** More are never unfinal at once unless somebody pays for it. */
export const MAX_STANDINGS = 16

/** What stands after an event, oldest first. The last of them is how it is; those before it may come back. */
export function after(standings: readonly Standing[], event: LedgerEvent): readonly Standing[] {
  const { kind, version, status } = event
  const deadline = 'deadline' in event ? event.deadline : 0n
  const at = standings.findLastIndex(
    (known) => known.kind === kind && known.version === version && known.deadline === deadline,
  )
  if (status === 'reorged') return standings.filter((_, i) => i !== at)
  const next = at < 0 ? [...standings, { kind, version, deadline }] : standings
  // Nothing brings back what was before a final event.
  const kept = status === 'final' ? next.slice(at < 0 ? -1 : at) : next
  return kept.slice(-MAX_STANDINGS)
}

/** The older state that is registered now and could be refuted by one of version `newest`. */
export function refutable(standings: readonly Standing[], newest: bigint): Standing | undefined {
  const standing = standings.at(-1)
  return standing?.kind === 'registered' && standing.version < newest ? standing : undefined
}
