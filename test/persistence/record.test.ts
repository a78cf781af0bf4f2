import { expect } from 'chai'
import fc from 'fast-check'
import { fromHex, type Hex, toHex } from '../../channel/bytes.js'
import { isError } from '../../channel/errors.js'
import { crc32, crc32ByByte } from '../../persistence/checksum.js'
import { defineRecord, MemoryStore, openEnvelope, type RecordSpec } from '../../persistence/index.js'

interface Point {
  readonly x: number
  readonly y: number
}

// Version 1 was [x], version 2 was [x, y], version 3 is [y, x].
const v1: RecordSpec<number> = {
  name: 'test/point',
  version: 1,
  encode: (x) => Uint8Array.of(x),
  decode: (payload) => exactly(payload, 1)[0] ?? 0,
}
const v3: RecordSpec<Point> = {
  name: 'test/point',
  version: 3,
  encode: ({ x, y }) => Uint8Array.of(y, x),
  decode: (payload) => {
    const [y = 0, x = 0] = exactly(payload, 2)
    return { x, y }
  },
  migrations: {
    1: ([x = 0]) => Uint8Array.of(x, 0),
    2: ([x = 0, y = 0]) => Uint8Array.of(y, x),
  },
}
const old = defineRecord(v1)
const point = defineRecord(v3)

function exactly(payload: Uint8Array, length: number): Uint8Array {
  if (payload.length !== length) throw new Error(`${length} bytes expected, got ${payload.length}`)
  return payload
}

function bytesOf(write: ReturnType<typeof point.put>): Uint8Array {
  if (write.kind !== 'put') throw new Error('not a put')
  return write.value
}

function refusal(open: () => unknown): string {
  try {
    return `opened: ${JSON.stringify(open())}`
  } catch (error) {
    return isError(error, 'INVALID_RECORD') ? error.facts.reason : `another error: ${error}`
  }
}

describe('record: checksum', () => {
  it('of a text -> that of its UTF-8 bytes, by zlib and byte by byte', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 100 }), (text) => {
        const expected = crc32ByByte(new TextEncoder().encode(text), 0)
        expect(crc32(text)).to.equal(expected)
        expect(crc32ByByte(text, 0)).to.equal(expected)
      }),
    )
  })

  it('by zlib and byte by byte -> the same, in one piece or in several', () => {
    expect(crc32ByByte(new TextEncoder().encode('123456789'), 0)).to.equal(0xcbf43926)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (input, cut) => {
        const parts = [input.subarray(0, cut), input.subarray(cut)]
        expect(crc32(...parts)).to.equal(crc32ByByte(input, 0))
        expect(crc32(input)).to.equal(parts.reduce((sum, part) => crc32ByByte(part, sum), 0))
      }),
    )
  })
})

describe('record: envelope', () => {
  it('the recorded bytes of format 1 -> open for ever', () => {
    // The checksum is zlib's: crc32("p/1" + the bytes before it).
    const recorded: Hex = '0x010a746573742f706f696e7400030708a79c7704'
    expect(toHex(bytesOf(point.put('p/1', { x: 8, y: 7 })))).to.equal(recorded)
    expect(point.open('p/1', fromHex(recorded))).to.deep.equal({ x: 8, y: 7 })
  })

  it('any value -> comes back, and says what it is', () => {
    const record = defineRecord<Uint8Array>({ name: 'raw', version: 9, encode: (v) => v, decode: (v) => v })
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.uint8Array({ maxLength: 200 }), (key, value) => {
        const bytes = bytesOf(record.put(key, value))
        expect(record.open(key, bytes)).to.deep.equal(value)
        expect(openEnvelope(key, bytes)).to.deep.equal({ name: 'raw', version: 9, payload: value })
      }),
    )
  })

  it('any one bit flipped, any truncation, any byte appended -> refused', () => {
    const bytes = bytesOf(point.put('p', { x: 1, y: 2 }))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice()
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(
        refusal(() => point.open('p', damaged)),
        `bit ${bit}`,
      ).to.match(/^damaged|^written in format/)
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(refusal(() => point.open('p', bytes.subarray(0, length)))).to.match(/^damaged/)
    }
    expect(refusal(() => point.open('p', Uint8Array.of(...bytes, 0)))).to.match(/^damaged/)
  })

  it('the bytes of another key -> refused', () => {
    const bytes = bytesOf(point.put('p/1', { x: 1, y: 2 }))
    expect(refusal(() => point.open('p/2', bytes))).to.match(/^damaged/)
  })

  it('any bytes -> refused with INVALID_RECORD, never another error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(refusal(() => point.open('p', bytes))).to.match(/^damaged|^written in format/)
      }),
    )
  })

  it('a newer format -> says that a newer release wrote it', () => {
    const bytes = bytesOf(point.put('p', { x: 1, y: 2 }))
    bytes[0] = 2
    expect(refusal(() => point.open('p', bytes))).to.equal(
      'written in format 2 by a newer release, this one reads format 1',
    )
  })
})

describe('record: versions', () => {
  it('an older version -> migrated step by step', () => {
    expect(point.open('p', bytesOf(old.put('p', 5)))).to.deep.equal({ x: 5, y: 0 })
  })

  it('a newer version -> refused, and says which', () => {
    const bytes = bytesOf(point.put('p', { x: 1, y: 2 }))
    expect(refusal(() => old.open('p', bytes))).to.match(
      /^test\/point version 3 was written by a newer release, this one reads up to 1/,
    )
  })

  it('older than all migrations -> refused', () => {
    const { 2: last } = v3.migrations ?? {}
    const young = defineRecord({ ...v3, migrations: last === undefined ? {} : { 2: last } })
    expect(refusal(() => young.open('p', bytesOf(old.put('p', 5))))).to.match(
      /^test\/point version 1 is too old/,
    )
  })

  it('another name -> refused', () => {
    const other = defineRecord({ ...v3, name: 'test/line' })
    expect(refusal(() => other.open('p', bytesOf(point.put('p', { x: 1, y: 2 }))))).to.equal(
      'test/line expected, got test/point',
    )
  })

  it('a decoder or a migration that throws -> INVALID_RECORD with its reason and cause', () => {
    const long = defineRecord({ ...v3, encode: () => Uint8Array.of(1, 2, 3) })
    expect(refusal(() => point.open('p', bytesOf(long.put('p', { x: 1, y: 1 }))))).to.equal(
      'test/point does not decode: 2 bytes expected, got 3',
    )
  })

  it('a wrong name or version, migrations with a gap or beyond -> INVALID_ARGUMENT', () => {
    const step = (payload: Uint8Array) => payload
    for (const wrong of [
      { name: '' },
      { name: 'Ä' },
      { name: 'a'.repeat(65) },
      { version: 0 },
      { version: 1.5 },
      { version: 65_536 },
      { migrations: { 1: step } },
      { migrations: { 2: step, 3: step } },
      { migrations: { 0: step, 1: step, 2: step } },
    ]) {
      expect(() => defineRecord({ ...v3, ...wrong }), JSON.stringify(wrong)).to.throw(/expected, got/)
    }
    expect(() => defineRecord({ ...v3, migrations: {} })).not.to.throw()
  })
})

describe('record: store', () => {
  it('get and scan -> decoded values, also of older versions; a damaged one stops the scan', async () => {
    const store = new MemoryStore()
    await store.commit([old.put('p/1', 4), point.put('p/2', { x: 1, y: 2 }), old.put('q', 1)])
    expect(await point.get(store, 'p/1')).to.deep.equal({ x: 4, y: 0 })
    expect(await point.get(store, 'p/3')).to.equal(undefined)
    const found = []
    for await (const entry of point.scan(store, 'p/')) found.push(entry)
    expect(found).to.deep.equal([
      ['p/1', { x: 4, y: 0 }],
      ['p/2', { x: 1, y: 2 }],
    ])
    await store.commit([{ kind: 'put', key: 'p/3', value: Uint8Array.of(1, 2, 3) }])
    let reason: unknown
    try {
      for await (const _ of point.scan(store, 'p/'));
    } catch (error) {
      reason = isError(error, 'INVALID_RECORD') && error.facts.key
    }
    expect(reason).to.equal('p/3')
  })
})
