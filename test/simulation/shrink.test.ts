import { expect } from 'chai'
import type { Invariant } from './oracle.js'
import type { RunOptions, RunResult } from './play.js'
import { shrink } from './shrink.js'
import { runOn } from './worlds.js'

const STEPS = 200

/** A simulator whose runs violate what `violated` says of the steps that happen. */
function simulator(violated: (steps: ReadonlySet<number>) => Invariant | undefined) {
  const tried: RunOptions[] = []
  const attempt = async (options: RunOptions): Promise<RunResult> => {
    tried.push(options)
    const { seed, steps, only } = options
    const invariant = violated(new Set(only ?? Array.from({ length: steps }, (_, i) => i)))
    const violations = invariant === undefined ? [] : [{ invariant, words: '' }]
    return { seed, steps, violations, hash: String(only), trace: [] }
  }
  const shrunk = async (options: Partial<RunOptions> = {}, budget?: number) => {
    const all: RunOptions = { seed: 7, steps: STEPS, ...options }
    const failed = await attempt(all)
    tried.length = 0
    return shrink(all, failed, { attempt, ...(budget !== undefined && { budget }) })
  }
  return { tried, shrunk }
}

const all = (...needed: number[]) => {
  return (steps: ReadonlySet<number>) =>
    needed.every((step) => steps.has(step)) ? ('nothing is stuck' as const) : undefined
}

describe('simulation: shrink', () => {
  for (const needed of [[], [0], [199], [3, 4, 5], [0, 57, 113, 199]]) {
    it(`steps ${needed.join(', ') || 'none'} are needed -> just these are left, and the result is theirs`, async () => {
      const { only, result } = await simulator(all(...needed)).shrunk()
      expect(only).deep.equals(needed)
      expect(result.hash).equals(String(needed))
    })
  }

  it('either of two steps is enough -> one of them is left', async () => {
    const { only } = await simulator((steps) => all(20)(steps) ?? all(150)(steps)).shrunk()
    expect(only).deep.equals([150])
  })

  it('fewer steps fail in another way -> that is not taken for the same failure', async () => {
    const { only, result } = await simulator((steps) => all(9, 60)(steps) ?? 'conservation').shrunk()
    expect(only).deep.equals([9, 60])
    expect(result.violations[0]?.invariant).equals('nothing is stuck')
  })

  it('only some steps happened -> no others are tried', async () => {
    const { tried, shrunk } = simulator(all(8))
    expect((await shrunk({ only: [2, 4, 8, 16, 32] })).only).deep.equals([8])
    for (const { only = [] } of tried) expect([2, 4, 8, 16, 32]).includes.members([...only])
  })

  for (const [ledger, seed] of [
    ['sim', 0],
    ['bitcoin', 1],
  ] as const) {
    it(`real runs on ${ledger}: what is left fails when it is played again, step for step`, async function () {
      this.timeout(60_000)
      const options = { seed, steps: 12, ledger }
      // What is wrong here is that anybody dies.
      const attempt = async (tried: RunOptions): Promise<RunResult> => {
        const result = await runOn({ ...tried, keepTrace: true })
        const deaths = result.trace.filter((line) => line.endsWith(' dies'))
        const violations = deaths.map((words) => ({ invariant: 'nothing is stuck' as const, words }))
        return { ...result, violations }
      }
      const failed = await attempt(options)
      expect(failed.violations).not.deep.equals([])
      const { only, result } = await shrink(options, failed, { attempt, budget: 6 })
      expect(only.length).lessThan(12)
      const again = await attempt({ ...options, only })
      expect([again.hash, again.violations]).deep.equals([result.hash, result.violations])
      expect(again.violations).not.deep.equals([])
    })
  }

  it('no more runs than the budget allows, each of the same seed -> what was found so far still fails', async () => {
    const { tried, shrunk } = simulator(all(0, 57, 113, 199))
    const { only } = await shrunk({}, 10)
    expect(tried.map(({ seed, steps }) => [seed, steps])).deep.equals(
      Array.from({ length: 10 }, () => [7, STEPS]),
    )
    expect(only.length).lessThan(STEPS)
    expect(only).includes.members([0, 57, 113, 199])
  })
})
