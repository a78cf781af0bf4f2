// Time as a collaborator, so that tests and the simulator have their own.

/** Tells time and wakes. */
export interface Clock {
  /** Milliseconds since some moment; never goes back. */
  now(): number
  /** Runs `task` once after `ms` milliseconds unless the result is called before. */
  after(ms: number, task: () => void): () => void
}

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, task) => {
    const timer = setTimeout(task, ms)
    return () => clearTimeout(timer)
  },
}
