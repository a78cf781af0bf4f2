// One chain for all nodes of a world in memory, whose transactions spend what there is and are not looked at further.
import type {
  BlockID,
  BroadcastResult,
  ChainCursor,
  FeeTable,
  TrackedEvent,
} from '../../../../backend/bitcoin/chain/index.js'
import { encodeOutpoint, outpointKey } from '../../../../backend/bitcoin/chain/outpoint.js'
import type { ChainStatus, Followed, NodeChain } from '../../../../backend/bitcoin/node/index.js'
import {
  encodeTransaction,
  type Outpoint,
  sha256,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { blocksOf, cursorOf } from './cursor.js'

export const CHAIN_HASH = toHex(new Uint8Array(32).fill(6))

const FEES: FeeTable = {
  floor: feeratePerKw(253),
  estimates: [{ blocks: 6, feerate: feeratePerKw(1000) }],
}

/** Blocks that a cursor names. */
const KEPT = 10

interface Mined extends BlockID {
  readonly previous: BlockID['hash']
  readonly transactions: readonly Transaction[]
}

type Handler = (event: TrackedEvent) => Promise<void>

/** One chain for all. */
export class TestChain implements NodeChain {
  readonly chainHash = CHAIN_HASH
  readonly #blocks: Mined[] = []
  readonly mempool = new Map<string, Transaction>()
  fees = FEES
  readonly #handlers = new Set<Handler>()
  readonly #tellers = new Set<(status: ChainStatus) => void>()
  readonly #enders = new Set<(cause: unknown) => void>()
  /** Each output by what has spent it in a block. */
  readonly #spent = new Map<string, string>()
  #count = 0

  constructor() {
    for (let i = 0; i < 100; i++) this.#append([])
  }

  get tip(): Mined {
    const tip = this.#blocks.at(-1)
    if (tip === undefined) throw new Error('an empty chain')
    return tip
  }

  async follow(
    from: ChainCursor | undefined,
    handler: Handler,
    tell: (status: ChainStatus) => void = () => {},
  ): Promise<Followed> {
    const known = from === undefined ? [] : blocksOf(from)
    for (
      let at = known.at(-1);
      at !== undefined && this.#at(at.height)?.hash !== at.hash;
      at = known.at(-1)
    ) {
      known.pop()
      const cursor = cursorOf(known)
      await handler({ kind: 'disconnected', block: at, isTip: false, cursor })
    }
    const seen = known.at(-1)?.height ?? this.tip.height - 1
    for (const block of this.#blocks.filter(({ height }) => height > seen)) await handler(this.#told(block))
    this.#handlers.add(handler)
    this.#tellers.add(tell)
    const ended = new Promise<void>((_, reject) => this.#enders.add(reject))
    return {
      ended,
      stop: async () => {
        this.#handlers.delete(handler)
        this.#tellers.delete(tell)
      },
    }
  }

  /** How far it can be relied on from now on. @param follower of all that follow it, in the order in which they began */
  status(isSynced: boolean, follower?: number, isCatchingUp = false): void {
    for (const [i, tell] of [...this.#tellers].entries())
      if (follower === undefined || follower === i) tell({ isSynced, isCatchingUp })
  }

  /** Nobody is told of anything any more. */
  end(cause: unknown): void {
    this.#handlers.clear()
    for (const end of this.#enders) end(cause)
  }

  async broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult> {
    for (const transaction of transactions) {
      const inputs = transaction.inputs.map(({ outpoint }) => outpointKey(outpoint))
      const id = toHex(transactionID(transaction))
      const spenders = inputs.flatMap((key) => this.#spent.get(key) ?? [])
      if (spenders.length > 0 && spenders.every((one) => one === id)) continue
      if (spenders.length > 0) return { kind: 'missingInputs', reason: 'spent' }
      const rivals = [...this.mempool].filter(([, one]) =>
        one.inputs.some(({ outpoint }) => inputs.includes(outpointKey(outpoint))),
      )
      for (const [rival] of rivals) this.mempool.delete(rival)
      this.mempool.set(id, transaction)
    }
    return { kind: 'accepted' }
  }

  async feeTable(): Promise<FeeTable> {
    return this.fees
  }

  async mempoolSpends(outpoints: readonly Outpoint[]): Promise<readonly Transaction[]> {
    const asked = new Set(outpoints.map(outpointKey))
    return [...this.mempool.values()].filter(({ inputs }) =>
      inputs.some(({ outpoint }) => asked.has(outpointKey(outpoint))),
    )
  }

  /** Blocks, the first with what is in the mempool. All that follow the chain have seen them when it resolves. */
  async mine(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      const transactions = i === 0 ? [...this.mempool.values()] : []
      if (i === 0) this.mempool.clear()
      const block = this.#append(transactions)
      await Promise.all([...this.#handlers].map((handler) => handler(this.#told(block))))
    }
  }

  /** Undoes the newest blocks; their transactions are in the mempool again. */
  async undo(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const block = this.#blocks.pop()
      if (block === undefined) throw new Error('no more blocks')
      for (const transaction of block.transactions) {
        for (const { outpoint } of transaction.inputs) this.#spent.delete(outpointKey(outpoint))
        this.mempool.set(toHex(transactionID(transaction)), transaction)
      }
      const { height, hash } = block
      const cursor = cursorOf(this.#blocks.slice(-KEPT))
      const event: TrackedEvent = { kind: 'disconnected', block: { height, hash }, isTip: false, cursor }
      await Promise.all([...this.#handlers].map((handler) => handler(event)))
    }
  }

  /** What a script was paid in blocks. */
  paid(script: Uint8Array): bigint {
    const outputs = this.#blocks.flatMap(({ transactions }) => transactions.flatMap((one) => one.outputs))
    return outputs
      .filter((one) => toHex(one.script) === toHex(script))
      .reduce((sum, { amount }) => sum + amount, 0n)
  }

  #at(height: number): Mined | undefined {
    return this.#blocks.find((one) => one.height === height)
  }

  #append(transactions: readonly Transaction[]): Mined {
    const height = blockHeight((this.#blocks.at(-1)?.height ?? 0) + 1)
    const hash = toHex(sha256(new TextEncoder().encode(`block ${this.#count++}`)))
    const block = { height, hash, previous: this.#blocks.at(-1)?.hash ?? hash, transactions }
    this.#blocks.push(block)
    for (const transaction of transactions) {
      for (const { outpoint } of transaction.inputs)
        this.#spent.set(outpointKey(outpoint), toHex(transactionID(transaction)))
    }
    return block
  }

  #told({ transactions, ...block }: Mined): TrackedEvent {
    const upTo = this.#blocks.filter(({ height }) => height <= block.height)
    return {
      kind: 'connected',
      isTip: block.hash === this.tip.hash,
      cursor: cursorOf(upTo.slice(-KEPT)),
      block: {
        ...block,
        time: 0,
        transactions: transactions.map((transaction, i) => ({
          txid: transactionID(transaction),
          position: i + 1,
          bytes: encodeTransaction(transaction),
          spends: transaction.inputs.map(({ outpoint }) => encodeOutpoint(outpoint)),
          pays: transaction.outputs.map(({ script }) => script),
          isCoinbase: false,
          decode: () => transaction,
        })),
      },
    }
  }
}
