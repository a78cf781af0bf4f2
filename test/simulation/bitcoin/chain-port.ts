// One process's view of the simulated chain: blocks come to it late, and what it publishes gets there late or not at all.
import type { BlockID, ChainEvent, FeeTable } from '../../../backend/bitcoin/chain/index.js'
import type { NodeChain } from '../../../backend/bitcoin/node/index.js'
import type { Transaction } from '../../../backend/bitcoin/script/index.js'
import { feeratePerKw } from '../../../channel/units.js'
import type { Clock } from '../../../client/index.js'
import type { Random } from '../random.js'
import type { BitcoinLedger } from './ledger.js'

type Handler = (event: ChainEvent) => Promise<void>

/** Milliseconds until a process sees a new block, at most. */
const LATENCY = 400

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

  async follow(known: readonly BlockID[], handler: Handler): Promise<{ stop(): Promise<void> }> {
    this.#known = known.length > 0 ? [...known] : this.#ledger.recent(20)
    this.#handler = handler
    await this.#tell()
    return {
      stop: async () => {
        this.#handler = undefined
      },
    }
  }

  async publish(transactions: readonly Transaction[]): Promise<void> {
    const { clock, random } = this.#host
    if (!this.#host.effect()) return new Promise(() => undefined)
    if (this.isCut) return
    await new Promise<void>((resolve) => {
      clock.after(random.int(LATENCY), () => {
        const result = this.#ledger.submit(transactions)
        if ('reason' in result) this.#host.tell(`publishes in vain: ${result.kind} ${result.reason}`)
        resolve()
      })
    })
  }

  async fees(): Promise<FeeTable> {
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
    clock.after(random.int(LATENCY), () => void this.#tell())
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

  #next(): ChainEvent | undefined {
    if (this.isCut) return undefined
    const last = this.#known.at(-1)
    if (last === undefined) throw new Error('a reorg deeper than anybody remembers')
    const there = this.#ledger.block(last.height)
    if (there?.hash !== last.hash) return { kind: 'disconnected', block: last, isTip: false }
    const block = this.#ledger.block(last.height + 1)
    return block && { kind: 'connected', block, isTip: block.hash === this.#ledger.tip.hash }
  }

  #follow(event: ChainEvent): void {
    if (event.kind === 'disconnected') this.#known.pop()
    else this.#known.push({ height: event.block.height, hash: event.block.hash })
    if (this.#known.length > 200) this.#known.shift()
  }
}
