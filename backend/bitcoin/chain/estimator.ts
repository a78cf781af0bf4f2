// Fees as somebody needs them who decides at any moment: the source's newest answer, or the last one that there was.
import { isError, PerkunasError } from '../../../channel/errors.js'
import type { FeeEstimates } from '../channel/policy.js'
import { type FeeratePerKw, feeratePerKw } from '../units.js'
import {
  type FeeTarget,
  feerateFor,
  feerateWithin,
  MAXIMUM_FEERATE,
  MINIMUM_FEERATE,
  UNKNOWN_FEES,
} from './fees.js'
import type { ChainSource, FeeTable, SourceOptions } from './source.js'

/** For how many answers the lowest feerates are remembered that a peer's commitment may pay: a day, asked once a block. */
const REMEMBERED = 144
/** A commitment can be bumped by its anchor, so it need not pay more than gets it into mempools: 10 sat/vB. */
const COMMITMENT_CAP: FeeratePerKw = feeratePerKw(2500)

/** Knows what to pay. Before the first answer, and while the source fails, it says what it knew before. */
export class FeeEstimator {
  readonly #source: Pick<ChainSource, 'feeTable'>
  #table: FeeTable = UNKNOWN_FEES
  /** What gets into blocks at all, and what is relayed. */
  readonly #lowest: { readonly mined: number; readonly relayed: number }[] = []

  constructor(source: Pick<ChainSource, 'feeTable'>) {
    this.#source = source
  }

  /** What it goes by: plain data, for whoever computes with it. */
  get table(): FeeTable {
    return this.#table
  }

  /**
   * Asks the source; to be called at each block.
   *
   * @returns why there is no new answer, if there is none
   * @throws PerkunasError ABORTED, CLOSED
   */
  async refresh(options?: SourceOptions): Promise<PerkunasError | undefined> {
    try {
      const answer = await this.#source.feeTable(options)
      // Estimates are missing for hours after a node's start; the last ones are nearer than any guess.
      this.#table = answer.estimates.length > 0 ? answer : { ...this.#table, floor: answer.floor }
      this.#lowest.push(this.#cheapest)
      if (this.#lowest.length > REMEMBERED) this.#lowest.shift()
      return undefined
    } catch (error) {
      // Not all sources keep to our errors; none of them may stop whoever asks at each block.
      if (isError(error, 'ABORTED') || isError(error, 'CLOSED')) throw error
      if (error instanceof PerkunasError) return error
      const reason = error instanceof Error ? error.message : String(error)
      const message = `no answer about fees: ${reason}`
      return new PerkunasError('LEDGER_UNREACHABLE', message, { ledger: 'bitcoin' }, { cause: error })
    }
  }

  /** For a named target. */
  feerate(target: FeeTarget): FeeratePerKw {
    return feerateFor(this.#table, target)
  }

  /** To be confirmed within so many blocks. */
  within(blocks: number): FeeratePerKw {
    return feerateWithin(this.#table, blocks)
  }

  /** As a channel's machine wants them. */
  channelFees(): FeeEstimates {
    const claim = this.feerate('claim')
    const lowest = [...this.#lowest, this.#cheapest]
    return {
      commitment: feeratePerKw(Math.min(claim, Math.max(COMMITMENT_CAP, this.#table.floor))),
      fixedCommitment: claim,
      // No more than what we would offer ourselves at any time of that day, whatever our own mempool is like.
      minimum: feeratePerKw(Math.min(COMMITMENT_CAP, ...lowest.map(({ relayed }) => relayed))),
      fixedMinimum: feeratePerKw(Math.min(claim, ...lowest.map(({ mined }) => mined))),
      maximum: feeratePerKw(
        Math.min(MAXIMUM_FEERATE, Math.max(10 * this.feerate('urgent'), 25 * MINIMUM_FEERATE)),
      ),
      sane: this.feerate('urgent'),
      opening: this.feerate('opening'),
      closing: this.feerate('closing'),
    }
  }

  get #cheapest(): { readonly mined: number; readonly relayed: number } {
    const { floor } = this.#table
    return { mined: this.feerate('background'), relayed: Math.max(MINIMUM_FEERATE, floor) }
  }
}
