// What our user is told of a channel's outputs on chain.

import type { Fact } from './facts.js'
import type { Monitor, MonitorEnv, MonitorEvent } from './machine.js'
import type { FundingSpend } from './spend.js'
import { depthOf, type View, viewOf } from './view.js'

/** What spent the funding output. */
export function spentOf(
  { fact, spend }: View,
  { known }: Pick<Monitor, 'known'>,
  { height }: Pick<MonitorEnv, 'height'>,
): MonitorEvent & { readonly kind: 'spent' } {
  const number = numberOf(spend)
  const states =
    spend.kind === 'holderNewest' || spend.kind === 'holderPrevious' ? known.holder : known.counterparty
  const newest = states.at(-1)?.state.number
  return {
    kind: 'spent',
    by: spend.kind,
    txid: fact.txid,
    height: fact.height,
    depth: depthOf(fact, height),
    ...(number === undefined || newest === undefined ? {} : { commitment: { number, newest } }),
  }
}

/** What is new of them: what is in a block since the last step, and what has become final. */
export function eventsOf(
  view: View,
  monitor: Pick<Monitor, 'known'>,
  fresh: readonly Fact[],
  env: Pick<MonitorEnv, 'height' | 'policy'>,
): readonly MonitorEvent[] {
  const { fact: spend, spend: by, outputs } = view
  const told = (fact: Fact) => fresh.includes(fact) || depthOf(fact, env.height) === env.policy.finality
  const events: MonitorEvent[] = []
  if (told(spend)) events.push(spentOf(view, monitor, env))
  for (const { claim, spent } of outputs) {
    if (spent === undefined || !told(spent.fact)) continue
    const { outpoint, amount, kind } = claim
    const isPenalty = by.kind === 'revoked' && spent.by === 'us' && kind !== 'toRemote' && kind !== 'anchor'
    const depth = depthOf(spent.fact, env.height)
    const penalty = isPenalty ? { penalty: by.commitment.params.number } : {}
    events.push({ kind: 'output', outpoint, amount, by: spent.by, depth, ...penalty })
  }
  return events
}

/** Which commitment it is, if it is one. */
export function numberOf(spend: FundingSpend): bigint | undefined {
  if ('commitment' in spend) return spend.commitment.params.number
  return 'number' in spend ? spend.number : undefined
}

/** What spent the funding output, if that is in a block. */
export function fundingSpent(
  monitor: Monitor,
  env: MonitorEnv,
): (MonitorEvent & { readonly kind: 'spent' }) | undefined {
  const view = viewOf(monitor, env.signer(monitor.known.terms))
  return view && spentOf(view, monitor, env)
}
