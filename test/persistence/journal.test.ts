// The journal before the tree: what a crash leaves of it, who may read it, and what can't pass for a record of it.
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'chai'
import fc from 'fast-check'
import { isError } from '../../channel/errors.js'
import type { Entry, ScanOptions, Store, Write } from '../../persistence/index.js'
import { encodeBody, JOURNAL_BYTES, Journal, readJournal } from '../../persistence/journal.js'
import { ReadOnlyEngine } from '../../persistence/journal-reader.js'
import { JournaledEngine } from '../../persistence/journaled.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { LmdbTree } from '../../persistence/lmdb-tree.js'
import { Pace } from '../../persistence/pace.js'

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
    const rest = readJournal(path, { id: journal.id, sequence: 1, begun: 1 })
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
          expect(keysOf(readJournal(path, { id: journal.id, sequence: 0, begun: 0 }).writes)).to.deep.equal([
            'first',
          ])
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
    const mark = { id: journal.id, sequence: 0, begun: 0 }
    expect(() => readJournal(path, mark)).to.throw('damaged')
    expect(keysOf(readJournal(path, { ...mark, sequence: 3 }).writes), 'in the tree already').to.deep.equal(
      [],
    )
  })

  it('less of it than the tree has begun to take -> an error, as older values would replace newer ones', () => {
    const journal = new Journal(path)
    for (const key of ['a', 'b']) void journal.append(encodeBody([put(key)]), true)
    journal.close()
    const mark = { id: journal.id, sequence: 1, begun: 2 }
    expect(keysOf(readJournal(path, mark).writes)).to.deep.equal(['b'])
    expect(() => readJournal(path, { ...mark, begun: 3 })).to.throw('of an earlier moment')
  })

  it('begun again -> older records behind the newer ones do not count', () => {
    const journal = new Journal(path)
    for (const key of ['a', 'b', 'c']) void journal.append(encodeBody([put(key)]), true)
    journal.restart()
    const mark = { id: journal.id, sequence: 3, begun: 3 }
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
    const mark = { id: journal.id, sequence: 1, begun: 1 }
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

/** Somebody who is overtaken at one moment of his opening. */
class Overtaken extends LmdbTree {
  readonly #at: 'mark' | 'applyHere'
  readonly #overtake: () => void

  constructor(at: 'mark' | 'applyHere', overtake: () => void) {
    super(path, false)
    this.#at = at
    this.#overtake = overtake
  }

  override mark() {
    const mark = super.mark()
    if (this.#at === 'mark') this.#overtake()
    return mark
  }

  override applyHere(...args: Parameters<LmdbTree['applyHere']>) {
    super.applyHere(...args)
    if (this.#at === 'applyHere') this.#overtake()
  }
}

describe('journal: two that open at once', () => {
  for (const [at, isCrashed] of [
    ['mark', false],
    ['applyHere', true],
  ] as const) {
    it(`the earlier one is overtaken after its ${at} -> it leaves the journal of the later one alone`, async () => {
      const store = new LmdbStore(path)
      await store.commit([put('a', 1)])
      const former = fileOf(path)
      if (!isCrashed) await store.close()
      let later: { readonly tree: LmdbTree; readonly journal: Journal } | undefined
      const earlier = new Overtaken(at, () => {
        later = { tree: new LmdbTree(path, false), journal: new Journal(path) }
        later.tree.applyHere([], { id: later.journal.id, sequence: 0, begun: 0 })
      })
      const open = () => new JournaledEngine(earlier, new Pace(1))
      if (isCrashed) open()
      else expect(open).to.throw('another process has opened it since')
      const id = Buffer.from(later?.journal.id ?? []).toString('hex')
      expect(readdirSync(path).filter((name) => name.startsWith('journal-'))).to.deep.equal([`journal-${id}`])
      expect(existsSync(former)).to.equal(false)
      later?.journal.close()
      await Promise.all([store.close(), later?.tree.close(), earlier.close()])
    })
  }
})

describe('journal: what the tree takes', () => {
  it('commits that come while it takes much -> it takes them next, though nothing follows', async () => {
    const store = new LmdbStore(path, { blockUpTo: Infinity })
    await store.commit([put('first')])
    // Both before the event loop turns, hence the second while the tree takes the first.
    for (const key of ['a', 'b']) {
      await store.commit([{ kind: 'put', key, value: new Uint8Array(1_500_000) }])
    }
    const tree = new LmdbTree(path, true)
    for (let left = 100; left > 0 && tree.get('b') === undefined; left--) await pause(50)
    expect(tree.get('b')?.length).to.equal(1_500_000)
    await tree.close()
    await store.close()
  })
})

describe('journal: a reader beside a writer', () => {
  it('batches before and after it looked first -> each whole, also when nothing follows', async () => {
    const writer = new LmdbStore(path)
    await writer.commit([put('row/1', 1), put('newest', 1)])
    const reader = new LmdbStore(path, { readOnly: true })
    expect(await reader.get('newest')).to.deep.equal(Uint8Array.of(1))
    await writer.commit([{ kind: 'delete', key: 'row/1' }, put('row/2', 2), put('newest', 2)])
    await all(writer)
    expect(await all(reader)).to.deep.equal([
      ['newest', Uint8Array.of(2)],
      ['row/2', Uint8Array.of(2)],
    ])
    await reader.close()
    await writer.close()
  })

  for (const [what, then] of [
    ['begun again', 'restart'],
    ['deleted', 'remove'],
  ] as const) {
    it(`a journal that is ${what} between its look at the tree and at that -> it looks again`, async () => {
      const tree = new LmdbTree(path, false)
      const journal = new Journal(path)
      const id = journal.id
      tree.applyHere([], { id, sequence: 0, begun: 0 })
      for (const value of [1, 2]) void journal.append(encodeBody([put('a', value)]), true)
      let isFirst = true
      class Late extends LmdbTree {
        override mark() {
          const mark = super.mark()
          if (isFirst) {
            isFirst = false
            tree.applyHere([put('a', 2)], then === 'restart' ? { id, sequence: 2, begun: 2 } : undefined)
            journal[then]()
            if (then === 'restart') void journal.append(encodeBody([put('a', 3)]), true)
          }
          return mark
        }
      }
      const reader = new ReadOnlyEngine(new Late(path, true))
      expect(reader.get('a')).to.deep.equal(Uint8Array.of(then === 'restart' ? 3 : 2))
      await reader.close()
      if (then === 'restart') journal.close()
      await tree.close()
    })
  }

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
