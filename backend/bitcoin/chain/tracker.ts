// Follows a chain from where somebody stands: blocks that were added, blocks that a reorg took away, each in order.
//
// The source need not be honest. A block is told only if its header was worked for, follows the one before it, and commits to
// what is in the block; a branch is left only for one with at least as much work. So the source can keep us waiting, which
// the status shows, but not lead us away for less than the work of all blocks that it replaces.
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { type BlockHeight, blockHeight } from '../units.js'
import { type DecodedBlock, decodeBlock } from './block.js'
import { type ChainCursor, Headers } from './cursor.js'
import type { ChainEvent } from './events.js'
import { displayHash, faultOfHeader, faultOfSuccessor, type Header, workOf } from './header.js'
import type { Network } from './network.js'
import { pause } from './pause.js'
import type { ChainInfo, ChainSource } from './source.js'

/** An event, and where its reader stands once it is dealt with. */
export type TrackedEvent = ChainEvent & { readonly cursor: ChainCursor }

/** How the tracker and its source are. */
export type TrackerStatus =
  /** Nothing was answered yet. */
  | { readonly kind: 'starting' }
  /** All that the source has was told. `isStale` if its newest block is hours old, which hardly ever happens by chance. */
  | { readonly kind: 'synced'; readonly isStale: boolean }
  /** There are more blocks to be told, or the source says that it is still fetching. */
  | { readonly kind: 'catchingUp'; readonly height: number; readonly of: number }
  /** The source is on a branch with less work than what it told before, perhaps since it was set up anew. */
  | { readonly kind: 'behind'; readonly height: number }
  /** It does not answer, or not rightly; it is asked again. */
  | { readonly kind: 'failing'; readonly error: PerkunasError }

/** What a tracker is made from. */
export interface TrackerOptions {
  readonly source: ChainSource
  readonly network: Network
  /** Where to go on, or the height of the first block to be told, or after the source's newest one. */
  readonly from: ChainCursor | BlockHeight | 'tip'
  /** Milliseconds between two looks; default 1000. */
  readonly pollingInterval?: number
  /** Told of each change. */
  readonly onStatus?: (status: TrackerStatus) => void
  /** Unix time in milliseconds. */
  readonly now?: () => number
}

const OPTION_NAMES: NamesOf<TrackerOptions> = {
  source: true,
  network: true,
  from: true,
  pollingInterval: true,
  onStatus: true,
  now: true,
}

/** A tip so old says that something may be wrong with the source: an eclipse, or a node that is stuck. */
const STALE_SECONDS = 2 * 60 * 60
/** Blocks that are fetched at once. */
const AHEAD = 4
/** Blocks of another branch that are kept while it is measured; what is beyond is fetched again. */
const KEPT_BLOCKS = 8
/** Headers that are known without a cursor, so that a reorg may come right after: more than most that there ever were. */
const FIRST_HEADERS = 7
/** While the source fails, looks become rarer up to this many milliseconds. */
const LONGEST_PAUSE = 30_000

/** See above. */
export class ChainTracker {
  readonly #options: TrackerOptions
  readonly #closing = new AbortController()
  #status: TrackerStatus = { kind: 'starting' }
  #headers: Headers | undefined
  #wake: AbortController | undefined
  #nudged = false
  /** It was on our network once: another one is a fault then, and before it what our user meant to give us is something else. */
  #wasOurs = false

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(options: TrackerOptions) {
    demandNames(options, OPTION_NAMES)
    this.#options = options
    const { from } = options
    if (typeof from === 'object') this.#headers = new Headers(from)
  }

  /** How it is. */
  get status(): TrackerStatus {
    return this.#status
  }

  /** Looks at once rather than at the next interval. */
  poll(): void {
    this.#nudged = true
    this.#wake?.abort()
  }

  /**
   * The events. The next one is sought when the reader comes back, so that whoever stores the cursor with what followed from
   * its event loses none; after a crash those since the last stored cursor come again. To be called once.
   *
   * Ends when the tracker is closed.
   *
   * @throws PerkunasError INVALID_ARGUMENT if the source is on another network from the beginning; INVALID_STATE if a reorg goes
   *   deeper than the known headers; CLOSED if the source is closed. Whatever else the source throws is a status
   */
  async *follow(): AsyncGenerator<TrackedEvent, void, undefined> {
    const { pollingInterval = 1000 } = this.#options
    for (let pause = pollingInterval; !this.#closing.signal.aborted; ) {
      try {
        yield* this.#look()
        pause = pollingInterval
      } catch (error) {
        if (this.#closing.signal.aborted) return
        if (isFinal(error)) throw error
        this.#tell({ kind: 'failing', error: asFailure(error) })
        pause = Math.min(2 * pause, Math.max(LONGEST_PAUSE, pollingInterval))
      }
      await this.#pause(pause)
    }
  }

  /** Ends {@link follow}. Idempotent; the source stays open. */
  close(): void {
    this.#closing.abort()
    this.#wake?.abort()
  }

  /** Tells all that there is until the source has no more. */
  async *#look(): AsyncGenerator<TrackedEvent, void, undefined> {
    for (;;) {
      this.#headers ??= await this.#start()
      const headers = this.#headers
      if (headers === undefined) return
      const info = await this.#info()
      if (info.bestHash === headers.tip.hash) return this.#upToDate(info, headers)
      const before = headers.tip.hash
      if (info.blocks > headers.height) {
        this.#tell({ kind: 'catchingUp', height: headers.height, of: info.blocks })
        yield* this.#connectNext(info, headers)
      } else if (info.blocks < headers.oldest || headers.at(info.blocks)?.hash === info.bestHash) {
        return this.#tell({ kind: 'behind', height: info.blocks })
      } else {
        yield* this.#switchBranch(info, headers)
      }
      if (headers.tip.hash === before) return
    }
  }

  async #info(): Promise<ChainInfo> {
    const info = await this.#options.source.chainInfo(this.#call)
    const { network } = this.#options
    if (info.network === network) {
      this.#wasOurs = true
      return info
    }
    const reason = `it is on ${info.network}, not on ${network}`
    throw this.#wasOurs ? faulty(reason) : anotherNetwork(reason)
  }

  /** Where to start without a cursor; undefined if the source is not that far yet. */
  async #start(): Promise<Headers | undefined> {
    const { from } = this.#options
    const { blocks } = await this.#info()
    const before = from === 'tip' ? blocks : Math.max(0, Number(from) - 1)
    const last = await this.#block(before)
    if (last === undefined) {
      this.#tell({ kind: 'catchingUp', height: blocks, of: before })
      return undefined
    }
    const headers = [last.rawHeader]
    for (let above = last; above.height > 0 && headers.length < FIRST_HEADERS; ) {
      const block = await this.#block(above.height - 1)
      // The source went on to another branch meanwhile: seen at the next look.
      if (block === undefined || above.previous !== block.hash) return undefined
      this.#demandSuccessor(block.header, above.header, above.height)
      headers.unshift(block.rawHeader)
      above = block
    }
    return new Headers({ height: blockHeight(before), headers })
  }

  #upToDate(info: ChainInfo, { tip }: Headers): void {
    const now = (this.#options.now ?? Date.now)() / 1000
    if (info.syncing) this.#tell({ kind: 'catchingUp', height: info.blocks, of: info.headers })
    else this.#tell({ kind: 'synced', isStale: now - tip.time > STALE_SECONDS })
  }

  async *#connectNext(info: ChainInfo, headers: Headers): AsyncGenerator<TrackedEvent, void, undefined> {
    const count = Math.min(AHEAD, info.blocks - headers.height)
    const heights = Array.from({ length: count }, (_, i) => headers.height + 1 + i)
    const fetched = heights.map((height) => this.#block(height))
    // Whatever comes of the later ones, the first are told.
    for (const one of fetched) one.catch(() => undefined)
    for (const one of fetched) {
      const block = await one
      if (block === undefined) return
      if (block.previous !== headers.tip.hash) {
        yield* this.#switchBranch(info, headers)
        return
      }
      this.#demandSuccessor(headers.tip, block.header, block.height)
      yield this.#connect(headers, block, info)
    }
  }

  /** Goes over to the source's branch if there is at least as much work in it. */
  async *#switchBranch(info: ChainInfo, headers: Headers): AsyncGenerator<TrackedEvent, void, undefined> {
    const branch = new Branch()
    let fork = Math.min(headers.height, info.blocks)
    for (; fork >= headers.oldest; fork--) {
      const block = await this.#block(fork)
      // The source went on to yet another branch meanwhile: seen at the next look.
      if (block === undefined || !branch.isBelow(block)) return
      if (block.hash === headers.at(fork)?.hash) break
      branch.putBelow(block)
    }
    const target = headers.workAbove(fork)
    for (let next = fork + branch.length + 1; branch.work < target && next <= info.blocks; next++) {
      const block = await this.#block(next)
      if (block === undefined || !branch.isAbove(block)) return
      branch.putAbove(block)
    }
    if (branch.work < target) return this.#tell({ kind: 'behind', height: info.blocks })
    const parent = headers.at(fork)
    if (parent === undefined) throw tooDeep(headers.height - fork)
    this.#demandBranch(parent, fork, branch)
    for (let at = headers.height; at > fork; at--) {
      const { tip } = headers
      headers.pop()
      const block = { height: blockHeight(at), hash: tip.hash }
      yield { kind: 'disconnected', block, isTip: false, cursor: headers.cursor() }
    }
    for (const block of branch.lowest()) {
      yield this.#connect(headers, block, info)
    }
  }

  #connect(headers: Headers, block: DecodedBlock, info: ChainInfo): TrackedEvent {
    headers.push(block.header, block.rawHeader)
    const isTip = block.hash === info.bestHash
    return { kind: 'connected', block, isTip, cursor: headers.cursor() }
  }

  async #block(height: number): Promise<DecodedBlock | undefined> {
    const raw = await this.#options.source.rawBlock(blockHeight(height), this.#call)
    return raw && this.#check(raw.bytes, height)
  }

  #check(bytes: Uint8Array, height: number): DecodedBlock {
    const { network } = this.#options
    const block = decodeBlock(bytes, { height: blockHeight(height), network })
    const fault = faultOfHeader(block.header, network)
    if (fault === undefined) return block
    throw faulty(`block ${displayHash(block.hash)}: ${fault}`)
  }

  /** Before anything is taken back for it. */
  #demandBranch(parent: Header, fork: number, { headers }: Branch): void {
    let last = parent
    for (const [i, header] of headers.entries()) {
      this.#demandSuccessor(last, header, fork + 1 + i)
      last = header
    }
  }

  #demandSuccessor(parent: Header, header: Header, height: number): void {
    const { network } = this.#options
    const fault = faultOfSuccessor(parent, header, { height, network })
    if (fault !== undefined) throw faulty(`block ${displayHash(header.hash)}: ${fault}`)
  }

  get #call() {
    return { signal: this.#closing.signal }
  }

  #tell(status: TrackerStatus): void {
    const before = this.#status
    this.#status = status
    if (JSON.stringify(describe(before)) !== JSON.stringify(describe(status)))
      this.#options.onStatus?.(status)
  }

  async #pause(milliseconds: number): Promise<void> {
    this.#wake = new AbortController()
    if (!this.#nudged && !this.#closing.signal.aborted) {
      await pause(milliseconds, this.#wake.signal)
    }
    this.#nudged = false
  }
}

/** Another branch, from where it leaves ours upwards: all its headers, and its lowest blocks. */
class Branch {
  readonly #blocks: DecodedBlock[] = []
  readonly headers: Header[] = []
  work = 0n

  get length(): number {
    return this.headers.length
  }

  isBelow({ hash }: DecodedBlock): boolean {
    const [lowest] = this.headers
    return lowest === undefined || lowest.previous === hash
  }

  putBelow(block: DecodedBlock): void {
    this.headers.unshift(block.header)
    this.work += workOf(block.header.bits)
    this.#blocks.unshift(block)
    if (this.#blocks.length > KEPT_BLOCKS) this.#blocks.pop()
  }

  isAbove({ previous }: DecodedBlock): boolean {
    const highest = this.headers.at(-1)
    return highest === undefined || previous === highest.hash
  }

  putAbove(block: DecodedBlock): void {
    const isNext = this.#blocks.length === this.headers.length
    this.headers.push(block.header)
    this.work += workOf(block.header.bits)
    if (isNext && this.#blocks.length < KEPT_BLOCKS) this.#blocks.push(block)
  }

  /** In order, without gaps. */
  lowest(): readonly DecodedBlock[] {
    return this.#blocks
  }
}

/** Whatever a source throws: not all of them are ours, and none of them may make us blind for good. */
function asFailure(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const message = `the chain source: ${reason}`
  return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' }, { cause })
}

function faulty(reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `the chain source: ${reason}`, { path: 'block', reason })
}

function anotherNetwork(reason: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `the chain source: ${reason}`, { argument: 'network' })
}

/** What asking again does not change. A source's own errors of arguments are none: it is asked for other blocks next. */
function isFinal(error: unknown): boolean {
  if (isError(error, 'INVALID_ARGUMENT')) return error.facts.argument === 'network'
  return isError(error, 'CLOSED') || isError(error, 'INVALID_STATE')
}

function tooDeep(blocks: number): PerkunasError<'INVALID_STATE'> {
  const rule = `a reorg of at least ${blocks} blocks, deeper than what is known of the chain`
  return new PerkunasError('INVALID_STATE', rule, { rule })
}

/** What makes a status another one. */
function describe(status: TrackerStatus): unknown {
  return status.kind === 'failing' ? [status.kind, status.error.code, status.error.message] : status
}
