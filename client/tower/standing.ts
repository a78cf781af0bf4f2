// What is registered of a tree of channels, from the ledger's events in whatever order reorgs bring them.
import type { ChannelID, LedgerEvent, RegisterRequest, SignedState } from '../../channel/index.js'
import { faultOfTree, members, treeOf } from './tree.js'

/** Something that an event said and no reorg took back. */
export interface Standing {
  readonly kind: 'registered' | 'progressed' | 'cleared' | 'concluded'
  readonly version: bigint
  /** 0 without one. In the ledger's unit. */
  readonly deadline: bigint
}

/** What was seen of one channel, and up to where the ledger was read for it. */
export interface SeenOf {
  readonly cursor: string | undefined
  readonly standings: readonly Standing[]
}

/** An older state that is registered, of the channel that is watched or of a sub-channel. */
export interface Risk {
  readonly channelID: ChannelID
  readonly registered: bigint
  readonly newest: bigint
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

/**
 * What registering a tree would refute, if the ledger still takes it: that with the earliest deadline. Also if it is a
 * sub-channel of which an older state is registered, and the root with the newest one or not at all: then it came with
 * another channel that locks funds for it, and its own time runs all the same.
 */
export function riskOf(
  tree: RegisterRequest,
  standingsOf: (channelID: ChannelID) => readonly Standing[],
): Risk | undefined {
  const { channelID: root, version } = tree.signed.state
  const last = standingsOf(root).at(-1)
  const isTaken =
    last === undefined || ((last.kind === 'registered' || last.kind === 'cleared') && last.version <= version)
  if (!isTaken) return undefined
  let first: Risk | undefined
  for (const { state } of members(tree)) {
    const { channelID, version: newest } = state
    const standing = standingsOf(channelID).at(-1)
    if (standing?.kind !== 'registered' || standing.version >= newest) continue
    const { version: registered, deadline } = standing
    if (first === undefined || deadline < first.deadline) first = { channelID, registered, newest, deadline }
  }
  return first
}

/**
 * The newest tree that the ledger still takes, as far as that refutes anything. One member whose own time is over makes it
 * refuse the whole tree: then the state that stands of that sub-channel has to do, so that at least the others are safe.
 *
 * @param shown states that stand, where the ledger shows them
 * @param now the ledger's time
 */
export function registrable(
  tree: RegisterRequest,
  standingsOf: (channelID: ChannelID) => readonly Standing[],
  shown: ReadonlyMap<ChannelID, SignedState>,
  now: bigint,
): RegisterRequest {
  const below = tree.subChannels.map((child) => {
    const { channelID, version } = child.state
    const last = standingsOf(channelID).at(-1)
    const isOver = last?.kind === 'registered' && last.version < version && last.deadline <= now
    const standing = isOver ? shown.get(channelID) : undefined
    return standing?.state.version === last?.version ? (standing ?? child) : child
  })
  if (below.every((child, i) => child === tree.subChannels[i])) return tree
  const less = treeOf(tree.signed.state.channelID, [tree.signed, ...below])
  const isOfUse =
    less !== undefined && faultOfTree(less) === undefined && riskOf(less, standingsOf) !== undefined
  return isOfUse ? less : tree
}

/** Whether a tree that was concluded with that version of its root ended with anything older than what is known. */
export function isLost(
  tree: RegisterRequest,
  version: bigint,
  standingsOf: (channelID: ChannelID) => readonly Standing[],
): boolean {
  if (version !== tree.signed.state.version) return version < tree.signed.state.version
  return tree.subChannels.some(({ state }) => {
    const last = standingsOf(state.channelID).at(-1)
    return last !== undefined && last.kind !== 'cleared' && last.version < state.version
  })
}
