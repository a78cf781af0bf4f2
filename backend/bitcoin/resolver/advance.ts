// One attempt, one look: what is left of it, what it should pay now, and its transaction.

import { isSame } from '../monitor/facts.js'
import type { MonitorEffect, MonitorEnv } from '../monitor/machine.js'
import { claimTransactionWeight, FORMATS, type Outpoint, type Transaction } from '../script/index.js'
import { type Sat, sat } from '../units.js'
import type { Attempt, Published } from './attempt.js'
import { claimBudget } from './budget.js'
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
import { leaving, type Target } from './group.js'
import { capOf, lower, priceOf, RELAY_STEP, type Stakes } from './price.js'

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
  const budget = budgetOf(attempt, targets, situation.env)
  const weight = draftWeight(draft, attempt)
  const { height } = situation.env
  const stakes = { height, budget, value: sumOf(targets) }
  return fundedAdvanced(priced(attempt, situation.env, { budget, weight }), draft, stakes)
}

/** What an attempt that the wallet pays for is made of. */
export interface Funding {
  readonly height: number
  /** The most that it pays itself. */
  readonly budget: Sat
  /** What is lost otherwise. */
  readonly value: bigint
  /** What is published before it. */
  readonly parents?: readonly Transaction[]
}

/** An attempt that the wallet pays for, and that has its price. */
export function fundedAdvanced(before: Attempt, draft: Draft, at: Funding): Advanced {
  const { price, id, change, due, asked } = before
  if (price === undefined) return { attempt: before, effects: [] }
  const { height, budget, value, parents = [] } = at
  const effects: MonitorEffect[] = []
  // As it was priced, or less: its coins have come since, and what strangers took is not worth anything any more.
  const most = capOf({ budget: sat(budget + draft.parent.fee), weight: draftWeight(draft, before) })
  const feerate = lower(most, price.feerate)
  const short = missing(draft, before, feerate)
  const isAsking = (short > 0n || change === undefined) && (asked === undefined || asked < height)
  if (isAsking) {
    effects.push({
      kind: 'reserve',
      attempt: id,
      amount: sat(short > 0n ? short : 0n),
      feerate,
      value: sat(value),
      ...(due === undefined ? {} : { due }),
    })
  }
  const attempt = isAsking ? { ...before, asked: height } : before
  const made = change === undefined ? undefined : paid(attempt, draft, { change, feerate })
  if (made === undefined || made.fee > budget) return { attempt, effects }
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
  const budget = budgetOf(before, targets, env)
  const attempt = priced(before, env, { budget, weight })
  const { price } = attempt
  if (price === undefined) return { attempt, effects: [] }
  const most = capOf({ budget, weight })
  const feerate = lower(most, price.feerate)
  const again = isUnchanged(attempt, targets, feerate) ? attempt.last : undefined
  const last = again ?? claimed(claims, { to, feerate }, keys)
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

/** What may be spent on what is left of an attempt. Of what pays for itself something has to be left. */
function budgetOf({ kind, due }: Attempt, targets: readonly Target[], env: MonitorEnv): Sat {
  const { height, policy, destination } = env
  const budget = claimBudget(targets, due !== undefined && due - height <= policy.last, policy)
  return kind === 'claim' ? leaving(budget, targets, destination) : budget
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
