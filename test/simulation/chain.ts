// The simulated ledger under a driver's hand: blocks come by virtual time, empty or full, and some are replaced.
import { SimLedger } from '../../backend/sim/index.js'
import { type Address, type AppResolver, type Asset, type Hex, PerkunasError } from '../../channel/index.js'
import type { Clock } from '../../client/index.js'

/** What a transaction does. */
export type Call = Parameters<SimLedger['submit']>[1]

/** A ledger that asks before it takes a transaction: a process that dies hands in nothing more. */
export class Chain extends SimLedger {
  onSubmit: (from: Address, call: Call) => boolean = () => true

  constructor(apps: AppResolver) {
    super({ apps, autoMine: 'off', blockTime: 1n })
  }

  override submit(from: Address, call: Call): string {
    if (this.onSubmit(from, call)) return super.submit(from, call)
    throw new PerkunasError('LEDGER_UNREACHABLE', 'this process is dead', { ledger: 'sim' })
  }
}

/** Milliseconds between blocks, each of which adds a second to the ledger's time. */
export const BLOCK_MS = 1_000

/** Mines, and lets chance have its way with the chain. */
export class ChainDriver {
  /** Blocks to come that take no transaction, or one only. */
  #starved: { blocks: number; limit: number } = { blocks: 0, limit: 0 }
  /** What waits for the next block that has to do with a dispute. */
  #ambush: (() => void) | undefined
  #lastDrop = Number.NEGATIVE_INFINITY

  constructor(
    readonly chain: Chain,
    readonly clock: Clock,
    readonly onBlock: () => void,
  ) {
    const tick = () => {
      this.#mine()
      clock.after(BLOCK_MS, tick)
    }
    clock.after(BLOCK_MS, tick)
  }

  /** Lets the next blocks take few transactions. */
  starve(blocks: number, limit: number): void {
    this.#starved = { blocks, limit }
  }

  /** Lets something happen right after the next block in which a dispute, or a channel's end, moves on; once. */
  ambush(strike: () => void): void {
    this.#ambush = strike
  }

  /** Replaces the newest blocks. Transactions are lost for good only now and then, or nobody could ever be in time. */
  reorg(depth: number, drop: boolean): void {
    const isDue = this.clock.now() - this.#lastDrop > 20_000
    if (drop && isDue) this.#lastDrop = this.clock.now()
    this.chain.reorg(depth, { drop: drop && isDue })
    this.onBlock()
  }

  #mine(): void {
    const { blocks, limit } = this.#starved
    if (blocks > 0) this.#starved = { blocks: blocks - 1, limit }
    this.chain.mine(1, blocks > 0 ? { limit } : {})
    this.onBlock()
    const strike = this.#ambush
    if (strike === undefined || !this.chain.head.receipts.some(isOfDispute)) return
    this.#ambush = undefined
    strike()
  }
}

function isOfDispute({ transaction, reverted }: SimLedger['head']['receipts'][number]): boolean {
  const { kind } = transaction.call
  return reverted === undefined && kind !== 'transfer' && kind !== 'deposit'
}

/** What the chain has to say about one channel in the end. */
export interface ChannelHistory {
  /** The state that everybody signed and that the outcome comes from. */
  base?: ChainState
  /** The state that the channel was concluded with, after the steps that were enforced on the base. */
  outcome?: ChainState
  /** The states that were enforced on it. */
  enforced: ChainState[]
  isConcluded: boolean
  /** `asset/participant` → what was put in by him, and what was paid out to him. */
  readonly deposits: Map<string, bigint>
  readonly payments: Map<string, bigint>
}

type ChainState = Extract<Call, { kind: 'register' }>['signed']['state']

/** Reads the whole chain. */
export function histories(chain: SimLedger): Map<Hex, ChannelHistory> {
  const all = new Map<Hex, ChannelHistory>()
  for (let number = 1; number <= chain.head.number; number++) {
    for (const { transaction, events } of chain.block(number)?.receipts ?? []) {
      for (const event of events) {
        const history = all.get(event.channelID) ?? {
          isConcluded: false,
          enforced: [],
          deposits: new Map<string, bigint>(),
          payments: new Map<string, bigint>(),
        }
        all.set(event.channelID, history)
        read(history, event, transaction.call)
      }
    }
  }
  return all
}

function read(
  history: ChannelHistory,
  event: NonNullable<ReturnType<SimLedger['block']>>['receipts'][number]['events'][number],
  call: Call,
): void {
  switch (event.kind) {
    case 'deposited':
    case 'withdrawn': {
      const table = event.kind === 'deposited' ? history.deposits : history.payments
      const key = `${event.asset}/${event.participant}`
      table.set(key, (table.get(key) ?? 0n) + event.amount)
      return
    }
    case 'registered':
      history.base = event.state
      history.outcome = event.state
      return
    case 'progressed':
      history.outcome = event.state
      history.enforced.push(event.state)
      return
    case 'cleared':
      delete history.base
      delete history.outcome
      return
    case 'concluded':
      history.isConcluded = true
      if (call.kind !== 'concludeFinal' && call.kind !== 'close') return
      history.base = call.signed.state
      history.outcome = call.signed.state
  }
}

/** All that there is of an asset, wherever it lies. */
export function totalOf(
  chain: SimLedger,
  asset: Asset,
  addresses: readonly Address[],
  channels: Iterable<Hex>,
): bigint {
  let total = 0n
  for (const address of addresses) total += chain.balanceOf(asset, address)
  for (const channelID of channels) {
    for (const participant of addresses) total += chain.holding(asset.id, { channelID, participant })
  }
  return total
}
