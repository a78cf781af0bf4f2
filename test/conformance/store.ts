// What every store must do, as a suite that the author of a store runs against it.
import { expect } from 'chai'
import fc from 'fast-check'
import { type ErrorCode, isError, type PerkunasError } from '../../channel/errors.js'
import {
  defineRecord,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type RecordType,
  type Store,
  type Write,
} from '../../persistence/index.js'

/** How the suite gets at stores. */
export interface StoreSetup {
  /** A new, empty store, independent of all others. */
  setup(): Promise<Store>
  /** Called after each test with what `setup` gave, closed or not: remove what it left. */
  teardown(store: Store): Promise<void>
  /**
   * A store over what a store of `setup` holds, after that one was closed. Leave it out if nothing survives
   * closing.
   */
  reopen?(store: Store): Promise<Store>
}

const bytes = (...values: number[]) => Uint8Array.from(values)
const put = (key: string, ...values: number[]): Write => ({ kind: 'put', key, value: bytes(...values) })
const remove = (key: string): Write => ({ kind: 'delete', key })

// In the order of their UTF-8 bytes. UTF-16 order would put U+1F600 (d83d de00) before U+FF5E.
const HOSTILE_KEYS = [
  '\u0000',
  '\u0000\u0000',
  '\u0001',
  '\n',
  ' ',
  "'; drop table entries; --",
  '../../etc/passwd',
  '10',
  '9',
  '__proto__',
  'a',
  'a\u0000',
  'a\u0000b',
  'aa',
  'constructor',
  'hasOwnProperty',
  '~',
  '\u007f',
  'é',
  '\ufeff',
  '\ufeffa',
  '\uffff',
  '\u{1f600}',
  '\u{10ffff}',
]

const anyKey = fc.oneof(
  fc.constantFrom(...HOSTILE_KEYS),
  fc.string({ minLength: 1, maxLength: 12, unit: 'binary' }),
  fc.integer({ min: 0, max: 9 }).map((n) => `row/${n}`),
)
const anyWrite: fc.Arbitrary<Write> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: anyKey, value: fc.uint8Array({ maxLength: 40 }) }),
  fc.record({ kind: fc.constant('delete' as const), key: anyKey }),
)

/** Declares the tests of a store. */
export function describeStore(name: string, { setup, teardown, reopen }: StoreSetup): void {
  describe(`store: ${name}`, () => {
    let store: Store
    const made: Store[] = []
    const another = async () => {
      const next = await setup()
      made.push(next)
      return next
    }
    beforeEach(async () => {
      store = await another()
    })
    afterEach(async () => {
      for (const one of made.splice(0)) await teardown(one)
    })

    describe('reading and writing', () => {
      it('a new store -> holds nothing', async () => {
        expect(await store.get('a')).to.equal(undefined)
        expect(await all(store, '')).to.deep.equal([])
      })

      it('put -> get gives the value; put again -> the new one; delete -> none', async () => {
        await store.commit([put('a', 1)])
        expect(await store.get('a')).to.deep.equal(bytes(1))
        await store.commit([put('a', 2, 3)])
        expect(await store.get('a')).to.deep.equal(bytes(2, 3))
        await store.commit([remove('a')])
        expect(await store.get('a')).to.equal(undefined)
      })

      it('an empty value is a value', async () => {
        await store.commit([put('a')])
        expect(await store.get('a')).to.deep.equal(bytes())
        expect(await all(store, '')).to.deep.equal([['a', bytes()]])
      })

      it('delete of a missing key -> nothing happens', async () => {
        await store.commit([remove('a'), put('b', 1)])
        expect(await all(store, '')).to.deep.equal([['b', bytes(1)]])
      })

      it('two writes to one key in a batch -> the last one wins', async () => {
        await store.commit([put('a', 1), remove('a'), put('a', 2), put('b', 1), remove('b')])
        expect(await all(store, '')).to.deep.equal([['a', bytes(2)]])
      })

      it('an empty batch -> resolves after the commits before it', async () => {
        const order: string[] = []
        await Promise.all([
          store.commit([put('a', 1)]).then(() => order.push('a')),
          store.commit([]).then(() => order.push('empty')),
        ])
        expect(order).to.deep.equal(['a', 'empty'])
      })

      it('values are copied on the way in: the caller may change its array at once', async () => {
        const value = bytes(1, 2, 3)
        const commit = store.commit([{ kind: 'put', key: 'a', value }])
        value.fill(9)
        await commit
        expect(await store.get('a')).to.deep.equal(bytes(1, 2, 3))
      })

      it('peek, where there is one -> what get gives, a copy each time; refuses as get does', async () => {
        if (store.peek === undefined) return
        await store.commit([put('a', 1, 2), put('b')])
        store.peek('a')?.fill(9)
        for (const key of ['a', 'b', 'c']) {
          expect(store.peek(key)).to.deep.equal(await store.get(key))
        }
        expect(() => store.peek?.('')).to.throw('a key may not be empty')
        await store.close()
        expect(() => store.peek?.('a')).to.throw('closed')
      })

      it('peek after each of many commits, while others are under way -> never an older value', async () => {
        if (store.peek === undefined) return
        const writer = async (_: unknown, i: number) => {
          const key = `row${i}`
          for (let round = 1; round <= 50; round++) {
            store.peek?.(key)
            const commit = store.commit([put(key, round)])
            store.peek?.(`row${(i + 1) % 8}`)
            await commit
            expect(store.peek?.(key)).to.deep.equal(bytes(round))
          }
        }
        await Promise.all(Array.from({ length: 8 }, writer))
      })

      it('values are copied on the way out: changing one changes nothing else', async () => {
        await store.commit([put('a', 1, 2, 3), put('b', 4, 5, 6)])
        const read = await store.get('a')
        const other = await store.get('b')
        expect(read).to.deep.equal(bytes(1, 2, 3))
        read?.fill(9)
        for await (const [, value] of store.scan('')) value.fill(8)
        expect(other).to.deep.equal(bytes(4, 5, 6))
        expect(await store.get('a')).to.deep.equal(bytes(1, 2, 3))
      })

      it('views of larger buffers -> only the viewed bytes are kept', async () => {
        const large = bytes(1, 2, 3, 4, 5)
        await store.commit([{ kind: 'put', key: 'a', value: large.subarray(1, 3) }])
        await store.commit([{ kind: 'put', key: 'b', value: Buffer.from('perkunas').subarray(0, 3) }])
        expect(await store.get('a')).to.deep.equal(bytes(2, 3))
        expect(await store.get('b')).to.deep.equal(bytes(112, 101, 114))
      })

      it('hostile keys are kept apart and in the order of their UTF-8 bytes', async () => {
        const shuffled = HOSTILE_KEYS.map((key, i) => put(key, i)).reverse()
        await store.commit(shuffled)
        const expected = HOSTILE_KEYS.map((key, i) => [key, bytes(i)])
        expect(await all(store, '')).to.deep.equal(expected)
        for (const [i, key] of HOSTILE_KEYS.entries()) expect(await store.get(key)).to.deep.equal(bytes(i))
      })

      it('a key and a value of the greatest length are kept', async () => {
        const key = 'é'.repeat(MAX_KEY_BYTES / 2)
        const value = new Uint8Array(MAX_VALUE_BYTES).map((_, i) => i * 31)
        await store.commit([{ kind: 'put', key, value }])
        const read = await store.get(key)
        // Not deep.equal: chai's difference of 16 MiB would take minutes to print.
        expect(read !== undefined && Buffer.compare(read, value) === 0).to.equal(true)
      })

      it('any sequence of batches leaves what a map would hold', async () => {
        await fc.assert(
          fc.asyncProperty(
            fc.array(fc.array(anyWrite, { maxLength: 8 }), { maxLength: 8 }),
            async (batches) => {
              const fresh = await another()
              const model = new Map<string, Uint8Array>()
              // Without awaiting each: they must apply in the order of the calls all the same.
              await Promise.all(batches.map((batch) => fresh.commit(batch)))
              for (const write of batches.flat()) {
                if (write.kind === 'put') model.set(write.key, write.value)
                else model.delete(write.key)
              }
              expect(await all(fresh, '')).to.deep.equal(sorted(model))
            },
          ),
          { numRuns: 30 },
        )
      })
    })

    describe('scan', () => {
      beforeEach(async () => {
        await store.commit([
          put('b/2', 3),
          put('a', 1),
          put('b/10', 2),
          put('b', 9),
          put('c', 4),
          put('b0', 5),
        ])
      })

      it('gives the entries of a prefix in key order', async () => {
        expect(await keys(store, 'b/')).to.deep.equal(['b/10', 'b/2'])
        expect(await keys(store, 'b')).to.deep.equal(['b', 'b/10', 'b/2', 'b0'])
        expect(await keys(store, 'x')).to.deep.equal([])
      })

      it('limit and after -> pages without gaps or repetitions', async () => {
        expect(await keys(store, '', { limit: 2 })).to.deep.equal(['a', 'b'])
        expect(await keys(store, '', { limit: 2, after: 'b' })).to.deep.equal(['b/10', 'b/2'])
        expect(await keys(store, 'b/', { after: 'b/10' })).to.deep.equal(['b/2'])
        expect(await keys(store, '', { after: 'c' })).to.deep.equal([])
      })

      it('after before the prefix -> all of it; beyond -> nothing; between keys -> the rest', async () => {
        expect(await keys(store, 'b/', { after: 'a' })).to.deep.equal(['b/10', 'b/2'])
        expect(await keys(store, 'b/', { after: 'b/3' })).to.deep.equal([])
        expect(await keys(store, 'b/', { after: 'c' })).to.deep.equal([])
        expect(await keys(store, 'b/', { after: 'b/1' })).to.deep.equal(['b/10', 'b/2'])
      })

      it('is a snapshot: commits after its first entry change nothing in it', async () => {
        const iterator = store.scan('b')[Symbol.asyncIterator]()
        const seen = [(await iterator.next()).value?.[0]]
        await store.commit([put('b/11', 1), remove('b/2'), put('b0', 77), put('b00', 1)])
        for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
          seen.push(next.value[0])
          if (next.value[0] === 'b0') expect(next.value[1]).to.deep.equal(bytes(5))
        }
        expect(seen).to.deep.equal(['b', 'b/10', 'b/2', 'b0'])
        expect(await keys(store, 'b')).to.deep.equal(['b', 'b/10', 'b/11', 'b0', 'b00'])
      })

      it('an open scan keeps no later read from seeing what was committed meanwhile', async () => {
        const iterator = store.scan('b')[Symbol.asyncIterator]()
        await iterator.next()
        for (let i = 0; i < 5; i++) {
          await store.commit([put('b/2', 100 + i)])
          expect(await store.get('b/2')).to.deep.equal(bytes(100 + i))
          expect(await all(store, 'b/2')).to.deep.equal([['b/2', bytes(100 + i)]])
        }
        await iterator.return?.()
        expect(await store.get('b/2')).to.deep.equal(bytes(104))
      })

      it('two scans at once go on independently; leaving one early harms nothing', async () => {
        const seen: string[] = []
        for await (const [outer] of store.scan('b/')) {
          for await (const [inner] of store.scan('b')) {
            seen.push(`${outer} ${inner}`)
            if (inner === 'b/10') break
          }
        }
        expect(seen).to.deep.equal(['b/10 b', 'b/10 b/10', 'b/2 b', 'b/2 b/10'])
        await store.commit([put('d', 1)])
        expect(await store.get('d')).to.deep.equal(bytes(1))
      })
    })

    describe('commit', () => {
      it('commits of one turn resolve in the order of the calls', async () => {
        const order: number[] = []
        await Promise.all(
          Array.from({ length: 50 }, (_, i) => store.commit([put('a', i)]).then(() => order.push(i))),
        )
        expect(order).to.deep.equal(Array.from({ length: 50 }, (_, i) => i))
        expect(await store.get('a')).to.deep.equal(bytes(49))
      })

      it('a resolved commit is read by every later get and scan', async () => {
        for (let i = 0; i < 50; i++) {
          await store.commit([put('a', i), put(`b${i}`, i)])
          expect(await store.get('a')).to.deep.equal(bytes(i))
          expect((await all(store, `b${i}`))[0]).to.deep.equal([`b${i}`, bytes(i)])
        }
      })

      it('no read ever sees a part of a batch', async () => {
        const writing = (async () => {
          for (let i = 1; i <= 100; i++) {
            await store.commit(Array.from({ length: 20 }, (_, row) => put(`row${row}`, i)))
            // A store in memory needs no turn of its own: leave one to the reader.
            if (i % 10 === 0) await turn()
          }
          return 'written' as const
        })()
        let reads = 0
        let state: 'written' | 'writing' = 'writing'
        while (state === 'writing') {
          const values = new Set((await all(store, 'row')).map(([, value]) => value[0]))
          expect(values.size).to.be.at.most(1)
          reads++
          state = await Promise.race([writing, turn()])
        }
        expect(reads).to.be.greaterThan(1)
        expect(await store.get('row19')).to.deep.equal(bytes(100))
      })

      it('many channels at once -> every commit is kept', async () => {
        await Promise.all(
          Array.from({ length: 64 }, async (_, channel) => {
            for (let version = 0; version < 10; version++) {
              await store.commit([
                put(`state/${channel}`, version),
                put(`log/${channel}/${version}`, version),
              ])
            }
          }),
        )
        expect((await all(store, 'log/')).length).to.equal(640)
        for (const [, value] of await all(store, 'state/')) expect(value).to.deep.equal(bytes(9))
      })

      it('a batch of 10 000 writes and 10 MB is one batch', async () => {
        const value = new Uint8Array(1000).fill(7)
        const batch = Array.from({ length: 10_000 }, (_, i): Write => ({ kind: 'put', key: `k${i}`, value }))
        await store.commit(batch)
        let count = 0
        for await (const [, read] of store.scan('k')) {
          if (read.length === 1000 && read.every((byte) => byte === 7)) count++
        }
        expect(count).to.equal(10_000)
        await store.commit(batch.map(({ key }) => remove(key)))
        expect(await keys(store, '')).to.deep.equal([])
      })
    })

    describe('records', () => {
      // Version 1 was [x], version 2 is [x, y], version 3 is [y, x].
      const first = record(1, ([x = 0]) => [x], {})
      const second = record(2, ([x = 0, y = 0]) => [x, y], { 1: ([x = 0]) => bytes(x, 0) })
      const third = record(3, ([y = 0, x = 0]) => [x, y], {
        1: ([x = 0]) => bytes(x, 0),
        2: ([x = 0, y = 0]) => bytes(y, x),
      })

      it('an older version -> migrated on read, by get and by scan; the store keeps the old one', async () => {
        await store.commit([first.put('p/1', [7]), second.put('p/2', [8, 9])])
        expect(await third.get(store, 'p/1')).to.deep.equal([7, 0])
        expect(await values(third.scan(store, 'p/'))).to.deep.equal([
          [7, 0],
          [8, 9],
        ])
        expect(await second.get(store, 'p/1')).to.deep.equal([7, 0])
        expect(await first.get(store, 'p/1')).to.deep.equal([7])
      })

      it('a newer version -> INVALID_RECORD that says so, by get and by scan; nothing is changed', async () => {
        await store.commit([second.put('p/1', [1, 2]), third.put('p/2', [4, 3])])
        const message =
          /^record p\/2: test version 3 was written by a newer release, this one reads up to 2: install that/
        for (const read of [second.get(store, 'p/2'), values(second.scan(store, 'p/'))]) {
          expect((await refused(read, 'INVALID_RECORD')).message).to.match(message)
        }
        expect(await second.get(store, 'p/1')).to.deep.equal([1, 2])
        expect(await third.get(store, 'p/2')).to.deep.equal([4, 3])
      })

      it('one bit flipped -> INVALID_RECORD, by get and by scan', async () => {
        const write = third.put('p/1', [4, 3])
        if (write.kind !== 'put') throw new Error('a put expected')
        for (let bit = 0; bit < 8 * write.value.length; bit += 7) {
          const value = write.value.slice()
          value[bit >> 3] = (value[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          await store.commit([{ ...write, value }])
          await refused(third.get(store, 'p/1'), 'INVALID_RECORD')
          await refused(values(third.scan(store, 'p/')), 'INVALID_RECORD')
        }
      })
    })

    describe('arguments', () => {
      const wrongKeys: readonly (readonly [string, string, ErrorCode])[] = [
        ['an empty key', '', 'INVALID_ARGUMENT'],
        ['a lone high surrogate', 'a\ud800b', 'INVALID_ARGUMENT'],
        ['a lone low surrogate', '\udc00', 'INVALID_ARGUMENT'],
        ['one byte too many', 'a'.repeat(MAX_KEY_BYTES + 1), 'TOO_LARGE'],
        ['one byte too many in UTF-8', `${'é'.repeat(MAX_KEY_BYTES / 2)}a`, 'TOO_LARGE'],
      ]
      for (const [what, key, code] of wrongKeys) {
        it(`key: ${what} -> ${code}, and the store goes on`, async () => {
          await refused(store.get(key), code)
          await refused(store.commit([put('a', 1), put(key, 1)]), code)
          await refused(store.commit([put('a', 1), remove(key)]), code)
          expect(await keys(store, '')).to.deep.equal([])
          await store.commit([put('a', 2)])
          expect(await store.get('a')).to.deep.equal(bytes(2))
        })
      }

      it('value: one byte too many -> TOO_LARGE, nothing of the batch is kept', async () => {
        const value = new Uint8Array(MAX_VALUE_BYTES + 1)
        await refused(store.commit([put('a', 1), { kind: 'put', key: 'b', value }]), 'TOO_LARGE')
        expect(await keys(store, '')).to.deep.equal([])
      })

      it('scan: a malformed prefix or a limit that is no positive integer -> INVALID_ARGUMENT', async () => {
        await refused(keys(store, '\ud800'), 'INVALID_ARGUMENT')
        await refused(keys(store, '', { after: '\ud800' }), 'INVALID_ARGUMENT')
        for (const limit of [0, -1, 1.5, Number.NaN, Infinity]) {
          await refused(keys(store, '', { limit }), 'INVALID_ARGUMENT')
        }
      })
    })

    describe('close', () => {
      it('waits for the commits under way', async () => {
        let resolved = 0
        const commits = Array.from({ length: 20 }, (_, i) =>
          store.commit([put(`k${i}`, i)]).then(() => {
            resolved++
          }),
        )
        await store.close()
        expect(resolved).to.equal(20)
        await Promise.all(commits)
      })

      it('everything after it -> CLOSED, open scans included; closing again is nothing', async () => {
        await store.commit([put('a', 1), put('b', 2)])
        const iterator = store.scan('')[Symbol.asyncIterator]()
        await iterator.next()
        const closing = store.close()
        await refused(store.commit([put('a', 1)]), 'CLOSED')
        await closing
        await refused(iterator.next(), 'CLOSED')
        await refused(store.get('a'), 'CLOSED')
        await refused(keys(store, ''), 'CLOSED')
        await refused(store.commit([]), 'CLOSED')
        await store.close()
      })

      if (reopen !== undefined) {
        it('opening anew -> everything that was committed', async () => {
          await store.commit(HOSTILE_KEYS.map((key, i) => put(key, i)))
          await store.commit([remove('a')])
          const before = await all(store, '')
          await store.close()
          const again = await reopen(store)
          expect(await all(again, '')).to.deep.equal(before)
          await again.commit([put('a', 7)])
          expect(await again.get('a')).to.deep.equal(bytes(7))
          await again.close()
        })
      }
    })
  })
}

type Read = [key: string, value: Uint8Array]

async function all(store: Store, prefix: string): Promise<Read[]> {
  const entries: Read[] = []
  for await (const [key, value] of store.scan(prefix)) entries.push([key, value])
  return entries
}

async function keys(
  store: Store,
  prefix: string,
  options?: { after?: string; limit?: number },
): Promise<string[]> {
  const found: string[] = []
  for await (const [key] of store.scan(prefix, options)) found.push(key)
  return found
}

function sorted(model: ReadonlyMap<string, Uint8Array>): Read[] {
  return [...model]
    .map(([key, value]): Read => [key, Uint8Array.from(value)])
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** A record of the suite's own: points, whose bytes each version gives in another order. */
function record(
  version: number,
  order: (point: ArrayLike<number> & Iterable<number>) => number[],
  migrations: Record<number, (payload: Uint8Array) => Uint8Array>,
): RecordType<readonly number[]> {
  const encode = (point: readonly number[]) => bytes(...order(Array.from(point)))
  return defineRecord({ name: 'test', version, encode, decode: (payload) => order(payload), migrations })
}

async function values<T>(entries: AsyncIterable<readonly [string, T]>): Promise<T[]> {
  const found: T[] = []
  for await (const [, value] of entries) found.push(value)
  return found
}

async function refused<C extends ErrorCode>(call: Promise<unknown>, code: C): Promise<PerkunasError<C>> {
  const outcome = await call.then(
    () => 'resolved',
    (error: unknown) => error,
  )
  if (isError(outcome, code)) return outcome
  throw new Error(`${code} expected, got ${String(outcome)}`)
}

/** Lets the event loop go round once. */
function turn(): Promise<'writing'> {
  return new Promise((resolve) => {
    setImmediate(() => resolve('writing'))
  })
}
