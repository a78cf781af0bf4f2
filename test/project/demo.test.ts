import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

interface Transaction {
  readonly txid: string
  readonly kind: string
  readonly by?: string
  readonly fee: string
  readonly gas?: string
}

/** Both ledgers of satoshis: each channel begins with its funding, and all that happened is told alone. */
function expectBitcoinTransactions(result: { units: unknown; channels: { transactions: Transaction[] }[] }) {
  expect(result.units).deep.equals({ balances: 'sat', fees: 'sat' })
  for (const { transactions } of result.channels) {
    expect(transactions.map(({ kind }) => kind)).includes.members(['funding', 'commitment or closing'])
    for (const { txid, fee } of transactions) {
      expect(txid).matches(/^[0-9a-f]{64}$/)
      expect(fee).matches(/^\d+$/)
    }
  }
}

describe('project: the demo', () => {
  it('--json -> one object as the last line: two channels, each participant owns what was agreed', async function () {
    this.timeout(120_000)
    const { stdout } = await run(process.execPath, [`${root}dist/examples/demo/main.js`, '--json'])
    const result = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    expect(Object.keys(result)).deep.equals(['ledger', 'units', 'channels', 'updatesPerSecond', 'ok'])
    expect(result.ok).equals(true)
    expect(
      result.channels.map(({ kind, updates }: { kind: string; updates: number }) => [kind, updates]),
    ).deep.equals([
      ['cooperative', 1000],
      ['dispute', 10],
    ])
    expect(result.units).deep.equals({ balances: 'wei', fees: 'wei', gas: 'gas' })
    for (const { balancesAfter, expected, transactions } of result.channels) {
      expect(balancesAfter).deep.equals(expected)
      for (const { txid, by, fee, gas } of transactions as Transaction[]) {
        expect(txid).matches(/^0x[0-9a-f]{64}$/)
        expect(by).matches(/^(alice|bob)$/)
        expect(Number(gas)).greaterThan(21_000)
        expect(Number(fee)).greaterThan(Number(gas))
      }
    }
    const [together, fought] = result.channels.map(({ transactions }: { transactions: Transaction[] }) =>
      transactions.map(({ kind }) => kind),
    )
    expect(together.filter((kind: string) => kind === 'close')).has.length(1)
    expect(fought.filter((kind: string) => kind === 'register')).has.length(2)
  })

  it('bitcoin --json -> three channels: closed together, punished, left alone; all balances as agreed', async function () {
    this.timeout(180_000)
    const files = mkdtempSync(join(tmpdir(), 'perkunas-files-'))
    after(() => rmSync(files, { recursive: true, force: true }))
    const { stdout } = await run(
      process.execPath,
      [`${root}dist/examples/demo/main.js`, 'bitcoin', '--json'],
      {
        env: { ...process.env, TMPDIR: files },
      },
    )
    // A party was killed, whose store must not stay.
    expect(readdirSync(files)).deep.equals([])
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
    expectBitcoinTransactions(result)
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
    expectBitcoinTransactions(result)
  })
})
