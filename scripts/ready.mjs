// Makes the checkout ready to run: dependencies, compiled contracts, compiled TypeScript.
// Each step is skipped when nothing that it depends on has changed. Uses Node.js alone, so that
// it works on a fresh clone. `--force` rebuilds.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const force = process.argv.includes('--force')

function run(command, ...args) {
  // Everything goes to standard error: a `--json` command's standard output is its own.
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (error) console.error(`${command}: ${error.message}`)
  if (status !== 0) process.exit(status ?? 1)
}

// The lock file that node_modules was installed from, by its hash.
const mark = `${root}node_modules/.perkunas-lock`
const lock = createHash('sha256')
  .update(readFileSync(`${root}package-lock.json`))
  .digest('hex')

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Perkunas needs Node.js 20.19 or newer; this is ${process.versions.node}.`)
  process.exit(1)
}
const isOurs = existsSync(mark) && readFileSync(mark, 'utf8') === lock
if (!isOurs && isInstalled()) writeFileSync(mark, lock)
else if (!isOurs) {
  // Also within `npm pack --dry-run`, which would hand its option down.
  run('npm', 'ci', '--no-audit', '--no-fund', '--loglevel=error', '--no-dry-run')
  writeFileSync(mark, lock)
}
if (force) rmSync(`${root}dist`, { recursive: true, force: true })
run(process.execPath, 'scripts/compile-contracts.mjs', ...(force ? ['--force'] : []))
const { bin } = JSON.parse(readFileSync(`${root}node_modules/typescript/package.json`, 'utf8'))
removeStale(`${root}dist`, root)
run(process.execPath, `node_modules/typescript/${bin.tsc}`, '--project', 'tsconfig.json')

// Whether npm itself has put there what the lock file says, as by a plain `npm install`: it notes what it installed.
// What is for other platforms only may be missing.
function isInstalled() {
  const note = `${root}node_modules/.package-lock.json`
  if (!existsSync(note)) return false
  const [wanted, found] = [`${root}package-lock.json`, note].map(
    (path) => JSON.parse(readFileSync(path, 'utf8')).packages,
  )
  delete wanted['']
  return (
    Object.keys(found).every((name) => name in wanted) &&
    Object.entries(wanted).every(([name, { version, integrity, optional }]) => {
      const there = found[name]
      if (there === undefined) return optional === true
      return there.version === version && there.integrity === integrity
    })
  )
}

// Output whose source is gone must neither be tested nor published.
function removeStale(output, source) {
  if (!existsSync(output)) return
  for (const entry of readdirSync(output, { withFileTypes: true })) {
    const path = `${output}/${entry.name}`
    if (entry.isDirectory()) removeStale(path, `${source}/${entry.name}`)
    else if (/\.(js|js\.map|d\.ts|d\.ts\.map)$/.test(entry.name)) {
      const stem = entry.name.replace(/\.(js|d\.ts)(\.map)?$/, '')
      if (!existsSync(`${source}/${stem}.ts`)) rmSync(path)
    }
  }
}
