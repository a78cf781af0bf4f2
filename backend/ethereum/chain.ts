// One chain through one node: requests that outlive a node's restart, and one poll of the newest block that
// everybody who waits shares.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import { type Address, type CallOptions, type Hex, isError, PerkunasError } from '../../channel/index.js'
import { bytes, integer, isObject, list, number, object, quantity } from './json.js'
import { type Rpc, RpcError, unreachable } from './rpc.js'

/** The newest block. */
export interface Head {
  readonly number: number
  readonly hash: Hex
  /** Unix time in seconds: the clock of deadlines. */
  readonly timestamp: bigint
  /** EIP-1559; undefined on chains without it. */
  readonly baseFee: bigint | undefined
}

/** A line of a contract's log. */
export interface Log {
  readonly address: Address
  readonly topics: readonly Hex[]
  readonly data: Hex
  readonly blockNumber: number
  readonly blockHash: Hex
  readonly transactionHash: Hex
  readonly index: number
}

/** What became of a mined transaction. */
export interface Receipt {
  readonly hash: Hex
  readonly blockNumber: number
  readonly blockHash: Hex
  readonly succeeded: boolean
  readonly gasUsed: bigint
  readonly gasPrice: bigint
  /** Of a deployment. */
  readonly contractAddress: Address | undefined
}

/** How a chain is polled. Times in milliseconds. */
export interface ChainOptions {
  /** Between two looks at the newest block. A WebSocket tells of blocks by itself and is looked at less often. */
  readonly pollingInterval: number
  /** For how long a node may be gone before a call gives up with LEDGER_UNREACHABLE. */
  readonly patience: number
  /** How many blocks deep, counting its own, a block is final. */
  readonly finalityDepth: number
}

/** How to read: in the newest block unless a height is given. */
export type ReadOptions = CallOptions & { readonly block?: number }

/** The names of {@link ChainOptions}. */
export const CHAIN_NAMES: NamesOf<ChainOptions> = {
  pollingInterval: true,
  patience: true,
  finalityDepth: true,
}
/** The names of `CallOptions`. */
export const CALL_NAMES: NamesOf<CallOptions> = { signal: true, deadline: true }

interface Waiter {
  resolve(head: Head): void
  reject(error: unknown): void
}

/** The question for the newest block. */
const NEWEST: readonly [string, readonly unknown[]] = ['eth_getBlockByNumber', ['latest', false]]
const FIRST_BACKOFF = 50
const LAST_BACKOFF = 5_000

/** One chain. */
export class Chain {
  readonly finalityDepth: number
  readonly #waiters = new Set<Waiter>()
  readonly #closing = new AbortController()
  readonly #stopHeads: (() => void) | undefined
  #polling = false
  /** A block was announced since the last look began. */
  #news = false
  #wake: (() => void) | undefined
  #asking = 0

  /** @param id EIP-155 @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(
    readonly rpc: Rpc,
    readonly id: bigint,
    readonly options: ChainOptions,
  ) {
    demandNames(options, CHAIN_NAMES)
    this.finalityDepth = options.finalityDepth
    this.#stopHeads = rpc.onHead?.(() => {
      this.#news = true
      this.#wake?.()
    })
  }

  /** Whether somebody waits for an answer of the node, and not only for the next block. */
  get isAsked(): boolean {
    return this.#asking > 0
  }

  /** Ends with the backend. */
  get closed(): AbortSignal {
    return this.#closing.signal
  }

  /**
   * A request, repeated with growing pauses while the node can't be reached.
   *
   * @throws PerkunasError LEDGER_UNREACHABLE after {@link ChainOptions.patience}, ABORTED, CLOSED; RpcError
   */
  async request(method: string, params: readonly unknown[], options: CallOptions = {}): Promise<unknown> {
    return this.#patiently(() => this.rpc.request(method, params), options)
  }

  async #patiently(act: () => Promise<unknown>, options: CallOptions): Promise<unknown> {
    this.#asking++
    try {
      return await this.#repeat(act, options)
    } finally {
      this.#asking--
    }
  }

  async #repeat(act: () => Promise<unknown>, options: CallOptions): Promise<unknown> {
    const started = Date.now()
    for (let backoff = FIRST_BACKOFF; ; backoff = Math.min(2 * backoff, LAST_BACKOFF)) {
      this.#demandOpen(options.signal)
      try {
        return await orAborted(act(), options.signal)
      } catch (error) {
        if (!isError(error, 'LEDGER_UNREACHABLE')) throw error
        this.#demandOpen(options.signal)
        if (Date.now() - started > this.options.patience) throw error
        await this.#sleep(backoff, options.signal)
      }
    }
  }

  /**
   * A question that every node has an answer to: one that refuses it (over its limits, out of order, or within a reorg)
   * is as good as gone.
   *
   * @param isAnswer tells which errors are answers
   * @throws PerkunasError LEDGER_UNREACHABLE after {@link ChainOptions.patience}, ABORTED, CLOSED; RpcError as answer
   */
  async ask(
    method: string,
    params: readonly unknown[],
    options: CallOptions = {},
    isAnswer?: (error: RpcError) => boolean,
  ): Promise<unknown> {
    return this.#patiently(() => this.#demand(method, params, isAnswer), options)
  }

  async #demand(
    method: string,
    params: readonly unknown[],
    isAnswer: (error: RpcError) => boolean = () => false,
  ): Promise<unknown> {
    try {
      return await this.rpc.request(method, params)
    } catch (error) {
      throw error instanceof RpcError && !isAnswer(error) ? unreachable(this.rpc.name, error) : error
    }
  }

  /** The newest block. */
  async head(options?: CallOptions): Promise<Head> {
    return decodeHead(await this.ask(...NEWEST, options))
  }

  /** The hash of the block of that height, undefined if the node has none. */
  async blockHash(height: number, options?: CallOptions): Promise<Hex | undefined> {
    const block = await this.ask('eth_getBlockByNumber', [quantity(height), false], options)
    return isObject(block) ? bytes(block['hash'], 'hash', 32) : undefined
  }

  /** The newest block at the next look, which all callers share. */
  tick(options: CallOptions = {}): Promise<Head> {
    const next = new Promise<Head>((resolve, reject) => {
      this.#demandOpen(options.signal)
      this.#waiters.add({ resolve, reject })
    })
    void this.#poll()
    return orAborted(next, options.signal)
  }

  /** Looks at the chain until `found` has an answer. */
  async until<T>(
    found: (head: Head) => T | undefined | Promise<T | undefined>,
    options: CallOptions = {},
  ): Promise<T> {
    for (let head = await this.head(options); ; head = await this.tick(options)) {
      const answer = await found(head)
      if (answer !== undefined) return answer
    }
  }

  /** Reads from a contract. @throws RpcError if it reverts, or the node does not have the block */
  async call(to: Address, data: string, options: ReadOptions = {}): Promise<Hex> {
    const block = options.block === undefined ? 'latest' : quantity(options.block)
    // There always is a newest block.
    const isAnswer = (error: RpcError) => error.isRevert || options.block !== undefined
    return bytes(await this.ask('eth_call', [{ to, data }, block], options, isAnswer), 'eth_call')
  }

  /** The code at an address; `0x` for none. */
  async code(at: Address, options?: CallOptions): Promise<Hex> {
    return bytes(await this.ask('eth_getCode', [at, 'latest'], options), 'eth_getCode')
  }

  /**
   * How many transactions an account has sent: mined ones, those of the pool as well, or up to a block, which the node
   * may not have.
   *
   * @throws RpcError only if it does not have the block
   */
  async transactionCount(
    of: Address,
    at: 'latest' | 'pending' | number,
    options?: CallOptions,
  ): Promise<number> {
    const block = typeof at === 'number' ? quantity(at) : at
    const isAnswer = () => typeof at === 'number'
    return number(await this.ask('eth_getTransactionCount', [of, block], options, isAnswer), 'nonce')
  }

  /** What became of a transaction; undefined if it is in no block. */
  async receipt(hash: Hex, options?: CallOptions): Promise<Receipt | undefined> {
    const receipt = await this.ask('eth_getTransactionReceipt', [hash], options)
    return isObject(receipt) && receipt['blockNumber'] !== null ? decodeReceipt(hash, receipt) : undefined
  }

  /** Logs of a range of blocks, in order. @throws RpcError when the node finds the range too large */
  async logs(
    filter: {
      readonly address: Address
      readonly topics: readonly (Hex | readonly Hex[] | null)[]
      readonly from: number
      readonly to: number
    },
    options?: CallOptions,
  ): Promise<Log[]> {
    const { address, topics, from, to } = filter
    const query = { address, topics, fromBlock: quantity(from), toBlock: quantity(to) }
    return list(await this.request('eth_getLogs', [query], options), 'eth_getLogs').map(decodeLog)
  }

  /** Stops the polling; whoever waits fails with CLOSED. Idempotent. */
  close(): void {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    this.#stopHeads?.()
    this.#wake?.()
    const error = closed()
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#waiters.clear()
    this.rpc.close()
  }

  async #poll(): Promise<void> {
    if (this.#polling) return
    this.#polling = true
    try {
      while (this.#waiters.size > 0 && !this.#closing.signal.aborted) {
        if (!this.#news) {
          await this.#sleep(this.options.pollingInterval * (this.#stopHeads ? 4 : 1), undefined, true)
        }
        this.#news = false
        const look = this.#repeat(() => this.#demand(...NEWEST), {})
        const answer = await look.then(decodeHead).then(
          (head) => (waiter: Waiter) => waiter.resolve(head),
          (error: unknown) => (waiter: Waiter) => waiter.reject(error),
        )
        const waiters = [...this.#waiters]
        this.#waiters.clear()
        for (const waiter of waiters) answer(waiter)
        // Lets those who go on waiting say so before the loop looks whether anybody does.
        await Promise.resolve()
      }
    } catch {
      // Closed while sleeping: `close` has told the waiters.
    } finally {
      this.#polling = false
      if (this.#waiters.size > 0 && !this.#closing.signal.aborted) void this.#poll()
    }
  }

  async #sleep(ms: number, signal: AbortSignal | undefined, wakeable = false): Promise<void> {
    await new Promise<void>((resolve) => {
      const wake = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', wake)
        this.#closing.signal.removeEventListener('abort', wake)
        if (this.#wake === wake) this.#wake = undefined
        resolve()
      }
      const timer = setTimeout(wake, ms)
      signal?.addEventListener('abort', wake)
      this.#closing.signal.addEventListener('abort', wake)
      if (wakeable) this.#wake = wake
    })
    this.#demandOpen(signal)
  }

  #demandOpen(signal: AbortSignal | undefined): void {
    if (signal?.aborted) throw aborted(signal)
    if (this.#closing.signal.aborted) throw closed()
  }
}

/** The value of a promise, or ABORTED as soon as the signal says so; the promise itself goes on. */
export async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  if (signal.aborted) {
    promise.catch(() => undefined)
    throw aborted(signal)
  }
  let abort: () => void = () => undefined
  const whenAborted = new Promise<never>((_, reject) => {
    abort = () => reject(aborted(signal))
  })
  const waiting = waitersOf(signal)
  waiting.add(abort)
  try {
    return await Promise.race([promise, whenAborted])
  } finally {
    waiting.delete(abort)
  }
}

/** Who waits for each signal: one listener a signal, however many requests run at once. */
const waiters = new WeakMap<AbortSignal, Set<() => void>>()

function waitersOf(signal: AbortSignal): Set<() => void> {
  const known = waiters.get(signal)
  if (known !== undefined) return known
  const waiting = new Set<() => void>()
  const end = () => {
    for (const abort of [...waiting]) abort()
  }
  signal.addEventListener('abort', end, { once: true })
  waiters.set(signal, waiting)
  return waiting
}

function aborted(signal: AbortSignal): PerkunasError<'ABORTED'> {
  return new PerkunasError(
    'ABORTED',
    'the caller ended the call; what was sent to the chain stays sent',
    { call: 'ethereum' },
    { cause: signal.reason },
  )
}

function closed(): PerkunasError<'CLOSED'> {
  return new PerkunasError('CLOSED', 'the Ethereum backend is closed', { what: 'ethereum' })
}

function decodeHead(value: unknown): Head {
  const block = object(value, 'block')
  const baseFee = block['baseFeePerGas']
  return {
    number: number(block['number'], 'number'),
    hash: bytes(block['hash'], 'hash', 32),
    timestamp: integer(block['timestamp'], 'timestamp'),
    baseFee: baseFee === undefined || baseFee === null ? undefined : integer(baseFee, 'baseFeePerGas'),
  }
}

function decodeReceipt(hash: Hex, receipt: Readonly<Record<string, unknown>>): Receipt {
  const contract = receipt['contractAddress']
  const price = receipt['effectiveGasPrice']
  return {
    hash,
    blockNumber: number(receipt['blockNumber'], 'blockNumber'),
    blockHash: bytes(receipt['blockHash'], 'blockHash', 32),
    succeeded: integer(receipt['status'], 'status') === 1n,
    gasUsed: integer(receipt['gasUsed'], 'gasUsed'),
    gasPrice: price === undefined || price === null ? 0n : integer(price, 'effectiveGasPrice'),
    contractAddress:
      contract === undefined || contract === null ? undefined : bytes(contract, 'contract', 20),
  }
}

function decodeLog(value: unknown): Log {
  const log = object(value, 'log')
  return {
    address: bytes(log['address'], 'address', 20),
    topics: list(log['topics'], 'topics').map((topic) => bytes(topic, 'topic', 32)),
    data: bytes(log['data'], 'data'),
    blockNumber: number(log['blockNumber'], 'blockNumber'),
    blockHash: bytes(log['blockHash'], 'blockHash', 32),
    transactionHash: bytes(log['transactionHash'], 'transactionHash', 32),
    index: number(log['logIndex'], 'logIndex'),
  }
}
