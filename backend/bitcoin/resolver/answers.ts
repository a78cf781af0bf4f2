// What the wallet and the nodes say to attempts.
import { isSame } from '../monitor/facts.js'
import type { Monitor, MonitorInput } from '../monitor/machine.js'
import type { Transaction } from '../script/index.js'
import type { Attempt } from './attempt.js'
import { splitUp } from './group.js'

/** Refusals for its price after which a transaction of several parts is taken apart. */
const PATIENCE = 2

/** The wallet's coins, beside those that an attempt has. */
export function withCoins(
  monitor: Monitor,
  { attempt: id, coins, change }: MonitorInput & { readonly kind: 'coins' },
): Monitor {
  return changed(monitor, id, (attempt) => {
    const fresh = coins.filter((coin) => !attempt.coins.some((one) => isSame(one.outpoint, coin.outpoint)))
    return [{ ...attempt, coins: [...attempt.coins, ...fresh], change: attempt.change ?? change }]
  })
}

/**
 * A node refused what was published last. It pays more with the next block; and what of several parts is refused for what
 * one of them spends, or again and again, is taken apart: one part that a stranger spends must not hold up the others.
 */
export function refused(
  monitor: Monitor,
  { attempt: id, why }: MonitorInput & { readonly kind: 'refused' },
): Monitor {
  return changed(monitor, id, (attempt) => {
    const refusals = attempt.refusals + 1
    const isFee = why === 'feeTooLow'
    const isSplit = attempt.members.length > 1 && (!isFee || refusals >= PATIENCE)
    if (isSplit) return splitUp(attempt)
    return [{ ...attempt, refusals, isRefused: isFee || attempt.isRefused }]
  })
}

/** Somebody else's transaction is about to take some parts of others: these stand alone from now on. */
export function separated(monitor: Monitor, { inputs }: Transaction): Monitor {
  const isTaken = (attempt: Attempt) =>
    attempt.members.some((member) => inputs.some(({ outpoint }) => isSame(outpoint, member)))
  const isOurs = (attempt: Attempt) =>
    attempt.last !== undefined &&
    inputs.length >= attempt.members.length &&
    attempt.last.transaction.inputs.every(({ outpoint }) =>
      inputs.some((one) => isSame(one.outpoint, outpoint)),
    )
  return monitor.attempts
    .filter((attempt) => attempt.members.length > 1 && isTaken(attempt) && !isOurs(attempt))
    .reduce((next, { id }) => changed(next, id, splitUp), monitor)
}

function changed(monitor: Monitor, id: string, change: (attempt: Attempt) => readonly Attempt[]): Monitor {
  const found = monitor.attempts.find((one) => one.id === id)
  if (found === undefined) return monitor
  return { ...monitor, attempts: monitor.attempts.flatMap((one) => (one === found ? change(one) : [one])) }
}
