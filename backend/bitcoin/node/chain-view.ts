// What of a node's money is on its way through the chain, and what that asks for by when.
import {
  balancesOf,
  type ChainObligation,
  type ClaimableBalance,
  fundingSpent,
  type MonitorEvent,
  obligationsOf,
} from '../monitor/index.js'
import type { Core } from './core.js'

/** What must be done for a channel. */
export type ChannelObligation = ChainObligation & { readonly channel: bigint }

/** What of a channel's money is ours, or may become it: on its way through the chain, or if it were closed now. */
export function claimableOf(core: Core, channel: bigint): readonly ClaimableBalance[] {
  const entry = core.entries.get(channel)
  if (entry?.monitor === undefined) return []
  return balancesOf(entry.monitor, core.monitorEnv(entry))
}

/** What spent a channel's funding output, if that is in a block. */
export function spentIn(
  core: Core,
  channel: bigint,
): (MonitorEvent & { readonly kind: 'spent' }) | undefined {
  const entry = core.entries.get(channel)
  return entry?.monitor && fundingSpent(entry.monitor, core.monitorEnv(entry))
}

/** By when somebody must be there for a channel, the soonest first. */
export function obligationsOfOne(core: Core, channel: bigint): readonly ChannelObligation[] {
  const entry = core.entries.get(channel)
  if (entry?.monitor === undefined) return []
  return obligationsOf(entry.monitor, core.monitorEnv(entry)).map((one) => ({ ...one, channel }))
}

/** By when somebody must be there for any of the channels; the soonest first. What has no height comes before. */
export function obligationsOfAll(core: Core): readonly ChannelObligation[] {
  const all = [...core.entries.all].flatMap(({ keyIndex }) => obligationsOfOne(core, keyIndex))
  const heightOf = (one: ChannelObligation) => (one.kind === 'watch' ? 0 : one.height)
  return all.sort((a, b) => heightOf(a) - heightOf(b))
}
