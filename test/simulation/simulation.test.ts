import { setMaxListeners } from 'node:events'
import { expect } from 'chai'
import { BITCOIN_MUTATIONS } from './bitcoin/mutations.js'
import { mutant, mutated } from './mutant.js'
import { MUTATIONS } from './mutations.js'
import { runAll } from './pool.js'
import { run } from './run.js'
import { runOn } from './worlds.js'

describe('simulation', () => {
  before(() => setMaxListeners(0))

  it('200 seeds -> no invariant is violated', async function () {
    this.timeout(180_000)
    const violations: string[] = []
    let runs = 0
    await runAll({
      tasks: Array.from({ length: 200 }, (_, seed) => ({ seed, steps: 100 })),
      onResult(result) {
        runs++
        for (const { invariant, words } of result.violations) {
          violations.push(`npm run simulate -- --seed ${result.seed} --steps 100: ${invariant}: ${words}`)
        }
        return true
      },
    })
    expect(violations).deep.equals([])
    expect(runs).equals(200)
  })

  it('30 seeds on Bitcoin -> no invariant is violated', async function () {
    this.timeout(180_000)
    const violations: string[] = []
    let runs = 0
    await runAll({
      tasks: Array.from({ length: 30 }, (_, seed) => ({ seed, steps: 80, ledger: 'bitcoin' as const })),
      onResult(result) {
        runs++
        for (const { invariant, words } of result.violations) {
          const replay = `npm run simulate -- --ledger bitcoin --seed ${result.seed} --steps 80`
          violations.push(`${replay}: ${invariant}: ${words}`)
        }
        return true
      },
    })
    expect(violations).deep.equals([])
    expect(runs).equals(30)
  })

  it('the same seed -> the same trace; another seed -> another', async () => {
    const hashes = []
    for (const seed of [3, 3, 4]) hashes.push((await run({ seed, steps: 60 })).hash)
    expect(hashes[0]).equals(hashes[1])
    expect(hashes[0]).not.equals(hashes[2])
  })

  it('on Bitcoin too', async () => {
    const told = () => runOn({ seed: 3, steps: 40, ledger: 'bitcoin', keepTrace: true })
    expect((await told()).trace).deep.equals((await told()).trace)
  })

  it('a copy for mutations has all that a run needs, on both ledgers', async function () {
    this.timeout(60_000)
    const { worker, remove } = mutant(undefined)
    const tasks = (['sim', 'bitcoin'] as const).map((ledger) => ({ seed: 1, steps: 5, ledger }))
    const violations: unknown[] = []
    try {
      await runAll({ worker, tasks, onResult: (result) => violations.push(...result.violations) >= 0 })
    } finally {
      remove()
    }
    expect(violations).deep.equals([])
  })

  for (const mutation of [...MUTATIONS, ...BITCOIN_MUTATIONS]) {
    it(`mutation fits: ${mutation.name}`, () => {
      expect(mutated(mutation)).includes(mutation.replace)
    })
  }
})
