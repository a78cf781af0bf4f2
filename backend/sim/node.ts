// One party's connection to the ledger: what a backend talks through, and what a test can cut.
import {
  type Address,
  type CallOptions,
  type ChannelID,
  type Hex,
  isError,
  PerkunasError,
} from '../../channel/index.js'
import type { SimCall, SimEvent } from './call.js'
import type { SimLedger } from './ledger.js'

/** How the sending of a transaction ended. */
export type Sent =
  /** It is in a block, as deep as was asked for. */
  | { readonly kind: 'mined' }
  | { readonly kind: 'reverted'; readonly hash: string; readonly reason: string }
  /** A reorg lost it. */
  | { readonly kind: 'lost' }

/** What a call is named in errors, and what ends it. */
export interface Waiting extends CallOptions {
  readonly call: string
}

/** A node of the simulated ledger. Several backends may share one. */
export class SimNode {
  readonly #ledger: SimLedger
  readonly #watchers = new Set<() => void>()
  #stopped = false
  /** Ends the watching of the ledger, which lasts as long as somebody waits here. */
  #unwatch: (() => void) | undefined

  constructor(ledger: SimLedger) {
    this.#ledger = ledger
  }

  /** From now on nothing gets through, while the chain itself goes on. */
  stop(): void {
    this.#stopped = true
  }

  /** Everything gets through again. */
  start(): void {
    this.#stopped = false
    this.#notify()
  }

  /** The ledger as this node shows it. @throws PerkunasError LEDGER_UNREACHABLE if it is stopped */
  get ledger(): SimLedger {
    if (this.#stopped) {
      throw new PerkunasError('LEDGER_UNREACHABLE', 'the node of the simulated ledger does not answer', {
        ledger: 'sim',
      })
    }
    return this.#ledger
  }

  /** Whether there is such an asset; known even while it is stopped. */
  knows(asset: Hex): boolean {
    return this.#ledger.knows(asset)
  }

  /**
   * Waits until `check` gives something, asking it now and after every block that the node shows.
   *
   * @throws PerkunasError ABORTED; and whatever `check` throws
   */
  until<T>(check: () => T | undefined, { call, signal }: Waiting): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = () => {
        this.#watchers.delete(look)
        if (this.#watchers.size === 0) this.#unwatch = void this.#unwatch?.()
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        end()
        const { reason } = signal ?? {}
        const aborted = new PerkunasError('ABORTED', `${call} was aborted`, { call }, { cause: reason })
        // Who closes the backend says so itself.
        reject(isError(reason, 'CLOSED') ? reason : aborted)
      }
      const look = () => {
        if (this.#stopped) return
        try {
          const value = check()
          if (value === undefined) return
          end()
          resolve(value)
        } catch (error) {
          end()
          reject(error)
        }
      }
      if (signal?.aborted) return abort()
      signal?.addEventListener('abort', abort)
      this.#watchers.add(look)
      this.#unwatch ??= this.#ledger.watch(() => this.#notify())
      look()
    })
  }

  /** Waits for a time of the ledger, or until `check` gives something earlier. */
  async untilTime<T>(
    deadline: bigint,
    waiting: Waiting,
    check?: () => T | undefined,
  ): Promise<T | undefined> {
    const ledger = this.#ledger
    if (ledger.head.time >= deadline) return undefined
    const forget = ledger.announce(deadline)
    try {
      const { value } = await this.until(() => {
        const value = check?.()
        return value !== undefined || ledger.head.time >= deadline ? { value } : undefined
      }, waiting)
      return value
    } finally {
      forget()
    }
  }

  /**
   * Sends a transaction and waits until it is `depth` blocks deep, or has failed.
   *
   * @throws PerkunasError TRANSACTION_FAILED if the node rejects it; LEDGER_UNREACHABLE, ABORTED
   */
  async send(from: Address, call: SimCall, depth: number, waiting: Waiting): Promise<Sent> {
    if (waiting.signal?.aborted) return this.until((): Sent | undefined => undefined, waiting)
    const hash = this.ledger.submit(from, call)
    return this.until((): Sent | undefined => {
      const place = this.ledger.whereabouts(hash)
      switch (place.kind) {
        case 'pending':
          return undefined
        case 'unknown':
          return { kind: 'lost' }
        case 'mined': {
          const { reverted } = place.receipt
          if (reverted !== undefined) return { kind: 'reverted', hash, reason: reverted }
          return this.#depth(place.block.number) >= depth ? { kind: 'mined' } : undefined
        }
      }
    }, waiting)
  }

  /**
   * Brings the ledger to where `isDone`: by a transaction, unless somebody else's did it already. Sends again what a
   * reorg lost.
   *
   * @throws PerkunasError TRANSACTION_FAILED, LEDGER_UNREACHABLE, ABORTED
   */
  async enforce(
    channelID: ChannelID,
    isDone: () => boolean,
    transaction: { readonly from: Address; readonly call: SimCall; readonly depth: number },
    waiting: Waiting,
  ): Promise<void> {
    const { from, call, depth } = transaction
    const isNews = (event: SimEvent) => matters(event, call)
    for (;;) {
      let failure: Sent | undefined
      if (!isDone()) {
        const sent = await this.send(from, call, depth, waiting)
        if (sent.kind === 'reverted') failure = sent
      }
      const stays = await this.until(() => {
        if (!isDone()) return 'no' as const
        return this.#newsDepth(channelID, isNews) >= depth ? ('yes' as const) : undefined
      }, waiting)
      if (stays === 'yes') return
      if (failure?.kind === 'reverted') {
        const { hash, reason } = failure
        throw new PerkunasError(
          'TRANSACTION_FAILED',
          `${call.kind} of channel ${channelID} failed: ${reason}`,
          { kind: call.kind, hash, reason },
        )
      }
    }
  }

  /** How many blocks deep the newest of those events of a channel lies. */
  #newsDepth(channelID: ChannelID, isNews: (event: SimEvent) => boolean): number {
    let number = 0
    for (const { event, block } of this.#ledger.logs(channelID)) if (isNews(event)) number = block.number
    return this.#depth(number)
  }

  #depth(block: number): number {
    return this.#ledger.head.number - block + 1
  }

  #notify(): void {
    if (this.#stopped) return
    for (const watcher of [...this.#watchers]) watcher()
  }
}

/**
 * Whether what a call reached rests on an event: on all news of the dispute, and a payment on itself. Deposits and others'
 * payments may be made by anybody at any time; they must not put off what was reached.
 */
function matters(event: SimEvent, call: SimCall): boolean {
  if (event.kind === 'deposited') return false
  if (event.kind !== 'withdrawn') return true
  return call.kind === 'withdraw' && event.participant === call.participant && event.asset === call.asset
}
