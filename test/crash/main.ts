// Many kills, for as long as somebody wants to wait: npm run crashes -- --seeds 20 --kills 50 --seed 1
import { parseArgs } from 'node:util'
import { runCrashes } from './run.js'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    kills: { type: 'string', default: '50' },
    verbose: { type: 'boolean', default: false },
  },
})

let failed = 0
for (let i = 0; i < Number(values.seeds); i++) {
  const seed = String(Number(values.seed) + i)
  const started = Date.now()
  try {
    const report = await runCrashes({
      seed,
      kills: Number(values.kills),
      ...(values.verbose && {
        onLine: (line) => console.log(`  ${((Date.now() - started) / 1000).toFixed(2)}  ${line}`),
      }),
    })
    console.log(`seed ${seed}, ${((Date.now() - started) / 1000).toFixed(1)} s: ${JSON.stringify(report)}`)
  } catch (error) {
    failed++
    console.log(error instanceof Error ? error.message : error)
  }
}
process.exitCode = failed > 0 ? 1 : 0
