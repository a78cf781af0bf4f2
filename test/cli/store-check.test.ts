import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import { isError, toHex, transfer } from '../../channel/index.js'
import { signatureRules } from '../../cli/ledgers.js'
import { checkStore } from '../../client/check.js'
import { progressed, restored } from '../../client/records.js'
import { type Envelope, MemoryStore, openEnvelope, type Write } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { PostgresStore } from '../../persistence/postgres.js'
import { sealEnvelope } from '../../persistence/record.js'
import { startPostgres } from '../../scripts/postgres.js'
import { group, open, WEALTH, who } from '../client/parties.js'
import { perkunas, perkunasWith } from './run.js'

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
      records: { 'channel/progress 3': 2, 'channel/terms 2': 2 },
      channels: 2,
      proposals: 0,
      refunds: 0,
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

  it('a channel given up before all had funded -> counted as such, beside its phase', async () => {
    const world = await group(2)
    const { client, store } = who(world, 0)
    const allocation = { assets: [world.assets[0]], balances: [[WEALTH + 1n, 5n]] }
    const error: unknown = await open(world, { allocation }).catch((thrown: unknown) => thrown)
    expect(isError(error, 'FUNDING_FAILED')).equals(true)
    const check = () => checkStore(store, signatureRules())
    while ((await check()).phases.registered !== 1) await new Promise((resolve) => setImmediate(resolve))
    expect(await check()).deep.includes({ channels: 1, proposals: 0, refunds: 1, phases: { registered: 1 } })
    expect(client.channels()).has.length(1)
    const copy = await filled(store.snapshot())
    const { stdout } = await perkunas('store', 'check', path)
    expect(stdout).matches(
      /\nchannels: 1\n {2}given up before all had funded, .*: 1\nphases:\n {2}registered: 1\nfaults: 0\n$/,
    )
    await copy.close()
    for (const party of world.parties) await party.client.close()
  })

  it('any byte of a record flipped -> a fault of its channel, which names it', async () => {
    const entries = await records()
    const memory = new MemoryStore(entries)
    for (const [key, value] of entries) {
      const step = Math.ceil(value.length / 40)
      for (let at = 0; at < value.length; at += step) {
        const damaged = value.slice()
        damaged[at] = (damaged[at] ?? 0) ^ 0x10
        await memory.commit([{ kind: 'put', key, value: damaged }])
        const { faults } = await checkStore(memory, signatureRules())
        expect(
          faults.map((fault) => fault.key),
          `byte ${at}`,
        ).deep.equals([key])
      }
      await memory.commit([{ kind: 'put', key, value }])
    }
    expect((await checkStore(memory, signatureRules())).faults).deep.equals([])
  })

  it('bytes of records flipped in the file -> 1, and says which records', async () => {
    const entries = await records()
    const store = await filled(entries)
    await store.close()
    const whole = await readFile(`${path}/data.mdb`)
    for (const [key, value] of [...entries].slice(0, 2)) {
      const damaged = Buffer.from(whole)
      const at = damaged.indexOf(value) + (value.length >> 1)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      await writeFile(`${path}/data.mdb`, damaged)
      const { code, stdout } = await perkunas('store', 'check', path, '--json')
      expect(code).equals(1)
      expect(JSON.parse(stdout).faults).deep.equals([
        { key, reason: 'damaged: the checksum is not that of its key and content' },
      ])
    }
  })

  it('a whole record with a wrong signature, of another version, of another part -> what of it is a fault', async () => {
    const entries = await records()
    const key = [...entries.keys()].find((one) => one.endsWith('progress')) ?? ''
    const { name, version, payload } = openEnvelope(key, entries.get(key) ?? new Uint8Array())
    const put = async (other: Partial<Envelope>, under = key) => {
      const memory = new MemoryStore(entries)
      const value = sealEnvelope(under, { name, version, payload, ...other })
      await memory.commit([{ kind: 'put', key: under, value }])
      return checkStore(memory, signatureRules())
    }
    const newer = await put({ version: version + 1 })
    expect(newer.faults.map(({ reason }) => reason)[0]).includes(
      `version ${version + 1} was written by a newer release`,
    )
    const [, id = ''] = key.split('/')
    const parts = new Map(
      ['terms', 'progress'].map((part) => [part, entries.get(`channel/${id}/${part}`) ?? new Uint8Array()]),
    )
    const record = restored(id, parts)
    const { machine } = record
    const { current } = machine
    if (current === undefined) throw new Error('a channel that is open has a current state')
    const swapped = { ...current, signatures: current.signatures.toReversed() }
    const swap = new MemoryStore(entries)
    await swap.commit([progressed({ ...record, machine: { ...machine, current: swapped } })])
    expect((await checkStore(swap, signatureRules())).faults).deep.equals([
      {
        key: `channel/${id}`,
        reason: `the current state: version ${current.state.version} has a signature that is not participant 0's`,
      },
    ])
    const other = await put({ name: 'lightning/other' }, 'lightning/1')
    expect(other.faults).deep.equals([])
    expect(other.records[`lightning/other ${version}`]).equals(1)
    const foreign = new MemoryStore(new Map([['hello', Uint8Array.of(1, 2, 3)]]))
    expect((await checkStore(foreign, signatureRules())).faults.map((fault) => fault.key)).deep.equals([
      'hello',
    ])
  })

  it('pages of the file overwritten -> a fault or a refusal that says so, never a crash', async function () {
    this.timeout(60_000)
    const entries = await records()
    const store = await filled(entries)
    await store.close()
    const whole = await readFile(`${path}/data.mdb`)
    const copy = join(path, 'copy')
    await mkdir(copy)
    const { stdout: report } = await perkunas('store', 'check', path)
    // The one that says where the newest root is, those next to it, one with a record, and the last one.
    const [record = new Uint8Array()] = entries.values()
    const pages = [0, 1, 2, Math.floor(whole.indexOf(record) / 4096), whole.length / 4096 - 1]
    for (const page of new Set(pages)) {
      const damaged = Buffer.from(whole)
      damaged.fill(0xa5, page * 4096, (page + 1) * 4096)
      await writeFile(`${copy}/data.mdb`, damaged)
      const { code, stdout, stderr } = await perkunas('store', 'check', copy)
      expect(code, `page ${page}: ${stdout}${stderr}`).to.be.oneOf([0, 1, 2])
      // A page that nothing is read from may hold anything.
      if (code === 0) expect(stdout.split('\n').slice(1)).deep.equals(report.split('\n').slice(1))
      else expect(stdout + stderr).matches(/faults: [1-9]|can't be opened|is no file of LMDB/)
    }
  })

  it('the reader is ended by a signal -> damage only if that is how damaged pages end a process; says which', async () => {
    await (await filled(await records())).close()
    const ending = join(path, 'ending.cjs')
    for (const [signal, code, what] of [
      ['SIGKILL', 2, /its reader was ended by SIGKILL, nothing is known of the store/],
      ['SIGTERM', 2, /its reader was ended by SIGTERM/],
      ['SIGBUS', 1, /faults: 1\n {2}the tree of pages is damaged: .*\(SIGBUS\)/],
      ['SIGSEGV', 1, /\(SIGSEGV\)/],
      ['SIGABRT', 1, /\(SIGABRT\)/],
    ] as const) {
      const isReader = "process.argv[1].endsWith('store-reader.js')"
      await writeFile(ending, `if (${isReader}) process.kill(process.pid, '${signal}')`)
      const ended = await perkunasWith({ NODE_OPTIONS: `--require ${ending}` }, 'store', 'check', path)
      expect(ended.stdout + ended.stderr, signal).matches(what)
      expect(ended.code, signal).equals(code)
    }
  })

  it('SIGTERM while it reads -> its reader ends too, 2', async () => {
    await (await filled(await records())).close()
    const standing = join(path, 'standing.cjs')
    const isReader = "process.argv[1].endsWith('store-reader.js')"
    const standStill = 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)'
    await writeFile(standing, `if (${isReader}) { process.kill(process.ppid, 'SIGTERM'); ${standStill} }`)
    const ended = await perkunasWith({ NODE_OPTIONS: `--require ${standing}` }, 'store', 'check', path)
    expect(ended).includes({ code: 2, stdout: '' })
    expect(ended.stderr).matches(/its reader was ended by SIGTERM/)
  })

  it('a key of control characters -> shown, in one line that drives no terminal', async () => {
    const store = await filled(new Map([['x\u001b[2J\nfaults: 0', Uint8Array.of(1)]]))
    await store.close()
    const { code, stdout } = await perkunas('store', 'check', path)
    expect(code).equals(1)
    const [, , , fault] = stdout.split('\n')
    expect(fault).matches(/^ {2}x\\u\{1b\}\[2J\\u\{a\}faults: 0: damaged/)
  })

  it('a file that was cut off -> says so, 2', async () => {
    const store = await filled(new Map([...(await records())].slice(0, 2)))
    await store.commit([{ kind: 'put', key: 'x', value: new Uint8Array(100_000) }])
    await store.close()
    for (const length of [4096 * 5, 4096 * 3 + 5]) {
      await truncate(`${path}/data.mdb`, length)
      const ended = await perkunas('store', 'check', path)
      expect(ended).includes({ code: 2, stdout: '' })
      expect(ended.stderr).includes('data.mdb was cut off')
    }
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
        stderr: `${where}: the LMDB store at ${where} can't be opened: ${message}\n`,
      })
    }
    await writeFile(join(path, 'data.mdb'), toHex(new Uint8Array(9_000)))
    expect((await perkunas('store', 'check', path)).stderr).includes('data.mdb is no file of LMDB')
    await copyFile(join(path, 'data.mdb'), nothing)
    expect((await perkunas('store', 'check', nothing)).stderr).includes('there is no such directory')
  })

  it('a URL in capitals, or with a password that is not encoded -> 2, without its password', async () => {
    const urls = ['POSTGRES://me:secret@/x?host=/nowhere', 'postgres://me:a@secret@/x?host=/nowhere']
    const ended = await Promise.all(
      [...urls, 'postgres://me:a/secret@x/y'].map((url) => perkunas('store', 'check', url)),
    )
    for (const { code, stdout, stderr } of ended) {
      expect({ code, stdout }).deep.equals({ code: 2, stdout: '' })
      expect(stderr).matches(/^postgres:\/\/me@.*: the PostgreSQL store perkunas can't be opened: /i)
      expect(stderr).not.includes('secret')
    }
  })

  it('a PostgreSQL store, while a client has it open -> the same; no server, no schema -> 2, without its password', async function () {
    this.timeout(60_000)
    await using server = await startPostgres()
    const entries = await records()
    await using store = await PostgresStore.open(server.url, { schema: 'mine', share: {} })
    await store.commit([...entries].map(([key, value]): Write => ({ kind: 'put', key, value })))
    const url = server.url.replace('perkunas@', 'perkunas:secret@')
    const whole = await perkunas('store', 'check', url, '--schema', 'mine', '--json')
    expect(whole).includes({ code: 0, stderr: '' })
    expect(JSON.parse(whole.stdout)).includes({ entries: 4, channels: 2, signatures: 5 })
    const [[key = '', value = new Uint8Array()] = []] = entries
    await store.commit([{ kind: 'put', key, value: value.map((byte) => byte ^ 1) }])
    const damaged = await perkunas('store', 'check', url, '--schema', 'mine')
    expect(damaged.code).equals(1)
    expect(damaged.stdout).includes(`faults: 1\n  ${key}: `)
    const missing = await perkunas('store', 'check', url)
    expect(missing).includes({ code: 2, stdout: '' })
    expect(missing.stderr).matches(/relation "perkunas.layout" does not exist/)
    const nowhere = await perkunas('store', 'check', 'postgres://me:secret@/x?host=/nowhere')
    expect(nowhere).includes({ code: 2, stdout: '' })
    expect(nowhere.stderr).matches(/^postgres:\/\/me@\/x.*can't be opened: connect ENOENT/)
    for (const { stdout, stderr } of [whole, damaged, missing, nowhere]) {
      expect(stdout + stderr).not.includes('secret')
    }
  })
})
