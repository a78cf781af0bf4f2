// Runs the compiled tests: one mocha process for each folder, as many at a time as there are processors, since most tests
// wait for nodes and disks. What a folder's tests print is shown when they are over. The exit code is 0 only if every
// folder's process said how many tests had passed, and none that one had failed, and ended by itself then.
//
// node scripts/unit.mjs [folder, by default dist/test] [seconds that a process may take to end, by default 30]
import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'

// They come first, so that a processor is not left with one of them at the end.
const longest = ['interop/ldk', 'backend/bitcoin', 'backend/ethereum', 'persistence', 'project', 'cli']

const root = fileURLToPath(new URL('..', import.meta.url))
const mocha = createRequire(import.meta.url).resolve('mocha/bin/mocha.js')
const tests = resolve(root, process.argv[2] ?? 'dist/test')
const patience = 1000 * Number(process.argv[3] ?? 30)
const begun = Date.now()
const queue = folders(tests)
  .map((path) => relative(tests, path).replaceAll('\\', '/'))
  .sort((a, b) => rank(a) - rank(b))
const running = new Set()
const results = []

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    for (const name of queue.splice(0)) results.push({ name, fault: 'not begun' })
    // mocha hands on this one alone.
    for (const child of running) child.kill('SIGINT')
  })
}
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift()) results.push(await run(name))
  }),
)
process.exitCode = report()

/** The folders to run: a folder that holds tests, with all below it; one that holds only folders is divided. */
function folders(path) {
  const entries = readdirSync(path, { withFileTypes: true })
  if (entries.some((entry) => isTest(entry.name))) return [path]
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(path, entry.name))
    .filter((below) => readdirSync(below, { recursive: true }).some(isTest))
    .flatMap(folders)
}

function isTest(name) {
  return name.endsWith('.test.js')
}

function rank(name) {
  const index = longest.indexOf(name)
  return index === -1 ? longest.length : index
}

/** Runs a folder's tests: `{ name, fault?, passing, pending, failing }`. */
function run(name) {
  const since = Date.now()
  console.log(`... ${name}`)
  const color = process.stdout.isTTY ? ['--color'] : []
  const files = `${join(tests, name).replaceAll('\\', '/')}/**/*.test.js`
  const child = spawn(process.execPath, [mocha, '--forbid-only', ...color, files], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  return new Promise((done) => {
    const chunks = []
    let error
    let ending
    child.stdout.on('data', (chunk) => {
      chunks.push(chunk)
      if (Number.isNaN(figures(chunk.toString()).passing)) return
      ending ??= setTimeout(() => {
        error = 'its tests are over, and something of them is open'
        child.kill('SIGINT')
      }, patience)
    })
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('error', (cause) => {
      error = cause.message
    })
    child.on('close', (code, signal) => {
      clearTimeout(ending)
      running.delete(child)
      const output = Buffer.concat(chunks).toString()
      console.log(`\n=== ${name} (${seconds(since)})\n${output.trimEnd()}\n`)
      const counted = figures(output)
      done({ name, ...counted, fault: error ?? faultOf(code, signal, counted) })
    })
  })
}

/** What mocha says in the end. */
function figures(output) {
  const text = stripVTControlCharacters(output)
  const last = (word) => [...text.matchAll(new RegExp(`^ +(\\d+) ${word}\\b`, 'gm'))].at(-1)?.[1]
  const [passing, pending = 0, failing = 0] = ['passing', 'pending', 'failing'].map(last)
  return { passing: Number(passing), pending: Number(pending), failing: Number(failing) }
}

function faultOf(code, signal, { passing, failing }) {
  if (signal !== null) return `ended by ${signal}`
  if (failing > 0) return `${failing} failing`
  if (code !== 0) return `ended with code ${code}`
  // As when a test ends the process.
  if (Number.isNaN(passing)) return 'ended before its tests'
}

/** Prints the sums and every folder that failed. @returns the exit code */
function report() {
  const faults = results.filter(({ fault }) => fault !== undefined)
  for (const { name, fault } of faults) console.log(`FAILED ${name}: ${fault}`)
  const sum = (of) => results.reduce((total, result) => total + (result[of] || 0), 0)
  const [passing, pending, failing] = ['passing', 'pending', 'failing'].map(sum)
  const counts = `${passing} passing, ${pending} pending, ${failing} failing`
  console.log(`${results.length} folders, ${counts} (${seconds(begun)})`)
  if (results.length === 0) console.log(`no tests in ${tests}`)
  return faults.length > 0 || results.length === 0 ? 1 : 0
}

function seconds(since) {
  return `${Math.round((Date.now() - since) / 1000)} s`
}
