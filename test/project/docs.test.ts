// The code in docs/ compiles as it stands there, under the project's own strict options, and does what is said.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { expect } from 'chai'
import { ANVIL_MNEMONIC, startAnvil } from '../../scripts/anvil.js'
import { compiled, programsIn, root, run } from './guide.js'

describe('project: the guides', () => {
  const pages = readdirSync(`${root}docs`)
  let program: (page: string) => string
  const text = (page: string) => readFileSync(page, 'utf8')

  before(async function () {
    this.timeout(60_000)
    // Others have tests of their own.
    const short = ['your-own-app', 'your-own-backend', 'real-network']
    const programs = short.map((page) => [page, programsIn(`docs/${page}.md`)[0] ?? ''] as const)
    program = await compiled('docs', Object.fromEntries(programs))
  })

  it('your own app: a channel by its rules', async function () {
    this.timeout(60_000)
    const { stdout } = await run(process.execPath, [program('your-own-app')])
    expect(stdout).equals('APP_REFUSED the app refuses: the count goes up by one\ncount 1, balances 9 11\n')
  })

  it('your own backend: the suite runs through its hook', async function () {
    this.timeout(60_000)
    const mocha = `${root}node_modules/mocha/bin/mocha.js`
    const { stdout } = await run(process.execPath, [mocha, '--no-config', program('your-own-backend')])
    expect(stdout).matches(/\d{2,} passing/)
    expect(stdout).not.contains('failing')
  })

  it('a real network: deployed, verified, connected', async function () {
    this.timeout(60_000)
    await using node = await startAnvil()
    const config = JSON.stringify({ mnemonic: ANVIL_MNEMONIC, rpc: node.url })
    const { stdout } = await run(process.execPath, [program('real-network'), config])
    expect(stdout).equals('ready on chain 31337\n')
  })

  it('every file that the pages, the README and the map name is there', () => {
    for (const page of ['README.md', 'ARCHITECTURE.md', ...pages.map((name) => `docs/${name}`)]) {
      for (const [, link = ''] of text(`${root}${page}`).matchAll(/\]\((?!http)([^)#]+)\)/g)) {
        expect(() => text(`${root}${dirname(page)}/${link}`), `${page}: ${link}`).not.throws()
      }
      for (const [, path = ''] of text(`${root}${page}`).matchAll(
        /`((?:[a-z0-9-]+\/)+[\w.-]+\.(?:ts|sol))`/g,
      )) {
        expect(() => text(`${root}${path}`), `${page}: ${path}`).not.throws()
      }
    }
  })
})
