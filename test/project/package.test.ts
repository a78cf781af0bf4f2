import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path/posix'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

/** The npm of this Node.js installation, told what is packed without building anything. */
const pack = 'npm pack --dry-run --ignore-scripts --json --loglevel=error'

describe('project: what the package holds', () => {
  const held = new Set<string>()

  before(async function () {
    this.timeout(60_000)
    const [command = '', ...args] = pack.split(' ')
    const { stdout } = await run(command, args, { cwd: root, maxBuffer: 2 ** 24, shell: true })
    const [packed]: { files: { path: string }[] }[] = Object.values(JSON.parse(stdout))
    for (const { path } of packed?.files ?? []) held.add(path)
  })

  it('every entry of package.json, with its types', () => {
    const { exports } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
    const targets = Object.values<Record<string, string>>(exports).flatMap((entry) => Object.values(entry))
    expect(targets.filter((target) => !held.has(join(target)))).deep.equals([])
  })

  it('every command of package.json', () => {
    const { bin }: { bin: Record<string, string> } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
    expect(Object.values(bin).filter((target) => !held.has(target))).deep.equals([])
  })

  it('every module that one of its modules imports by path', () => {
    const missing: string[] = []
    for (const path of held) {
      if (!/\.(js|d\.ts)$/.test(path)) continue
      for (const [, to = ''] of readFileSync(root + path, 'utf8').matchAll(
        /(?:from|import\() ?'(\.[^']+)'/g,
      )) {
        if (!held.has(join(dirname(path), to))) missing.push(`${path}: ${to}`)
      }
    }
    expect(missing).deep.equals([])
  })

  it('the sources that its source maps and declaration maps point to', () => {
    const maps = [...held].filter((path) => path.endsWith('.map'))
    expect(maps.length).greaterThan(100)
    const missing = maps.flatMap((path) => {
      const { sources }: { sources: string[] } = JSON.parse(readFileSync(root + path, 'utf8'))
      return sources.map((source) => join(dirname(path), source)).filter((source) => !held.has(source))
    })
    expect(missing).deep.equals([])
  })

  it('every page that one of its pages links to', () => {
    const missing: string[] = []
    for (const path of held) {
      if (!path.endsWith('.md')) continue
      for (const [, to = ''] of readFileSync(root + path, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
        if (!held.has(join(dirname(path), to))) missing.push(`${path}: ${to}`)
      }
    }
    expect(missing).deep.equals([])
  })

  it('no tests but the conformance suites, no benchmarks, no by-products', () => {
    const rooms =
      /^(dist\/)?(index|backend|channel|cli|client|docs|peer|persistence|wallet|test\/conformance)\b/
    const strays = [...held].filter((path) => {
      return !rooms.test(path) && !['package.json', 'LICENSE'].includes(path) && !/^[A-Z]+\.md$/.test(path)
    })
    expect(strays).deep.equals([])
    expect([...held].filter((path) => /testing|\.test\.|tsbuildinfo/.test(path))).deep.equals([])
  })
})
