// A worker for the test of the pool: seed 0 never ends, others take their time without any work.
import type { RunOptions } from './play.js'

process.on('disconnect', () => process.exit())
process.on('message', ({ seed, steps }: RunOptions) => {
  while (seed === 0);
  setTimeout(() => process.send?.({ seed, steps, violations: [], hash: 'done', trace: [] }), 400)
})
