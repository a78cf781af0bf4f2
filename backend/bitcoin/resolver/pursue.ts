// What is to be done about what is on chain now: new attempts for what can be claimed, a price and a transaction for each
// that has something left to claim, and everything published again that no block has.
import { equalBytes } from '../../../channel/bytes.js'
import { outpointKey } from '../chain/outpoint.js'
import { contextOf, type OutputClaim } from '../monitor/claims.js'
import { isSame } from '../monitor/facts.js'
import type { Monitor, MonitorEffect, MonitorEnv } from '../monitor/machine.js'
import { depthOf, type View } from '../monitor/view.js'
import { advanced, type Situation } from './advance.js'
import type { Attempt } from './attempt.js'
import { pursueFunding } from './commitment.js'
import { grouped, isPoor, type Target, targetsOf } from './group.js'
import { isInScope, type Pursued, type Scope } from './scope.js'

/** See above. @param view what is on chain, if the funding output is spent */
export function pursue(monitor: Monitor, view: View | undefined, env: MonitorEnv, scope: Scope): Pursued {
  if (view === undefined) return pursueFunding(monitor, env, scope)
  const targets = targetsOf(view.outputs, env.height)
  const worthy = withoutPoor(monitor, view, env)
  const opened = withNew(worthy.next, targets, env)
  const situation = situationOf(opened.next, view, targets, env)
  const effects: MonitorEffect[] = [...worthy.effects, ...opened.effects]
  const attempts: Attempt[] = []
  for (const attempt of opened.next.attempts) {
    if (isOver(attempt, view, env)) {
      if (attempt.coins.length > 0) effects.push({ kind: 'release', attempt: attempt.id })
      continue
    }
    if (situation === undefined || !isInScope(attempt, scope)) {
      attempts.push(attempt)
      continue
    }
    const result = advanced(attempt, situation)
    attempts.push(result.attempt)
    effects.push(...result.effects)
  }
  return { next: { ...opened.next, attempts: sameOr(monitor.attempts, attempts) }, effects }
}

/** Lets go of attempts of which what nobody has taken is not worth a transaction any more. */
function withoutPoor(monitor: Monitor, view: View, env: MonitorEnv): Pursued {
  const poor: OutputClaim[] = []
  const attempts = monitor.attempts.filter(({ kind, members }) => {
    if (kind !== 'claim') return true
    const left = view.outputs.flatMap(({ claim, spent }) =>
      spent === undefined && members.some((member) => isSame(member, claim.outpoint)) ? [claim] : [],
    )
    const targets = left.flatMap(({ recipe, ...claim }) => (recipe ? [{ ...claim, recipe }] : []))
    if (left.length === 0 || targets.length < left.length || !isPoor(targets, env)) return true
    poor.push(...left)
    return false
  })
  if (poor.length === 0) return { next: monitor, effects: [] }
  return abandoned({ ...monitor, attempts }, poor)
}

function abandoned(monitor: Monitor, claims: readonly OutputClaim[]): Pursued {
  return {
    next: { ...monitor, abandoned: [...monitor.abandoned, ...claims.map(({ outpoint }) => outpoint)] },
    effects: claims.map(({ outpoint, amount }) => ({
      kind: 'tell',
      event: { kind: 'abandoned', outpoint, amount },
    })),
  }
}

function withNew(monitor: Monitor, targets: readonly Target[], env: MonitorEnv): Pursued {
  const { attempts } = monitor
  const known = [...attempts.flatMap(({ members }) => members), ...monitor.abandoned]
  const taken = new Set(known.map(outpointKey))
  const fresh = targets.filter(({ outpoint }) => !taken.has(outpointKey(outpoint)))
  if (fresh.length === 0) return { next: monitor, effects: [] }
  const groups = grouped(fresh, env)
  return abandoned({ ...monitor, attempts: [...attempts, ...groups.attempts] }, groups.abandoned)
}

function situationOf(
  { known }: Monitor,
  view: View,
  targets: readonly Target[],
  env: MonitorEnv,
): Situation | undefined {
  const onChain = contextOf(view.spend)
  if (onChain === undefined) return undefined
  const byName = new Map(targets.map((target) => [outpointKey(target.outpoint), target]))
  return {
    env,
    keys: { signer: env.signer(known.terms), record: env.record, onChain },
    targetOf: (outpoint) => byName.get(outpointKey(outpoint)),
  }
}

/** Whether everything that it is for is final, or belongs to a commitment that can't confirm any more. */
function isOver({ kind, members }: Attempt, view: View, { height, policy }: MonitorEnv): boolean {
  const isFinal = (depth: number) => depth >= policy.finality
  if (!isFinal(depthOf(view.fact, height))) return false
  if (kind === 'anchor') return true
  return members.every((member) => {
    const output = view.outputs.find(({ claim }) => isSame(claim.outpoint, member))
    if (output !== undefined) return output.spent !== undefined && isFinal(depthOf(output.spent.fact, height))
    // Of an HTLC transaction of ours that was undone, and did not come back as it was.
    return !view.outputs.some(({ from }) => equalBytes(from.txid, member.txid))
  })
}

function sameOr(before: readonly Attempt[], after: readonly Attempt[]): readonly Attempt[] {
  return before.length === after.length && before.every((one, i) => one === after[i]) ? before : after
}
