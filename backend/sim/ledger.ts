// A ledger in memory with blocks, a clock and reorgs. Nothing in it is random or looks at the computer's time.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Address,
  type AppResolver,
  type Asset,
  appResolver,
  type ChannelID,
  type Hex,
  PerkunasError,
} from '../../channel/index.js'
import type { Dispute, SimBlock, SimCall, SimEvent, SimReceipt, SimTransaction } from './call.js'
import { run } from './contract.js'
import { SIM_BACKEND } from './encode.js'
import { Revert } from './revert.js'
import { type Holder, type Tables, World } from './world.js'

/** All that a ledger holds, as plain data that `structuredClone` copies. */
export interface LedgerState extends Tables {
  /** Seconds; never goes back, not even in a reorg. */
  time: bigint
  /** From the genesis block on; `blocks[n]` has number n. */
  readonly blocks: SimBlock[]
  mempool: SimTransaction[]
  /** Every asset, and whether it refuses to move. */
  readonly assets: Map<Hex, { broken: boolean }>
  /** Transaction hash → number of its block. */
  readonly mined: Map<string, number>
  /** Channel → numbers of the blocks with events of it, ascending. */
  readonly channelBlocks: Map<ChannelID, number[]>
  failures: Failure[]
  /** Makes the next hash. */
  counter: number
}

/** A fault to be injected: which transactions fail, and how. */
export interface Failure {
  /** `reject`: the node does not take it; `revert`: it is mined without effect. */
  readonly how: 'reject' | 'revert'
  readonly reason: string
  readonly kind?: SimCall['kind']
  readonly from?: Address
  /** How many transactions; 1 if it is left out. */
  readonly times?: number
}

/** How a ledger behaves. */
export interface LedgerOptions {
  /** The apps whose steps it can enforce; state apps only. */
  readonly apps?: AppResolver
  /**
   * When transactions are mined: each at once within the call that submits it, all of one turn together after a
   * microtask (the default), or only by {@link SimLedger.mine}.
   */
  readonly autoMine?: 'instant' | 'microtask' | 'off'
  /** Seconds that each block adds to the clock; 1 if it is left out. */
  readonly blockTime?: bigint
  /** Time of the genesis block. */
  readonly genesisTime?: bigint
  /** Go on from a snapshot. */
  readonly state?: LedgerState
}

/** Where a transaction is. */
export type Whereabouts =
  | { readonly kind: 'pending' }
  | { readonly kind: 'mined'; readonly block: SimBlock; readonly receipt: SimReceipt }
  /** Lost in a reorg, or never there. */
  | { readonly kind: 'unknown' }

const OPTION_NAMES: NamesOf<LedgerOptions> = {
  apps: true,
  autoMine: true,
  blockTime: true,
  genesisTime: true,
  state: true,
}

/** An event with its place. */
export interface Log {
  readonly event: SimEvent
  readonly block: SimBlock
  /** Position among the block's events. */
  readonly index: number
}

/** The ledger. Test code drives it; backends talk to it through a {@link SimNode}. */
export class SimLedger {
  readonly apps: AppResolver
  readonly #autoMine: 'instant' | 'microtask' | 'off'
  readonly #blockTime: bigint
  readonly #state: LedgerState
  readonly #world: World
  readonly #watchers = new Set<() => void>()
  readonly #waiting: bigint[] = []
  readonly #waitWatchers = new Set<(deadline: bigint) => void>()
  #mineScheduled = false

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(options: LedgerOptions = {}) {
    demandNames(options, OPTION_NAMES)
    demandNames(options, OPTION_NAMES)
    this.apps = options.apps ?? appResolver()
    this.#autoMine = options.autoMine ?? 'microtask'
    this.#blockTime = options.blockTime ?? 1n
    this.#state = options.state ?? emptyState(options.genesisTime ?? 1_700_000_000n)
    this.#world = new World(this.#state)
  }

  /** A copy of everything, to go on from with a new ledger. */
  snapshot(): LedgerState {
    return structuredClone(this.#state)
  }

  // Accounts

  /** Makes a new asset. */
  createAsset(): Asset {
    const id: Hex = `0x${(this.#state.assets.size + 1).toString(16).padStart(40, '0')}`
    this.#state.assets.set(id, { broken: false })
    return { backend: SIM_BACKEND, id }
  }

  /** Whether there is such an asset. */
  knows(asset: Hex): boolean {
    return this.#state.assets.has(asset)
  }

  /** Lets every movement of an asset fail from now on, or work again. */
  setBroken(asset: Asset, broken: boolean): void {
    this.#state.assets.set(asset.id, { broken })
  }

  /** Gives an account funds out of nothing. No reorg takes them back. */
  mint(asset: Asset, address: Address, amount: bigint): void {
    if (!this.knows(asset.id) || amount < 0n) {
      throw new PerkunasError('INVALID_ARGUMENT', `an asset of this ledger and an amount expected`, {
        argument: 'asset',
      })
    }
    this.#world.addBalance(asset.id, address, amount)
    this.#world.takeJournal()
  }

  /** What an account owns, outside of channels. */
  balanceOf(asset: Asset, address: Address): bigint {
    return this.#world.balance(asset.id, address)
  }

  // Blocks

  /** The newest block. */
  get head(): SimBlock {
    const head = this.#state.blocks.at(-1)
    if (head === undefined) throw new Error('there is always a genesis block')
    return head
  }

  /**
   * Mines blocks. @param n how many
   * @param limit most transactions in each: 0 mines empty blocks
   */
  mine(n = 1, { limit = Number.POSITIVE_INFINITY }: { readonly limit?: number } = {}): void {
    for (let i = 0; i < n; i++) this.#mineOne(limit)
    this.#notify()
  }

  /** Lets time pass and shows it by an empty block. @param seconds 0 or more */
  advance(seconds: bigint): void {
    this.#state.time += seconds - this.#blockTime
    this.mine(1, { limit: 0 })
  }

  /** {@link advance} until `deadline`; nothing if it is past. */
  advanceTo(deadline: bigint): void {
    if (deadline > this.head.time) this.advance(deadline - this.head.time)
  }

  /**
   * Replaces the last `depth` blocks by as many empty ones. Their transactions are dropped for good, if `drop` is true
   * (for them), or wait to be mined again, which automatic mining does in the next block.
   */
  reorg(
    depth: number,
    { drop = false }: { readonly drop?: boolean | ((transaction: SimTransaction) => boolean) } = {},
  ): void {
    const state = this.#state
    const back: SimTransaction[] = []
    for (let i = 0; i < depth && state.blocks.length > 1; i++) {
      const block = state.blocks.pop()
      if (block === undefined) break
      this.#world.undo(block.journal)
      back.unshift(...block.receipts.map((receipt) => receipt.transaction))
    }
    for (const { hash } of back) state.mined.delete(hash)
    for (const numbers of state.channelBlocks.values()) {
      while ((numbers.at(-1) ?? 0) >= state.blocks.length) numbers.pop()
    }
    const dropped = typeof drop === 'function' ? drop : () => drop
    state.mempool = [...back.filter((transaction) => !dropped(transaction)), ...state.mempool]
    this.mine(depth, { limit: 0 })
    if (state.mempool.length > 0) this.#schedule()
  }

  /** Calls `watcher` after every change of the chain. @returns the end of it */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  // Transactions

  /** Hands in a transaction. @returns its hash @throws PerkunasError TRANSACTION_FAILED if it is rejected */
  submit(from: Address, call: SimCall): string {
    const failure = this.#takeFailure('reject', from, call)
    if (failure) {
      throw new PerkunasError('TRANSACTION_FAILED', `${call.kind} was rejected: ${failure.reason}`, {
        kind: call.kind,
        reason: failure.reason,
      })
    }
    const hash = `tx${++this.#state.counter}`
    this.#state.mempool.push({ hash, from, call })
    this.#schedule()
    return hash
  }

  /** Lets matching transactions fail. */
  fail(failure: Failure): void {
    this.#state.failures.push(failure)
  }

  /** Where a transaction is. */
  whereabouts(hash: string): Whereabouts {
    const block = this.#state.blocks[this.#state.mined.get(hash) ?? -1]
    const receipt = block?.receipts.find(({ transaction }) => transaction.hash === hash)
    if (block && receipt) return { kind: 'mined', block, receipt }
    return {
      kind: this.#state.mempool.some((transaction) => transaction.hash === hash) ? 'pending' : 'unknown',
    }
  }

  /** The transactions that wait, oldest first. */
  get mempool(): readonly SimTransaction[] {
    return this.#state.mempool
  }

  // Contract

  /** What the contract remembers of a channel. */
  dispute(channelID: ChannelID): Dispute | undefined {
    return this.#world.dispute(channelID)
  }

  /** What is held for a participant of a channel. */
  holding(asset: Hex, holder: Holder): bigint {
    return this.#world.holding(asset, holder)
  }

  /** A channel's events from a block number on, oldest first. */
  *logs(channelID: ChannelID, fromBlock = 0): Generator<Log> {
    for (const number of this.#state.channelBlocks.get(channelID) ?? []) {
      const block = this.#state.blocks[number]
      if (block === undefined || number < fromBlock) continue
      for (const [index, event] of block.receipts.flatMap(({ events }) => events).entries()) {
        if (event.channelID === channelID) yield { event, block, index }
      }
    }
  }

  /** The block of a number, if the chain is that long. */
  block(number: number): SimBlock | undefined {
    return this.#state.blocks[number]
  }

  // Waiting for time

  /** The deadlines that backends wait for now, earliest first: a test advances the clock to them. */
  get deadlines(): readonly bigint[] {
    return this.#waiting.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))
  }

  /** Resolves with the earliest deadline as soon as some backend waits for one. */
  async whenWaiting(): Promise<bigint> {
    const [first] = this.deadlines
    if (first !== undefined) return first
    return new Promise((resolve) => {
      const watcher = (deadline: bigint) => {
        this.#waitWatchers.delete(watcher)
        resolve(deadline)
      }
      this.#waitWatchers.add(watcher)
    })
  }

  /** Notes that somebody waits for a deadline. @returns the end of it */
  announce(deadline: bigint): () => void {
    this.#waiting.push(deadline)
    for (const watcher of [...this.#waitWatchers]) watcher(deadline)
    return () => {
      const index = this.#waiting.indexOf(deadline)
      if (index >= 0) this.#waiting.splice(index, 1)
    }
  }

  #schedule(): void {
    if (this.#autoMine === 'instant') this.mine()
    if (this.#autoMine !== 'microtask' || this.#mineScheduled) return
    this.#mineScheduled = true
    queueMicrotask(() => {
      this.#mineScheduled = false
      this.mine()
    })
  }

  #mineOne(limit: number): void {
    const state = this.#state
    const number = state.blocks.length
    const now = state.time + this.#blockTime
    const count = Math.min(limit, state.mempool.length)
    const receipts: SimReceipt[] = []
    const journal = state.mempool.slice(0, count).flatMap((transaction) => {
      const { receipt, changes } = this.#execute(transaction, now)
      receipts.push(receipt)
      state.mined.set(transaction.hash, number)
      return changes
    })
    state.mempool = state.mempool.slice(count)
    state.time = now
    state.blocks.push({ number, hash: `block${++state.counter}`, time: now, receipts, journal })
    for (const { channelID } of receipts.flatMap(({ events }) => events)) {
      const numbers = state.channelBlocks.get(channelID) ?? []
      if (numbers.at(-1) !== number) state.channelBlocks.set(channelID, [...numbers, number])
    }
  }

  #execute(transaction: SimTransaction, now: bigint) {
    const { from, call } = transaction
    const events: SimEvent[] = []
    try {
      const failure = this.#takeFailure('revert', from, call)
      if (failure) throw new Revert(failure.reason)
      run(
        {
          world: this.#world,
          now,
          apps: this.apps,
          sender: from,
          emit: (event) => events.push(event),
          exists: (asset) => this.knows(asset),
          isBroken: (asset) => this.#state.assets.get(asset)?.broken === true,
        },
        call,
      )
      const receipt: SimReceipt = { transaction, events }
      return { receipt, changes: this.#world.takeJournal() }
    } catch (error) {
      this.#world.undo(this.#world.takeJournal())
      // Whatever is wrong with a call costs that call; anything but a revert is a fault of the contract here.
      const reason = error instanceof Revert ? error.message : `contract fault: ${String(error)}`
      const receipt: SimReceipt = { transaction, reverted: reason, events: [] }
      return { receipt, changes: [] }
    }
  }

  #takeFailure(how: Failure['how'], from: Address, call: SimCall): Failure | undefined {
    const { failures } = this.#state
    const index = failures.findIndex(
      (f) => f.how === how && (f.kind ?? call.kind) === call.kind && (f.from ?? from) === from,
    )
    const failure = failures[index]
    if (failure === undefined) return undefined
    const left = (failure.times ?? 1) - 1
    this.#state.failures = failures.flatMap((f, i) =>
      i !== index ? [f] : left > 0 ? [{ ...f, times: left }] : [],
    )
    return failure
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }
}

function emptyState(time: bigint): LedgerState {
  return {
    time,
    blocks: [{ number: 0, hash: 'genesis', time, receipts: [], journal: [] }],
    mempool: [],
    assets: new Map(),
    mined: new Map(),
    channelBlocks: new Map(),
    failures: [],
    counter: 0,
    balances: new Map(),
    holdings: new Map(),
    disputes: new Map(),
  }
}
