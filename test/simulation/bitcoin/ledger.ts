// A Bitcoin chain under a driver's hand: outputs and who may spend them, blocks, a pool of transactions that waits for them.
//
// Witnesses are run by an interpreter and all locks are kept, so what gets in here would get into the real chain. The pool
// replaces by fee, judges a child together with its parents, and asks for more while it is full.

import type {
  Block,
  BlockID,
  BlockTransaction,
  BroadcastResult,
} from '../../../backend/bitcoin/chain/index.js'
import {
  decodeTransaction,
  encodeTransaction,
  SEQUENCE_FINAL,
  sha256d,
  type Transaction,
  type TransactionOutput,
  transactionID,
  weightOf,
} from '../../../backend/bitcoin/script/index.js'
import { type BlockHeight, blockHeight, sat } from '../../../backend/bitcoin/units.js'
import { concat, toHex } from '../../../channel/bytes.js'
import { faultOfWitness, firstBlock } from '../../backend/bitcoin/monitor/interpreter.js'

/** What a block can hold, in weight units: few enough that a run can fill it. */
const BLOCK_WEIGHT = 40_000
/** Satoshi per 1000 weight units that a replacement pays on top, as real nodes ask for. */
const INCREMENT = 250n
/** Seconds between blocks, as they say themselves. */
const INTERVAL = 600

/** A transaction and what is known of it. */
export interface Known {
  readonly tx: Transaction
  readonly id: string
  readonly fee: bigint
  readonly weight: number
  readonly bytes: Uint8Array
  readonly outpoints: readonly string[]
  /** All scripts that it takes from and pays to. */
  readonly scripts: ReadonlySet<string>
}

/** An output that no block spends. */
export interface Unspent extends TransactionOutput {
  readonly height: BlockHeight
}

interface SimBlock extends Block {
  readonly known: readonly Known[]
  /** What its transactions spent, to be given back by a reorg. */
  readonly spent: readonly (readonly [string, Unspent])[]
}

/** See above. */
export class BitcoinLedger {
  readonly #blocks: SimBlock[] = []
  readonly #unspent = new Map<string, Unspent>()
  readonly #pool = new Map<string, Known>()
  /** Transactions in blocks. */
  readonly #mined = new Set<string>()
  /** Transactions whose witnesses were found good, by ID and witnesses. */
  readonly #checked = new Set<string>()
  #minted = 0n
  #forks = 0
  #floor = 253n
  /** What somebody who asks is told of fees: blocks, satoshi per 1000 weight units. */
  estimates: readonly (readonly [blocks: number, feerate: number])[] = [
    [1, 2000],
    [6, 1000],
    [144, 300],
  ]
  /** Told of each transaction that a block takes, and whether a block that had it is gone. */
  onMined: (tx: Transaction, isGone: boolean) => void = () => undefined

  /** @param from height of the first block */
  constructor(from: number) {
    this.#add(from, [])
  }

  /** Satoshi per 1000 weight units that the pool asks for, and that others pay who fill the blocks. */
  get floor(): bigint {
    return this.#floor
  }

  /** What pays less is put out of the pool, and must come back with more. */
  set floor(floor: bigint) {
    this.#floor = floor
    for (const one of this.#pool.values()) if (!this.#isDear(one)) this.#pool.delete(one.id)
    this.#sweep()
  }

  get tip(): Block {
    const tip = this.#blocks.at(-1)
    if (tip === undefined) throw new Error('a chain has a block')
    return tip
  }

  /**
   * Fees that blocks have taken. @param script of what takes from it or pays to it alone, and of commitments, of which it does
   * not show who paid
   */
  fees(script?: Uint8Array): bigint {
    const wanted = script && toHex(script)
    let sum = 0n
    for (const { known } of this.#blocks) {
      for (const { tx, fee, scripts } of known) {
        if (wanted === undefined || isCommitment(tx) || scripts.has(wanted)) sum += fee
      }
    }
    return sum
  }

  /**
   * What the holder of a commitment has taken of it for this script after the delay, of its HTLC transactions too: by
   * `<signature> <> <script>` (BOLT 3, "to_local Output", "HTLC-Timeout and HTLC-Success Transactions").
   */
  takenAfterDelay(commitment: string, script: Uint8Array): bigint {
    const payee = toHex(script)
    const ids = new Set([commitment])
    let sum = 0n
    for (const { known, spent } of this.#blocks) {
      const amounts = new Map(spent)
      for (const { tx, id, outpoints, scripts } of known) {
        for (const [i, key] of outpoints.entries()) {
          if (!ids.has(key.split(':')[0] ?? '')) continue
          const { witness = [] } = tx.inputs[i] ?? {}
          if (witness.length !== 3 || witness[1]?.length !== 0) ids.add(id)
          else if (scripts.has(payee)) sum += amounts.get(key)?.amount ?? 0n
        }
      }
    }
    return sum
  }

  /** The block of a height in the chain of now. */
  block(height: number): Block | undefined {
    return this.#blocks[height - (this.#blocks[0]?.height ?? 0)]
  }

  /** The last blocks before the tip, newest last: what somebody who begins now has seen. */
  recent(count: number): BlockID[] {
    return this.#blocks.slice(-count - 1, -1).map(({ height, hash }) => ({ height, hash }))
  }

  /** All money that was made. */
  get minted(): bigint {
    return this.#minted
  }

  /** The pool, cheapest last. */
  get pool(): readonly Known[] {
    return [...this.#pool.values()]
  }

  /** An output that no block spends. */
  output(outpoint: string): TransactionOutput | undefined {
    return this.#unspent.get(outpoint)
  }

  /** All outputs that no block spends. */
  get outputs(): Iterable<readonly [string, Unspent]> {
    return this.#unspent
  }

  /** Money out of nothing, in the next block. */
  mint(amount: bigint, script: Uint8Array): Transaction {
    this.#minted += amount
    const tx: Transaction = {
      version: 2,
      inputs: [
        {
          outpoint: { txid: sha256d(new TextEncoder().encode(`mint ${this.#minted}`)), index: 0 },
          sequence: SEQUENCE_FINAL,
          witness: [],
        },
      ],
      outputs: [{ amount: sat(amount), script }],
      locktime: 0,
    }
    this.#pool.set(nameOf(tx), { ...knownOf(tx, 0n), outpoints: [], scripts: new Set() })
    return tx
  }

  /** Takes a transaction into the pool, or parents and their child. */
  submit(transactions: readonly Transaction[]): BroadcastResult {
    const fresh: Known[] = []
    const seen = new Map<string, TransactionOutput>()
    for (const tx of transactions) {
      const id = nameOf(tx)
      const already = this.#pool.has(id)
      if (this.#mined.has(id)) continue
      const known = already ? this.#pool.get(id) : this.#judge(tx, seen)
      if (known === undefined) continue
      if ('kind' in known) return known
      if (!already) fresh.push(known)
      for (const [i, output] of tx.outputs.entries()) seen.set(`${id}:${i}`, output)
    }
    const [first] = fresh
    if (first === undefined) {
      const isInPool = transactions.some((tx) => this.#pool.has(nameOf(tx)))
      return { kind: isInPool ? 'known' : 'confirmed' }
    }
    const fee = fresh.reduce((sum, one) => sum + one.fee, 0n)
    const weight = fresh.reduce((sum, one) => sum + one.weight, 0)
    const alone = fresh.find((one) => fresh.length === 1 && one.fee * 1000n < this.floor * BigInt(one.weight))
    if (alone !== undefined || fee * 1000n < this.floor * BigInt(weight))
      return { kind: 'feeTooLow', reason: 'min relay fee not met' }
    return this.#replace(fresh, fee, weight)
  }

  /** The next block. @param share of its room that the pool may take, from 0 to 1 */
  mine(share = 1): Block {
    const taken: Known[] = []
    const height = this.tip.height + 1
    let room = BLOCK_WEIGHT * share
    // By what they bring together with the children that pay for them; parents first.
    const order = [...this.#pool.values()]
      .filter((one) => this.#isDear(one))
      .map((one) => ({ one, rate: this.#rateWithChildren(one) }))
      .sort((a, b) => (a.rate === b.rate ? 0 : a.rate > b.rate ? -1 : 1))
    const outputs = new Map<string, number>()
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      for (const { one } of order) {
        if (taken.includes(one) || one.weight > room) continue
        const heights = one.outpoints.map((key) => this.#unspent.get(key)?.height ?? outputs.get(key))
        if (heights.includes(undefined)) continue
        if (firstBlock(one.tx, heights.map(Number)) > height) continue
        taken.push(one)
        room -= one.weight
        for (const i of one.tx.outputs.keys()) outputs.set(`${one.id}:${i}`, height)
        isMoving = true
      }
    }
    return this.#add(height, taken)
  }

  /** Replaces the newest blocks by one more, empty, or with what was in them. @returns what is gone, newest first */
  reorg(depth: number, { drop = false } = {}): readonly Block[] {
    const gone: SimBlock[] = []
    for (let i = 0; i < depth && this.#blocks.length > 1; i++) {
      const block = this.#blocks.pop()
      if (block === undefined) break
      gone.push(block)
      for (const [key, output] of block.spent) this.#unspent.set(key, output)
      for (const { id, tx } of block.known) {
        for (const k of tx.outputs.keys()) this.#unspent.delete(`${id}:${k}`)
      }
      for (const one of block.known) {
        this.#mined.delete(one.id)
        this.onMined(one.tx, true)
      }
    }
    const returning = gone.toReversed().flatMap(({ known }) => known)
    // Money that was made is made again.
    for (const one of returning) if (!drop || one.outpoints.length === 0) this.#pool.set(one.id, one)
    this.#sweep()
    this.#forks++
    for (let i = 0; i <= gone.length; i++) this.mine(0)
    return gone
  }

  /** Whether a transaction waits or is in the chain. */
  has(id: string): boolean {
    return this.#pool.has(id) || this.#mined.has(id)
  }

  #judge(tx: Transaction, seen: ReadonlyMap<string, TransactionOutput>): Known | BroadcastResult {
    const outpoints = tx.inputs.map(({ outpoint }) => keyOf(outpoint))
    const spent: TransactionOutput[] = []
    const heights: number[] = []
    const next = this.tip.height + 1
    for (const key of outpoints) {
      const confirmed = this.#unspent.get(key)
      const output = confirmed ?? seen.get(key) ?? this.#waiting(key)
      if (output === undefined) return { kind: 'missingInputs', reason: 'bad-txns-inputs-missingorspent' }
      spent.push(output)
      heights.push(confirmed?.height ?? next)
    }
    if (new Set(outpoints).size < outpoints.length)
      return { kind: 'rejected', reason: 'bad-txns-inputs-duplicate' }
    if (firstBlock(tx, heights) > next) return { kind: 'rejected', reason: 'non-final' }
    const fee =
      spent.reduce((sum, { amount }) => sum + amount, 0n) -
      tx.outputs.reduce((sum, { amount }) => sum + amount, 0n)
    if (fee < 0n) return { kind: 'rejected', reason: 'bad-txns-in-belowout' }
    const bytes = encodeTransaction(tx)
    const print = toHex(sha256d(bytes))
    if (!this.#checked.has(print)) {
      for (const [i, output] of spent.entries()) {
        const fault = faultOfWitness(tx, i, output)
        if (fault !== undefined) return { kind: 'rejected', reason: `input ${i}: ${fault}` }
      }
      this.#checked.add(print)
    }
    const scripts = new Set([...spent, ...tx.outputs].map(({ script }) => toHex(script)))
    return { ...knownOf(tx, fee, bytes), outpoints, scripts }
  }

  #replace(fresh: readonly Known[], fee: bigint, weight: number): BroadcastResult {
    const wanted = new Set(fresh.flatMap(({ outpoints }) => outpoints))
    const conflicts = new Set<Known>()
    for (const one of this.#pool.values()) {
      if (one.outpoints.some((key) => wanted.has(key))) this.#withChildren(one, conflicts)
    }
    if (conflicts.size > 0) {
      let before = 0n
      for (const one of conflicts) before += one.fee
      const isBetter = [...conflicts].every(
        (one) =>
          fee * BigInt(one.weight) > one.fee * BigInt(weight) ||
          !one.outpoints.some((key) => wanted.has(key)),
      )
      if (!isBetter || fee < before + (INCREMENT * BigInt(weight)) / 1000n)
        return { kind: 'feeTooLow', reason: 'insufficient fee, rejecting replacement' }
      if (
        fresh.some(({ outpoints }) =>
          outpoints.some((key) => [...conflicts].some(({ id }) => key.startsWith(`${id}:`))),
        )
      )
        return { kind: 'rejected', reason: 'spends what it replaces' }
      for (const { id } of conflicts) this.#pool.delete(id)
    }
    for (const one of fresh) this.#pool.set(one.id, one)
    return { kind: 'accepted' }
  }

  #withChildren(one: Known, all: Set<Known>): void {
    if (all.has(one)) return
    all.add(one)
    for (const other of this.#pool.values()) {
      if (other.outpoints.some((key) => key.startsWith(`${one.id}:`))) this.#withChildren(other, all)
    }
  }

  /** Satoshi per million weight units, together with its children if they pay more. */
  #rateWithChildren(one: Known): bigint {
    const all = new Set<Known>()
    this.#withChildren(one, all)
    let [fee, weight] = [0n, 0n]
    for (const each of all) {
      fee += each.fee
      weight += BigInt(each.weight)
    }
    const own = (one.fee * 1_000_000n) / BigInt(one.weight)
    const joint = (fee * 1_000_000n) / weight
    return joint > own ? joint : own
  }

  /** Whether it pays what is asked for, by its children or itself. Money out of nothing pays nobody. */
  #isDear(one: Known): boolean {
    return one.outpoints.length === 0 || this.#rateWithChildren(one) >= this.#floor * 1000n
  }

  #waiting(key: string): TransactionOutput | undefined {
    const [id = '', index] = key.split(':')
    return this.#pool.get(id)?.tx.outputs[Number(index)]
  }

  /** Lets go of what can't be mined any more. */
  #sweep(): void {
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      for (const one of this.#pool.values()) {
        const isGood = one.outpoints.every(
          (key) => this.#unspent.has(key) || this.#waiting(key) !== undefined,
        )
        if (isGood) continue
        this.#pool.delete(one.id)
        isMoving = true
      }
    }
  }

  #add(at: number, known: readonly Known[]): Block {
    const height = blockHeight(at)
    const previous = this.#blocks.at(-1)?.hash ?? `0x${'00'.repeat(32)}`
    const ids = known.map(({ id }) => id).join()
    const hash = toHex(sha256d(new TextEncoder().encode(`${previous} ${height} ${this.#forks} ${ids}`)))
    const spent: [string, Unspent][] = []
    for (const one of known) {
      for (const key of one.outpoints) {
        const output = this.#unspent.get(key)
        if (output === undefined) throw new Error(`${key} is spent twice`)
        spent.push([key, output])
        this.#unspent.delete(key)
      }
      for (const [i, output] of one.tx.outputs.entries()) {
        this.#unspent.set(`${one.id}:${i}`, { ...output, height })
      }
      this.#pool.delete(one.id)
      this.#mined.add(one.id)
      this.onMined(one.tx, false)
    }
    const block: SimBlock = {
      height,
      hash,
      previous,
      time: height * INTERVAL,
      transactions: known.map(blockTransaction),
      known,
      spent,
    }
    this.#blocks.push(block)
    this.#sweep()
    return block
  }
}

/** The name of an outpoint: `id:index`. */
export function keyOf({ txid, index }: { readonly txid: Uint8Array; readonly index: number }): string {
  return `${toHex(txid)}:${index}`
}

/** The name of a transaction. */
export function nameOf(tx: Transaction): string {
  return toHex(transactionID(tx))
}

/** By the upper byte of an obscured commitment number (BOLT 3, "Commitment Transaction"). */
export function isCommitment({ locktime }: Transaction): boolean {
  return locktime >>> 24 === 0x20
}

function knownOf(
  tx: Transaction,
  fee: bigint,
  bytes = encodeTransaction(tx),
): Omit<Known, 'outpoints' | 'scripts'> {
  return { tx, id: nameOf(tx), fee, weight: weightOf(tx), bytes }
}

function blockTransaction({ tx, bytes, outpoints }: Known, position: number): BlockTransaction {
  return {
    txid: transactionID(tx),
    // Its coinbase comes first and is of no interest.
    position: position + 1,
    bytes,
    spends: outpoints.length === 0 ? [] : tx.inputs.map(({ outpoint }) => spendOf(outpoint)),
    pays: tx.outputs.map(({ script }) => script),
    isCoinbase: false,
    decode: () => decodeTransaction(bytes),
  }
}

function spendOf({ txid, index }: { readonly txid: Uint8Array; readonly index: number }): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, index, true)
  return concat(txid, bytes)
}
