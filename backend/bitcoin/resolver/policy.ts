// The numbers that a resolver goes by.
import { chosen, isCount } from '../figures.js'

/** Numbers that a resolver goes by. Blocks, if nothing else is said. */
export interface ResolverPolicy {
  /** From so many on nothing is expected to be undone. */
  readonly finality: number
  /** In which what nobody else can take should be ours. */
  readonly patience: number
  /** In which a race should be over, where the other side may take the same output already. */
  readonly race: number
  /** The last before a deadline, in which is spent what is lost otherwise: see budget.ts. */
  readonly last: number
  /** Of what a claim brings in: the most that it may cost. Of an HTLC with the two below all of it, at most. */
  readonly budgetMillionths: number
  /** Of the HTLCs of a commitment: the most that it may cost us to confirm it. */
  readonly commitmentMillionths: number
  /** Of what an HTLC transaction of ours pays: the most that it may cost to take that after the delay. */
  readonly sweepMillionths: number
  /** Of our balance in a commitment: what it may cost us besides to confirm it. */
  readonly closeMillionths: number
  /** Outputs whose competitor is nearer than this don't share a transaction with others. */
  readonly pinnable: number
  /** Of one transaction. */
  readonly maxInputs: number
}

/** As others do. */
export const RESOLVER_POLICY: ResolverPolicy = {
  finality: 6,
  patience: 36,
  race: 18,
  last: 6,
  budgetMillionths: 500_000,
  commitmentMillionths: 250_000,
  sweepMillionths: 250_000,
  closeMillionths: 20_000,
  pinnable: 12,
  maxInputs: 100,
}

/** A node's numbers: the defaults, and what its user wants otherwise. @throws PerkunasError INVALID_ARGUMENT */
export function resolverPolicy(wanted?: Partial<ResolverPolicy>): ResolverPolicy {
  return chosen('resolver', { defaults: RESOLVER_POLICY, wanted }, (policy) => ({
    finality: isCount(policy.finality, 1, MAX_BLOCKS),
    patience: isCount(policy.patience, 1, MAX_BLOCKS),
    race: isCount(policy.race, 1, MAX_BLOCKS),
    last: isCount(policy.last, 0, MAX_BLOCKS),
    budgetMillionths: isCount(
      policy.budgetMillionths,
      0,
      MILLION - policy.commitmentMillionths - policy.sweepMillionths,
    ),
    commitmentMillionths: isCount(policy.commitmentMillionths, 0, MILLION),
    sweepMillionths: isCount(policy.sweepMillionths, 0, MILLION),
    closeMillionths: isCount(policy.closeMillionths, 0, MILLION),
    pinnable: isCount(policy.pinnable, 0, MAX_BLOCKS),
    maxInputs: isCount(policy.maxInputs, 1, MAX_INPUTS),
  }))
}

/** As many as a relative lock time can count. */
const MAX_BLOCKS = 0xffff
const MILLION = 1_000_000
/** As many as fit into a transaction that is relayed. */
const MAX_INPUTS = 1000
