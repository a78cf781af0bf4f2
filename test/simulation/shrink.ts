// Makes a failing run short: leaves out steps as long as the same invariant still breaks.
import type { RunOptions, RunResult } from './play.js'
import { runOn } from './worlds.js'

/** A shorter run that fails in the same way. */
export interface Shrunk {
  readonly only: readonly number[]
  readonly result: RunResult
}

/** How to shrink. */
export interface ShrinkOptions {
  /** Most runs; 150 if it is left out. */
  readonly budget?: number
  /** Runs a seed; a test may have one of its own. */
  readonly attempt?: (options: RunOptions) => Promise<RunResult>
}

/** Halves and quarters of the steps are tried first, single steps at last. */
export async function shrink(
  options: RunOptions,
  failed: RunResult,
  { budget = 150, attempt = runOn }: ShrinkOptions = {},
): Promise<Shrunk> {
  const wanted = new Set(failed.violations.map(({ invariant }) => invariant))
  let kept = [...(options.only ?? Array.from({ length: options.steps }, (_, i) => i))]
  let result = failed
  let left = budget
  for (let size = Math.ceil(kept.length / 2); size >= 1 && left > 0; ) {
    let isShorter = false
    for (let from = 0; from < kept.length && left > 0; ) {
      const only = [...kept.slice(0, from), ...kept.slice(from + size)]
      left--
      const tried = await attempt({ ...options, only })
      if (tried.violations.some(({ invariant }) => wanted.has(invariant))) {
        kept = only
        result = tried
        isShorter = true
      } else {
        from += size
      }
    }
    if (size === 1 && !isShorter) break
    size = Math.max(1, Math.min(Math.floor(size / 2), kept.length))
  }
  return { only: kept, result }
}
