// What a node looks for in blocks: the funding transactions of its channels, and whatever spends what their monitors watch.
import { toHex } from '../../../channel/bytes.js'
import type { Write } from '../../../persistence/index.js'
import type { Block, BlockID } from '../chain/index.js'
import { outpointKey } from '../chain/outpoint.js'
import { type ChannelInput, isLive, type Live } from '../channel/index.js'
import type { FundingPlace } from '../channel/schemas.js'
import type { SpendingTransaction } from '../monitor/index.js'
import type { Outpoint, Transaction } from '../script/index.js'
import { sat } from '../units.js'
import { joinShortChannelID, type ShortChannelID } from '../wire/index.js'
import type { Entry } from './entries.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'

/** Confirmations after which nothing is undone. */
const FINAL_DEPTH = 6
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
  /** By the ID of a funding transaction that no block has. */
  readonly #awaited = new Map<string, Set<Entry>>()
  /** Whose confirmations still count. */
  readonly #maturing = new Set<Entry>()
  /**
   * By the outpoint, as transactions name it. Several channels may name one as their funding: only one of them is right, and
   * as long as nobody knows which, none of them may be without its watch.
   */
  readonly #watched = new Map<string, Set<Entry>>()

  /** Waits for the funding transaction. */
  awaitFunding(entry: Entry, { terms }: Live): void {
    if (entry.place === undefined) this.#await(entry, terms.funding.outpoint)
    else this.#maturing.add(entry)
  }

  /** Whose funding transaction no block has. */
  *unconfirmed(): Generator<Entry> {
    for (const waiting of this.#awaited.values()) yield* waiting
  }

  /** The monitor hears of what spends the output. */
  watch(entry: Entry, outpoint: Outpoint): void {
    const key = outpointKey(outpoint)
    const others = this.#watched.get(key)
    if (others === undefined) this.#watched.set(key, new Set([entry]))
    else others.add(entry)
    entry.watched.add(key)
  }

  /** No longer. */
  unwatch(entry: Entry, outpoint: Outpoint): void {
    const key = outpointKey(outpoint)
    if (entry.watched.delete(key)) this.#unwatch(entry, key)
  }

  /** Nothing of a channel is of interest any more. */
  forget(entry: Entry): void {
    this.#maturing.delete(entry)
    for (const key of entry.watched) this.#unwatch(entry, key)
    entry.watched.clear()
    for (const [key, waiting] of this.#awaited) {
      waiting.delete(entry)
      if (waiting.size === 0) this.#awaited.delete(key)
    }
  }

  /** What a block that is connected means to fundings, confirmations of earlier ones included. @param only to that one */
  *changes(block: Block, only?: Entry): Generator<ChainChange> {
    const { height, hash } = block
    if (this.#awaited.size > 0) {
      for (const transaction of block.transactions) {
        const id = toHex(transaction.txid)
        const { position, isCoinbase } = transaction
        const waiting = this.#awaited.get(id) ?? new Set<Entry>()
        for (const entry of [...waiting]) {
          if (only !== undefined && entry !== only) continue
          waiting.delete(entry)
          const place: FundingPlace = { height, hash, position, isCoinbase }
          entry.place = place
          this.#maturing.add(entry)
          const writes = [NODE_RECORDS.funding.put(NODE_KEYS.funding(entry.keyIndex), place)]
          yield { entry, input: depthInput(entry, place, height, transaction.decode()), writes }
        }
        if (waiting.size === 0) this.#awaited.delete(id)
      }
    }
    for (const entry of [...this.#maturing]) {
      const { place } = entry
      if (place === undefined || place.height >= height || (only !== undefined && entry !== only)) continue
      const input = depthInput(entry, place, height)
      if (input.confirmations >= deepest(entry, place)) this.#maturing.delete(entry)
      yield { entry, input, writes: [] }
    }
  }

  /** Who watches what the transactions of a block spend. */
  spends(block: Block): ReadonlyMap<Entry, readonly SpendingTransaction[]> {
    const found = new Map<Entry, SpendingTransaction[]>()
    if (this.#watched.size === 0) return found
    for (const transaction of block.transactions) {
      const concerned = new Set<Entry>()
      for (const spent of transaction.spends) {
        for (const entry of this.#watched.get(toHex(spent)) ?? []) concerned.add(entry)
      }
      for (const entry of concerned) {
        const { position } = transaction
        const others = found.get(entry) ?? []
        found.set(entry, [...others, { position, transaction: transaction.decode() }])
      }
    }
    return found
  }

  /** What a block that is disconnected undoes. */
  *undone({ height }: BlockID, all: Iterable<Entry>): Generator<ChainChange> {
    for (const entry of all) {
      const { place, state, keyIndex } = entry
      if (place === undefined || !isLive(state)) continue
      if (place.height < height) {
        if (height - place.height <= deepest(entry, place)) this.#maturing.add(entry)
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

  #unwatch(entry: Entry, key: string): void {
    const watching = this.#watched.get(key)
    watching?.delete(entry)
    if (watching?.size === 0) this.#watched.delete(key)
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
  const shortID = shortIDOf(place, index)
  return {
    kind: 'depth',
    confirmations: height - place.height + 1,
    isCoinbase: place.isCoinbase,
    ...(shortID === undefined ? {} : { shortChannelID: shortID }),
    ...(transaction === undefined ? {} : { output: transaction.outputs[index] ?? NO_OUTPUT }),
  }
}

/** An output that is not there is one of nothing. */
const NO_OUTPUT = { amount: sat(0n), script: new Uint8Array() }

function shortIDOf({ height, position }: FundingPlace, output: number): ShortChannelID | undefined {
  return height < 2 ** 24 ? joinShortChannelID({ block: height, transaction: position, output }) : undefined
}

function deepest({ state }: Entry, { isCoinbase }: FundingPlace): number {
  const wanted = isLive(state) ? state.terms.minimumDepth : 0
  return Math.max(wanted, FINAL_DEPTH, isCoinbase ? COINBASE_DEPTH : 0)
}
