// What the chain shows of a channel, in the words of every ledger's events.
//
//     a commitment in a block   registered, by whoever published it; atRisk if it was revoked
//     a penalty of ours         punished
//     a closing in a block      concluded
//     all outputs final         concluded
import type { ChannelID, EventStatus, Index, LedgerEventBody } from '../../../channel/index.js'
import type { ChannelEvent } from '../../../client/index.js'
import { type MonitorEvent, RESOLVER_POLICY } from '../monitor/index.js'
import { toMsat } from '../units.js'

/** What of a channel its events depend on. */
export interface Told {
  readonly channelID: ChannelID
  /** Ours. */
  readonly index: Index
  /** Of the newest state. */
  readonly version: bigint
  /** Blocks that each side's share waits if that side closes alone. */
  readonly delay: Readonly<Record<'local' | 'remote', number>>
  /** Of now. */
  readonly height: number
}

/** What spent the funding output. */
export type Spent = MonitorEvent & { readonly kind: 'spent' }

/** What our user is told of it. @param isReorged it is in no block any more */
export function spentEvents(spent: Spent, told: Told, isReorged = false): readonly ChannelEvent[] {
  const status = isReorged ? 'reorged' : statusOf(spent.depth)
  const { by, commitment } = spent
  if (by === 'closing') return [ledgerEvent(told, status, { kind: 'concluded', version: told.version })]
  // What is none of the channel's transactions is none of its states.
  if (commitment === undefined) return []
  const { number: version, newest } = commitment
  const deadline = BigInt(deadlineOf(spent, told))
  const registered = ledgerEvent(told, status, {
    kind: 'registered',
    version,
    by: isOurs(spent) ? told.index : 1 - told.index,
    deadline,
    state: undefined,
    signatures: undefined,
  })
  if (by !== 'revoked' || status !== 'seen') return [registered]
  return [registered, { kind: 'atRisk', reason: 'olderState', registered: version, newest, deadline }]
}

/** What our user is told of everything else. */
export function chainEvents(event: Exclude<MonitorEvent, Spent>, told: Told): readonly ChannelEvent[] {
  switch (event.kind) {
    case 'output': {
      const { penalty: version, amount, depth } = event
      if (version === undefined) return []
      return [{ kind: 'punished', version, amount: toMsat(amount), status: statusOf(depth) }]
    }
    case 'resolved': {
      // A closing was told when it was final.
      const { number: version } = event
      return version === undefined ? [] : [ledgerEvent(told, 'final', { kind: 'concluded', version })]
    }
    default:
      return []
  }
}

/** From which height on whoever published a commitment can take its share. */
export function deadlineOf(spent: Spent, { delay }: Pick<Told, 'delay'>): number {
  return spent.height + delay[isOurs(spent) ? 'local' : 'remote']
}

function isOurs({ by }: Spent): boolean {
  return by === 'holderNewest' || by === 'holderPrevious'
}

function ledgerEvent({ channelID, height }: Told, status: EventStatus, body: LedgerEventBody): ChannelEvent {
  return { kind: 'ledger', event: { channelID, status, cursor: `${height}`, ...body } }
}

function statusOf(depth: number): EventStatus {
  return depth >= RESOLVER_POLICY.finality ? 'final' : 'seen'
}
