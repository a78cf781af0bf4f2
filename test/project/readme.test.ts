import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { ether } from '../../backend/ethereum/index.js'
import { accept } from '../../client/index.js'
import { startAnvil } from '../../scripts/anvil.js'
import { otherSideOnEthereum } from './other-side.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

describe("project: the README's example", () => {
  const folder = `${root}.cache/readme`
  const example = /```ts\n([\s\S]*?)```/.exec(readFileSync(`${root}README.md`, 'utf8'))?.[1] ?? ''

  before(async function () {
    this.timeout(60_000)
    rmSync(folder, { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    writeFileSync(`${folder}/example.ts`, example)
    const compilerOptions = { rootDir: '../..', outDir: 'out', incremental: false, tsBuildInfoFile: null }
    const config = { extends: '../../tsconfig.json', compilerOptions, include: ['example.ts'], exclude: [] }
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify(config))
    // Compiles as it stands, under the project's own strict options.
    await run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '--project', folder])
  })

  it('opens, uses and settles a channel on a real node, as it stands there', async function () {
    this.timeout(60_000)
    await using node = await startAnvil()
    await using other = await otherSideOnEthereum(node)
    const { client, owner, config } = other
    client.handleProposals(() => accept())
    client.handleUpdates(() => accept())
    const before = BigInt(String(await node.rpc('eth_getBalance', [owner, 'latest'])))

    const cwd = mkdtempSync(join(tmpdir(), 'perkunas-readme-'))
    const program = `${folder}/out/.cache/readme/example.js`
    const { stdout } = await run(process.execPath, [program, JSON.stringify(config)], { cwd })
    expect(stdout).matches(/^settled 0x[0-9a-f]{64}\n$/)

    const after = BigInt(String(await node.rpc('eth_getBalance', [owner, 'latest'])))
    expect(Number((after - before - ether('0.5')) / 10n ** 12n), 'got half an ether, paid a fee').within(
      -2_000,
      0,
    )
    rmSync(cwd, { recursive: true })
  })
})
