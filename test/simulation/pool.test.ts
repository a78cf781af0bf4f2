import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { runAll } from './pool.js'

const worker = fileURLToPath(new URL('./slow-worker.js', import.meta.url))

describe('simulation: pool', () => {
  it('a run that takes long without any work -> waited for; one that works on and on -> taken for endless', async () => {
    const results = new Map<number, readonly string[]>()
    await runAll({
      worker,
      tasks: [0, 1, 2].map((seed) => ({ seed, steps: 1 })),
      patience: { doubtful: 100, endless: 1 },
      onResult({ seed, violations }) {
        results.set(
          seed,
          violations.map(({ words }) => words),
        )
        return true
      },
    })
    expect([0, 1, 2].map((seed) => results.get(seed))).deep.equals([['the run does not end'], [], []])
  })
})
