// docs/two-ledgers.md, as it stands there: the same program on a real Ethereum node and on a real bitcoind.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { BitcoindSource } from '../../backend/bitcoin/chain/index.js'
import { sourceChain } from '../../backend/bitcoin/node/index.js'
import { BitcoinBackend } from '../../backend/bitcoin/protocol/index.js'
import { BitcoindWallet } from '../../backend/bitcoin/wallet/index.js'
import { accept, type Channel, Client } from '../../client/index.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpListener } from '../../peer/tcp.js'
import { MemoryStore } from '../../persistence/index.js'
import { startAnvil } from '../../scripts/anvil.js'
import { startBitcoind } from '../../scripts/bitcoind.js'
import { otherSideOnEthereum } from './other-side.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

describe('project: one program, two ledgers', () => {
  const folder = `${root}.cache/two-ledgers`
  const program = `${folder}/out/.cache/two-ledgers/program.js`
  let cwd: string

  before(async function () {
    this.timeout(60_000)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    const [, code = ''] =
      /```ts\n([\s\S]*?)```/.exec(readFileSync(`${root}docs/two-ledgers.md`, 'utf8')) ?? []
    writeFileSync(`${folder}/program.ts`, code)
    const compilerOptions = { rootDir: '../..', outDir: 'out', incremental: false, tsBuildInfoFile: null }
    const config = { extends: '../../tsconfig.json', compilerOptions, include: ['program.ts'], exclude: [] }
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config))
    await run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '--project', folder])
  })

  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'perkunas-two-'))
  })

  afterEach(() => rmSync(cwd, { recursive: true }))

  /** The other side accepts everything. @returns what it was paid in its first channel */
  async function otherSide(client: Client): Promise<() => bigint | undefined> {
    let channel: Channel | undefined
    client.handleProposals(accept)
    client.handleUpdates(accept)
    client.newChannels$.subscribe((opened) => {
      channel = opened
    })
    return () => channel?.state.allocation.balances[0]?.[1]
  }

  it('on Ethereum', async function () {
    this.timeout(60_000)
    await using node = await startAnvil()
    await using other = await otherSideOnEthereum(node)
    const paid = await otherSide(other.client)
    const config = JSON.stringify({ ledger: 'ethereum', ...other.config })
    const { stdout } = await run(process.execPath, [program, config], { cwd })
    expect(stdout).matches(/^settled 0x[0-9a-f]{64}\n$/)
    expect(paid()).equals(5n * 10n ** 17n)
  })

  it('on Bitcoin', async function () {
    this.timeout(120_000)
    await using node = await startBitcoind({ args: ['-fallbackfee=0.00002'] })
    const { url, cookieFile } = node
    const rpc = { url, credentials: { cookieFile } }
    const store = new MemoryStore()
    const wallet = await BitcoindWallet.open({ ...rpc, wallet: 'other', store })
    const chain = sourceChain({ source: new BitcoindSource(rpc), network: 'regtest', pollingInterval: 50 })
    const seed = crypto.getRandomValues(new Uint8Array(32))
    const backend = new BitcoinBackend({ chain, wallet, seed })
    const bus = new PeerBus({ identity: createIdentity(), ...backend.bus })
    const address = await bus.listen(tcpListener())
    const client = new Client({ bus, backend, store })
    const paid = await otherSide(client)
    // The program's wallet has money before it begins; then blocks come by themselves.
    await node.rpc('createwallet', ['program'])
    const receive = await node.rpc('getnewaddress', [], 'program')
    await node.rpc('generatetoaddress', [101, receive])
    const miner = await node.rpc('getnewaddress', [], 'other')
    let isMining = true
    const mining = (async () => {
      while (isMining) {
        await node.rpc('generatetoaddress', [1, miner])
        await new Promise((resolve) => setTimeout(resolve, 300))
      }
    })()
    const terms = { url, cookieFile, seed: '07'.repeat(32), peer: bus.id, address }
    const config = JSON.stringify({ ledger: 'bitcoin', ...terms })
    const { stdout } = await run(process.execPath, [program, config], { cwd })
    expect(stdout).matches(/^settled 0x[0-9a-f]{64}\n$/)
    expect(paid()).equals(500_000_000n)
    isMining = false
    await mining
    await client.close()
    await bus.close()
    await backend.close()
  })
})
