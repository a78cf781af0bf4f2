// Which transactions of a block concern us: those that spend an output that is watched or pay a script that is, and those
// that spend what these made in the same block.
import { equalBytes } from '../../../channel/bytes.js'
import type { Outpoint } from '../script/index.js'
import type { Block, BlockTransaction } from './events.js'
import { encodeOutpoint } from './outpoint.js'

/** A transaction that concerns us. */
export interface RelevantTransaction {
  readonly transaction: BlockTransaction
  /** Which of its inputs spend something watched, or an output of another relevant transaction of the block. */
  readonly spends: readonly number[]
  /** Which of its outputs pay a watched script. */
  readonly pays: readonly number[]
}

/** What is watched. A block is looked through once for everybody: what is asked of it costs no more with more watched. */
export class ChainFilter {
  readonly #outpoints = new ByteSet()
  readonly #scripts = new ByteSet()

  /** Watches for whoever spends an output. */
  watchOutpoint(outpoint: Outpoint): void {
    this.#outpoints.add(encodeOutpoint(outpoint))
  }

  /** No longer. */
  unwatchOutpoint(outpoint: Outpoint): void {
    this.#outpoints.delete(encodeOutpoint(outpoint))
  }

  /** Watches for whoever pays to a script. */
  watchScript(script: Uint8Array): void {
    this.#scripts.add(script.slice())
  }

  /** No longer. */
  unwatchScript(script: Uint8Array): void {
    this.#scripts.delete(script)
  }

  /** What concerns us of a block, in its order. */
  relevant({ transactions }: Pick<Block, 'transactions'>): readonly RelevantTransaction[] {
    const found: RelevantTransaction[] = []
    const parents = new ByteSet()
    for (const transaction of transactions) {
      const spends = indices(
        transaction.spends,
        (outpoint) => this.#outpoints.has(outpoint) || parents.has(outpoint.subarray(0, 32)),
      )
      const pays = indices(transaction.pays, (script) => this.#scripts.has(script))
      if (spends.length === 0 && pays.length === 0) continue
      parents.add(transaction.txid)
      found.push({ transaction, spends, pays })
    }
    return found
  }
}

function indices(items: readonly Uint8Array[], holds: (item: Uint8Array) => boolean): readonly number[] {
  const found: number[] = []
  for (const [i, item] of items.entries()) if (holds(item)) found.push(i)
  return found
}

/**
 * A set of byte strings that are mostly told apart by six of their bytes: no text is made of the thousands in a
 * block that are not in it.
 */
class ByteSet {
  readonly #items = new Map<number, Uint8Array[]>()

  add(item: Uint8Array): void {
    const key = keyOf(item)
    const same = this.#items.get(key)
    if (same === undefined) this.#items.set(key, [item])
    else if (!same.some((one) => equalBytes(one, item))) same.push(item)
  }

  delete(item: Uint8Array): void {
    const key = keyOf(item)
    const left = this.#items.get(key)?.filter((one) => !equalBytes(one, item)) ?? []
    if (left.length > 0) this.#items.set(key, left)
    else this.#items.delete(key)
  }

  has(item: Uint8Array): boolean {
    return this.#items.get(keyOf(item))?.some((one) => equalBytes(one, item)) === true
  }
}

/** Bytes 10 to 15 of any string of 16 or more: of IDs and keys, which are random there; the length of shorter ones. */
function keyOf(item: Uint8Array): number {
  if (item.length < 16) return item.length
  let key = 0
  for (let i = 10; i < 16; i++) key = key * 256 + (item[i] ?? 0)
  return key
}
