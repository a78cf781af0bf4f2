import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import type {
  Channel,
  ClientOptions,
  Clock,
  CommonOptions,
  Entropy,
  Liquidity,
  SettleOptions,
  SignedState,
  Underway,
  Watcher,
} from '../../index.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const entries = Object.keys(JSON.parse(readFileSync(`${root}package.json`, 'utf8')).exports)

/** The names of values that each entry exports. A longer list is a larger promise: change it on purpose. */
const pinned: Record<string, string[]> = JSON.parse(readFileSync(`${root}test/project/exports.json`, 'utf8'))

/** What signatures of the root mention has a name there: this is checked by being compiled. */
type Same<A, B> = [A, B] extends [B, A] ? true : false
const NAMED: readonly true[] = [
  true satisfies Same<SettleOptions | undefined, Parameters<Channel['settle']>[0]>,
  true satisfies Same<Liquidity, ReturnType<Channel['liquidity']>>,
  true satisfies Same<Underway, Liquidity['sent']>,
  true satisfies Same<Clock, NonNullable<CommonOptions['clock']>>,
  true satisfies Same<Entropy, NonNullable<CommonOptions['entropy']>>,
  true satisfies Same<Watcher, NonNullable<ClientOptions['watcher']>>,
  true satisfies Same<SignedState, NonNullable<Channel['signedState']>>,
]

describe('project: what the package exports', () => {
  it('what signatures of the root mention can be imported from it', () => {
    expect(NAMED).to.not.include(false)
  })

  it('every entry of package.json is pinned', () => {
    expect(Object.keys(pinned).sort()).deep.equals([...entries].sort())
  })

  for (const entry of entries) {
    it(`${entry} exports the pinned names`, async () => {
      const loaded: object = await import(entry.replace('.', 'perkunas'))
      expect(Object.keys(loaded).sort()).deep.equals(pinned[entry])
    })
  }

  it('an entry imports modules of Node.js only if README says that it needs them', () => {
    const readme = readFileSync(`${root}README.md`, 'utf8')
    const [, said = ''] = /Run in a browser: all but ([\s\S]*?)\s+needs no Node\.js module/.exec(readme) ?? []
    const needing = entries.filter((entry) => needsNode(fileOf(entry)))
    expect(needing).to.include('./peer/tcp')
    for (const entry of needing) expect(said, entry).to.include(`\`${entry.slice(2)}\``)
  })
})

function fileOf(entry: string): string {
  return fileURLToPath(import.meta.resolve(entry.replace('.', 'perkunas')))
}

/** Whether a file of ours imports a module of Node.js, or leads to one that does. What is imported when it is called is not. */
function needsNode(file: string, seen = new Set<string>()): boolean {
  if (seen.has(file)) return false
  seen.add(file)
  const from = [...readFileSync(file, 'utf8').matchAll(/^(?:import|export|\}) [^;]*?['"]([^'"]+)['"];$/gm)]
  return from.some(([, to = '']) =>
    to.startsWith('.') ? needsNode(resolve(dirname(file), to), seen) : to.startsWith('node:'),
  )
}
