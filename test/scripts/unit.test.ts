import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'

const script = fileURLToPath(new URL('../../../scripts/unit.mjs', import.meta.url))

// Test files by what is wrong with them.
const GOOD = "describe('good', () => { it('passes', () => {}) })"
const BAD = {
  assertion: "describe('x', () => { it('fails', () => { throw new Error('no') }) })",
  exit: "describe('x', () => { it('ends it all', () => process.exit(0)); it('is not reached', () => {}) })",
  hook: "describe('x', () => { before(() => { throw new Error('no') }); it('is not reached', () => {}) })",
  killed: "describe('x', () => { it('dies', () => process.kill(process.pid, 'SIGKILL')) })",
  late: "describe('x', () => { it('passes', () => { setTimeout(() => { throw new Error('no') }, 20) }) })",
  loading: "throw new Error('no')",
  only: "describe('x', () => { it.only('is alone', () => {}); it('is forgotten', () => {}) })",
  rejection:
    "describe('x', () => { it('passes', () => { setTimeout(() => Promise.reject(new Error()), 20) }) })",
}

describe('scripts/unit', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'perkunas-unit-'))
  })
  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  it('all tests pass -> 0, and how many they were', async () => {
    const skips = "describe('b', () => { it('passes', () => {}); it.skip('waits', () => {}) })"
    const { code, output } = await unit({ 'a/one': GOOD, 'a/below/two': GOOD, 'backend/b/three': skips })
    expect(output)
      .matches(/^=== a \(/m)
      .and.matches(/^=== backend\/b \(/m)
    expect(output).matches(/^2 folders, 3 passing, 1 pending, 0 failing \(\d+ s\)\n$/m)
    expect(code).equals(0)
  })

  for (const [failing, passing] of [
    ['a', 'b'],
    ['b', 'a'],
  ]) {
    it(`a test in ${failing} fails, all in ${passing} pass -> 1, and says so`, async () => {
      const { code, output } = await unit({ [`${failing}/x`]: BAD.assertion, [`${passing}/x`]: GOOD })
      expect(verdicts(output)).deep.equals([`${failing}: 1 failing`])
      expect(output).matches(/^2 folders, 1 passing, 0 pending, 1 failing/m)
      expect(code).equals(1)
    })
  }

  it('whatever else goes wrong -> that folder failed, and none beside it', async () => {
    const files = Object.entries(BAD).map(([name, text]) => [`${name}/x`, text])
    const { code, output } = await unit({ ...Object.fromEntries(files), 'good/x': GOOD })
    expect(verdicts(output).map((line) => line.replace(/:.*/, ''))).deep.equals(Object.keys(BAD))
    expect(verdicts(output)).includes('exit: ended before its tests').and.includes('killed: ended by SIGKILL')
    expect(code).equals(1)
  })

  it('a test leaves something open -> that folder is ended, and failed', async () => {
    const leaves = "it('passes', () => { require('node:net').createServer().listen(0, '127.0.0.1') })"
    const { code, output } = await unit({ 'a/x': leaves }, '1')
    expect(verdicts(output)).deep.equals(['a: its tests are over, and something of them is open'])
    expect(output).matches(/^1 folders, 1 passing, 0 pending, 0 failing/m)
    expect(code).equals(1)
  })

  it('no tests -> 1', async () => {
    const { code, output } = await unit({})
    expect(output).matches(/^no tests in /m)
    expect(code).equals(1)
  })

  async function unit(
    files: Readonly<Record<string, string>>,
    ...patience: readonly string[]
  ): Promise<{ code: unknown; output: string }> {
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, `${name}.test.js`)
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(path, text)
    }
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [script, folder, ...patience], (_error, output) =>
        resolve({ code: child.exitCode, output }),
      )
    })
  }

  /** What the end of the output says of folders that failed. */
  function verdicts(output: string): readonly string[] {
    return [...output.matchAll(/^FAILED (.*)$/gm)].map(([, line]) => line ?? '').toSorted()
  }
})
