// The monitor's step: what is learned, what is on chain now, what follows from both, and what is to be done about it.
import { PerkunasError } from '../../../channel/errors.js'
import { refused, separated, withCoins } from '../resolver/answers.js'
import { isPending, withPending } from '../resolver/commitment.js'
import { pursue } from '../resolver/pursue.js'
import type { Scope } from '../resolver/scope.js'
import { fundingScript, type Outpoint, p2wsh, type Transaction } from '../script/index.js'
import { type Fact, factOf, isSame, spenderOf, withFact } from './facts.js'
import {
  type Monitor,
  type MonitorEffect,
  type MonitorEnv,
  type MonitorEvent,
  type MonitorHandoff,
  type MonitorInput,
  type MonitorStep,
  newMonitor,
} from './machine.js'
import { isDone, settled } from './outcomes.js'
import { preimagesIn } from './preimages.js'
import type { MonitorTerms, MonitorUpdate } from './record.js'
import { applyUpdates, isComplete } from './state.js'
import { eventsOf, numberOf } from './told.js'
import { missingRevoked, type View, viewOf } from './view.js'

/**
 * What an input does to a monitor. Pure, but for the signer.
 *
 * @param monitor undefined before the updates that begin with `opened`
 * @throws PerkunasError INVALID_STATE if updates break a rule (see `applyUpdates`): the step must not be committed, nor the
 *   channel's. INVALID_ARGUMENT for any other input before there is a monitor
 */
export function step(monitor: Monitor | undefined, input: MonitorInput, env: MonitorEnv): MonitorStep {
  if (input.kind === 'updates') return updated(monitor, input.updates, env)
  if (monitor === undefined) {
    throw new PerkunasError('INVALID_ARGUMENT', `${input.kind}: there is no monitor yet`, {
      argument: 'monitor',
    })
  }
  if (monitor.isResolved)
    return input.kind === 'resume' ? resolvedAgain(monitor, env) : { ...NOTHING, next: monitor }
  switch (input.kind) {
    case 'connected':
      return connected(monitor, input, env)
    case 'disconnected': {
      const { next, events } = without(monitor, ({ height }) => height >= input.height)
      return { ...NOTHING, next, effects: events.map(tell) }
    }
    case 'seen':
      return seen(monitor, input.transaction, env)
    case 'revokedHtlcs': {
      const { number, htlcs } = input
      // Asked again for what is lost: it still is.
      if (monitor.revoked?.number === number && htlcs.length === monitor.revoked.htlcs.length)
        return { ...NOTHING, next: monitor }
      return answered(monitor, { ...monitor, revoked: { number, htlcs } }, env)
    }
    case 'coins':
      return concluded(monitor, withCoins(monitor, input), env, { kind: 'one', id: input.attempt })
    case 'refused':
      return concluded(monitor, refused(monitor, input), env, { kind: 'new' })
    case 'resume':
      return resumed(monitor, env)
  }
}

/** Whether it has nothing on chain and nothing to get there: it needs to hear of no block but one that spends what it watches. */
export function isAtRest({ known, facts, orphan, pending, attempts, isResolved }: Monitor): boolean {
  if (isResolved) return true
  const isClosing = known.closings.some(isComplete)
  const isOnItsWay = orphan !== undefined || pending !== undefined || attempts.length > 0
  return known.failure === undefined && facts.length === 0 && !isOnItsWay && !isClosing
}

const NOTHING: Omit<MonitorStep, 'next'> = { revoked: [], handoffs: [], effects: [] }

function updated(
  before: Monitor | undefined,
  updates: readonly MonitorUpdate[],
  env: MonitorEnv,
): MonitorStep {
  const applied = applyUpdates(before?.known, updates)
  const next = before === undefined ? newMonitor(applied.next) : { ...before, known: applied.next }
  const { revoked } = applied
  const effects = before === undefined ? [watchFunding(next.known.terms, env)] : []
  if (next.isResolved || isAtRest(next)) return { next, revoked, handoffs: [], effects }
  const result = concluded(before ?? next, next, env, { kind: 'new' })
  return { ...result, revoked, effects: [...effects, ...result.effects] }
}

function connected(
  before: Monitor,
  { hash, transactions, isTip }: MonitorInput & { readonly kind: 'connected' },
  env: MonitorEnv,
): MonitorStep {
  const { height } = env
  // A block of that height that was not taken back before can't be in the chain any more.
  const undone = without(
    before,
    (one) => one.height > height || (one.height === height && one.blockHash !== hash),
  )
  let next = undone.next
  const handoffs: MonitorHandoff[] = []
  for (const { position, transaction } of transactions) {
    const { facts, known } = next
    const fact = factOf(facts, known.terms.funding.outpoint, {
      height,
      blockHash: hash,
      position,
      transaction,
    })
    if (fact === undefined) continue
    const learned = withPreimages(next, fact.transaction)
    handoffs.push(...learned.handoffs)
    next = { ...learned.next, facts: withFact(facts, fact) }
    if (spendsFunding(fact, known.terms)) {
      const { orphan: _, pending: __, ...rest } = next
      next = rest
    }
  }
  const result = concluded(before, withoutGone(next, env), env, isTip ? { kind: 'all' } : undefined)
  return {
    ...result,
    handoffs: [...handoffs, ...result.handoffs],
    effects: [...undone.events.map(tell), ...result.effects],
  }
}

function seen(before: Monitor, transaction: Transaction, env: MonitorEnv): MonitorStep {
  const { next, handoffs } = withPreimages(before, transaction)
  const parted = separated(next, transaction)
  const isOpen = spenderOf(parted.facts, parted.known.terms.funding.outpoint) === undefined
  const after = isOpen ? withPending(parted, transaction, env) : parted
  const result = concluded(before, after, env, { kind: 'new' })
  return { ...result, handoffs: [...handoffs, ...result.handoffs] }
}

/** What is remembered of a revoked commitment: it should explain all of its outputs. */
function answered(before: Monitor, next: Monitor, env: MonitorEnv): MonitorStep {
  const result = concluded(before, next, env, { kind: 'new' })
  return { ...result, effects: [...unexplained(next, env), ...result.effects] }
}

function unexplained(monitor: Monitor, env: MonitorEnv): readonly MonitorEffect[] {
  if (monitor.revoked === undefined) return []
  const view = viewOf(monitor, env.signer(monitor.known.terms))
  const lost = view?.unexplained.filter(({ spent }) => spent === undefined) ?? []
  const outputs = lost.map(({ outpoint, amount }) => ({ outpoint, amount }))
  return outputs.length === 0 ? [] : [tell({ kind: 'unexplained', outputs })]
}

/** What was in a mempool and is not seen there any more. */
function withoutGone(monitor: Monitor, env: MonitorEnv): Monitor {
  if (monitor.pending === undefined || isPending(monitor, env)) return monitor
  const { pending: _, ...rest } = monitor
  return rest
}

function resumed(before: Monitor, env: MonitorEnv): MonitorStep {
  // Whether the wallet heard of what it was asked is not known.
  const attempts = before.attempts.map(({ asked: _, ...attempt }) => attempt)
  const monitor = { ...before, attempts }
  const result = concluded({ ...monitor, facts: [] }, monitor, env, { kind: 'all' })
  const effects = [watchFunding(monitor.known.terms, env), ...unexplained(monitor, env), ...result.effects]
  return { ...result, effects }
}

/** A channel that could not be read when it came to its end has not heard of it. */
function resolvedAgain(monitor: Monitor, env: MonitorEnv): MonitorStep {
  const view = viewOf(monitor, env.signer(monitor.known.terms))
  if (view === undefined) return { ...NOTHING, next: monitor }
  return { ...NOTHING, next: monitor, handoffs: [spentBy(view), { kind: 'channelResolved' }] }
}

function spentBy({ spend }: View): MonitorHandoff {
  return { kind: 'channelSpent', by: spend.kind === 'closing' ? 'closing' : 'commitment' }
}

/** What follows from what is known now. @param scope absent if nothing is published yet */
function concluded(before: Monitor, next: Monitor, env: MonitorEnv, scope: Scope | undefined): MonitorStep {
  const view = viewOf(next, env.signer(next.known.terms))
  const fresh = next.facts.filter((fact) => !before.facts.includes(fact))
  const handoffs: MonitorHandoff[] = []
  const effects: MonitorEffect[] = []
  let after = next
  if (view !== undefined) {
    effects.push(...fresh.flatMap((fact) => watchesOf(view, fact)))
    const wanted = missingRevoked(view, next)
    // At each tip again: an answer that never came would cost the outputs of all its HTLCs.
    if (wanted !== undefined && (fresh.includes(view.fact) || scope?.kind === 'all'))
      effects.push({ kind: 'lookup', number: wanted })
    if (fresh.includes(view.fact)) handoffs.push(spentBy(view))
    effects.push(...eventsOf(view, next, fresh, env).map(tell))
    const ended = settled(next, view, env)
    after = ended.next
    handoffs.push(...ended.handoffs)
  }
  if (scope !== undefined) {
    const pursued = pursue(after, view, env, scope)
    after = pursued.next
    effects.push(...pursued.effects)
  }
  if (view === undefined || !isDone(after, view, env)) return { next: after, revoked: [], handoffs, effects }
  return {
    next: { ...after, attempts: [], isResolved: true },
    revoked: [],
    handoffs: [...handoffs, { kind: 'channelResolved' }],
    effects: [...effects, ...farewell(after, view)],
  }
}

function withPreimages(
  monitor: Monitor,
  transaction: Transaction,
): { readonly next: Monitor; readonly handoffs: readonly MonitorHandoff[] } {
  const learned = preimagesIn(monitor.known, transaction)
  if (learned.length === 0) return { next: monitor, handoffs: [] }
  const known = applyUpdates(monitor.known, learned).next
  const handoffs = learned.map(({ htlc, paymentHash, preimage }) => {
    return { kind: 'learned', htlc, paymentHash, preimage } as const
  })
  return { next: { ...monitor, known }, handoffs }
}

/** Takes facts back, and remembers what has to get into a block once more. */
function without(
  monitor: Monitor,
  isUndone: (fact: Fact) => boolean,
): { readonly next: Monitor; readonly events: readonly MonitorEvent[] } {
  const undone = monitor.facts.filter(isUndone)
  if (undone.length === 0) return { next: monitor, events: [] }
  const spend = undone.find((fact) => spendsFunding(fact, monitor.known.terms))
  return {
    next: {
      ...monitor,
      facts: monitor.facts.filter((fact) => !isUndone(fact)),
      ...(spend === undefined ? {} : { orphan: spend.transaction }),
    },
    events: undone.map(({ txid, height }) => ({ kind: 'reorged', txid, height })),
  }
}

/** All outputs of a commitment, known or not: those of revoked HTLCs are looked up first. */
function watchesOf({ fact: spend, spend: { kind }, outputs }: View, fact: Fact): readonly MonitorEffect[] {
  if (kind === 'closing') return []
  const { txid, height: from } = fact
  if (fact === spend) {
    return fact.transaction.outputs.map(({ script }, index) => {
      return { kind: 'watch', outpoint: { txid, index }, script, from } as const
    })
  }
  return outputs.flatMap(({ claim: { outpoint }, script, from: has }) =>
    has === fact ? [{ kind: 'watch', outpoint, script, from } as const] : [],
  )
}

function watchFunding({ setup, basepoints, funding }: MonitorTerms, { height }: MonitorEnv): MonitorEffect {
  const script = p2wsh(fundingScript(basepoints.funding, setup.remote.funding))
  return { kind: 'watch', outpoint: funding.outpoint, script, from: height }
}

/** Nothing is watched any more, and coins are free. */
function farewell({ known, attempts }: Monitor, { fact, spend, outputs }: View): readonly MonitorEffect[] {
  const watched: Outpoint[] = [
    known.terms.funding.outpoint,
    ...fact.transaction.outputs.map((_, index) => ({ txid: fact.txid, index })),
  ]
  for (const { claim } of outputs) {
    if (!watched.some((one) => isSame(one, claim.outpoint))) watched.push(claim.outpoint)
  }
  const holding = attempts.filter(({ coins }) => coins.length > 0)
  const number = numberOf(spend)
  return [
    { kind: 'unwatch', outpoints: watched },
    ...holding.map(({ id }) => ({ kind: 'release', attempt: id }) as const),
    tell({ kind: 'resolved', ...(number === undefined ? {} : { number }) }),
  ]
}

function spendsFunding({ transaction }: Fact, { funding }: MonitorTerms): boolean {
  return transaction.inputs.some(({ outpoint }) => isSame(outpoint, funding.outpoint))
}

function tell(event: MonitorEvent): MonitorEffect {
  return { kind: 'tell', event }
}
