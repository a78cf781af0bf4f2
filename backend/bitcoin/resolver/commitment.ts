// A commitment on its way into a block: ours is published as long as the funding output is not spent, and if it pays too
// little by itself, with a child at its anchor that pays for both. So is the peer's, once it is in a mempool, if something
// has to be claimed of it in time.
//
// What it is worth to be in time depends on its HTLCs: each must then still be claimed before its own deadline. For those that
// are due soonest, and for those of our own payments, which are not, it pays out of their own part (see budget.ts): what is
// due much later must not be spent for the haste of a small one.
import { equalBytes } from '../../../channel/bytes.js'
import { claimsOf, contextOf } from '../monitor/claims.js'
import { isSame } from '../monitor/facts.js'
import type { Monitor, MonitorEffect, MonitorEnv } from '../monitor/machine.js'
import { classifySpend, type FundingSpend } from '../monitor/spend.js'
import { isComplete, type MonitorState } from '../monitor/state.js'
import { type Transaction, transactionID, weightOf } from '../script/index.js'
import { type Sat, sat } from '../units.js'
import { fundedAdvanced, priced } from './advance.js'
import type { Attempt, Price } from './attempt.js'
import { commitmentBudget } from './budget.js'
import { anchorDraft, draftWeight } from './build.js'
import { incomingExpiryOf, nameOf } from './group.js'
import { rateOf } from './price.js'
import { isInScope, type Pursued, type Scope } from './scope.js'

/** What our commitment must be in a block for, and by when. */
export interface CommitmentStakes {
  /** The last block that is of use for the most urgent of its HTLCs. Absent without any that is lost later. */
  readonly due?: number
  /** Of its HTLCs that are ours to claim. */
  readonly value: Sat
  /** Of those that are due then, or not much later. */
  readonly urgent: Sat
  /** What it pays us else. */
  readonly balance: Sat
}

type Own = FundingSpend & { readonly kind: 'holderNewest' }
type Theirs = FundingSpend & { readonly kind: 'counterpartyCurrent' | 'counterpartyNext' }

/** Blocks after which what was seen in a mempool counts as gone, if it is not seen again. */
const SEEN_BLOCKS = 1

/** Publishes what should spend the funding output: what a reorg took back, our commitment, or what both agreed on. */
export function pursueFunding(monitor: Monitor, env: MonitorEnv, scope: Scope): Pursued {
  const { known, orphan } = monitor
  const effects: MonitorEffect[] = []
  if (scope.kind === 'all') {
    if (orphan !== undefined) effects.push(publish('commitment', orphan))
    // What was lost with our data may be newer than anything that we know.
    const isSafe = known.failure?.cause !== 'dataLoss'
    const closing = bestClosing(known)
    if (closing !== undefined && isSafe && known.failure?.publish === undefined)
      effects.push(publish('closing', closing))
  }
  const own = ownCommitment(known, env)
  // Alone it may be enough, and if not, some nodes take it.
  if (own !== undefined && scope.kind === 'all' && own.commitment.fee > 0n)
    effects.push(publish('commitment', own.transaction))
  // What a mempool has is a hint: ours is not given up for it.
  const wanted = [own, theirCommitment(monitor, env)].filter((one) => one !== undefined)
  let next = withoutOthers(monitor, wanted, effects)
  for (const one of wanted) {
    const child = withChild(next, one, env, scope)
    next = child.next
    effects.push(...child.effects)
  }
  return { next, effects }
}

/** Of the closings that both signed, the one that pays most for its weight. */
function bestClosing({ closings, terms }: MonitorState): Transaction | undefined {
  const rate = (one: Transaction) => {
    const left = one.outputs.reduce((sum: bigint, { amount }) => sum - amount, terms.funding.amount)
    return Number(left) / weightOf(one)
  }
  const complete = closings.filter(isComplete)
  return complete.reduce<Transaction | undefined>(
    (best, one) => (best === undefined || rate(one) > rate(best) ? one : best),
    undefined,
  )
}

/** Whether a commitment of the peer's was in a mempool not long ago. */
export function isPending({ pending }: Monitor, { height }: Pick<MonitorEnv, 'height'>): boolean {
  return pending !== undefined && height - pending.at <= SEEN_BLOCKS
}

/** A monitor that knows what of the funding output is in a mempool, if it is a commitment of the peer's that may confirm. */
export function withPending(monitor: Monitor, transaction: Transaction, env: MonitorEnv): Monitor {
  const { known, pending } = monitor
  const { outpoint } = known.terms.funding
  if (!transaction.inputs.some((input) => isSame(input.outpoint, outpoint))) return monitor
  if (theirsOf(known, transaction, env) === undefined) return monitor
  const isKnown =
    pending?.at === env.height && equalBytes(transactionID(pending.transaction), transactionID(transaction))
  return isKnown ? monitor : { ...monitor, pending: { transaction, at: env.height } }
}

/** Why our commitment should be in a block, and by when. */
export function commitmentStakes(known: MonitorState, env: MonitorEnv): CommitmentStakes | undefined {
  const own = ownCommitment(known, env)
  return own === undefined ? undefined : stakesOf(known, own, env)
}

function theirCommitment(monitor: Monitor, env: MonitorEnv): Theirs | undefined {
  const { known, pending } = monitor
  if (pending === undefined || !isPending(monitor, env)) return undefined
  return theirsOf(known, pending.transaction, env)
}

function theirsOf(known: MonitorState, transaction: Transaction, env: MonitorEnv): Theirs | undefined {
  const spend = classifySpend(known, transaction, { builder: env.signer(known.terms), revokedHtlcs: [] })
  return spend.kind === 'counterpartyCurrent' || spend.kind === 'counterpartyNext' ? spend : undefined
}

/** Without children of commitments that are gone: their coins are free. */
function withoutOthers(
  monitor: Monitor,
  wanted: readonly (Own | Theirs)[],
  effects: MonitorEffect[],
): Monitor {
  const isWanted = ({ members }: Attempt) =>
    members.every(({ txid }) => wanted.some(({ commitment }) => equalBytes(commitment.txid, txid)))
  const others = monitor.attempts.filter((one) => one.kind === 'anchor' && !isWanted(one))
  if (others.length === 0) return monitor
  for (const { id, coins } of others) if (coins.length > 0) effects.push({ kind: 'release', attempt: id })
  return { ...monitor, attempts: monitor.attempts.filter((one) => !others.includes(one)) }
}

function ownCommitment({ failure, holder, terms }: MonitorState, env: MonitorEnv): Own | undefined {
  const { publish: wanted } = failure ?? {}
  const found = holder.find(({ state }) => state.number === wanted?.number)
  if (wanted === undefined || found === undefined) return undefined
  const signer = env.signer(terms)
  return {
    kind: 'holderNewest',
    transaction: wanted.transaction,
    commitment: signer.localCommitment(found.state),
    signatures: found.signatures,
    point: signer.commitmentPoint(wanted.number),
  }
}

function stakesOf(known: MonitorState, wanted: Own | Theirs, env: MonitorEnv): CommitmentStakes {
  const { height, policy } = env
  const { outputs } = claimsOf(known, wanted, height + 1)
  let [value, balance] = [0n, 0n]
  const dues: { readonly due: number; readonly amount: Sat }[] = []
  for (const { kind, amount, htlc, recipe, competitorAt = 0 } of outputs) {
    if (kind === 'toLocal') balance += amount
    if (htlc === undefined || recipe === undefined) continue
    value += amount
    // Once it is there, the race for the HTLC begins: with the peer's timeout, or with that of who sent us what we sent on.
    const end = htlc.offerer === 'local' ? incomingExpiryOf(htlc, env) : competitorAt
    const races = htlc.offerer === 'local' ? 2 : 1
    if (end !== undefined) dues.push({ due: Math.max(height + 1, end - 1 - races * policy.race), amount })
  }
  const stakes = { value: sat(value), balance: sat(balance) }
  if (dues.length === 0) return { ...stakes, urgent: sat(0n) }
  const due = Math.min(...dues.map((one) => one.due))
  const urgent = dues.reduce((sum, one) => (one.due <= due + policy.race ? sum + one.amount : sum), 0n)
  return { ...stakes, due, urgent: sat(urgent) }
}

function withChild(monitor: Monitor, wanted: Own | Theirs, env: MonitorEnv, scope: Scope): Pursued {
  const { commitment, transaction } = wanted
  const found = claimsOf(monitor.known, wanted, env.height + 1).outputs.find(({ kind }) => kind === 'anchor')
  const anchor = found?.recipe?.kind === 'claim' ? found.recipe.claim : undefined
  const onChain = contextOf(wanted)
  if (anchor === undefined || onChain === undefined) return { next: monitor, effects: [] }
  const id = nameOf('anchor', anchor.outpoint)
  const known = monitor.attempts.find((one) => one.id === id)
  const { due, value, urgent, balance } = stakesOf(monitor.known, wanted, env)
  // Who published it has a balance to be in time for; without HTLCs we have none there.
  if (wanted.kind !== 'holderNewest' && value === 0n) return { next: monitor, effects: [] }
  const before: Attempt = {
    ...(known ?? {
      id,
      kind: 'anchor',
      members: [anchor.outpoint],
      isRefused: false,
      refusals: 0,
      coins: [],
    }),
    ...(due === undefined ? {} : { due: Math.min(due, known?.due ?? due) }),
  }
  if (!isInScope(before, scope)) return { next: monitor, effects: [] }
  const script = commitment.outputs[anchor.outpoint.index]?.script ?? new Uint8Array()
  const draft = anchorDraft(
    anchor,
    { commitment, parent: transaction, script },
    { signer: env.signer(monitor.known.terms), record: env.record, onChain },
  )
  const budget = commitmentBudget({ htlcs: value, balance }, env.policy)
  const weight = draftWeight(draft, before)
  const upTo = (most: Sat) => ({ budget: sat(commitment.fee + most), weight })
  const { due: _, ...calm } = before
  const slow = priced(calm, env, upTo(budget)).price
  const fast = priced(before, env, upTo(commitmentBudget({ htlcs: urgent, balance }, env.policy))).price
  const price = higherOf(slow, before.due === undefined ? undefined : fast)
  const attempt = price === before.price || price === undefined ? before : { ...before, price }
  const isEnough =
    attempt.price === undefined || attempt.price.feerate <= rateOf(commitment.fee, weightOf(transaction))
  const result = isEnough
    ? { attempt, effects: [] }
    : fundedAdvanced(attempt, draft, {
        height: env.height,
        budget,
        value: value > 0n ? value : balance,
        parents: [transaction],
      })
  const attempts =
    known === undefined
      ? [...monitor.attempts, result.attempt]
      : monitor.attempts.map((one) => (one === known ? result.attempt : one))
  return { next: { ...monitor, attempts }, effects: result.effects }
}

function higherOf(a: Price | undefined, b: Price | undefined): Price | undefined {
  if (a === undefined || b === undefined) return a ?? b
  return a.feerate < b.feerate ? b : a
}

function publish(what: 'commitment' | 'closing', transaction: Transaction): MonitorEffect {
  return { kind: 'broadcast', what, transactions: [transaction] }
}
