// What is in blocks: each transaction that spends the funding output, or an output that follows from that. A block that
// is undone takes its facts with it, and everything that was concluded from them, since nothing concluded is stored.
import { equalBytes, type Hex } from '../../../channel/bytes.js'
import { type Outpoint, type Transaction, transactionID } from '../script/index.js'

/** A transaction in a block. */
export interface Fact {
  readonly height: number
  readonly blockHash: Hex
  /** In the block. */
  readonly position: number
  readonly txid: Uint8Array
  /** Witnesses only of inputs that are of interest. */
  readonly transaction: Transaction
}

/** Facts with one more, in the order of the chain; the same list if it is there. */
export function withFact(facts: readonly Fact[], fact: Fact): readonly Fact[] {
  if (facts.some(({ txid }) => equalBytes(txid, fact.txid))) return facts
  const after = facts.findIndex((one) => isBefore(fact, one))
  return after < 0 ? [...facts, fact] : [...facts.slice(0, after), fact, ...facts.slice(after)]
}

/**
 * Makes a fact of a transaction that spends the funding output or an output of a fact; of any other, undefined.
 *
 * Whose keys are not in it can't be of interest, so other inputs' witnesses, which may be as large as a block, are left out.
 */
export function factOf(
  facts: readonly Fact[],
  funding: Outpoint,
  given: Omit<Fact, 'txid'>,
): Fact | undefined {
  const isTracked = (outpoint: Outpoint) =>
    isSame(outpoint, funding) || facts.some(({ txid }) => equalBytes(txid, outpoint.txid))
  const { transaction } = given
  if (!transaction.inputs.some(({ outpoint }) => isTracked(outpoint))) return undefined
  const inputs = transaction.inputs.map((input) =>
    isTracked(input.outpoint) ? input : { ...input, witness: [] },
  )
  return { ...given, txid: transactionID(transaction), transaction: { ...transaction, inputs } }
}

/** What spends an output, if that is in a block, and the witness by which it does. */
export function spenderOf(
  facts: readonly Fact[],
  outpoint: Outpoint,
): { readonly fact: Fact; readonly witness: readonly Uint8Array[] } | undefined {
  for (const fact of facts) {
    const input = fact.transaction.inputs.find((one) => isSame(one.outpoint, outpoint))
    if (input !== undefined) return { fact, witness: input.witness }
  }
  return undefined
}

/** Whether two outpoints are the same. */
export function isSame(a: Outpoint, b: Outpoint): boolean {
  return a.index === b.index && equalBytes(a.txid, b.txid)
}

function isBefore(a: Fact, b: Fact): boolean {
  return a.height === b.height ? a.position < b.position : a.height < b.height
}
