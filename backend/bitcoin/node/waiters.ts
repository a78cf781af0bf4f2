// Who waits for something to become true.
import { demandSignal } from '../../../channel/arguments.js'
import { PerkunasError } from '../../../channel/errors.js'

interface Waiter {
  check(): void
  end(error: unknown): void
}

/** See above. */
export class Waiters {
  readonly #all = new Set<Waiter>()
  #ended: PerkunasError | undefined

  /** Looks again: something has changed. */
  check(): void {
    for (const waiter of [...this.#all]) waiter.check()
  }

  /** Nothing changes any more. */
  end(error: PerkunasError): void {
    this.#ended = error
    for (const waiter of [...this.#all]) waiter.end(error)
    this.#all.clear()
  }

  /** Calls back at the end, unless the result is called before. */
  onEnd(call: (error: unknown) => void): () => void {
    const waiter: Waiter = { check: () => {}, end: call }
    this.#all.add(waiter)
    return () => this.#all.delete(waiter)
  }

  /**
   * Resolves with the first result that is not undefined.
   *
   * @throws what `look` throws, why it ended, PerkunasError ABORTED; INVALID_ARGUMENT if the signal is none
   */
  until<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T> {
    return new Promise((resolve, reject) => {
      // Who waits with one that can't be let go of would end the turn that ends the waiting.
      demandSignal(signal, 'signal')
      if (this.#ended !== undefined) return reject(this.#ended)
      const finish = (then: () => void) => {
        this.#all.delete(waiter)
        signal?.removeEventListener('abort', abort)
        then()
      }
      const abort = () => finish(() => reject(aborted(signal)))
      const waiter: Waiter = {
        check: () => {
          try {
            const found = look()
            if (found !== undefined) finish(() => resolve(found))
          } catch (cause) {
            finish(() => reject(cause))
          }
        },
        end: (error) => finish(() => reject(error)),
      }
      if (signal?.aborted) return reject(aborted(signal))
      this.#all.add(waiter)
      signal?.addEventListener('abort', abort)
      waiter.check()
    })
  }
}

function aborted(signal: AbortSignal | undefined): PerkunasError<'ABORTED'> {
  const { reason } = signal ?? {}
  return new PerkunasError('ABORTED', 'the call was aborted', { call: 'LightningNode' }, { cause: reason })
}
