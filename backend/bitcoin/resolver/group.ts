// Which outputs share a transaction.
//
//     nobody else can take it                         with all that is so
//     somebody can, not soon                          with what the same height gives to others
//     somebody can, soon or now                       with its like: same kind, same height, same expiry
//     a penalty, soon                                 with its like, of whatever expiry
//     an HTLC transaction that pays its own fee       alone, as the peer signed it
//     HTLC transactions that pay none                 with those of the same expiry and direction: their lock times agree
//
// What a stranger takes is left out of a transaction; what a stranger only threatens to take must not hold up others.
import { toHex } from '../../../channel/bytes.js'
import type { HtlcOnChain, OutputClaim, Recipe } from '../monitor/claims.js'
import type { MonitorEnv } from '../monitor/machine.js'
import type { ChainOutput } from '../monitor/view.js'
import {
  claimTransactionWeight,
  claimWeight,
  dustLimitOf,
  FORMATS,
  feeOf,
  type Outpoint,
} from '../script/index.js'
import { type Sat, sat } from '../units.js'
import type { Attempt, AttemptKind } from './attempt.js'
import { claimBudget } from './budget.js'
import type { ResolverPolicy } from './policy.js'
import { capOf, LEAST_TAKEN, RELAY_STEP } from './price.js'

/** An output that can be claimed now. */
export type Target = OutputClaim & { readonly recipe: Recipe }

/** What is made of new targets. */
export interface Grouped {
  readonly attempts: readonly Attempt[]
  /** Not worth it. */
  readonly abandoned: readonly Target[]
}

/** When, and by which rules. */
export interface Moment {
  /** Of the best block. */
  readonly height: number
  readonly policy: ResolverPolicy
  readonly destination: Uint8Array
  /** See `MonitorEnv`. */
  readonly incomingExpiry?: MonitorEnv['incomingExpiry']
}

/** An input with a coin, and an output for what is left of it. */
const COIN_WEIGHT = 272 + 172
/** What claims the output of an HTLC transaction later. */
const SWEEP_WEIGHT = 600
/** What can be claimed in the next block. Anchors are not: they are worth less than it costs. */
export function targetsOf(outputs: readonly ChainOutput[], height: number): readonly Target[] {
  return outputs.flatMap(({ claim, spent }) => {
    const { kind, earliest, recipe } = claim
    if (spent !== undefined || kind === 'anchor' || recipe === undefined || earliest > height + 1) return []
    return [{ ...claim, recipe }]
  })
}

/** The name of an attempt: that of its first member, which is in no other. */
export function nameOf(kind: AttemptKind, { txid, index }: Outpoint): string {
  return `${kind} ${toHex(txid).slice(2)} ${index}`
}

/** Groups targets that are in no attempt yet. */
export function grouped(targets: readonly Target[], at: Moment): Grouped {
  const worthy = targets.filter((target) => isWorthy(target, at))
  const groups = new Map<string, Target[]>()
  for (const target of worthy) {
    const key = groupOf(target, at)
    groups.set(key, [...(groups.get(key) ?? []), target])
  }
  const chunks = [...groups.values()].flatMap((group) => chunksOf(group, at.policy.maxInputs))
  const poor = chunks.filter((chunk) => isPoor(chunk, at))
  return {
    attempts: chunks.filter((chunk) => !poor.includes(chunk)).map((chunk) => attemptOf(chunk, at)),
    abandoned: [...targets.filter((target) => !worthy.includes(target)), ...poor.flat()],
  }
}

/**
 * The last block that is of use, as it looks now; where the race is on, not long from now. Undefined if nobody else can take it,
 * and for a payment of our own: see budget.ts.
 */
export function dueOf({ competitorAt, htlc, recipe }: Target, at: Moment): number | undefined {
  if (competitorAt === undefined) return undefined
  const isPenalty = recipe.kind === 'claim' && recipe.claim.kind === 'penalty'
  if (htlc?.offerer !== 'local' || isPenalty) return atLeast(competitorAt - 1, at)
  const back = incomingExpiryOf(htlc, at)
  return back === undefined ? undefined : atLeast(back - 1 - at.policy.race, at)
}

/** When what came in for an HTLC of ours is taken back from us, if anything did. */
export function incomingExpiryOf(
  { offerer, id }: Pick<HtlcOnChain, 'offerer' | 'id'>,
  { incomingExpiry }: Pick<Moment, 'incomingExpiry'>,
): number | undefined {
  return id === undefined ? undefined : incomingExpiry?.({ offerer, id })
}

/** Of a budget what leaves more than dust. */
export function leaving(budget: Sat, targets: readonly Target[], destination: Uint8Array): Sat {
  const most = targets.reduce((sum, { amount }) => sum + amount, 0n) - dustLimitOf(destination)
  return sat(most <= 0n ? 0n : most < budget ? most : budget)
}

function atLeast(last: number, { height, policy }: Moment): number {
  return last > height ? last : height + policy.race
}

/** Each member for itself, and what was decided stays. Coins stay with the first. */
export function splitUp({ members, coins, last: _, ...attempt }: Attempt): readonly Attempt[] {
  return members.map((member, i) => ({
    ...attempt,
    id: nameOf(attempt.kind, member),
    members: [member],
    coins: i === 0 ? coins : [],
    isRefused: false,
    refusals: 0,
  }))
}

function attemptOf(targets: readonly Target[], at: Moment): Attempt {
  const dues = targets.flatMap((target) => dueOf(target, at) ?? [])
  const kind = targets.some(({ recipe }) => recipe.kind === 'htlcTransaction') ? 'htlc' : 'claim'
  const [first] = targets
  return {
    id: first === undefined ? kind : nameOf(kind, first.outpoint),
    kind,
    members: targets.map(({ outpoint }) => outpoint),
    ...(dues.length === 0 ? {} : { due: Math.min(...dues) }),
    isRefused: false,
    refusals: 0,
    coins: [],
  }
}

function groupOf(target: Target, at: Moment): string {
  const { kind, recipe, competitorAt, htlc, outpoint } = target
  if (recipe.kind === 'htlcTransaction') {
    const { htlcsPayFee } = FORMATS[recipe.commitment.params.format]
    if (htlcsPayFee) return `alone ${outpoint.index}`
    return `htlc ${htlc?.offerer} ${htlc?.cltvExpiry} ${dueOf(target, at) === undefined ? 'calm' : 'due'}`
  }
  if (competitorAt === undefined) return 'free'
  // Our own payments are paid out of their own parts, and not those of others in a hurry.
  if (dueOf(target, at) === undefined) return `calm ${htlc?.cltvExpiry}`
  if (competitorAt - at.height > at.policy.pinnable) return `until ${competitorAt}`
  // Timeouts of different expiries are worth different things to whoever would delay them; penalties are all the same.
  const apart = recipe.claim.kind === 'penalty' ? '' : htlc?.cltvExpiry
  return `soon ${kind} ${htlc?.offerer} ${apart} ${competitorAt}`
}

/** Whether it brings in more than it adds to the cheapest transaction, or may cost as much as the cheapest of its own. */
function isWorthy({ amount, kind, recipe }: Target, { policy }: Moment): boolean {
  if (recipe.kind === 'claim') return amount > feeOf(RELAY_STEP, claimWeight(recipe.claim))
  const { htlcsPayFee, htlcSuccessWeight, htlcTimeoutWeight } = FORMATS[recipe.commitment.params.format]
  if (htlcsPayFee) return true
  const weight = Math.max(htlcSuccessWeight, htlcTimeoutWeight) + COIN_WEIGHT
  const sweep = (amount * BigInt(policy.sweepMillionths)) / 1_000_000n
  return (
    claimBudget([{ kind, amount, recipe }], false, policy) >= feeOf(LEAST_TAKEN, weight) &&
    sweep >= feeOf(LEAST_TAKEN, SWEEP_WEIGHT)
  )
}

/**
 * Whether all together can never pay for the cheapest transaction with the most that may be spent of them: they would be
 * waited for, and their channel with them, for ever.
 */
export function isPoor(targets: readonly Target[], at: Moment): boolean {
  const { policy, destination } = at
  const claims = targets.flatMap(({ recipe }) => (recipe.kind === 'claim' ? [recipe.claim] : []))
  if (claims.length < targets.length) return false
  // What has a deadline is worth more in the end.
  const hasDeadline = targets.some((target) => dueOf(target, at) !== undefined)
  const budget = leaving(claimBudget(targets, hasDeadline, policy), targets, destination)
  return capOf({ budget, weight: claimTransactionWeight(claims, destination) }) < LEAST_TAKEN
}

function chunksOf(group: readonly Target[], size: number): readonly (readonly Target[])[] {
  const chunks = Math.ceil(group.length / size)
  return Array.from({ length: chunks }, (_, i) => group.slice(i * size, (i + 1) * size))
}
