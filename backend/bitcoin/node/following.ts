// How a node follows the chain: block by block, each durable before the next, and with every tip what transactions pay.
import type { PerkunasError } from '../../../channel/errors.js'
import { type ChainCursor, FeeEstimator, type TrackedEvent } from '../chain/index.js'
import { asError } from './faults.js'
import type { NodeChain } from './ports.js'
import type { Turns } from './turns.js'

/** What following needs of its node. */
export interface FollowingOptions {
  readonly chain: NodeChain
  readonly turns: () => Turns
  /** Durable, if the store had one. */
  readonly cursor: ChainCursor | undefined
  /** All that the chain has is durable. */
  readonly atTip: () => void
  readonly report: (error: PerkunasError) => void
  /** The chain is not followed any more. */
  readonly failed: (error: PerkunasError) => void
}

/** See above. */
export class Following {
  readonly fees: FeeEstimator
  readonly #options: FollowingOptions
  #cursor: ChainCursor | undefined
  #stop: (() => Promise<void>) | undefined

  constructor(options: FollowingOptions) {
    this.#options = options
    this.#cursor = options.cursor
    this.fees = new FeeEstimator(options.chain)
  }

  /** Where the node durably stands. */
  get cursor(): ChainCursor | undefined {
    return this.#cursor
  }

  /** Goes through what was missed, and on from there. */
  async begin(): Promise<void> {
    await this.#refreshFees()
    const { chain, turns, report, failed } = this.#options
    const following = await chain.follow(
      this.#cursor,
      (event) => this.#took(event),
      ({ isSynced, isCatchingUp = false, error }) => {
        if (turns().stopped !== undefined) return
        if (error !== undefined) report(error)
        turns().push({ kind: 'chain', isSynced, isCatchingUp })
      },
    )
    this.#stop = () => following.stop()
    // Who can't see the chain can't defend its channels.
    following.ended.catch((cause: unknown) => failed(asError(cause, 'chain')))
  }

  /** Can be called again. */
  async end(): Promise<void> {
    await this.#stop?.()
  }

  async #took(event: TrackedEvent): Promise<void> {
    if (event.kind === 'connected' && event.isTip) await this.#refreshFees()
    await this.#options.turns().done(event)
    this.#cursor = event.cursor
    if (event.isTip) this.#options.atTip()
  }

  /** Where there is no new answer, the last one holds. */
  async #refreshFees(): Promise<void> {
    const failure = await this.fees.refresh()
    if (failure !== undefined) this.#options.report(failure)
    this.#options.turns().push({ kind: 'fees', table: this.fees.table, channels: this.fees.channelFees() })
  }
}
