// What of a node's money is on its way through the chain, and what that asks for by when.
import { balancesOf, type ChainObligation, type ClaimableBalance, obligationsOf } from '../monitor/index.js'
import type { Core } from './core.js'

/** What must be done for a channel. */
export type ChannelObligation = ChainObligation & { readonly channel: bigint }

/** What of a channel's money is ours, or may become it: on its way through the chain, or if it were closed now. */
export function claimableOf(core: Core, channel: bigint): readonly ClaimableBalance[] {
  const entry = core.entries.get(channel)
  if (entry?.monitor === undefined) return []
  return balancesOf(entry.monitor, core.monitorEnv(entry))
}

/** By when somebody must be there for any of the channels; the soonest first. What has no height comes before. */
export function obligationsOfAll(core: Core): readonly ChannelObligation[] {
  const all = [...core.entries.all].flatMap((entry) => {
    if (entry.monitor === undefined) return []
    const { keyIndex: channel } = entry
    return obligationsOf(entry.monitor, core.monitorEnv(entry)).map((one) => ({ ...one, channel }))
  })
  const heightOf = (one: ChannelObligation) => (one.kind === 'watch' ? 0 : one.height)
  return all.sort((a, b) => heightOf(a) - heightOf(b))
}
