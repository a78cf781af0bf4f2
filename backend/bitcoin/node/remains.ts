// What can be read of a channel of which something can't: for whoever has to mend it, what is at stake, and where it would show.
import { type ChannelState, isLive, obligations } from '../channel/index.js'
import { CHANNEL_ROWS, restoredChannels, termsIn } from '../channel/record.js'
import type { Monitor } from '../monitor/index.js'
import { deadlinesOf } from '../monitor/obligations.js'
import { MONITOR_ROWS, monitorTermsIn, restoredMonitors, spenderIn } from '../monitor/rows.js'
import { readable } from '../rows.js'
import type { Outpoint } from '../script/index.js'
import { type Sat, sat, toSat } from '../units.js'

/** The output that has a channel's money. */
export interface GuardedFunding {
  readonly outpoint: Outpoint
  /** Blocks that the peer's share waits in a commitment of the peer's: within them one that was revoked must be punished. */
  readonly delay: number
}

/** HTLCs of ours that are lost from a height on unless our commitment is in a block soon after, at the latest. */
export interface HtlcDeadline {
  readonly height: number
  readonly value: Sat
}

/** See above. */
export interface Remains {
  readonly monitor: Monitor | undefined
  readonly funding: GuardedFunding | undefined
  /** What spent that, if a record says so. */
  readonly spent: { readonly height: number; readonly txid: Uint8Array } | undefined
  /** The soonest first; empty also if no record says what HTLCs there are. */
  readonly deadlines: readonly HtlcDeadline[]
}

type Row = readonly [key: string, value: Uint8Array]

/**
 * Reads what it can.
 *
 * @param rows all of the channel and of its monitor
 * @throws PerkunasError INVALID_RECORD of a newer release
 */
export function remainsOf(keyIndex: bigint, rows: readonly Row[]): Remains {
  const own = rows.filter(([key]) => key.startsWith(CHANNEL_ROWS))
  const watched = rows.filter(([key]) => key.startsWith(MONITOR_ROWS))
  const monitor = readable(() => restoredMonitors(watched).get(keyIndex))
  const state = readable(() => restoredChannels(own).get(keyIndex))
  const funding = readable(() => ofMonitor(keyIndex, watched)) ?? readable(() => ofChannel(keyIndex, own))
  const fact = funding && spenderIn(keyIndex, watched, funding.outpoint)
  return {
    monitor,
    funding,
    spent: fact && { height: fact.height, txid: fact.txid },
    deadlines: deadlinesIn(state, monitor),
  }
}

function ofMonitor(keyIndex: bigint, rows: readonly Row[]): GuardedFunding | undefined {
  const terms = monitorTermsIn(keyIndex, rows)
  return terms && { outpoint: terms.funding.outpoint, delay: terms.setup.toSelfDelay.remote }
}

function ofChannel(keyIndex: bigint, rows: readonly Row[]): GuardedFunding | undefined {
  const terms = termsIn(keyIndex, rows)
  return terms && { outpoint: terms.funding.outpoint, delay: terms.local.toSelfDelay }
}

function deadlinesIn(state: ChannelState | undefined, monitor: Monitor | undefined): readonly HtlcDeadline[] {
  const all =
    state !== undefined && isLive(state)
      ? obligations(state).map(({ height, htlc }) => ({ height, amount: htlc.amount }))
      : monitor === undefined
        ? []
        : deadlinesOf(monitor.known)
  const values = new Map<number, bigint>()
  for (const { height, amount } of all) values.set(height, (values.get(height) ?? 0n) + toSat(amount))
  return [...values]
    .map(([height, value]) => ({ height, value: sat(value) }))
    .sort((a, b) => a.height - b.height)
}
