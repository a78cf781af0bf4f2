import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { commandLine } from '../../scripts/command-line.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const run = promisify(execFile)

describe('scripts: command lines', () => {
  it('what is known -> values and positionals', () => {
    const options = { json: { type: 'boolean' }, rounds: { type: 'string' } } as const
    const words = ['one', '--rounds', '3', '--json']
    const given = commandLine({ usage: 'use', options, positionals: 1, words })
    expect(given).deep.equals({ values: { json: true, rounds: '3' }, positionals: ['one'] })
  })

  const wrong: readonly (readonly [string, readonly string[]])[] = [
    ['examples/demo/main.js', ['--jsn']],
    ['examples/demo/main.js', ['bitcoin', 'ldk']],
    ['bench/main.js', ['bolt', '--round=3']],
    ['test/simulation/main.js', ['--sed', '3']],
  ]
  for (const [program, words] of wrong) {
    it(`${program} ${words.join(' ')} -> is refused with the usage`, async () => {
      const failed = await run(process.execPath, [`${root}dist/${program}`, ...words]).catch((error) => error)
      expect(failed.code).equals(1)
      expect(failed.stderr).matches(/^(Unknown option|unexpected argument)[\s\S]*\nnpm run \w+ -- /)
    })
  }

  for (const rounds of ['x', '0', '-1', '1.5', '']) {
    it(`bench updates --rounds=${rounds} -> is refused, and nothing is measured`, async () => {
      const words = ['updates', `--rounds=${rounds}`]
      const failed = await run(process.execPath, [`${root}dist/bench/main.js`, ...words]).catch(
        (error) => error,
      )
      expect(failed.code).equals(1)
      expect(failed.stderr).contains('--rounds: a positive number expected')
    })
  }

  it('simulate --help -> its usage, and nothing is run', async () => {
    const { stdout } = await run(process.execPath, [`${root}dist/test/simulation/main.js`, '--help'])
    expect(stdout).matches(/^npm run simulate -- .*--ledger/)
  })
})
