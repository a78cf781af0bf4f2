// `npm run vectors`: every published vector, as a table by file, or with `--json` as one last line
// {file: {passed, failed, total}}. A file with pending cases lists them there too. Fails if any vector does.
import Table from 'cli-table3'
import { vectorFiles } from './suite.js'

interface Outcome {
  readonly passed: number
  readonly failed: number
  readonly total: number
  readonly pending?: readonly { readonly name: string; readonly reason: string }[]
}

const json = process.argv.includes('--json')
const outcomes: Record<string, Outcome> = {}
for (const { file, cases } of await vectorFiles()) {
  let passed = 0
  let failed = 0
  const pending: { name: string; reason: string }[] = []
  for (const one of cases) {
    if (one.pending !== undefined) {
      pending.push({ name: one.name, reason: one.pending })
      continue
    }
    try {
      await one.run()
      passed++
    } catch (error) {
      failed++
      console.error(`${file}: ${one.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  outcomes[file] = { passed, failed, total: cases.length, ...(pending.length > 0 ? { pending } : {}) }
}

if (json) console.log(JSON.stringify(outcomes))
else printTable()
if (Object.values(outcomes).some(({ failed }) => failed > 0)) process.exitCode = 1

function printTable(): void {
  const table = new Table({
    head: ['file', 'passed', 'failed', 'pending', 'total'],
    colAligns: ['left', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [] },
  })
  const sum = { passed: 0, failed: 0, pending: 0, total: 0 }
  for (const [file, { passed, failed, pending, total }] of Object.entries(outcomes)) {
    const waiting = pending?.length ?? 0
    table.push([file, passed, failed, waiting, total])
    sum.passed += passed
    sum.failed += failed
    sum.pending += waiting
    sum.total += total
  }
  table.push(['all', sum.passed, sum.failed, sum.pending, sum.total])
  console.log(table.toString())
  for (const [file, { pending }] of Object.entries(outcomes)) {
    for (const { name, reason } of pending ?? []) console.log(`pending: ${file}: ${name}: ${reason}`)
  }
}
