// A chain for tests: what it must be able to do, and one in memory. It judges transactions as a node does: scripts, locks,
// amounts, fees, what may replace what.

import type { FeeTable } from '../../../../backend/bitcoin/chain/index.js'
import {
  type Outpoint,
  type Transaction,
  type TransactionOutput,
  transactionID,
  weightOf,
} from '../../../../backend/bitcoin/script/index.js'
import { feeratePerKw, type Sat } from '../../../../backend/bitcoin/units.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { faultOfWitness, firstBlock } from './interpreter.js'

/** A block, without its coinbase. */
export interface LedgerBlock {
  readonly height: number
  readonly hash: Hex
  readonly transactions: readonly Transaction[]
}

/** What a node says. */
export type Verdict = 'accepted' | 'feeTooLow' | 'missingInputs' | 'rejected'

/** See above. */
export interface Ledger {
  readonly height: number
  fees(): FeeTable
  submit(transactions: readonly Transaction[]): Promise<Verdict>
  /** A block with what is in the mempool. @param leaves whether the miner leaves a transaction out */
  mine(leaves?: (tx: Transaction) => boolean): Promise<LedgerBlock>
  /** The newest block is gone; its transactions are back in the mempool. */
  undo(): Promise<LedgerBlock>
  /** A confirmed output. */
  fund(script: Uint8Array, amount: Sat): Promise<Outpoint>
  /** Why not, of the last one that was refused. */
  readonly reason: string
}

/** The name of an output. */
export function nameOf({ txid, index }: Outpoint): string {
  return `${toHex(txid)} ${index}`
}

interface Known extends TransactionOutput {
  /** Of its block; of what is in the mempool, that of the next. */
  readonly height?: number
}

interface Pending {
  readonly tx: Transaction
  readonly fee: bigint
  readonly weight: number
}

/** A chain in memory. */
export class SimLedger implements Ledger {
  height = 100
  /** The most that it ever was. */
  peak = 100
  reason = ''
  /** Below it nothing gets in. */
  floor = 253
  estimates: FeeTable['estimates'] = [
    { blocks: 2, feerate: feeratePerKw(2500) },
    { blocks: 12, feerate: feeratePerKw(1000) },
    { blocks: 144, feerate: feeratePerKw(300) },
  ]
  readonly #outputs = new Map<string, Known>()
  readonly #spent = new Set<string>()
  #mempool: Pending[] = []
  readonly #blocks: LedgerBlock[] = []
  #count = 0

  fees(): FeeTable {
    return { floor: feeratePerKw(this.floor), estimates: this.estimates }
  }

  get mempool(): readonly Transaction[] {
    return this.#mempool.map(({ tx }) => tx)
  }

  submit(transactions: readonly Transaction[]): Promise<Verdict> {
    return Promise.resolve(this.#submit(transactions))
  }

  /** Drops a transaction from the mempool, as an attacker's or a full one does. */
  evict(isEvicted: (tx: Transaction) => boolean): void {
    this.#mempool = this.#mempool.filter(({ tx }) => !isEvicted(tx))
  }

  mine(leaves: (tx: Transaction) => boolean = () => false): Promise<LedgerBlock> {
    const height = this.height + 1
    const taken: Transaction[] = []
    for (const { tx } of this.#mempool) {
      const parents = tx.inputs.map(({ outpoint }) => this.#heightOf(outpoint, taken))
      if (leaves(tx) || parents.includes(undefined)) continue
      taken.push(tx)
    }
    const txids = new Set(taken.map((tx) => toHex(transactionID(tx))))
    for (const tx of taken) this.#connect(tx, height)
    this.#mempool = this.#mempool.filter(
      ({ tx }) =>
        !txids.has(toHex(transactionID(tx))) &&
        tx.inputs.every(({ outpoint }) => !this.#spent.has(nameOf(outpoint))),
    )
    this.#count++
    const hash = toHex(new Uint8Array(32).fill(this.#count & 0xff).fill(this.#count >> 8, 0, 16))
    const block = { height, hash, transactions: taken }
    this.#blocks.push(block)
    this.height = height
    this.peak = Math.max(this.peak, height)
    return Promise.resolve(block)
  }

  undo(): Promise<LedgerBlock> {
    const block = this.#blocks.pop()
    if (block === undefined) throw new Error('no block')
    this.height = block.height - 1
    for (const tx of [...block.transactions].reverse()) {
      for (const { outpoint } of tx.inputs) this.#spent.delete(nameOf(outpoint))
      const txid = transactionID(tx)
      for (const index of tx.outputs.keys()) this.#outputs.delete(nameOf({ txid, index }))
    }
    const back = [...block.transactions, ...this.mempool]
    this.#mempool = []
    for (const tx of back) this.#submit([tx])
    return Promise.resolve(block)
  }

  fund(script: Uint8Array, amount: Sat): Promise<Outpoint> {
    this.#count++
    const txid = new Uint8Array(32).fill(this.#count & 0xff).fill(this.#count >> 8, 0, 16)
    const outpoint = { txid, index: 0 }
    this.#outputs.set(nameOf(outpoint), { amount, script, height: 1 })
    return Promise.resolve(outpoint)
  }

  #submit(transactions: readonly Transaction[]): Verdict {
    const before = this.#mempool
    const fresh: Pending[] = []
    for (const tx of transactions) {
      const txid = toHex(transactionID(tx))
      if (this.#mempool.some((one) => toHex(transactionID(one.tx)) === txid)) continue
      const judged = this.#judge(tx)
      if (typeof judged === 'string') {
        this.#mempool = before
        return judged
      }
      fresh.push(judged)
      this.#mempool = [...this.#mempool, judged]
    }
    // Together, as a package; a parent that pays enough alone stays also if its child does not.
    const [fee, weight] = fresh.reduce(([a, b], one) => [a + one.fee, b + one.weight], [0n, 0])
    if (fee * 1000n < BigInt(weight) * BigInt(this.floor - 3)) {
      this.#mempool = before
      return this.#refuse('feeTooLow', `${fee} sat for ${weight}`)
    }
    return 'accepted'
  }

  #judge(tx: Transaction): Pending | Verdict {
    const spent: Known[] = []
    for (const { outpoint } of tx.inputs) {
      const output = this.#find(outpoint)
      if (output === undefined) return this.#refuse('missingInputs', `no output ${nameOf(outpoint)}`)
      spent.push(output)
    }
    const first = firstBlock(
      tx,
      spent.map(({ height = this.height + 1 }) => height),
    )
    if (first > this.height + 1) return this.#refuse('rejected', `not before ${first}`)
    for (const [i, output] of spent.entries()) {
      const fault = faultOfWitness(tx, i, output)
      if (fault !== undefined) return this.#refuse('rejected', `input ${i}: ${fault}`)
    }
    if (tx.outputs.some(({ amount }) => amount < 294n)) return this.#refuse('rejected', 'dust')
    const sum = (list: readonly TransactionOutput[]) => list.reduce((all, { amount }) => all + amount, 0n)
    const fee = sum(spent) - sum(tx.outputs)
    if (fee < 0n) return this.#refuse('rejected', 'more out than in')
    const weight = weightOf(tx)
    const own = new Set(tx.inputs.map(({ outpoint }) => nameOf(outpoint)))
    const rivals = this.#mempool.filter(({ tx: { inputs } }) =>
      inputs.some(({ outpoint }) => own.has(nameOf(outpoint))),
    )
    if (rivals.length > 0) {
      const least = rivals.reduce((all, one) => all + one.fee, 0n) + BigInt(weight) / 4n
      const isBetter = rivals.every((one) => fee * BigInt(one.weight) > one.fee * BigInt(weight))
      if (fee < least || !isBetter) return this.#refuse('feeTooLow', `${fee} sat do not replace`)
      this.#mempool = this.#mempool.filter((one) => !rivals.includes(one))
    }
    return { tx, fee, weight }
  }

  #find(outpoint: Outpoint): Known | undefined {
    const name = nameOf(outpoint)
    if (this.#spent.has(name)) return undefined
    const confirmed = this.#outputs.get(name)
    if (confirmed !== undefined) return confirmed
    const parent = this.#mempool.find(({ tx }) => toHex(transactionID(tx)) === toHex(outpoint.txid))
    return parent?.tx.outputs[outpoint.index]
  }

  #heightOf(outpoint: Outpoint, taken: readonly Transaction[]): number | undefined {
    const found = this.#outputs.get(nameOf(outpoint))
    if (found !== undefined) return found.height
    return taken.some((tx) => toHex(transactionID(tx)) === toHex(outpoint.txid)) ? this.height + 1 : undefined
  }

  #connect(tx: Transaction, height: number): void {
    const txid = transactionID(tx)
    for (const { outpoint } of tx.inputs) this.#spent.add(nameOf(outpoint))
    for (const [index, output] of tx.outputs.entries()) {
      this.#outputs.set(nameOf({ txid, index }), { ...output, height })
    }
  }

  #refuse(verdict: Verdict, reason: string): Verdict {
    this.reason = reason
    return verdict
  }
}
