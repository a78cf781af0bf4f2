// What of a node's money is on its way through the chain, and what that asks for by when.

import { isLive } from '../channel/index.js'
import {
  balancesOf,
  type ChainObligation,
  type ClaimableBalance,
  fundingSpent,
  type Monitor,
  type MonitorEvent,
  obligationsOf,
} from '../monitor/index.js'
import type { Core } from './core.js'
import type { Entry } from './entries.js'
import type { Lookout, MendObligation } from './lookout.js'

/** What must be done for a channel. */
export type ChannelObligation = (ChainObligation | MendObligation) & { readonly channel: bigint }

/** What of a channel's money is ours, or may become it: on its way through the chain, or if it were closed now. */
export function claimableOf(core: Core, channel: bigint): readonly ClaimableBalance[] {
  const found = watchedIn(core, channel)
  return found === undefined ? [] : balancesOf(found.monitor, core.monitorEnv(found.entry))
}

/** What spent a channel's funding output, if that is in a block. */
export function spentIn(
  core: Core,
  channel: bigint,
): (MonitorEvent & { readonly kind: 'spent' }) | undefined {
  const found = watchedIn(core, channel)
  return found && fundingSpent(found.monitor, core.monitorEnv(found.entry))
}

/** By when somebody must be there for a channel, the soonest first. */
export function obligationsOfOne(
  core: Core,
  lookout: Lookout,
  channel: bigint,
): readonly ChannelObligation[] {
  const found = watchedIn(core, channel)
  const own = found === undefined ? [] : obligationsOf(found.monitor, core.monitorEnv(found.entry))
  return [...own.map((one) => ({ ...one, channel })), ...lookout.obligations(channel)]
}

/** By when somebody must be there for any of the channels; the soonest first. What has no height comes before. */
export function obligationsOfAll(core: Core, lookout: Lookout): readonly ChannelObligation[] {
  const found = core.watching.flatMap(({ keyIndex: channel }) => {
    const one = watchedIn(core, channel)
    const own = one === undefined ? [] : obligationsOf(one.monitor, core.monitorEnv(one.entry))
    return own.map((obligation) => ({ ...obligation, channel }))
  })
  const heightOf = (one: ChannelObligation) => (one.kind === 'watch' ? 0 : one.height)
  return [...found, ...lookout.obligations()].sort((a, b) => heightOf(a) - heightOf(b))
}

/** A channel that is not over, in memory either: between its last turn and the commit nothing of it is on its way any more. */
function watchedIn(
  core: Core,
  channel: bigint,
): { readonly entry: Entry; readonly monitor: Monitor } | undefined {
  const entry = core.watchedBy(channel)
  if (entry?.monitor === undefined || !isLive(entry.state)) return undefined
  return { entry, monitor: entry.monitor }
}
