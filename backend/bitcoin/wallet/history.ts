// The transactions that concern a wallet, and what follows from them: which coins there are. Coins are not kept but computed,
// so that a reorg is only a block that is taken from a transaction.
//
//     confirmed      in a block of the chain
//     unconfirmed    published by us, or in a block that was taken away; forgotten once a block has another transaction that
//                    spends the same, with all that depends on it
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { bool, bytes, hex, list, object, oneOf, optional, schemaCodec, uint } from '../../../peer/index.js'
import { defineRecord } from '../../../persistence/index.js'
import { decodeOutpoint } from '../chain/index.js'
import { outpointKey } from '../chain/outpoint.js'
import { sats } from '../channel/schemas.js'
import type { Outpoint } from '../script/index.js'
import { type BlockHeight, blockHeight, type Sat } from '../units.js'
import type { KeyPath } from './hd-keys.js'

/** An output that a key of the wallet can spend. */
export interface OwnOutput extends KeyPath {
  /** In its transaction. */
  readonly output: number
  readonly amount: Sat
  readonly script: Uint8Array
}

/** A transaction that pays the wallet or spends from it. */
export interface WalletTransaction {
  readonly txid: Hex
  /** Of its block; absent while it is unconfirmed. */
  readonly height?: BlockHeight
  readonly isCoinbase: boolean
  /** All that it spends, 36 bytes each. */
  readonly spends: readonly Uint8Array[]
  readonly outputs: readonly OwnOutput[]
}

/** A coin, with what is needed to spend it. */
export interface OwnCoin extends OwnOutput {
  readonly outpoint: Outpoint
  readonly height?: BlockHeight
  readonly isCoinbase: boolean
}

/** What changed: to be written. */
export interface HistoryChanges {
  readonly put: readonly WalletTransaction[]
  readonly deleted: readonly Hex[]
}

const codec = schemaCodec(
  object({
    txid: hex(32),
    height: optional(uint(0xffff_ffff)),
    isCoinbase: bool,
    // What a transaction of 4 000 000 bytes can hold.
    spends: list(bytes(36), { max: 100_000 }),
    outputs: list(
      object({
        output: uint(0xffff_ffff),
        amount: sats,
        script: bytes({ max: 34 }),
        kind: oneOf('p2wpkh', 'p2tr'),
        branch: oneOf('0', '1'),
        index: uint(0x7fff_ffff),
      }),
      { max: 150_000 },
    ),
  }),
  { maxBytes: 16 * 1024 * 1024 },
)

/** The record of a transaction. */
export const transactionRecord = defineRecord<WalletTransaction>({
  name: 'bitcoin-wallet-transaction',
  version: 1,
  encode: (value) =>
    codec.encode({
      ...value,
      outputs: value.outputs.map((one) => ({ ...one, branch: one.branch === 0 ? '0' : '1' })),
    }),
  decode: (payload) => {
    const { height, outputs, ...rest } = codec.decode(payload)
    return {
      ...rest,
      ...(height === undefined ? {} : { height: blockHeight(height) }),
      outputs: outputs.map((one) => ({ ...one, branch: one.branch === '0' ? 0 : 1 })),
    }
  },
})

/** See above. In memory; who changes it writes the changes before anybody learns of them. */
export class History {
  readonly #transactions = new Map<Hex, WalletTransaction>()
  /** By what is spent: which of our transactions spends it. */
  readonly #spenders = new Map<Hex, Hex>()

  /** Takes in what a store has. */
  constructor(transactions: Iterable<WalletTransaction> = []) {
    for (const one of transactions) this.#put(one)
  }

  /** Whether it spends a coin of ours, or what a transaction of ours that is unconfirmed spends. */
  concerns(spends: readonly Uint8Array[]): boolean {
    return spends.some(
      (outpoint) => this.#spenders.has(toHex(outpoint)) || this.#outputAt(outpoint) !== undefined,
    )
  }

  /** All. */
  transactions(): Iterable<WalletTransaction> {
    return this.#transactions.values()
  }

  /** That of an ID. */
  get(txid: Hex): WalletTransaction | undefined {
    return this.#transactions.get(txid)
  }

  /** A transaction that a block has, or that was published. What can't be any more because of it goes. */
  add(transaction: WalletTransaction): HistoryChanges {
    const deleted: Hex[] = []
    for (const outpoint of transaction.spends) {
      const rival = this.#spenders.get(toHex(outpoint))
      if (rival !== undefined && rival !== transaction.txid) deleted.push(...this.#forget(rival))
    }
    this.#put(transaction)
    return { put: [transaction], deleted }
  }

  /** Whether a confirmed transaction spends any of that already: then nothing else can. */
  isSpentInBlock(spends: readonly Uint8Array[], except: Hex): boolean {
    return spends.some((outpoint) => {
      const spender = this.#spenders.get(toHex(outpoint))
      return (
        spender !== undefined && spender !== except && this.#transactions.get(spender)?.height !== undefined
      )
    })
  }

  /** The chain has no block of that height or above any more. New money of those is gone. */
  rollBack(height: number): HistoryChanges {
    const put: WalletTransaction[] = []
    const deleted: Hex[] = []
    for (const one of [...this.#transactions.values()]) {
      if (one.height === undefined || one.height < height || !this.#transactions.has(one.txid)) continue
      if (one.isCoinbase) {
        deleted.push(...this.#forget(one.txid))
        continue
      }
      const { height: _, ...unconfirmed } = one
      this.#put(unconfirmed)
      put.push(unconfirmed)
    }
    const gone = new Set(deleted)
    return { put: put.filter(({ txid }) => !gone.has(txid)), deleted }
  }

  /** What no transaction of ours spends. */
  coins(): readonly OwnCoin[] {
    const coins: OwnCoin[] = []
    for (const { txid, height, isCoinbase, outputs } of this.#transactions.values()) {
      for (const own of outputs) {
        const outpoint = outpointOf(txid, own.output)
        if (this.#spenders.has(keyOf(txid, own.output))) continue
        coins.push({ ...own, outpoint, isCoinbase, ...(height === undefined ? {} : { height }) })
      }
    }
    return coins
  }

  /** Our output there, spent or not. */
  outputAt(outpoint: Outpoint): OwnOutput | undefined {
    return this.#transactions
      .get(toHex(outpoint.txid))
      ?.outputs.find(({ output }) => output === outpoint.index)
  }

  #outputAt(outpoint: Uint8Array): OwnOutput | undefined {
    return this.outputAt(decodeOutpoint(outpoint))
  }

  #put(transaction: WalletTransaction): void {
    this.#transactions.set(transaction.txid, transaction)
    for (const outpoint of transaction.spends) this.#spenders.set(toHex(outpoint), transaction.txid)
  }

  /** With all that spends its outputs. */
  #forget(txid: Hex): readonly Hex[] {
    const transaction = this.#transactions.get(txid)
    if (transaction === undefined) return []
    this.#transactions.delete(txid)
    for (const outpoint of transaction.spends) {
      if (this.#spenders.get(toHex(outpoint)) === txid) this.#spenders.delete(toHex(outpoint))
    }
    const children = transaction.outputs.flatMap(
      ({ output }) => this.#spenders.get(keyOf(txid, output)) ?? [],
    )
    return [txid, ...children.flatMap((child) => this.#forget(child))]
  }
}

function outpointOf(txid: Hex, index: number): Outpoint {
  return { txid: fromHex(txid), index }
}

function keyOf(txid: Hex, index: number): Hex {
  return outpointKey(outpointOf(txid, index))
}
