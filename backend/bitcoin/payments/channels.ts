// Which channels with a peer carry how much of a payment.
import type { Hex } from '../../../channel/bytes.js'
import { type ChannelEnv, type ChannelState, isLive, isReliable, spendable } from '../channel/index.js'
import { type Msat, msat } from '../units.js'
import type { PayableChannel } from './input.js'

/** What one channel is to carry. */
export interface Allotment {
  readonly channelID: Hex
  readonly amount: Msat
}

/** A channel for `PaymentsContext.channels`; undefined if nothing can be added to it now. */
export function payableChannel(state: ChannelState, env: ChannelEnv): PayableChannel | undefined {
  if (!isLive(state) || state.phase !== 'normal' || state.link.kind !== 'up') return undefined
  const { terms, ready, shutdown, intents } = state
  if (shutdown.local !== undefined || shutdown.remote !== undefined) return undefined
  if (terms.minimumDepth > 0 && ready.depth === 0) return undefined
  return {
    channelID: terms.channelID,
    minimum: terms.remote.htlcMinimum,
    spendable: () => {
      const wanted = intents.reduce((sum, one) => (one.kind === 'add' ? sum + one.amount : sum), 0n)
      const most = spendable(state, env)
      return msat(most > wanted ? most - wanted : 0n)
    },
  }
}

/** For `PaymentsContext.isReliable`. */
export function isReliableChannel(state: ChannelState | undefined): boolean {
  return state !== undefined && isLive(state) && isReliable(state)
}

/**
 * Shares an amount out: to the smallest channel that can carry all of it, else to as few as can together.
 *
 * A single channel is not asked what it can carry: it says so itself when the HTLC is signed, and there is no other way.
 *
 * @returns nothing if they can't
 */
export function allot(
  channels: readonly PayableChannel[],
  amount: Msat,
  { avoided, maxParts }: { readonly avoided: readonly Hex[]; readonly maxParts: number },
): readonly Allotment[] | undefined {
  const usable = channels.filter(
    ({ channelID, minimum }) => minimum <= amount && !avoided.includes(channelID),
  )
  const [first, second] = usable
  if (maxParts < 1 || first === undefined) return undefined
  if (second === undefined) return [{ channelID: first.channelID, amount }]
  const sized = usable
    .map(({ channelID, minimum, spendable }) => ({ channelID, minimum, most: spendable() }))
    .sort((a, b) => (a.most === b.most ? 0 : a.most < b.most ? -1 : 1))
  const whole = sized.find(({ most }) => most >= amount)
  if (whole !== undefined) return [{ channelID: whole.channelID, amount }]
  return shared(sized.reverse(), amount, maxParts)
}

function shared(
  largestFirst: readonly { readonly channelID: Hex; readonly minimum: Msat; readonly most: Msat }[],
  amount: Msat,
  maxParts: number,
): readonly Allotment[] | undefined {
  const parts: Allotment[] = []
  let left: bigint = amount
  for (const { channelID, minimum, most } of largestFirst) {
    if (parts.length === maxParts) return undefined
    const part = most < left ? most : left
    if (part === 0n || part < minimum) continue
    parts.push({ channelID, amount: msat(part) })
    left -= part
    if (left === 0n) return parts
  }
  return undefined
}
