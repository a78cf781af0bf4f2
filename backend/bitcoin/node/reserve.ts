// Whether the wallet has what children cost that pay for commitments, for all channels that there are (f 14): our user is told
// when it lacks some, and when it does no more.
import { PerkunasError } from '../../../channel/errors.js'
import { type Sat, sat } from '../units.js'
import { anchoredOf, reserveOf } from './anchor-reserve.js'
import type { Core } from './core.js'
import type { NodeEvent } from './effects.js'
import { asError } from './faults.js'
import type { LightningNodeOptions } from './options.js'

/** What channels with anchors ask of the wallet, in satoshis. */
export interface AnchorReserve {
  /** Confirmed and free it should have so much. */
  readonly needed: Sat
  readonly available: Sat
  /** What is to be added, 0 if it has enough. */
  readonly missing: Sat
}

/** What looking needs of its node. */
export interface ReserveOptions {
  readonly core: Pick<Core, 'entries' | 'env'>
  readonly wallet: Pick<LightningNodeOptions['wallet'], 'balance'>
  readonly tell: (event: NodeEvent) => void
  readonly report: (error: PerkunasError) => void
  readonly isStopped: () => boolean
}

/** See above. */
export class Reserve {
  readonly #options: ReserveOptions
  /** Channels for which it was last told that there is too little; 0 if there was enough. */
  #told = 0
  #hasBegun = false
  #isLooking = false

  constructor(options: ReserveOptions) {
    this.#options = options
  }

  /** Looks now and whenever it is told to from now on: our user listens by now. */
  begin(): void {
    this.#hasBegun = true
    this.look()
  }

  /** What the wallet has now, confirmed and free. @throws what the wallet throws */
  async available(): Promise<Sat> {
    return (await this.#options.wallet.balance()).confirmed
  }

  /**
   * How it stands.
   *
   * @param available as {@link Reserve.available} said
   * @param channel one that is about to be taken, too
   */
  stand(available: Sat, channel?: bigint): AnchorReserve {
    const { core } = this.#options
    const needed = reserveOf(anchoredOf(core, channel), core.env.fees)
    return { needed, available, missing: sat(needed > available ? needed - available : 0n) }
  }

  /** Looks, and tells our user what has changed; once at a time. */
  look(): void {
    const { core, report, isStopped } = this.#options
    if (!this.#hasBegun || this.#isLooking || isStopped() || (anchoredOf(core) === 0 && this.#told === 0))
      return
    this.#isLooking = true
    this.#lookNow()
      .catch((cause: unknown) => {
        if (!isStopped()) report(asError(cause, 'wallet'))
      })
      .finally(() => {
        this.#isLooking = false
      })
  }

  async #lookNow(): Promise<void> {
    const { core, tell, isStopped } = this.#options
    const { confirmed, unconfirmed } = await this.#options.wallet.balance()
    if (isStopped()) return
    const stand = this.stand(confirmed)
    const isShort = stand.missing > 0n
    const channels = isShort ? anchoredOf(core) : 0
    const before = this.#told
    this.#told = channels
    // Fewer than before are better, and said of each block it would not be heard any more.
    if (isShort ? channels <= before : before === 0) return
    tell({ kind: 'reserve', ...stand, ...(isShort && unconfirmed > 0n && { unconfirmed }) })
  }
}

/** There is too little to pay for the children of all commitments. */
export function shortOf({
  needed,
  available,
  missing,
  unconfirmed = sat(0n),
}: AnchorReserve & { readonly unconfirmed?: Sat }): PerkunasError<'INSUFFICIENT_FUNDS'> {
  const coming = unconfirmed > 0n
  const what = `channels with anchors need ${needed} sat in the wallet, confirmed and free, lest one that must be closed soon can't pay for it`
  const rest = coming ? `, or wait for a block: ${unconfirmed} sat are unconfirmed` : ''
  const facts = { needed, available, ...(coming && { unconfirmed }) }
  return new PerkunasError('INSUFFICIENT_FUNDS', `${what}: add ${missing} sat${rest}`, facts)
}
