// Calls of our user's that need to know the chain as it is: while only a few blocks are missing, they wait for these.
import { isError } from '../../../channel/errors.js'
import type { Clock } from '../../../peer/index.js'
import type { Core } from './core.js'
import type { Waiters } from './waiters.js'

/** What waiting needs of its node. */
export interface SightOptions {
  readonly core: Pick<Core, 'isSynced' | 'isCatchingUp'>
  readonly waiters: Waiters
  readonly clock: Clock
}

/** Milliseconds that a call waits at most. */
const LONGEST = 30_000

/** See above. */
export class Sight {
  readonly #options: SightOptions

  constructor(options: SightOptions) {
    this.#options = options
  }

  /**
   * Runs a call once the chain is known, or at once if it will not be soon: what the call makes of that is its own decision.
   * Refused since more blocks came meanwhile, it is run once more.
   *
   * @throws what the call throws; PerkunasError ABORTED, CLOSED
   */
  async whenSynced<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { core, waiters, clock } = this.#options
    let isLate = false
    let stop: (() => void) | undefined
    try {
      for (;;) {
        if (core.isCatchingUp && !isLate) {
          stop ??= clock.after(LONGEST, () => {
            isLate = true
            waiters.check()
          })
          await waiters.until(() => isLate || !core.isCatchingUp || undefined, signal)
        }
        try {
          return await call()
        } catch (cause) {
          if (isLate || !core.isCatchingUp || !isError(cause, 'LEDGER_UNREACHABLE')) throw cause
        }
      }
    } finally {
      stop?.()
    }
  }
}
