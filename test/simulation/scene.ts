// What all in one simulation share.
import {
  type AppResolver,
  type Asset,
  appResolver,
  type State,
  type StateApp,
  sameAllocation,
} from '../../channel/index.js'
import type { Chain } from './chain.js'
import type { SimNetwork } from './network.js'
import type { Oracle } from './oracle.js'
import type { Random } from './random.js'
import type { VirtualTime } from './time.js'

/** The common ground of a run. */
export interface Scene {
  readonly time: VirtualTime
  readonly network: SimNetwork
  readonly chain: Chain
  readonly oracle: Oracle
  readonly assets: readonly [Asset, Asset]
  readonly finalityDepth: number
  /** Chance of the run; everybody forks his own. */
  readonly random: Random
  /** The play is over: users agree to everything. */
  isEnding: boolean
  /** Nobody is away for longer than a moment any more. */
  isQuiet: boolean
  tell(words: string): void
}

/** What each party owns of each asset at the start. */
export const WEALTH = 100_000n

/** The ID of {@link counter}. */
export const COUNTER = '0x0c'

/** A game for any number of participants: count by one and take up to three coins, or end it as it stands. */
export const counter: StateApp = {
  kind: 'state',
  id: COUNTER,
  faultOfInit: (_params, state) => (state.data === '0x0000' ? undefined : 'begin at 0'),
  faultOfTransition(_params, from, to) {
    if (to.isFinal && to.data === from.data && sameAllocation(from.allocation, to.allocation))
      return undefined
    if (Number(to.data) !== Number(from.data) + 1) return 'count by one'
    return taken(from, to) > 3n ? 'take three at most' : undefined
  },
}

/** Which apps there are. */
export const apps: AppResolver = appResolver(counter)

/** The data after one more count. */
export function counted(data: string): `0x${string}` {
  return `0x${(Number(data) + 1).toString(16).padStart(4, '0')}`
}

function taken(from: State, to: State): bigint {
  let sum = 0n
  for (const [asset, row] of from.allocation.balances.entries()) {
    for (const [i, before] of row.entries()) {
      const after = to.allocation.balances[asset]?.[i] ?? 0n
      if (after < before) sum += before - after
    }
  }
  return sum
}
