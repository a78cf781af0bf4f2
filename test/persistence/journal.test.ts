// The journal before the tree: what a crash leaves of it, who may read it, and what can't pass for a record of it.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'
import fc from 'fast-check'
import { isError } from '../../channel/errors.js'
import type { Entry, ScanOptions, Store, Write } from '../../persistence/index.js'
import { encodeBody, JOURNAL_BYTES, Journal, readJournal } from '../../persistence/journal.js'
import { LmdbStore } from '../../persistence/lmdb.js'

const PAGE = 4096

let path: string
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'perkunas-journal-'))
})
afterEach(() => rmSync(path, { recursive: true, force: true }))

function put(key: string, ...value: number[]): Write {
  return { kind: 'put', key, value: Uint8Array.from(value) }
}

function keysOf(writes: readonly Write[]): string[] {
  return writes.map(({ key }) => key)
}

function fileOf(directory: string): string {
  const name = readdirSync(directory).find((name) => name.startsWith('journal-'))
  if (name === undefined) throw new Error('there is no journal')
  return join(directory, name)
}

/** The directory as a crash at this moment would leave it. */
function crashed(): string {
  const copy = `${path}-crashed`
  rmSync(copy, { recursive: true, force: true })
  cpSync(path, copy, { recursive: true })
  return copy
}

async function all(store: Store, prefix = '', options: ScanOptions = {}): Promise<Entry[]> {
  const found: Entry[] = []
  for await (const entry of store.scan(prefix, options)) found.push(entry)
  return found
}

function failureOf(open: () => unknown): string {
  try {
    open()
  } catch (error) {
    if (isError(error, 'STORE_FAILED')) return error.message
    throw error
  }
  return 'opened'
}

describe('journal: records', () => {
  it('appended on the loop or beside it -> read back after the mark, in order', async () => {
    const journal = new Journal(path)
    for (const [i, blocks] of [true, false, true].entries()) {
      await journal.append(encodeBody([put(`a${i}`, i), { kind: 'delete', key: `b${i}` }]), blocks)
    }
    const rest = readJournal(path, { id: journal.id, sequence: 1 })
    expect(rest).to.deep.equal({
      writes: [put('a1', 1), { kind: 'delete', key: 'b1' }, put('a2', 2), { kind: 'delete', key: 'b2' }],
      sequence: 3,
    })
    journal.remove()
    expect(readdirSync(path)).to.deep.equal([])
  })

  it('the last record torn in any way -> those before it', () => {
    const journal = new Journal(path)
    void journal.append(encodeBody([put('first', 1)]), true)
    void journal.append(encodeBody([put('second', ...new Array(3 * PAGE).fill(7))]), true)
    journal.close()
    const whole = readFileSync(fileOf(path))
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 4, maxLength: 4, max: 1 }),
        fc.integer({ min: 1, max: 0xff }),
        (kept, bits) => {
          // Each page of it was written, or not, or only in part.
          fc.pre(kept.some((page) => page === 0))
          const file = Buffer.from(whole)
          kept.forEach((page, i) => {
            if (page === 0) file.fill(bits & 1 ? 0 : bits, (1 + i) * PAGE + (bits % 8), (2 + i) * PAGE)
          })
          writeFileSync(fileOf(path), file)
          expect(keysOf(readJournal(path, { id: journal.id, sequence: 0 }).writes)).to.deep.equal(['first'])
        },
      ),
    )
  })

  it('a record before others damaged -> an error, as what follows was promised', () => {
    const journal = new Journal(path)
    for (const key of ['a', 'b', 'c']) void journal.append(encodeBody([put(key)]), true)
    journal.close()
    const file = readFileSync(fileOf(path))
    file.writeUInt8(file.readUInt8(PAGE + 31) ^ 1, PAGE + 31)
    writeFileSync(fileOf(path), file)
    const mark = { id: journal.id, sequence: 0 }
    expect(() => readJournal(path, mark)).to.throw('damaged')
    expect(keysOf(readJournal(path, { ...mark, sequence: 3 }).writes), 'in the tree already').to.deep.equal(
      [],
    )
  })

  it('begun again -> older records behind the newer ones do not count', () => {
    const journal = new Journal(path)
    for (const key of ['a', 'b', 'c']) void journal.append(encodeBody([put(key)]), true)
    journal.restart()
    const mark = { id: journal.id, sequence: 3 }
    expect(keysOf(readJournal(path, mark).writes)).to.deep.equal([])
    void journal.append(encodeBody([put('d')]), true)
    expect(keysOf(readJournal(path, mark).writes)).to.deep.equal(['d'])
    journal.close()
  })

  it('a value that looks like a record -> is none, as nobody else knows the id', () => {
    const other = new Journal(path)
    for (const key of ['a', 'b', 'forged']) void other.append(encodeBody([put(key)]), true)
    const forged = readFileSync(fileOf(path)).subarray(2 * PAGE, 3 * PAGE)
    other.remove()
    const journal = new Journal(path)
    // So that it begins where the second page does.
    const bodyOf = (padding: number) =>
      encodeBody([{ kind: 'put', key: 'k', value: Buffer.concat([new Uint8Array(padding), forged]) }])
    const at = Buffer.from(bodyOf(PAGE)).indexOf(forged.subarray(0, 30))
    void journal.append(bodyOf(2 * PAGE - (at + 30)), true)
    journal.restart()
    void journal.append(encodeBody([put('new')]), true)
    journal.close()
    const mark = { id: journal.id, sequence: 1 }
    expect(keysOf(readJournal(path, mark).writes)).to.deep.equal(['new'])
    const file = readFileSync(fileOf(path))
    const place = file.indexOf(forged.subarray(0, 30))
    expect(place).to.equal(PAGE)
    file.set(journal.id, place)
    writeFileSync(fileOf(path), file)
    expect(keysOf(readJournal(path, mark).writes), 'with the id').to.deep.equal(['new', 'forged'])
  })
})

describe('journal: a store that crashed', () => {
  it('any commits, some in the tree -> a writer and a reader find them all', async () => {
    const key = fc.constantFrom('a', 'a/1', 'a/2', 'b', 'b/\u{10000}', 'b/\uffff')
    const write = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), key, value: fc.uint8Array({ maxLength: 9 }) }),
      fc.record({ kind: fc.constant('delete' as const), key }),
    )
    const batch = fc.record({ writes: fc.array(write, { maxLength: 4 }), settles: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(
        fc.array(batch, { maxLength: 6 }),
        key,
        fc.integer({ min: 1, max: 4 }),
        async (batches, after, limit) => {
          rmSync(path, { recursive: true, force: true })
          const store = new LmdbStore(path)
          const model = new Map<string, Uint8Array>()
          for (const { writes, settles } of batches) {
            await store.commit(writes)
            for (const write of writes) {
              if (write.kind === 'put') model.set(write.key, write.value)
              else model.delete(write.key)
            }
            if (settles) await all(store)
          }
          const expected = [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
          const copy = crashed()
          await store.close()
          for (const readOnly of [true, false, true]) {
            const found = new LmdbStore(copy, { readOnly })
            expect(await all(found)).to.deep.equal(expected)
            const page = expected.filter(
              ([key]) => key.startsWith('b') && Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0,
            )
            expect(await all(found, 'b', { after, limit })).to.deep.equal(page.slice(0, limit))
            for (const [key, value] of expected) expect(await found.get(key)).to.deep.equal(value)
            await found.close()
          }
          rmSync(copy, { recursive: true })
        },
      ),
      { numRuns: 25 },
    )
  })

  it('more commits than a journal holds, and one larger than it -> all there, in order', async () => {
    const store = new LmdbStore(path)
    const size = 0x2_0000
    const rounds = (2 * JOURNAL_BYTES) / size
    for (let i = 0; i < rounds; i++) {
      await store.commit([
        { kind: 'put', key: 'last', value: new Uint8Array(size).fill(i) },
        put(`row/${i}`, i),
      ])
    }
    await store.commit([{ kind: 'put', key: 'last', value: new Uint8Array(JOURNAL_BYTES).fill(200) }])
    const copies = [crashed()]
    const large = new LmdbStore(copies[0] ?? '', { readOnly: true })
    expect((await large.get('last'))?.length).to.equal(JOURNAL_BYTES)
    expect((await all(large, 'row/')).length).to.equal(rounds)
    await large.close()
    await store.commit([put('last', 1)])
    const small = new LmdbStore(crashed())
    expect(await small.get('last')).to.deep.equal(Uint8Array.of(1))
    await small.close()
    await store.close()
    rmSync(`${path}-crashed`, { recursive: true })
  })

  it('without its journal, or with that of another moment -> STORE_FAILED, never the past', async () => {
    const store = new LmdbStore(path)
    await store.commit([put('a', 1)])
    const early = readFileSync(fileOf(path))
    await all(store)
    await store.commit([put('a', 2)])
    await store.commit([put('a', 3)])
    const copy = crashed()
    await store.close()
    const file = fileOf(copy)
    const whole = readFileSync(file)
    unlinkSync(file)
    for (const readOnly of [true, false]) {
      expect(failureOf(() => new LmdbStore(copy, { readOnly }))).to.match(
        /can't be opened: journal-\w+ is missing/,
      )
    }
    const damaged = Buffer.from(whole)
    damaged.fill(0, PAGE, 2 * PAGE)
    writeFileSync(file, damaged)
    expect(failureOf(() => new LmdbStore(copy))).to.match(/can't be opened: its journal is damaged/)
    writeFileSync(file, whole)
    const found = new LmdbStore(copy)
    expect(await found.get('a')).to.deep.equal(Uint8Array.of(3))
    await found.close()
    expect(early.length).to.equal(whole.length)
    rmSync(copy, { recursive: true })
  })

  it('scanned by several at once, right after a commit -> each finds it', async () => {
    const store = new LmdbStore(path)
    await store.commit([put('a', 1), put('b', 2), put('c', 3)])
    const found = await Promise.all(['a', 'b', 'c'].map((prefix) => all(store, prefix)))
    await store.close()
    expect(found.map((entries) => entries.map(([key]) => key))).to.deep.equal([['a'], ['b'], ['c']])
  })

  it('closed in order -> nothing but the tree is left', async () => {
    const store = new LmdbStore(path)
    await store.commit([put('a', 1)])
    writeFileSync(join(path, `journal-${'0'.repeat(32)}`), 'of somebody who died while making it')
    await store.close()
    const again = new LmdbStore(path)
    expect(await again.get('a')).to.deep.equal(Uint8Array.of(1))
    await again.close()
    expect(readdirSync(path).sort()).to.deep.equal(['data.mdb', 'lock.mdb'])
  })
})

describe('journal: a reader beside a writer', () => {
  it('what the tree takes later -> is seen, also where the journal had an older value', async () => {
    const writer = new LmdbStore(path)
    await writer.commit([put('a', 1), put('b', 1)])
    const reader = new LmdbStore(path, { readOnly: true })
    expect(await reader.get('a')).to.deep.equal(Uint8Array.of(1))
    await writer.commit([put('a', 2), { kind: 'delete', key: 'b' }])
    await all(writer)
    await writer.commit([put('c', 1)])
    await all(writer)
    expect(await all(reader)).to.deep.equal([
      ['a', Uint8Array.of(2)],
      ['c', Uint8Array.of(1)],
    ])
    await reader.close()
    await writer.close()
  })
})
