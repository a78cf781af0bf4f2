// `npm run bench -- <name> [--json]`: runs one benchmark. Each prints its results together with the floor of the
// same run, because the machine's own speed changes between runs.
import type { ParseArgsConfig } from 'node:util'
import { commandLine, type Given } from '../scripts/command-line.js'

interface Benchmark {
  readonly options: NonNullable<ParseArgsConfig['options']>
  load(): Promise<{ run(given: Given): Promise<void> }>
}

const json = { type: 'boolean' } as const
const text = { type: 'string' } as const
const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  // `--here`: in this process, as the benchmark calls itself.
  bolt: { options: { json, here: { type: 'boolean' } }, load: () => import('./bolt.js') },
  lightning: {
    options: { json, alone: { type: 'boolean' }, rounds: text, directory: text },
    load: () => import('./lightning.js'),
  },
  restore: { options: { json, channels: text, directory: text }, load: () => import('./restore.js') },
  updates: { options: { json, rounds: text, directory: text }, load: () => import('./updates.js') },
}

const [name = '', ...words] = process.argv.slice(2)
const benchmark = Object.hasOwn(BENCHMARKS, name) ? BENCHMARKS[name] : undefined
if (benchmark === undefined) {
  console.error(`npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [--json]`)
  process.exitCode = name === '--help' || name === '-h' ? 0 : 1
} else {
  const { options, load } = benchmark
  const flags = Object.entries(options).filter(([option]) => option !== 'here')
  const shown = flags.map(([option, { type }]) => ` [--${option}${type === 'string' ? ' …' : ''}]`)
  const given = commandLine({ usage: `npm run bench -- ${name}${shown.join('')}`, options, words })
  if (given !== undefined) await (await load()).run(given.values)
}
