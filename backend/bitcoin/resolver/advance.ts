// One attempt, one look: what is left of it, what it should pay now, and its transaction.

import { isSame } from '../monitor/facts.js'
import type { MonitorEffect, MonitorEnv } from '../monitor/machine.js'
import {
  claimTransactionWeight,
  dustLimitOf,
  FORMATS,
  type Outpoint,
  type Transaction,
} from '../script/index.js'
import { sat } from '../units.js'
import type { Attempt, Published } from './attempt.js'
import {
  affordable,
  asSigned,
  claimed,
  type Draft,
  draftWeight,
  type Funded,
  funded,
  type HtlcRecipe,
  htlcDraft,
  type Keys,
  missing,
} from './build.js'
import type { Target } from './group.js'
import { priceOf, RELAY_STEP, type Stakes } from './price.js'

/** What attempts depend on. */
export interface Situation {
  readonly env: MonitorEnv
  readonly keys: Keys
  /** What can be claimed of it now; undefined if it is spent, or gone. */
  targetOf(outpoint: Outpoint): Target | undefined
}

/** What came of a look. */
export interface Advanced {
  readonly attempt: Attempt
  readonly effects: readonly MonitorEffect[]
}

/** Prices, builds and publishes what is left of an attempt. */
export function advanced(attempt: Attempt, situation: Situation): Advanced {
  const targets = attempt.members.flatMap((member) => situation.targetOf(member) ?? [])
  if (targets.length === 0) return { attempt, effects: [] }
  const recipes = targets.map(({ recipe }) => recipe)
  const htlcs = recipes.filter((one): one is HtlcRecipe => one.kind === 'htlcTransaction')
  const [first] = htlcs
  if (first === undefined) return claimAdvanced(attempt, targets, situation)
  if (FORMATS[first.commitment.params.format].htlcsPayFee) {
    const last = attempt.last ?? asSigned(first, situation.keys)
    return { attempt: { ...attempt, last }, effects: [published(attempt, last)] }
  }
  const draft = htlcDraft(htlcs, situation.keys)
  const value = sumOf(targets)
  const weight = draftWeight(draft, attempt)
  const { height } = situation.env
  return fundedAdvanced(priced(attempt, situation.env, { value, weight }), draft, { height, value })
}

/** An attempt that the wallet pays for, and that has its price. @param parents what is published before it */
export function fundedAdvanced(
  before: Attempt,
  draft: Draft,
  at: { readonly height: number; readonly value: bigint; readonly parents?: readonly Transaction[] },
): Advanced {
  const { price, id, change, due, asked } = before
  if (price === undefined) return { attempt: before, effects: [] }
  const { height, value, parents = [] } = at
  const effects: MonitorEffect[] = []
  const short = missing(draft, before, price.feerate)
  const isAsking = (short > 0n || change === undefined) && (asked === undefined || asked < height)
  if (isAsking) {
    effects.push({
      kind: 'reserve',
      attempt: id,
      amount: sat(short > 0n ? short : 0n),
      feerate: price.feerate,
      value: sat(value),
      ...(due === undefined ? {} : { due }),
    })
  }
  const attempt = isAsking ? { ...before, asked: height } : before
  const made = change === undefined ? undefined : paid(attempt, draft, { change, feerate: price.feerate })
  if (made === undefined) return { attempt, effects }
  const { spent, ...last } = made
  return {
    attempt: { ...attempt, last, isRefused: false },
    effects: [...effects, published(attempt, last, { spent, parents })],
  }
}

function claimAdvanced(before: Attempt, targets: readonly Target[], { env, keys }: Situation): Advanced {
  const claims = targets.flatMap(({ recipe }) => (recipe.kind === 'claim' ? [recipe.claim] : []))
  const { destination: to } = env
  const weight = claimTransactionWeight(claims, to)
  const attempt = priced(before, env, { value: sumOf(targets) - dustLimitOf(to), weight })
  const { price } = attempt
  if (price === undefined) return { attempt, effects: [] }
  const again = isUnchanged(attempt, targets, price.feerate) ? attempt.last : undefined
  const last = again ?? claimed(claims, { to, feerate: price.feerate }, keys)
  if (last === undefined) return { attempt, effects: [] }
  return { attempt: { ...attempt, last, isRefused: false }, effects: [published(attempt, last)] }
}

/** With the price of the next try. */
export function priced(
  attempt: Attempt,
  { height, fees, policy }: MonitorEnv,
  stakes: Omit<Stakes, 'height' | 'due'>,
): Attempt {
  const { due, isRefused } = attempt
  const price = priceOf(
    attempt.price,
    { ...stakes, height, ...(due === undefined ? {} : { due }) },
    { fees, policy, isRefused },
  )
  return price === undefined || price === attempt.price ? attempt : { ...attempt, price }
}

/** At the rate, or as near to it as the coins get. */
function paid(
  attempt: Attempt,
  draft: Draft,
  { change, feerate }: { readonly change: Uint8Array; readonly feerate: Published['feerate'] },
): Funded | undefined {
  const purse = { coins: attempt.coins, change }
  const most = affordable(draft, purse)
  const rate = most < feerate ? most : feerate
  return rate < RELAY_STEP ? undefined : funded(draft, purse, rate)
}

/** Whether the last transaction takes exactly these, and pays as much. */
function isUnchanged({ last }: Attempt, targets: readonly Target[], feerate: number): boolean {
  if (last === undefined || last.feerate < feerate) return false
  const { inputs } = last.transaction
  return (
    inputs.length === targets.length &&
    targets.every(({ outpoint }, i) => {
      const input = inputs[i]
      return input !== undefined && isSame(outpoint, input.outpoint)
    })
  )
}

function sumOf(targets: readonly Target[]): bigint {
  return targets.reduce((sum, { amount }) => sum + amount, 0n)
}

function published(
  { id, kind }: Attempt,
  { transaction }: Published,
  more: { readonly spent?: Funded['spent']; readonly parents?: readonly Transaction[] } = {},
): MonitorEffect {
  const { spent, parents = [] } = more
  return {
    kind: 'broadcast',
    what: kind,
    attempt: id,
    transactions: [...parents, transaction],
    ...(spent === undefined ? {} : { spent }),
  }
}
