// A Lightning channel as a state: what both sides are bound to for good, whatever is on its way between their commitments.
import {
  type Allocation,
  type Asset,
  type ChannelID,
  EMPTY,
  freezeState,
  type HashTimeLock,
  type Hex,
  NO_APP,
  type State,
  toHex,
} from '../../../channel/index.js'
import type { OpenHtlc, Stage } from '../channel/index.js'
import type { Side } from '../monitor/index.js'
import { type Msat, msat } from '../units.js'

/** What of a channel decides how it is seen. */
export interface Seen {
  /** Who is participant 0. */
  readonly opener: Side
  /** What is in HTLCs counts as still with who offered it. */
  readonly balances: Readonly<Record<Side, Msat>>
  readonly htlcs: readonly OpenHtlc[]
  /** How many HTLCs each side ever offered. */
  readonly offered: Readonly<Record<Side, bigint>>
  readonly isFinal: boolean
}

/** Before these, an HTLC is not agreed on. */
const YOUNG: ReadonlySet<Stage> = new Set<Stage>(['offered', 'signed', 'acked', 'countersigned'])

/** Whether both sides are bound to an HTLC, as they are until its removal is irrevocable. */
export function isAgreed({ stage }: Pick<OpenHtlc, 'stage'>): boolean {
  return !YOUNG.has(stage)
}

/**
 * The newest state that is agreed on.
 *
 * Its version counts the HTLCs that have been locked and those that are gone. So it goes up with every step of ours, and when
 * nothing is on its way both sides have the same.
 */
export function stateOf(channelID: ChannelID, asset: Asset, seen: Seen): State {
  const { balances, htlcs, offered, opener } = seen
  const locked = htlcs.filter(isAgreed)
  const all = offered.local + offered.remote
  const gone = all - BigInt(htlcs.length)
  const free = { ...balances }
  for (const { offerer, amount } of locked) free[offerer] = msat(free[offerer] - amount)
  const allocation: Allocation = {
    assets: [asset],
    balances: [sidesOf(opener).map((side) => free[side])],
    locked: locked.map((htlc) => ({
      channelID: lockID(htlc, opener),
      balances: [htlc.amount],
      indexMap: [],
    })),
  }
  const version = BigInt(locked.length) + 2n * gone
  return freezeState({ channelID, version, app: NO_APP, allocation, data: EMPTY, isFinal: seen.isFinal })
}

/** The locks of that state. */
export function locksOf({ htlcs, opener }: Seen): readonly HashTimeLock[] {
  return htlcs.filter(isAgreed).map((htlc) => lockOf(htlc, opener))
}

/** An HTLC as a lock. */
export function lockOf(htlc: OpenHtlc, opener: Side): HashTimeLock {
  return {
    kind: 'hashTime',
    id: lockID(htlc, opener),
    from: sidesOf(opener).indexOf(htlc.offerer),
    asset: 0,
    amount: htlc.amount,
    hash: toHex(htlc.paymentHash),
    deadline: BigInt(htlc.cltvExpiry),
  }
}

/**
 * What the state would be if an HTLC of the state were nothing yet, and what it would be if it were paid: what somebody who is
 * asked to take it has to decide between.
 */
export function proposalOfHtlc(
  state: State,
  lock: HashTimeLock,
): { readonly current: State; readonly proposed: State } {
  const to = 1 - lock.from
  const given = (index: number): State => {
    const [row = []] = state.allocation.balances
    return freezeState({
      ...state,
      allocation: {
        ...state.allocation,
        balances: [row.map((amount, i) => (i === index ? amount + lock.amount : amount))],
        locked: state.allocation.locked.filter(({ channelID }) => channelID !== lock.id),
      },
    })
  }
  const current = given(lock.from)
  return { current, proposed: { ...given(to), version: state.version + 1n } }
}

/** The sides by participant index. */
export function sidesOf(opener: Side): readonly [Side, Side] {
  return opener === 'local' ? ['local', 'remote'] : ['remote', 'local']
}

/** The name of an HTLC within its channel, the same on both sides: who offered it, and its number. 32 bytes. */
export function lockID({ offerer, id }: Pick<OpenHtlc, 'offerer' | 'id'>, opener: Side): Hex {
  const from = sidesOf(opener).indexOf(offerer) + 1
  return `0x${from.toString(16).padStart(2, '0')}${id.toString(16).padStart(62, '0')}`
}
