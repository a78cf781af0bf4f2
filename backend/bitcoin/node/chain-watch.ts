// What a node looks for in blocks: the funding outputs of its channels, as they come and as they are spent.
import { concat, toHex } from '../../../channel/bytes.js'
import { sat } from '../../../channel/units.js'
import type { Write } from '../../../persistence/index.js'
import type { Block, BlockID } from '../chain/index.js'
import { type ChannelInput, isLive, type Live } from '../channel/index.js'
import { type Outpoint, type Transaction, transactionID } from '../script/index.js'
import { joinShortChannelID, type ShortChannelID } from '../wire/index.js'
import type { Entry } from './entries.js'
import { type FundingPlace, KEPT_BLOCKS, NODE_KEYS, NODE_RECORDS } from './rows.js'

/** Confirmations after which nothing is undone. */
export const FINAL_DEPTH = 6
/** Confirmations that the output of a coinbase transaction needs. */
const COINBASE_DEPTH = 100

/** What a block means to a channel. */
export interface ChainChange {
  readonly entry: Entry
  readonly input: ChannelInput
  readonly writes: readonly Write[]
}

/** See above. */
export class ChainWatch {
  #blocks: BlockID[] = []
  /** By the ID of a funding transaction that no block has. */
  readonly #awaited = new Map<string, Set<Entry>>()
  /** By the outpoint, as transactions say it. */
  readonly #spendable = new Map<string, Entry>()
  /** Whose confirmations still count. */
  readonly #maturing = new Set<Entry>()

  /** The last blocks, newest last. */
  get blocks(): readonly BlockID[] {
    return this.#blocks
  }

  /** Where it was when the store was written. */
  restore(blocks: readonly BlockID[]): void {
    this.#blocks = [...blocks]
  }

  idOf(transaction: Transaction): Uint8Array {
    return transactionID(transaction)
  }

  watch(entry: Entry, { terms }: Live): void {
    this.#spendable.set(keyOf(terms.funding.outpoint), entry)
    if (entry.place === undefined) this.#await(entry, terms.funding.outpoint)
    else this.#maturing.add(entry)
  }

  unwatch(entry: Entry): void {
    this.#maturing.delete(entry)
    for (const [key, one] of this.#spendable) if (one === entry) this.#spendable.delete(key)
    for (const [key, waiting] of this.#awaited) {
      waiting.delete(entry)
      if (waiting.size === 0) this.#awaited.delete(key)
    }
  }

  /** Another block is the newest. */
  connected({ height, hash }: Block): Write {
    this.#blocks = [...this.#blocks.filter((one) => one.height < height), { height, hash }].slice(
      -KEPT_BLOCKS,
    )
    return NODE_RECORDS.blocks.put(NODE_KEYS.blocks, this.#blocks)
  }

  /** The newest block is none any more. */
  disconnected({ height }: BlockID): Write {
    this.#blocks = this.#blocks.filter((one) => one.height < height)
    return NODE_RECORDS.blocks.put(NODE_KEYS.blocks, this.#blocks)
  }

  /** What a block that is connected means, confirmations of earlier ones included. */
  *changes(block: Block): Generator<ChainChange> {
    const { height, hash } = block
    for (const transaction of block.transactions) {
      if (this.#awaited.size > 0) {
        const { position, isCoinbase } = transaction
        for (const entry of this.#awaited.get(toHex(transaction.txid)) ?? []) {
          const place: FundingPlace = { height, hash, position, isCoinbase }
          entry.place = place
          this.#maturing.add(entry)
          const writes = [NODE_RECORDS.funding.put(NODE_KEYS.funding(entry.keyIndex), place)]
          yield { entry, input: depthInput(entry, place, height, transaction.decode()), writes }
        }
        this.#awaited.delete(toHex(transaction.txid))
      }
    }
    for (const entry of [...this.#maturing]) {
      const { place } = entry
      if (place === undefined || place.height === height) continue
      const input = depthInput(entry, place, height)
      if (input.confirmations >= deepest(entry, place)) this.#maturing.delete(entry)
      yield { entry, input, writes: [] }
    }
  }

  /** Transactions of a block that spend funding outputs. */
  *spends(block: Block): Generator<{ readonly entry: Entry; readonly transaction: Transaction }> {
    for (const transaction of block.transactions) {
      for (const spent of transaction.spends) {
        const entry = this.#spendable.get(toHex(spent))
        if (entry !== undefined) yield { entry, transaction: transaction.decode() }
      }
    }
  }

  /** What a block that is disconnected undoes. */
  *undone({ height }: BlockID, all: Iterable<Entry>): Generator<ChainChange> {
    for (const entry of all) {
      const { place, state, keyIndex } = entry
      if (place === undefined || !isLive(state)) continue
      if (place.height < height) {
        this.#maturing.add(entry)
        continue
      }
      entry.place = undefined
      this.#maturing.delete(entry)
      this.#await(entry, state.terms.funding.outpoint)
      yield {
        entry,
        input: { kind: 'depth', confirmations: 0 },
        writes: [{ kind: 'delete', key: NODE_KEYS.funding(keyIndex) }],
      }
    }
  }

  #await(entry: Entry, { txid }: Outpoint): void {
    const key = toHex(txid)
    const waiting = this.#awaited.get(key)
    if (waiting === undefined) this.#awaited.set(key, new Set([entry]))
    else waiting.add(entry)
  }
}

function depthInput(
  { state }: Entry,
  place: FundingPlace,
  height: number,
  transaction?: Transaction,
): ChannelInput & { kind: 'depth' } {
  const index = isLive(state) ? state.terms.funding.outpoint.index : 0
  const output = transaction?.outputs[index]
  const shortID = shortIDOf(place, index)
  return {
    kind: 'depth',
    confirmations: height - place.height + 1,
    isCoinbase: place.isCoinbase,
    ...(shortID === undefined ? {} : { shortChannelID: shortID }),
    // An output that is not there is one of nothing.
    ...(transaction === undefined ? {} : { output: output ?? NO_OUTPUT }),
  }
}

const NO_OUTPUT = { amount: sat(0n), script: new Uint8Array() }

function shortIDOf({ height, position }: FundingPlace, output: number): ShortChannelID | undefined {
  return height < 2 ** 24 ? joinShortChannelID({ block: height, transaction: position, output }) : undefined
}

function deepest({ state }: Entry, { isCoinbase }: FundingPlace): number {
  const wanted = isLive(state) ? state.terms.minimumDepth : 0
  return Math.max(wanted, FINAL_DEPTH, isCoinbase ? COINBASE_DEPTH : 0)
}

function keyOf({ txid, index }: Outpoint): string {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, index, true)
  return toHex(concat(txid, bytes))
}
