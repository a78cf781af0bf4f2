import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

describe('project: the demo', () => {
  it('--json -> one object as the last line: two channels, each participant owns what was agreed', async function () {
    this.timeout(120_000)
    const { stdout } = await run(process.execPath, [`${root}dist/examples/demo/main.js`, '--json'])
    const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    expect(Object.keys(result)).deep.equals(['ledger', 'channels', 'updatesPerSecond', 'ok'])
    expect(result.ok).equals(true)
    expect(
      result.channels.map(({ kind, updates }: { kind: string; updates: number }) => [kind, updates]),
    ).deep.equals([
      ['cooperative', 1000],
      ['dispute', 10],
    ])
    for (const { balancesAfter, expected, gas } of result.channels) {
      expect(balancesAfter).deep.equals(expected)
      expect(Object.values(gas).every((used) => Number(used) > 21_000)).equals(true)
    }
    const [together, fought] = result.channels
    expect(Object.keys(together.gas).filter((name) => name.includes('close'))).has.length(1)
    expect(Object.keys(fought.gas).filter((name) => name.includes('register'))).has.length(2)
  })

  it('bitcoin --json -> three channels: closed together, punished, left alone; all balances as agreed', async function () {
    this.timeout(180_000)
    const { stdout } = await run(process.execPath, [`${root}dist/examples/demo/main.js`, 'bitcoin', '--json'])
    const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    expect(result.ok).equals(true)
    expect(
      result.channels.map(({ kind, updates }: { kind: string; updates: number }) => [kind, updates]),
    ).deep.equals([
      ['cooperative', 1000],
      ['dispute', 20],
      ['vanished', 6],
    ])
    for (const { balancesAfter, expected } of result.channels) expect(balancesAfter).deep.equals(expected)
  })

  it('ldk --json -> two channels with an LDK node: closed together, closed by LDK alone; all balances as agreed', async function () {
    this.timeout(180_000)
    const { stdout } = await run(process.execPath, [`${root}dist/examples/demo/main.js`, 'ldk', '--json'])
    const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    expect(result.ok).equals(true)
    expect(
      result.channels.map(({ kind, updates }: { kind: string; updates: number }) => [kind, updates]),
    ).deep.equals([
      ['cooperative', 400],
      ['dispute', 21],
    ])
    for (const { balancesAfter, expected } of result.channels) expect(balancesAfter).deep.equals(expected)
  })
})
