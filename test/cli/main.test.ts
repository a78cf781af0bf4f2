import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import { perkunas } from './run.js'

const manifest = fileURLToPath(new URL('../../../package.json', import.meta.url))

describe('perkunas: the command line', () => {
  it('--version -> that of the package', async () => {
    const { version }: { version: string } = JSON.parse(readFileSync(manifest, 'utf8'))
    expect(await perkunas('--version')).deep.equals({ code: 0, stdout: `${version}\n`, stderr: '' })
  })

  it('--help -> all commands; --help of a command -> its usage', async () => {
    const all = await perkunas('--help')
    expect(all).includes({ code: 0, stderr: '' })
    expect(all.stdout).matches(/^usage:\n {2}perkunas store check <path/)
    const one = await perkunas('store', 'check', '--help')
    expect(one).includes({ code: 0, stderr: '' })
    expect(one.stdout).matches(/^perkunas store check <path/)
    expect(one.stdout).not.matches(/^ /m)
    const several = await perkunas('watch', '--help')
    const [usage = '', summary = ''] = several.stdout.split('\n\n')
    expect(usage).matches(/^perkunas watch --store .*(\n {2}\S.*)+$/)
    expect(summary).matches(/^(\S.*\n)+$/)
    for (const line of all.stdout.split('\n').slice(1)) {
      expect(line).matches(/^( {2}perkunas| {6}\S|$)/)
    }
  })

  for (const [args, message] of [
    [[], /^usage:/],
    [['store'], /^there is no command store\n/],
    [['store', 'burn', 'x'], /^there is no command store burn x\n/],
    [['store', 'check'], /^1 argument expected, got 0\n/],
    [['store', 'check', 'a', 'b'], /^1 argument expected, got 2\n/],
    [['watch', 'a'], /^0 arguments expected, got 1\n/],
    [['watch'], /^--client is needed\n$/],
    [['watch', '--client', '0x12'], /^--client takes a public key .*, got 0x12\n$/],
    [['store', 'check', 'a', '--xml'], /^Unknown option '--xml'/],
    [['store', 'check', 'a', '--json=1'], /'--json' does not take an argument/],
  ] as const) {
    it(`'${args.join(' ')}' -> says what is wrong, ends with 2`, async () => {
      const { code, stdout, stderr } = await perkunas(...args)
      expect({ code, stdout }).deep.equals({ code: 2, stdout: '' })
      expect(stderr).matches(message)
    })
  }

  it('watch with an option missing or wrong -> says which, and makes no identity', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'perkunas-main-'))
    const key = join(directory, 'key')
    await writeFile(key, '11'.repeat(32))
    const options = {
      identity: join(directory, 'identity'),
      client: `0x02${'1'.padStart(64, '0')}`, // a point of the curve
      store: join(directory, 'store'),
      key,
      rpc: 'http://127.0.0.1:1',
      adjudicator: `0x${'22'.repeat(20)}`,
      holder: `0x${'33'.repeat(20)}`,
    }
    const run = (given: Readonly<Record<string, string>>) =>
      perkunas('watch', ...Object.entries(given).flatMap(([name, value]) => [`--${name}`, value]))
    try {
      for (const name of ['store', 'rpc', 'holder'] as const) {
        const { [name]: _, ...rest } = options
        expect(await run(rest)).deep.equals({ code: 2, stdout: '', stderr: `--${name} is needed\n` })
      }
      for (const name of ['max-fee', 'metrics-port']) {
        const stderr = `--${name} takes a number, got many\n`
        expect(await run({ ...options, [name]: 'many' })).deep.equals({ code: 2, stdout: '', stderr })
      }
      expect(await readdir(directory)).deep.equals(['key'])
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})
