// Which world a run is in.
import { runBitcoin } from './bitcoin/run.js'
import { type RunOptions, type RunResult, run } from './run.js'

/** Runs a seed on its ledger. */
export function runOn(options: RunOptions): Promise<RunResult> {
  return options.ledger === 'bitcoin' ? runBitcoin(options) : run(options)
}
