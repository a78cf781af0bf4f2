// What of a Lightning channel can be moved, and what settling it alone takes, in the words of every ledger.
import type { Liquidity } from '../../../channel/index.js'
import { toMsat } from '../units.js'
import type { OpenView } from './phase.js'
import { sidesOf } from './view.js'

/** See above. Amounts in millisatoshis. @param stands `isActing`: it takes payments; `isOver`: nothing is in it any more */
export function liquidityOf(
  { live, opener = 'local' }: OpenView,
  { isActing, isOver }: { readonly isActing: boolean; readonly isOver: boolean },
): Liquidity {
  const { spendable, receivable, reserve, minimum, htlcs, maxInFlight, maxReceived } = live
  const count = (side: 'local' | 'remote') =>
    isOver ? 0 : htlcs.filter((one) => one.offerer === side).length
  return {
    spendable: isActing ? spendable : 0n,
    receivable: isActing ? receivable : 0n,
    minimum: minimum.local,
    reserve: sidesOf(opener).map((side) => toMsat(reserve[side])),
    sent: { count: count('local'), most: maxInFlight },
    received: { count: count('remote'), most: maxReceived },
    settlement: isOver ? { fee: 0n, lost: 0n } : { fee: toMsat(live.cost), payer: 0, lost: live.dust },
    isFunded: isFunded(live),
  }
}

/** Whether the funding is as deep as was agreed on, and in a block in any case. */
export function isFunded({ confirmations, minimumDepth }: OpenView['live']): boolean {
  return confirmations >= Math.max(1, minimumDepth)
}
