// How the contract gives up: the transaction stays in its block without effect.

/** Thrown inside the contract only; the ledger makes a receipt of it. */
export class Revert extends Error {}

/** Reverts unless the condition holds. */
export function demand(condition: boolean, reason: string): asserts condition {
  if (!condition) throw new Revert(reason)
}

/** The value, or a revert if it is missing. */
export function present<T>(value: T | undefined, reason: string): T {
  demand(value !== undefined, reason)
  return value
}
