// What is in blocks: each transaction that spends the funding output, or an output that follows from that. A block that
// is undone takes its facts with it, and everything that was concluded from them, since nothing concluded is stored.
import { equalBytes, type Hex } from '../../../channel/bytes.js'
import type { Transaction } from '../script/index.js'

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

function isBefore(a: Fact, b: Fact): boolean {
  return a.height === b.height ? a.position < b.position : a.height < b.height
}
