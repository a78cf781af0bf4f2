// `npm run bench -- bolt`: medians of the operations of Lightning's encodings, keys, scripts and onions, with the fastest
// provider of secp256k1 and with JavaScript alone, each in a process of its own. `--json` prints
// {provider: {operation: nanoseconds}} as the last line; what is named a ratio is one.

import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import type { Given } from '../scripts/command-line.js'
import { secp256k1 } from '../wallet/secp256k1.js'
import { measureAll, type Results } from './bolt-operations.js'

/** Measures in two children and prints. */
export async function run(given: Given): Promise<void> {
  if (given['here'] === true) {
    console.log(JSON.stringify(measureAll()))
    return
  }
  const results: Record<string, Results> = { [secp256k1.name]: measureIn({}) }
  if (secp256k1.name !== 'js') results['js'] = measureIn({ PERKUNAS_SECP256K1: 'js' })
  console.log(given['json'] === true ? JSON.stringify(results) : tableOf(results))
}

function measureIn(environment: Readonly<Record<string, string>>): Results {
  const output = execFileSync(
    process.execPath,
    [fileURLToPath(new URL('./main.js', import.meta.url)), 'bolt', '--here'],
    { env: { ...process.env, ...environment }, encoding: 'utf8', stdio: ['ignore', 'pipe', 2] },
  )
  return JSON.parse(output)
}

function tableOf(results: Readonly<Record<string, Results>>): string {
  const providers = Object.keys(results)
  const table = new Table({
    head: ['operation (median)', ...providers],
    colAligns: ['left', ...providers.map(() => 'right' as const)],
    style: { head: [], border: [] },
  })
  for (const operation of Object.keys(Object.values(results)[0] ?? {})) {
    table.push([operation, ...providers.map((provider) => format(operation, results[provider]?.[operation]))])
  }
  return table.toString()
}

function format(operation: string, value: number | undefined): string {
  if (value === undefined) return ''
  if (operation.includes('ratio')) return value.toFixed(2)
  if (value < 1e4) return `${(value / 1e3).toFixed(2)} µs`
  return value < 1e6 ? `${(value / 1e3).toFixed(0)} µs` : `${(value / 1e6).toFixed(2)} ms`
}
