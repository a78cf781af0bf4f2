// docs/two-ledgers.md, as it stands there: the same program on a real Ethereum node and on a real bitcoind.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { expect } from 'chai'
import { accept, type Channel } from '../../client/index.js'
import { startAnvil } from '../../scripts/anvil.js'
import { startBitcoind } from '../../scripts/bitcoind.js'
import { compiled, programsIn, run } from './guide.js'
import { otherSideOnEthereum } from './other-side.js'

describe('project: one program, two ledgers', () => {
  let program: (name: string) => string
  let cwd: string

  before(async function () {
    this.timeout(60_000)
    const [own = '', other = ''] = programsIn('docs/two-ledgers.md')
    program = await compiled('two-ledgers', { own, other })
  })

  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'perkunas-two-'))
  })

  afterEach(() => rmSync(cwd, { recursive: true }))

  it('on Ethereum', async function () {
    this.timeout(60_000)
    await using node = await startAnvil()
    await using other = await otherSideOnEthereum(node)
    let channel: Channel | undefined
    other.client.handleProposals(accept)
    other.client.handleUpdates(accept)
    other.client.newChannels$.subscribe((opened) => {
      channel = opened
    })
    const config = JSON.stringify({ ledger: 'ethereum', identity: '05'.repeat(32), ...other.config })
    const { stdout } = await run(process.execPath, [program('own'), config], { cwd })
    expect(stdout).matches(/^settled 0x[0-9a-f]{64}\n$/)
    expect(channel?.state.allocation.balances[0]?.[1]).equals(5n * 10n ** 17n)
  })

  it('on Bitcoin, with the other side, from an empty wallet on', async function () {
    this.timeout(120_000)
    await using node = await startBitcoind({ args: ['-fallbackfee=0.00002'] })
    const { url, cookieFile } = node
    await node.rpc('createwallet', ['miner'])
    const miner = await node.rpc('getnewaddress', [], 'miner')
    await node.rpc('generatetoaddress', [101, miner])
    let isMining = true
    const mining = (async () => {
      while (isMining) {
        await node.rpc('generatetoaddress', [1, miner])
        await new Promise((resolve) => setTimeout(resolve, 600))
      }
    })()
    const secrets = { identity: '06'.repeat(32), seed: '07'.repeat(32) }
    const options = JSON.stringify({ url, cookieFile, ...secrets, port: 0 })
    const other = execFile(process.execPath, [program('other'), options], { cwd })
    const heard: string[] = []
    try {
      const there = await new Promise<string>((resolve, reject) => {
        if (other.stdout === null) return
        createInterface(other.stdout).on('line', (line) => {
          heard.push(line)
          if (line.startsWith('{')) resolve(line)
        })
        other.on('exit', () => reject(new Error(`the other side ended: ${heard}`)))
      })
      const own = { ledger: 'bitcoin', url, cookieFile, identity: '08'.repeat(32), seed: '09'.repeat(32) }
      const config = JSON.stringify({ ...own, ...JSON.parse(there) })
      const running = run(process.execPath, [program('own'), config], { cwd })
      running.child.stdout?.once('data', (line: string) => {
        const address = /^fund (\S+)/.exec(line)?.[1]
        node.rpc('sendtoaddress', [address, 0.1], 'miner').catch(() => running.child.kill())
      })
      const { stdout } = await running
      expect(stdout).matches(/^fund bcrt1\w+\nsettled 0x[0-9a-f]{64}\n$/)
      expect(heard).includes('owns 500000000')
    } finally {
      isMining = false
      await mining
      other.kill()
    }
  })
})
