// LMDB with real processes: killed between any two instructions, and on a disk that has no more room.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { expect } from 'chai'
import fc from 'fast-check'
import { open } from 'lmdb'
import { isError } from '../../channel/errors.js'
import type { Store } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'

const CHILD = fileURLToPath(new URL('./store-child.js', import.meta.url))

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'perkunas-lmdb-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

/** When to kill: some turns of our event loop (microseconds) after a number of commits were reported. */
interface Moment {
  readonly reports: number
  readonly turns: number
}

/** Runs the child until that moment, and gives the last version that it reported of each channel. */
async function killAt(
  { reports, turns }: Moment,
  channels: number,
  blockUpTo: number,
): Promise<Map<number, number>> {
  const child = spawn(process.execPath, [CHILD, path, String(channels), String(blockUpTo), '64'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk
    if (output.split('\n').length > reports) wait(turns)
  })
  const wait = (left: number): void => {
    if (left === 0) child.kill('SIGKILL')
    else setImmediate(wait, left - 1)
  }
  const [, signal] = await once(child, 'close')
  expect(signal).to.equal('SIGKILL')
  // A last line without its end was cut by the kill.
  const lines = output.slice(0, output.lastIndexOf('\n')).split('\n')
  return new Map(
    lines.map((line): [number, number] => [Number(line.split(' ')[0]), Number(line.split(' ')[1])]),
  )
}

async function versions(store: Store, prefix: string): Promise<number[]> {
  const found: number[] = []
  for await (const [key, value] of store.scan(prefix)) {
    const version = Buffer.from(value).readUInt32BE()
    if (!key.startsWith('state/')) expect(Number(key.split('/')[2])).to.equal(version)
    found.push(version)
  }
  return found
}

describe('LMDB store: a killed process', () => {
  for (const [channels, blockUpTo] of [
    [1, Infinity],
    [16, 0],
    [16, 0.5],
  ] as const) {
    it(`${channels} channels, blocking up to ${blockUpTo} ms -> every batch whole, none lost that had resolved`, async () => {
      const rounds = fc.sample(
        fc.record({ reports: fc.integer({ min: 1, max: 300 }), turns: fc.nat(300) }),
        8,
      )
      const last = new Map<number, number>()
      for (const [round, moment] of rounds.entries()) {
        const reported = await killAt(moment, channels, blockUpTo)
        const store = new LmdbStore(path)
        for (let channel = 0; channel < channels; channel++) {
          const [version = 0] = await versions(store, `state/${channel}`)
          // At most one commit was under way.
          const durable = reported.get(channel) ?? last.get(channel) ?? 0
          expect(version - durable, `channel ${channel}, round ${round}`).to.be.oneOf([0, 1])
          last.set(channel, version)
          const log = await versions(store, `log/${channel}/`)
          expect(log).to.deep.equal(Array.from({ length: version }, (_, i) => i + 1))
          expect(await versions(store, `mark/${channel}/`)).to.deep.equal(version === 0 ? [] : [version])
        }
        await store.close()
      }
    })
  }
})

describe('LMDB store: its older form', () => {
  it('entries in a table of their own -> brought over by whoever opens it for writing', async () => {
    const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const
    const root = open<Uint8Array, Uint8Array>({ ...binary, path, noSubdir: false })
    const former = root.openDB<Uint8Array, Uint8Array>({ ...binary, name: 'entries' })
    root.openDB({ ...binary, name: 'owner', useVersions: true })
    for (const key of ['owner', 'entries', 'z']) await former.put(Buffer.from(key), Buffer.from(`of ${key}`))
    await root.close()
    expect(() => new LmdbStore(path, { readOnly: true })).to.throw('older form')
    for (const round of ['brought over', 'there already']) {
      const store = new LmdbStore(path)
      const found: string[] = []
      for await (const [key, value] of store.scan('')) found.push(`${key}: ${Buffer.from(value)}`)
      expect(found, round).to.deep.equal(['entries: of entries', 'owner: of owner', 'z: of z'])
      await store.close()
    }
  })
})

describe('LMDB store: a disk without room', () => {
  for (const [channels, blockUpTo] of [
    [1, Infinity],
    [4, 0],
  ] as const) {
    it(`${channels} channels, blocking up to ${blockUpTo} ms -> STORE_FAILED says why, what had resolved stays`, async () => {
      // The largest file that the process may write stands for the disk: 16 000 blocks of 512 or 1 024 bytes.
      const child = spawn(
        '/bin/sh',
        [
          '-c',
          'ulimit -f 16000; exec "$0" "$@"',
          process.execPath,
          CHILD,
          path,
          `${channels}`,
          `${blockUpTo}`,
          '9999',
        ],
        { stdio: ['ignore', 'pipe', 'pipe'] },
      )
      const [output, errors, [code]] = await Promise.all([
        text(child.stdout),
        text(child.stderr),
        once(child, 'close'),
      ])
      const lines = output.trimEnd().split('\n')
      expect(lines.at(-1)).to.match(
        /^STORE_FAILED: the LMDB store at .* failed to commit \(.* with \d+ kB left on the disk\); stop this process/,
      )
      // No promise of the library's own was rejected unheard.
      expect(code, errors).to.equal(0)
      const reported = lines.slice(0, -1)
      expect(reported.length).to.be.greaterThan(5)

      const store = new LmdbStore(path)
      for (const line of reported) {
        const [channel = '', version = ''] = line.split(' ')
        const row = await store.get(`log/${channel}/${version.padStart(9, '0')}`)
        expect(row?.length).to.equal(9999)
      }
      await store.close()
    })
  }
})

describe('LMDB store: opening', () => {
  it('no room on the disk for a journal -> STORE_FAILED at the first commit, not at one of the later ones', async () => {
    const child = spawn(
      '/bin/sh',
      ['-c', 'ulimit -f 4000; exec "$0" "$@"', process.execPath, CHILD, path, '1', '0', '9'],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')])
    expect(output).to.match(/^STORE_FAILED: .* failed to commit \(the disk took a part of a journal\)/)
    const store = new LmdbStore(path)
    expect(await store.get('state/0')).to.equal(undefined)
    await store.close()
  })

  it('a path that can be no directory -> STORE_FAILED', () => {
    let failure: unknown
    try {
      new LmdbStore('/dev/null/store')
    } catch (error) {
      failure = error
    }
    expect(isError(failure, 'STORE_FAILED') && failure.facts.operation).to.equal('open')
  })

  it('no room on the disk for the note of who owns it -> STORE_FAILED, and the store is as it was', async () => {
    const store = new LmdbStore(path)
    await store.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(1) }])
    await store.close()
    const blocks = Math.ceil(statSync(join(path, 'data.mdb')).size / 1024)
    const child = spawn(
      '/bin/sh',
      ['-c', `ulimit -f ${blocks}; exec "$0" "$@"`, process.execPath, CHILD, path, '1', '0', '9'],
      {
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')])
    expect(output).to.match(/^STORE_FAILED: .* can't be opened: /)
    expect(code).to.equal(0)
    const again = new LmdbStore(path)
    expect(await again.get('a')).to.deep.equal(Uint8Array.of(1))
    await again.close()
  })

  it('read only -> shows what another one writes, refuses to commit', async () => {
    const writer = new LmdbStore(path)
    await writer.commit([{ kind: 'put', key: 'a', value: Uint8Array.of(1) }])
    const reader = new LmdbStore(path, { readOnly: true })
    expect(await reader.get('a')).to.deep.equal(Uint8Array.of(1))
    const failure = await reader.commit([{ kind: 'delete', key: 'a' }]).catch((error: unknown) => error)
    expect(isError(failure, 'STORE_FAILED')).to.equal(true)
    expect(await writer.get('a')).to.deep.equal(Uint8Array.of(1))
    await reader.close()
    await writer.close()
  })
})

describe('LMDB store: what it can not open', () => {
  /** In a process of its own, which might hang or die. */
  async function opening(where: string): Promise<string> {
    const child = spawn(process.execPath, [CHILD, where, '0', '0', '9'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
      killSignal: 'SIGKILL',
    })
    const [output, [, signal]] = await Promise.all([text(child.stdout), once(child, 'close')])
    return signal === null ? output : `ended by ${signal}`
  }

  for (const where of ['/proc/nope', '/proc/nope/deeper', '/dev/full', '/etc/passwd']) {
    it(`${where} -> STORE_FAILED at once`, async () => {
      expect(await opening(where)).to.match(/^STORE_FAILED: .* can't be opened: /)
    })
  }

  it('a foreign file, or one that was cut off anywhere -> STORE_FAILED', async () => {
    const store = new LmdbStore(path)
    for (const key of ['a', 'b', 'c']) {
      await store.commit([{ kind: 'put', key, value: new Uint8Array(50_000) }])
    }
    await store.close()
    const file = join(path, 'data.mdb')
    const whole = await readFile(file)
    for (const length of [5, 4_096, 4_096 * 3 + 5, 4_096 * 5, Math.floor(whole.length / 2)]) {
      await writeFile(file, whole.subarray(0, length))
      expect(await opening(path), `${length} bytes`).to.match(
        /^STORE_FAILED: .* data.mdb (was cut off|is no file)/,
      )
    }
    await writeFile(file, Buffer.alloc(20_000, 'foreign'))
    expect(await opening(path)).to.match(/^STORE_FAILED: .* data.mdb is no file of LMDB/)
    // A commit that came to nothing may leave a part of a page.
    await writeFile(file, Buffer.concat([whole, Buffer.alloc(5)]))
    const again = new LmdbStore(path)
    expect((await again.get('c'))?.length).to.equal(50_000)
    await again.close()
  })
})

describe('LMDB store: owners', () => {
  for (const blockUpTo of [0, Infinity]) {
    it(`opened again by the same process, blocking up to ${blockUpTo} ms -> the earlier one can't commit`, async () => {
      const put = (key: string) => [{ kind: 'put', key, value: Uint8Array.of(1) }] as const
      const earlier = new LmdbStore(path, { blockUpTo })
      await earlier.commit(put('a'))
      const later = new LmdbStore(path, { blockUpTo })
      expect(await later.get('a')).to.deep.equal(Uint8Array.of(1))
      // A lone commit takes the one way, two of one turn the other.
      const late = blockUpTo === 0 ? ['b', 'c'] : ['b']
      const failures = await Promise.allSettled(late.map((key) => earlier.commit(put(key))))
      for (const failure of failures) {
        const reason: unknown = failure.status === 'rejected' ? failure.reason : undefined
        expect(isError(reason, 'STORE_FAILED') && reason.message).to.match(
          /another process has opened it since/,
        )
      }
      await later.commit(put('d'))
      const keys: string[] = []
      for await (const [key] of later.scan('')) keys.push(key)
      expect(keys).to.deep.equal(['a', 'd'])
      await earlier.close()
      await later.commit(put('e'))
      await later.close()
    })
  }

  it('opened by another process while one commits -> that one stops, and nothing of it comes later', async () => {
    const child = spawn(process.execPath, [CHILD, path, '4', '0.5', '64'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const finished = Promise.all([text(child.stderr), once(child, 'close')])
    let output = ''
    let taken: { readonly store: LmdbStore; readonly versions: number[] } | undefined
    for await (const chunk of child.stdout.setEncoding('utf8')) {
      output += String(chunk)
      if (taken === undefined && output.split('\n').length > 50) {
        const store = new LmdbStore(path)
        taken = { store, versions: await versions(store, 'state/') }
      }
    }
    const [errors, [code]] = await finished
    expect(code, errors).to.equal(0)
    expect(output.trimEnd().split('\n').at(-1)).to.match(
      /^STORE_FAILED: .*another process has opened it since/,
    )
    if (taken === undefined) throw new Error('the child ended before it was overtaken')
    expect(await versions(taken.store, 'state/')).to.deep.equal(taken.versions)
    await taken.store.close()
  })
})
