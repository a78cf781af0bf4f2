// npm run simulate -- --seeds N --steps M [--from S] [--verify] [--json]
//   runs the seeds from S (0) on; of every tenth, of all with --verify, a second run must tell the same story
// npm run simulate -- --seed S --steps M [--only 1,2,3] [--trace] [--json]
//   tells one seed's story, of all steps or only some
// npm run simulate -- --ledger bitcoin ...
//   the same with Lightning channels on a simulated Bitcoin chain
// npm run simulate -- --mutations [--mutation words] [--json]
//   shows which deliberate mistakes are caught, and how soon
import { setMaxListeners } from 'node:events'
import Table from 'cli-table3'
import { commandLine } from '../../scripts/command-line.js'
import { BITCOIN_MUTATIONS } from './bitcoin/mutations.js'
import { mutant } from './mutant.js'
import { MUTATIONS, type Mutation } from './mutations.js'
import type { RunOptions, RunResult } from './play.js'
import { runAll } from './pool.js'
import { shrink } from './shrink.js'
import { runOn } from './worlds.js'

const USAGE = `npm run simulate -- [--seeds N] [--steps M] [--from S] [--verify] [--ledger sim|bitcoin] [--json]
npm run simulate -- --seed S [--steps M] [--only 1,2,3] [--trace] [--ledger sim|bitcoin] [--json]
npm run simulate -- --mutations [--mutation words] [--seeds N] [--steps M] [--ledger sim|bitcoin] [--json]`
const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const given = commandLine({
  usage: USAGE,
  options: {
    ...{ seeds: text, steps: text, seed: text, only: text, from: text, mutation: text, ledger: text },
    ...{ trace: flag, verify: flag, mutations: flag, json: flag },
  },
})
if (given === undefined) process.exit()
const { values } = given
const steps = wholeNumber(values['steps'] ?? '200', 'steps')
const seeds = wholeNumber(values['seeds'] ?? '200', 'seeds')
const from = wholeNumber(values['from'] ?? '0', 'from')
const ledger = ledgerOf(values['ledger'] ?? 'sim')
const say = (words: string) => console.error(words)
setMaxListeners(0)
/** Seeds that must go well in a copy without a mistake, or what is caught says nothing. */
const CONTROLS = 10

if (values['mutations']) process.exitCode = await mutations()
else if (values['seed'] === undefined) process.exitCode = await many()
else process.exitCode = await one(wholeNumber(values['seed'], 'seed'))

/** As many seeds as are wanted. */
async function many(): Promise<number> {
  const started = performance.now()
  const failed: RunResult[] = []
  const hashes = new Map<number, string>()
  const differing: number[] = []
  let done = 0
  await runAll({
    tasks: twice(tasks(seeds)),
    onResult(result) {
      const { seed, hash } = result
      const before = hashes.get(seed)
      if (before !== undefined) {
        if (before !== hash) differing.push(seed)
        return true
      }
      hashes.set(seed, hash)
      done++
      if (result.violations.length > 0) {
        failed.push(result)
        say(`seed ${result.seed}: ${result.violations[0]?.invariant}: ${result.violations[0]?.words}`)
      }
      if (done % 100 === 0) say(`${done} of ${seeds} seeds, ${failed.length} failed`)
      return true
    },
  })
  for (const seed of differing) say(`seed ${seed}: same seed, same trace: two runs differ`)
  const seconds = Math.round((performance.now() - started) / 100) / 10
  const summary = { seeds, steps, seconds, failed: failed.map(({ seed }) => seed), differing }
  console.log(
    values['json']
      ? JSON.stringify(summary)
      : `${seeds} seeds of ${steps} steps in ${seconds} s: ${failed.length + differing.length} with violations`,
  )
  const [first] = failed.toSorted((a, b) => a.seed - b.seed)
  if (first) await explain({ seed: first.seed, steps, ledger }, first)
  return failed.length + differing.length > 0 ? 1 : 0
}

/** One seed, with its story. */
async function one(seed: number): Promise<number> {
  const only = values['only']
    ?.toString()
    .split(',')
    .map((item) => wholeNumber(item, 'only'))
  const options = { seed, steps, ledger, ...(only && { only }) }
  const result = await runOn({ ...options, keepTrace: true })
  const again = await runOn(options)
  const isSame = result.hash === again.hash
  if (values['json']) {
    const { violations, hash, trace } = result
    console.log(JSON.stringify({ ...options, violations, hash, isSame, ...(values['trace'] && { trace }) }))
  } else {
    if (values['trace'] || result.violations.length > 0) console.log(result.trace.join('\n'))
    for (const { invariant, words } of result.violations) console.log(`VIOLATED ${invariant}: ${words}`)
    console.log(`seed ${seed}: ${result.violations.length} violations, trace ${result.hash}`)
    if (!isSame) console.log(`VIOLATED same seed, same trace: ${again.hash} the second time`)
  }
  return result.violations.length > 0 || !isSame ? 1 : 0
}

/** How to see a failure, and its shortest story. */
async function explain(options: RunOptions, failed: RunResult): Promise<void> {
  const on = ledger === 'sim' ? '' : ` --ledger ${ledger}`
  const replay = `npm run simulate --${on} --seed ${options.seed} --steps ${options.steps}`
  say(`\nreplay: ${replay}\nshrinking ...`)
  const { only, result } = await shrink(options, failed)
  say(`${only.length} of ${options.steps} steps are enough:\n  ${replay} --only ${only.join(',')}`)
  const again = await runOn({ ...options, only })
  if (again.hash !== result.hash)
    say(`VIOLATED same seed, same trace: ${again.hash} when these steps are played again`)
  for (const { invariant, words } of result.violations) say(`VIOLATED ${invariant}: ${words}`)
}

/** Every mutation until it is caught. */
async function mutations(): Promise<number> {
  const limit = values['seeds'] === undefined ? 2_000 : seeds
  const rows: { mutation: string; caught: string; seed: number | undefined; runs: number; words: string }[] =
    []
  const control = await search(undefined, CONTROLS)
  if (control.caught) throw new Error(`without a mutation: ${control.caught.violations[0]?.words}`)
  for (const mutation of ledger === 'bitcoin' ? BITCOIN_MUTATIONS : MUTATIONS) {
    if (!mutation.name.includes(String(values['mutation'] ?? ''))) continue
    const { caught, runs } = await search(mutation, limit)
    const first = caught?.violations[0]
    rows.push({
      mutation: mutation.name,
      caught: first?.invariant ?? 'NOT CAUGHT',
      seed: caught?.seed,
      runs,
      words: first?.words ?? '',
    })
    say(
      `${mutation.name}: ${first ? `${first.invariant} at seed ${caught?.seed}` : 'NOT CAUGHT'} (${runs} runs)`,
    )
  }
  if (values['json']) console.log(JSON.stringify(rows))
  else {
    const table = new Table({
      head: ['mutation', 'caught by', 'seed', 'runs'],
      style: { head: [], border: [] },
    })
    for (const { mutation, caught, seed, runs } of rows) table.push([mutation, caught, seed ?? '-', runs])
    console.log(table.toString())
  }
  return rows.every(({ seed }) => seed !== undefined) ? 0 : 1
}

/** Runs the code with a mistake until a seed fails. */
async function search(
  mutation: Mutation | undefined,
  limit: number,
): Promise<{ readonly caught: RunResult | undefined; readonly runs: number }> {
  const { worker, remove } = mutant(mutation)
  let runs = 0
  let caught: RunResult | undefined
  try {
    await runAll({
      worker,
      tasks: tasks(limit),
      onResult(result) {
        runs++
        if (result.violations.length > 0) caught ??= result
        return caught === undefined
      },
    })
  } finally {
    remove()
  }
  return { caught, runs }
}

function* tasks(count: number): Generator<RunOptions> {
  for (let seed = from; seed < from + count; seed++) yield { seed, steps, ledger }
}

/** Some tasks are done again right after. */
function* twice(all: Iterable<RunOptions>): Generator<RunOptions> {
  for (const task of all) {
    yield task
    if (values['verify'] || task.seed % 10 === 0) yield task
  }
}

function ledgerOf(words: string | boolean): NonNullable<RunOptions['ledger']> {
  if (words === 'sim' || words === 'bitcoin') return words
  throw new Error(`--ledger: sim or bitcoin expected, got ${words}`)
}

function wholeNumber(words: string | boolean, option: string): number {
  const number = Number(words)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new Error(`--${option}: a whole number expected, got ${words}`)
}
