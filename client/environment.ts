// What a client takes from the machine it runs on: time and randomness. A simulator brings its own.

/** Time for timeouts and patience; never for the ledger's deadlines, which the ledger's own time decides. */
export interface Clock {
  /** Milliseconds since some fixed moment. */
  now(): number
  /** Calls back once after so many milliseconds; the result cancels it. */
  after(ms: number, callback: () => void): () => void
}

/** Unpredictable bytes, fit for keys. */
export type Entropy = (length: number) => Uint8Array

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms)
    return () => clearTimeout(timer)
  },
}

/** The platform's cryptographic randomness. */
export const systemEntropy: Entropy = (length) => globalThis.crypto.getRandomValues(new Uint8Array(length))
