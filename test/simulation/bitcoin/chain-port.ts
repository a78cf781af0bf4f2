// One process's view of the simulated chain: blocks come to it late, and what it publishes gets there late or not at all.
import type {
  BlockID,
  BroadcastResult,
  ChainCursor,
  FeeTable,
  TrackedEvent,
} from '../../../backend/bitcoin/chain/index.js'
import type { Followed, NodeChain } from '../../../backend/bitcoin/node/index.js'
import type { Transaction } from '../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../backend/bitcoin/units.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Clock } from '../../../client/index.js'
import { blocksOf, cursorOf } from '../../backend/bitcoin/node/cursor.js'
import type { Random } from '../random.js'
import type { BitcoinLedger } from './ledger.js'

type Handler = (event: TrackedEvent) => Promise<void>

/** Milliseconds until a process sees a new block, at most. */
const LATENCY = 400

/** Blocks that a process knows beside the tip, more than are ever undone while it is away. */
const REMEMBERED = 20

/** What the port asks of its process. */
export interface ChainPortHost {
  readonly clock: Clock
  readonly random: Random
  /** Whether an effect still happens. */
  effect(): boolean
  /** It was told that a transaction can't be in the pool. */
  tell(words: string): void
}

/** See above. */
export class ChainPort implements NodeChain {
  readonly #ledger: BitcoinLedger
  readonly #host: ChainPortHost
  #known: BlockID[] = []
  #handler: Handler | undefined
  #isTelling = false
  /** Without a chain nothing comes and nothing goes. */
  isCut = false

  constructor(
    readonly chainHash: NodeChain['chainHash'],
    ledger: BitcoinLedger,
    host: ChainPortHost,
  ) {
    this.#ledger = ledger
    this.#host = host
  }

  async follow(from: ChainCursor | undefined, handler: Handler): Promise<Followed> {
    this.#known = from === undefined ? this.#ledger.recent(REMEMBERED) : blocksOf(from)
    this.#handler = handler
    await this.#tell()
    return {
      ended: new Promise(() => undefined),
      stop: async () => {
        this.#handler = undefined
      },
    }
  }

  async broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult> {
    const { clock, random } = this.#host
    if (!this.#host.effect()) return new Promise(() => undefined)
    this.#reach()
    return new Promise((resolve) => {
      clock.after(random.int(LATENCY), () => {
        const result = this.#ledger.submit(transactions)
        if ('reason' in result) this.#host.tell(`publishes in vain: ${result.kind} ${result.reason}`)
        resolve(result)
      })
    })
  }

  async feeTable(): Promise<FeeTable> {
    this.#reach()
    const least = Number(this.#ledger.floor)
    const floor = feeratePerKw(least)
    return {
      floor,
      estimates: this.#ledger.estimates.map(([blocks, rate]) => ({
        blocks,
        feerate: feeratePerKw(Math.max(rate, least)),
      })),
    }
  }

  /** There is a new block, or the chain is back. */
  changed(): void {
    const { clock, random } = this.#host
    // A node that has stopped takes no more blocks.
    clock.after(random.int(LATENCY), () => void this.#tell().catch(() => undefined))
  }

  #reach(): void {
    if (!this.isCut) return
    throw new PerkunasError('LEDGER_UNREACHABLE', 'the chain is cut off', { ledger: 'simulated' })
  }

  async #tell(): Promise<void> {
    if (this.#isTelling || this.isCut) return
    this.#isTelling = true
    for (let next = this.#next(); next !== undefined && this.#handler !== undefined; next = this.#next()) {
      await this.#handler(next)
      this.#follow(next)
    }
    this.#isTelling = false
  }

  #next(): TrackedEvent | undefined {
    if (this.isCut) return undefined
    const last = this.#known.at(-1)
    if (last === undefined) throw new Error('a reorg deeper than anybody remembers')
    const there = this.#ledger.block(last.height)
    if (there?.hash !== last.hash) {
      const cursor = cursorOf(this.#known.slice(0, -1).slice(-REMEMBERED))
      return { kind: 'disconnected', block: last, isTip: false, cursor }
    }
    const block = this.#ledger.block(last.height + 1)
    if (block === undefined) return undefined
    const cursor = cursorOf([...this.#known, block].slice(-REMEMBERED))
    return { kind: 'connected', block, isTip: block.hash === this.#ledger.tip.hash, cursor }
  }

  #follow(event: TrackedEvent): void {
    if (event.kind === 'disconnected') this.#known.pop()
    else this.#known.push({ height: event.block.height, hash: event.block.hash })
    if (this.#known.length > REMEMBERED) this.#known.shift()
  }
}
