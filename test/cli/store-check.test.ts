import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { toHex, transfer } from '../../channel/index.js'
import type { Write } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { group, open, who } from '../client/parties.js'
import { perkunas } from './run.js'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'perkunas-check-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

/** A client's records: two channels, one of them with a state that is being signed. */
async function records(): Promise<Map<string, Uint8Array>> {
  const world = await group(2)
  const [first] = await open(world)
  await first?.update((draft) => transfer(draft, { from: 0, to: 1, amount: 5n }))
  const [second] = await open(world)
  who(world, 1).client.handleUpdates(() => new Promise(() => undefined))
  const store = who(world, 0).store
  const before = store.snapshot()
  second?.update((draft) => transfer(draft, { from: 0, to: 1, amount: 7n })).catch(() => undefined)
  while ([...store.snapshot()].every(([key, value]) => before.get(key) === value)) {
    await new Promise((resolve) => setImmediate(resolve))
  }
  const snapshot = store.snapshot()
  for (const { client } of world.parties) await client.close()
  return new Map(snapshot)
}

async function filled(entries: ReadonlyMap<string, Uint8Array>): Promise<LmdbStore> {
  const store = new LmdbStore(path)
  await store.commit([...entries].map(([key, value]): Write => ({ kind: 'put', key, value })))
  return store
}

describe('perkunas store check', () => {
  it('a whole store, while another process has it open -> what is in it, 0', async () => {
    const entries = await records()
    const store = await filled(entries)
    const { code, stdout, stderr } = await perkunas('store', 'check', path, '--json')
    expect({ code, stderr }).deep.equals({ code: 0, stderr: '' })
    const bytes = [...entries.values()].reduce((sum, { length }) => sum + length, 0)
    expect(JSON.parse(stdout)).deep.equals({
      path,
      entries: 4,
      bytes,
      channels: 2,
      phases: { acting: 1, signing: 1 },
      signatures: 5,
      faults: [],
    })
    await store.commit([{ kind: 'delete', key: [...entries.keys()][0] ?? '' }])
    await store.close()
    const incomplete = await perkunas('store', 'check', path)
    expect(incomplete.code).equals(1)
    expect(incomplete.stdout).matches(/faults: 1\n {2}channel\/0x[0-9a-f]{64}: .*(terms|progress) is missing/)
  })

  it('pages of the file overwritten -> a fault or a refusal that says so, never a crash', async () => {
    const store = await filled(await records())
    await store.close()
    const whole = await readFile(`${path}/data.mdb`)
    const copy = join(path, 'copy')
    await mkdir(copy)
    for (let page = 0; page * 4096 < whole.length; page++) {
      const damaged = Buffer.from(whole)
      damaged.fill(0xa5, page * 4096, (page + 1) * 4096)
      await writeFile(`${copy}/data.mdb`, damaged)
      const { code, stdout, stderr } = await perkunas('store', 'check', copy)
      expect(code, `page ${page}: ${stdout}${stderr}`).to.be.oneOf([0, 1, 2])
      if (code !== 0) expect(stdout + stderr).matches(/faults: [1-9]|can't be opened|is no file of LMDB/)
    }
  })

  it('a file that was cut off -> says so, 1 or 2', async () => {
    const store = await filled(new Map([...(await records())].slice(0, 2)))
    await store.commit([{ kind: 'put', key: 'x', value: new Uint8Array(100_000) }])
    await store.close()
    await truncate(`${path}/data.mdb`, 4096 * 5)
    const pages = await perkunas('store', 'check', path)
    expect(pages.code).equals(1)
    expect(pages.stdout).includes('the tree of pages is damaged')
    await truncate(`${path}/data.mdb`, 4096 * 3 + 5)
    const bytes = await perkunas('store', 'check', path)
    expect(bytes).includes({ code: 2, stdout: '' })
    expect(bytes.stderr).includes('data.mdb was cut off')
  })

  it('no store -> says so, 2, and makes none', async () => {
    const nothing = join(path, 'nothing')
    for (const [where, message] of [
      [nothing, 'there is no such directory'],
      [path, 'there is no data.mdb in it'],
    ] as const) {
      expect(await perkunas('store', 'check', where)).deep.equals({
        code: 2,
        stdout: '',
        stderr: `${where}: ${message}\n`,
      })
    }
    await writeFile(join(path, 'data.mdb'), toHex(new Uint8Array(9_000)))
    expect((await perkunas('store', 'check', path)).stderr).includes('data.mdb is no file of LMDB')
    await copyFile(join(path, 'data.mdb'), nothing)
    expect((await perkunas('store', 'check', nothing)).stderr).includes('there is no such directory')
  })
})
