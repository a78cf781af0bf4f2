import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { ether } from '../../backend/ethereum/index.js'
import { accept } from '../../client/index.js'
import { startAnvil } from '../../scripts/anvil.js'
import { compiled, programsIn, run } from './guide.js'
import { otherSideOnEthereum } from './other-side.js'

describe("project: the README's example", () => {
  let program: (name: string) => string

  before(async function () {
    this.timeout(60_000)
    program = await compiled('readme', { example: programsIn('README.md')[0] ?? '' })
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
    const { stdout } = await run(process.execPath, [program('example'), JSON.stringify(config)], { cwd })
    expect(stdout).matches(/^settled 0x[0-9a-f]{64}\n$/)

    const after = BigInt(String(await node.rpc('eth_getBalance', [owner, 'latest'])))
    expect(Number((after - before - ether('0.5')) / 10n ** 12n), 'got half an ether, paid a fee').within(
      -2_000,
      0,
    )
    rmSync(cwd, { recursive: true })
  })
})
