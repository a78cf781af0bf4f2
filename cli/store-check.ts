// `perkunas store check <path>`: what is in a client's store, and is all of it whole?
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { isError } from '../channel/errors.js'
import type { StoreReport } from '../client/check.js'
import type { Command, ExitCode, Invocation } from './command.js'

/** The command. */
export const storeCheck: Command = {
  usage: '<path or postgres URL> [--schema <name>] [--json]',
  summary:
    'Reads a whole store (the directory of an LMDB store, or a PostgreSQL store in its schema, also while its\n' +
    'clients run) and verifies every record. Ends with 0 if all is well, 1 if anything is wrong, 2 if it can\n' +
    'not be opened.',
  options: { json: { type: 'boolean' }, schema: { type: 'string', default: 'perkunas' } },
  positionals: { min: 1, max: 1 },
  run,
}

async function run({ positionals, options, print, complain, signal }: Invocation): Promise<ExitCode> {
  const [path = ''] = positionals
  const isURL = /^postgres(ql)?:/i.test(path)
  const shown = isURL ? withoutPassword(path) : path
  const outcome = await (isURL ? readDatabase(path, String(options['schema'])) : readDirectory(path, signal))
  if (outcome.kind === 'unreadable') {
    complain(`${shown}: ${outcome.reason}`)
    return 2
  }
  const report = outcome.kind === 'damaged' ? damagedBy(outcome.signal) : outcome.report
  if (options['json'] === true) print(JSON.stringify({ path: shown, ...report }))
  else for (const line of lines(shown, report)) print(visible(line))
  return report.faults.length === 0 ? 0 : 1
}

function damagedBy(signal: NodeJS.Signals): StoreReport {
  const reason = `the tree of pages is damaged: a page points to what isn't there (${signal})`
  return {
    entries: 0,
    bytes: 0,
    records: {},
    channels: 0,
    proposals: 0,
    refunds: 0,
    phases: {},
    signatures: 0,
    faults: [{ key: '', reason }],
  }
}

type Outcome =
  | { readonly kind: 'read'; readonly report: StoreReport }
  | { readonly kind: 'unreadable'; readonly reason: string }
  | { readonly kind: 'damaged'; readonly signal: NodeJS.Signals }

/** How a process ends that follows damaged pages. Whatever else ended it (somebody, a lack of memory) says nothing. */
const OF_DAMAGE: ReadonlySet<unknown> = new Set<NodeJS.Signals>(['SIGSEGV', 'SIGBUS', 'SIGABRT'])

/** Reads in a process of its own: LMDB follows damaged pages to memory that is not there, which ends the process. */
async function readDirectory(path: string, ended: AbortSignal): Promise<Outcome> {
  const program = fileURLToPath(new URL('./store-reader.js', import.meta.url))
  const child = spawn(process.execPath, [program, path], { stdio: ['ignore', 'pipe', 'pipe'] })
  ended.addEventListener('abort', () => child.kill())
  const [output, errors, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close'),
  ])
  if (code === 0) return { kind: 'read', report: JSON.parse(output) }
  if (code !== null) return { kind: 'unreadable', reason: errors.trim() }
  if (OF_DAMAGE.has(signal)) return { kind: 'damaged', signal }
  return { kind: 'unreadable', reason: `its reader was ended by ${signal}, nothing is known of the store` }
}

/** Whoever looks waits less than whoever must go on. Milliseconds. */
const PATIENCE = 2_000

async function readDatabase(url: string, schema: string): Promise<Outcome> {
  try {
    const { PostgresStore } = await import('../persistence/postgres.js')
    const [{ checkStore }, { signatureRules }] = await Promise.all([
      import('../client/check.js'),
      import('./ledgers.js'),
    ])
    await using store = await PostgresStore.open(url, { schema, readOnly: true, patience: PATIENCE })
    return { kind: 'read', report: await checkStore(store, signatureRules()) }
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND'
    const reason = isMissing ? 'PostgreSQL stores need the package pg: npm install pg' : String(error)
    return { kind: 'unreadable', reason: isError(error, 'STORE_FAILED') ? error.message : reason }
  }
}

/** A password need not be well encoded to be one: it ends with the last '@', whatever is before that. */
function withoutPassword(url: string): string {
  return url.replace(/^([a-z]+:\/\/[^/@:]*):.*@/is, '$1@').replace(/([?&]password=)[^&]*/gi, '$1')
}

function* lines(path: string, report: StoreReport) {
  const { entries, bytes, records, channels, proposals, refunds, phases, signatures, faults } = report
  yield `${path}: ${entries} records of ${bytes} bytes, ${signatures} signatures verified`
  for (const [kind, count] of Object.entries(records)) yield `  ${kind}: ${count}`
  yield `channels: ${channels}`
  if (proposals > 0) yield `  being opened, not funded by all yet: ${proposals}`
  if (refunds > 0) yield `  given up before all had funded, what was deposited comes back: ${refunds}`
  if (channels > 0) yield 'phases:'
  for (const [phase, count] of Object.entries(phases)) yield `  ${phase}: ${count}`
  yield `faults: ${faults.length}`
  for (const { key, reason } of faults) yield key === '' ? `  ${reason}` : `  ${key}: ${reason}`
}

/** What a damaged record holds must not drive the terminal, nor look like a line of ours. */
function visible(line: string): string {
  return line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`)
}
