// Which world a run is in.
import type { RunOptions, RunResult } from './play.js'
import { run } from './run.js'

/** Runs a seed on its ledger. */
export async function runOn(options: RunOptions): Promise<RunResult> {
  if (options.ledger !== 'bitcoin') return run(options)
  // Mutants are copies without what only this world needs.
  const { runBitcoin } = await import('./bitcoin/run.js')
  return runBitcoin(options)
}
