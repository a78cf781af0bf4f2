// A channel and all that its locked funds need: the tree that a ledger registers as one. Of each channel in it the newest
// state counts by itself, for the root may stay as it is while its sub-channels go on.
import {
  type ChannelID,
  type RegisterRequest,
  type SignedState,
  type SubAllocation,
  sameAssets,
  totals,
} from '../../channel/index.js'

/** How new a tree is: by channel, since parents and children count their versions by themselves. */
export interface Versions {
  /** Of the root. */
  readonly version: bigint
  readonly subChannels: readonly { readonly channelID: ChannelID; readonly version: bigint }[]
}

/** The channel that a tree is about: its root. */
export function channelOf({ signed }: RegisterRequest): ChannelID {
  return signed.state.channelID
}

/** All states of a tree, parents before children. */
export function members({ signed, subChannels }: RegisterRequest): readonly SignedState[] {
  return [signed, ...subChannels]
}

/** How new a tree is. */
export function versionsOf({ signed, subChannels }: RegisterRequest): Versions {
  return {
    version: signed.state.version,
    subChannels: subChannels.map(({ state: { channelID, version } }) => ({ channelID, version })),
  }
}

/**
 * Whether nothing of a tree is newer than what is held. A sub-channel that is not held any more was settled into a newer
 * state of its parent.
 */
export function covers(held: Versions, { version, subChannels }: Versions): boolean {
  if (held.version < version) return false
  if (subChannels.length === 0) return true
  const known = versionMap(held)
  return subChannels.every((child) => (known.get(child.channelID) ?? child.version) >= child.version)
}

/** Whether two trees are of the same channels and versions. */
export function sameVersions(a: Versions, b: Versions): boolean {
  if (a.version !== b.version || a.subChannels.length !== b.subChannels.length) return false
  const known = versionMap(a)
  return b.subChannels.every(({ channelID, version }) => known.get(channelID) === version)
}

/**
 * The tree of the newest state of each channel.
 *
 * @param candidates states of the root and of whatever it locks funds for; of one version the first one counts
 * @returns undefined if the state of a locked channel is not among them, or funds are locked for one channel twice
 */
export function treeOf(root: ChannelID, candidates: Iterable<SignedState>): RegisterRequest | undefined {
  const newest = new Map<ChannelID, SignedState>()
  for (const one of candidates) {
    const { channelID, version } = one.state
    const known = newest.get(channelID)
    if (known === undefined || known.state.version < version) newest.set(channelID, one)
  }
  const signed = newest.get(root)
  if (signed === undefined) return undefined
  const subChannels: SignedState[] = []
  const locks = [...signed.state.allocation.locked].reverse()
  newest.delete(root)
  for (let lock = locks.pop(); lock !== undefined; lock = locks.pop()) {
    const child = newest.get(lock.channelID)
    if (child === undefined) return undefined
    newest.delete(lock.channelID)
    subChannels.push(child)
    locks.push(...[...child.state.allocation.locked].reverse())
  }
  return { signed, subChannels }
}

/**
 * Why no ledger takes these states as a tree, if so; its signatures, and what each state is by itself, are others' to
 * check (Perun contracts, "register").
 */
export function faultOfTree({ signed, subChannels }: RegisterRequest): string | undefined {
  if (!signed.params.ledgerChannel) return 'no ledger channel: it is registered with its parent only'
  const known = new Set([signed.state.channelID])
  const rest = [...subChannels].reverse()
  const locks = locksOf(signed)
  for (let lock = locks.pop(); lock !== undefined; lock = locks.pop()) {
    const { parent, locked } = lock
    const where = `sub-channel ${locked.channelID}`
    const child = rest.pop()
    if (child?.state.channelID !== locked.channelID) return `${where} is missing, or not in its place`
    if (known.has(locked.channelID)) return `${where} is there twice`
    known.add(locked.channelID)
    const fault = faultOfChild(parent, locked, child)
    if (fault !== undefined) return `${where} ${fault}`
    locks.push(...locksOf(child))
  }
  const [surplus] = rest
  return surplus && `nothing is locked for sub-channel ${surplus.state.channelID}`
}

/** What a state locks, the first one last. */
function locksOf(parent: SignedState) {
  return parent.state.allocation.locked.map((locked) => ({ parent, locked })).reverse()
}

function faultOfChild(parent: SignedState, locked: SubAllocation, child: SignedState): string | undefined {
  const { params, state } = child
  // Its own deposits would never be paid out by its parent's outcome.
  if (params.ledgerChannel) return 'is a ledger channel'
  if (!sameAssets(parent.state.allocation.assets, state.allocation.assets))
    return 'has other assets than its parent'
  const total = totals(state.allocation)
  if (locked.balances.some((amount, asset) => amount !== total[asset])) {
    return 'does not have the amounts that are locked for it'
  }
  const [ours, theirs] = [params.participants.length, parent.params.participants.length]
  const isMapped = locked.indexMap.length === 0 ? ours <= theirs : locked.indexMap.length === ours
  return isMapped ? undefined : 'has other participants than its index map'
}

function versionMap({ subChannels }: Versions): ReadonlyMap<ChannelID, bigint> {
  return new Map(subChannels.map(({ channelID, version }) => [channelID, version]))
}
