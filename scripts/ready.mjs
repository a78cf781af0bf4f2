// Makes the checkout ready to run: dependencies, compiled contracts, compiled TypeScript.
// Each step is skipped when nothing that it depends on has changed. Uses Node.js alone, so that
// it works on a fresh clone. `--force` rebuilds.
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const force = process.argv.includes('--force')

function run(command, ...args) {
  // Everything goes to standard error: a `--json` command's standard output is its own.
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' })
}

function installed() {
  const mark = `${root}node_modules/.package-lock.json`
  return existsSync(mark) && statSync(mark).mtimeMs >= statSync(`${root}package-lock.json`).mtimeMs
}

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Perkunas needs Node.js 20.19 or newer; this is ${process.versions.node}.`)
  process.exit(1)
}
if (!installed()) run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error')
if (force) rmSync(`${root}dist`, { recursive: true, force: true })
run(process.execPath, 'scripts/compile-contracts.mjs', ...(force ? ['--force'] : []))
const { bin } = JSON.parse(readFileSync(`${root}node_modules/typescript/package.json`, 'utf8'))
run(process.execPath, `node_modules/typescript/${bin.tsc}`, '--project', 'tsconfig.json')
