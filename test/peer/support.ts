// What the tests of peer/ share: people, a clock that stands still, and waiting for things that were said.
import { PerkunasError } from '../../channel/errors.js'
import { type Bus, type Clock, createIdentity, type Identity, type PeerID } from '../../peer/index.js'

/** Somebody with a fixed key; the same number is the same person. */
export function person(number: number): Identity {
  return createIdentity(new Uint8Array(32).fill(number))
}

/** Bytes to be told apart. */
export function payload(...values: readonly number[]): Uint8Array {
  return Uint8Array.from(values)
}

/** A clock that moves when it is told to. */
export class StoppedClock implements Clock {
  #now = 0
  readonly #timers = new Set<{ readonly at: number; readonly task: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, task: () => void): () => void {
    const timer = { at: this.#now + ms, task }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#timers.size
  }

  /** When the next timer is due, from now. */
  get next(): number | undefined {
    const due = [...this.#timers].map(({ at }) => at - this.#now)
    return due.length === 0 ? undefined : Math.min(...due)
  }

  /** Moves on, running what is due in its order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const due = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
      if (due === undefined) break
      this.#timers.delete(due)
      this.#now = due.at
      due.task()
    }
    this.#now = end
  }
}

/** A later turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** As many turns as it takes until something holds; mocha's timeout ends a wait in vain. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn()
}

/** Enough turns for everything in memory to come to rest. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await turn()
}

/** The next event of one kind. */
export function event(bus: Bus, kind: 'connected' | 'disconnected'): Promise<PeerID> {
  return new Promise((resolve) => {
    const stop = bus.onPeer((e) => {
      if (e.kind !== kind) return
      stop()
      resolve(e.peer)
    })
  })
}

/** The first bytes of the next `count` payloads. */
export function heard(bus: Bus, count: number): Promise<readonly number[]> {
  return new Promise((resolve) => {
    const got: number[] = []
    const stop = bus.onMessage((_, bytes) => {
      got.push(bytes[0] ?? -1)
      if (got.length < count) return
      stop()
      resolve(got)
    })
  })
}

/** The code a promise is rejected with. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise
  } catch (error) {
    if (error instanceof PerkunasError) return error.code
    throw error
  }
  return 'resolved'
}
