// How a run goes on every ledger: steps at their times, each drawn from a stream of its own, then the end.
import type { Oracle, Violation } from './oracle.js'
import { Random } from './random.js'
import { quiet, type VirtualTime } from './time.js'
import { Trace } from './trace.js'

/** What to run. */
export interface RunOptions {
  readonly seed: number
  /** How many steps are drawn. */
  readonly steps: number
  /** Only these of them happen; all if it is left out. */
  readonly only?: readonly number[]
  /** Whether to keep the trace's words. */
  readonly keepTrace?: boolean
  /** On which ledger; the simulated one of apps and assets by default. */
  readonly ledger?: 'sim' | 'bitcoin'
}

/** What came of it. */
export interface RunResult {
  readonly seed: number
  readonly steps: number
  readonly violations: readonly Violation[]
  /** SHA-256 of the trace. */
  readonly hash: string
  readonly trace: readonly string[]
}

/** What a seed makes. */
export interface World {
  readonly time: VirtualTime
  readonly oracle: Pick<Oracle, 'violated' | 'violations'>
  /** Milliseconds between steps, at most; now and then `rest` times as many. */
  readonly pace: number
  readonly rest: number
  start(): void
  step(random: Random): void
  /** Repair, settlement and judgement. */
  finale(random: Random): Promise<void>
  end(): void
}

/** Runs a seed. @param name of the ledger's streams */
export async function play(
  { seed, steps, only, keepTrace = false }: RunOptions,
  name: string,
  build: (random: Random, trace: Trace) => World,
): Promise<RunResult> {
  const random = new Random(`${name} ${seed}`)
  const trace = new Trace(keepTrace)
  const world = build(random, trace)
  const { time, oracle, pace, rest } = world
  const unguard = guard(oracle)
  try {
    world.start()
    const included = only && new Set(only)
    let at = 100
    for (let i = 0; i < steps; i++) {
      const ofStep = random.fork(i)
      at += ofStep.chance(0.1) ? ofStep.int(rest * pace) : ofStep.int(pace)
      if (included !== undefined && !included.has(i)) continue
      time.after(at - time.now(), () => world.step(ofStep))
    }
    await time.runUntil(at + 1_000)
    await world.finale(random.fork('finale'))
    await quiet()
  } finally {
    unguard()
    world.end()
  }
  return { seed, steps, violations: oracle.violations, hash: trace.digest(), trace: trace.lines }
}

/** Notes what nobody caught. @returns what ends it */
function guard(oracle: Pick<Oracle, 'violated'>): () => void {
  const note = (cause: unknown) => {
    const words = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
    oracle.violated('no unhandled rejection', words.split('\n').slice(0, 4).join(' | '))
  }
  process.on('unhandledRejection', note)
  process.on('uncaughtException', note)
  return () => {
    process.off('unhandledRejection', note)
    process.off('uncaughtException', note)
  }
}
