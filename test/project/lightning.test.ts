// docs/lightning.md, as it stands there: its blocks are one program, which runs on a real bitcoind.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { startBitcoind } from '../../scripts/bitcoind.js'
import { compiled, programsIn } from './guide.js'

describe('project: the guide to Lightning', () => {
  let program: (name: string) => string

  before(async function () {
    this.timeout(60_000)
    program = await compiled('lightning', { program: programsIn('docs/lightning.md').join('\n') })
  })

  it('its program: coins, a channel, invoices, keysend, held payments, and what a lost disk leaves', async function () {
    this.timeout(120_000)
    await using node = await startBitcoind()
    await node.rpc('createwallet', ['miner'])
    const miner = await node.rpc('getnewaddress', [], 'miner')
    await node.rpc('generatetoaddress', [101, miner])
    const { url, cookieFile } = node
    const cwd = mkdtempSync(join(tmpdir(), 'perkunas-lightning-'))
    let isMining = true
    const mining = (async () => {
      while (isMining) {
        await node.rpc('generatetoaddress', [1, miner])
        await new Promise((resolve) => setTimeout(resolve, 600))
      }
    })()
    const config = JSON.stringify({ url, cookieFile, birthday: 0 })
    const printed = await new Promise<string>((resolve, reject) => {
      const child = execFile(
        process.execPath,
        [program('program'), config],
        { cwd },
        (error, stdout, stderr) =>
          error === null ? resolve(stdout) : reject(new Error(`${error.message}\n${stdout}\n${stderr}`)),
      )
      child.stdout?.once('data', (line: string) => {
        const address = /^fund (\S+)/.exec(line)?.[1]
        node
          .rpc('sendtoaddress', [address, 0.1, '', '', false, true, null, 'unset', null, 2], 'miner')
          .catch(reject)
      })
    }).finally(() => {
      isMining = false
    })
    await mining
    rmSync(cwd, { recursive: true })
    // 100 000 sat on chain; in the channel 50 000 for tea, 7 000, 1 000 and 2 000, by the commitment that alice publishes.
    const [, ...lines] = printed.trimEnd().split('\n')
    expect(lines.slice(0, -1)).deep.equals([
      'a PSBT of signed inputs, for bob',
      'open; true: a reserve of 20000000, true',
      'invoice succeeded',
      'keysend succeeded',
      'held, then succeeded',
      'held, then failed',
      'locked, then released',
      'recovered registering',
    ])
    const [, owned = ''] = /^bob has (\d+) sat$/.exec(lines.at(-1) ?? '') ?? []
    expect(Number(owned)).within(159_000, 160_000)
  })
})
