import { execFileSync, spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { expect } from 'chai'

const MODULE = new URL('../../scripts/core.js', import.meta.url).href
const PROGRAM = `
const { readFileSync } = await import('node:fs')
const { keepToCore } = await import(${JSON.stringify(MODULE)})
const cores = () => /^Cpus_allowed_list:\\s*(\\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))[1]
const before = cores()
const isKept = keepToCore(Number(process.argv[1]))
console.log(JSON.stringify({ isKept, before, after: cores() }))
`

/** @param command by which the program is run */
function keptTo(
  which: number,
  ...command: readonly string[]
): { isKept: boolean; before: string; after: string } {
  const program = [process.execPath, '--input-type=module', '--eval', PROGRAM, `${which}`]
  const [file = '', ...args] = [...command, ...program]
  return JSON.parse(execFileSync(file, args, { encoding: 'utf8' }))
}

describe('keepToCore', () => {
  before(function () {
    const isThere = process.platform === 'linux' && spawnSync('taskset', ['--version']).status === 0
    if (!isThere) this.skip()
  })

  it('of one core there is none to choose -> false, and the process stays where it is', () => {
    const core = /^\d+/.exec(keptTo(0).before)?.[0] ?? ''
    for (const which of [0, 1]) {
      const outcome = keptTo(which, 'taskset', '--cpu-list', core)
      expect(outcome).to.deep.equal({ isKept: false, before: core, after: core })
    }
  })

  it('keeps one process to the first core that it may use, the other one to the last', function () {
    // Of the cores that this process may use: it may be kept to one itself.
    if (availableParallelism() < 2) this.skip()
    const [one, other] = [keptTo(0), keptTo(1)]
    expect(one).to.deep.include({ isKept: true, after: /^\d+/.exec(one.before)?.[0] })
    expect(other).to.deep.include({ isKept: true, after: /\d+$/.exec(other.before)?.[0] })
    expect(one.after).not.to.equal(other.after)
  })
})
