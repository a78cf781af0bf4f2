// The numbers that a resolver goes by.

/** Numbers that a resolver goes by. Blocks, if nothing else is said. */
export interface ResolverPolicy {
  /** From so many on nothing is expected to be undone. */
  readonly finality: number
  /** In which what nobody else can take should be ours. */
  readonly patience: number
  /** In which a race should be over, where the other side may take the same output already. */
  readonly race: number
  /** The last before a deadline, in which all of the value is spent rather than lost. */
  readonly last: number
  /** What may be spent before. */
  readonly budgetMillionths: number
  /** What may be spent of a balance in a commitment to confirm it, if no HTLC is at stake. */
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
  closeMillionths: 20_000,
  pinnable: 12,
  maxInputs: 100,
}
