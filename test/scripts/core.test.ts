import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
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

function keptTo(which: number): { isKept: boolean; before: string; after: string } {
  const program = ['--input-type=module', '--eval', PROGRAM, `${which}`]
  return JSON.parse(execFileSync(process.execPath, program, { encoding: 'utf8' }))
}

describe('keepToCore', () => {
  before(function () {
    if (process.platform !== 'linux' || cpus().length < 2) this.skip()
  })

  it('keeps one process to the first core that it may use, the other one to the last', () => {
    const [one, other] = [keptTo(0), keptTo(1)]
    expect(one).to.deep.include({ isKept: true, after: /^\d+/.exec(one.before)?.[0] })
    expect(other).to.deep.include({ isKept: true, after: /\d+$/.exec(other.before)?.[0] })
    expect(one.after).not.to.equal(other.after)
  })
})
