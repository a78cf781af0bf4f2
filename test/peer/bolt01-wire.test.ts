import { expect } from 'chai'
import fc from 'fast-check'
import { isError, PerkunasError } from '../../channel/errors.js'
import {
  bigSize,
  type Field,
  list,
  point,
  present,
  rest,
  restBytes,
  restText,
  sizedBytes,
  struct,
  tu16,
  tu32,
  tu64,
  u8,
  u16,
} from '../../peer/wire/fields.js'
import { announcement, message, messageSet } from '../../peer/wire/message.js'
import { decodeField, decodeStream, encodeField, encodeStream, record, stream } from '../../peer/wire/tlv.js'

const two64 = 2n ** 64n
/** Numbers of every length in bytes, and around each border. */
const numbers = fc
  .tuple(fc.integer({ min: 0, max: 64 }), fc.bigInt({ min: -2n, max: 2n }))
  .map(([bits, offset]) => (2n ** BigInt(bits) + offset + two64) % two64)

const example = stream({
  flag: record(0, present),
  number: record(1, tu64),
  text: record(3, restText),
  points: record(4, rest(point)),
  pairs: record(254, struct('pairs', { head: u16, tail: restBytes })),
  big: record(2n ** 40n, restBytes),
})

/** What bytes are to a reader: what it writes back must be those bytes. */
function readBack(bytes: Uint8Array): 'read' | 'refused' {
  try {
    const value = decodeStream(example, bytes, 'example')
    expect(encodeStream(example, value, 'example')).to.deep.equal(bytes)
    return 'read'
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return 'refused'
    throw error
  }
}

describe('BOLT 1: fundamental types', () => {
  it('numbers in any form of varying length -> the shortest bytes, and back', () => {
    fc.assert(
      fc.property(numbers, (n) => {
        const big = encodeField(bigSize, n, 'n')
        expect(decodeField(bigSize, big, 'n')).to.equal(n)
        expect(big).to.have.length(n < 0xfdn ? 1 : n < 2n ** 16n ? 3 : n < 2n ** 32n ? 5 : 9)
        const truncated = encodeField(tu64, n, 'n')
        expect(truncated).to.have.length(n === 0n ? 0 : Math.ceil(n.toString(2).length / 8))
        expect(decodeField(tu64, truncated, 'n')).to.equal(n)
        const fields = [
          [tu16, 2n ** 16n],
          [tu32, 2n ** 32n],
        ] as const
        for (const [field, limit] of fields) {
          if (n < limit) expect(encodeField(field, Number(n), 'n')).to.deep.equal(truncated)
          else if (n < 2n ** 53n) {
            expect(() => encodeField(field, Number(n), 'n'))
              .to.throw(PerkunasError)
              .with.property('code', 'INVALID_ARGUMENT')
          }
        }
      }),
    )
  })

  it('any bytes as BigSize or truncated number -> refused, or written back as they are', () => {
    const fields: readonly Field<unknown>[] = [bigSize, tu16, tu32, tu64]
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.uint8Array({ maxLength: 10 }), (field, bytes) => {
        try {
          expect(encodeField(field, decodeField(field, bytes, 'n'), 'n')).to.deep.equal(bytes)
        } catch (error) {
          expect(isError(error, 'INVALID_MESSAGE')).to.equal(true)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('text that is not UTF-8 -> refused; a byte order mark -> kept', () => {
    for (const bytes of [[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xe2, 0x82]]) {
      expect(() => decodeField(restText, Uint8Array.from(bytes), 'text'))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_MESSAGE')
    }
    const marked = Uint8Array.of(0xef, 0xbb, 0xbf, 0x41)
    expect(encodeField(restText, decodeField(restText, marked, 'text'), 'text')).to.deep.equal(marked)
    expect(() => encodeField(restText, '\ud800', 'text')).to.throw(PerkunasError)
  })

  it('a point that is not on the curve -> refused', () => {
    const noPoint = Uint8Array.from([2, ...new Uint8Array(32).fill(0xff)])
    expect(() => decodeField(point, noPoint, 'point'))
      .to.throw(PerkunasError, 'invalid point')
      .with.property('code', 'INVALID_MESSAGE')
  })

  it('a list with a count, of exactly so many, up to the end -> as its count says', () => {
    const counted = list(u8, u16)
    expect(decodeField(counted, Uint8Array.of(2, 0, 1, 0, 2), 'list')).to.deep.equal([1, 2])
    expect(() => decodeField(counted, Uint8Array.of(2, 0, 1), 'list')).to.throw(PerkunasError, 'too short')
    expect(() => decodeField(counted, Uint8Array.of(1, 0, 1, 0), 'list')).to.throw(PerkunasError, 'too long')
    expect(() => encodeField(list(2, u8), [1], 'list')).to.throw(PerkunasError, '2 items')
    expect(() => encodeField(counted, Array(256).fill(1), 'list')).to.throw(PerkunasError)
    expect(() => list(u16, present)).to.throw(RangeError)
  })
})

describe('BOLT 1: streams', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 3 })
  const unknown = fc
    .uniqueArray(
      fc.record({
        type: numbers.filter((n) => n % 2n === 1n && n > 3n),
        value: fc.uint8Array({ maxLength: 400 }),
      }),
      { selector: ({ type }) => type, maxLength: 4 },
    )
    .map((all) => all.sort((a, b) => (a.type < b.type ? -1 : 1)))
  const values = fc
    .record(
      {
        flag: fc.constant(true as const),
        number: numbers,
        text: fc.string({ unit: 'binary', maxLength: 300 }),
        points: fc.constant([]),
        pairs: fc.record({ head: fc.nat({ max: 65_535 }), tail: fc.uint8Array({ maxLength: 300 }) }),
        big: fc.uint8Array({ maxLength: 300 }),
        unknown,
      },
      { requiredKeys: [] },
    )
    .map(({ unknown: extra, ...known }) =>
      extra === undefined || extra.length === 0 ? known : { ...known, unknown: extra },
    )

  it('encode, decode -> the same, known and unknown records in one order', () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encodeStream(example, value, 'example')
        expect(decodeStream(example, bytes, 'example')).to.deep.equal(value)
      }),
    )
  })

  it('any changed stream -> refused, or written back as it is', () => {
    let read = 0
    fc.assert(
      fc.property(values, edits, (value, changes) => {
        const bytes = encodeStream(example, value, 'example')
        for (const [at, to] of changes) if (bytes.length > 0) bytes[at % bytes.length] = to
        if (readBack(bytes) === 'read') read++
      }),
      { numRuns: 1000 },
    )
    expect(read).to.be.greaterThan(0)
  })

  it('a record of 252, 253, 65520 bytes -> its length in the fewest bytes; more than a message holds -> refused', () => {
    for (const [length, head] of [
      [252, 2 + 6 + 1],
      [253, 2 + 6 + 3],
      [65_520, 2 + 6 + 3],
    ] as const) {
      const bytes = encodeStream(example, { flag: true, big: new Uint8Array(length) }, 'example')
      expect(bytes).to.have.length(2 + 9 + (head - 8) + length)
      expect(readBack(bytes)).to.equal('read')
    }
    expect(() => encodeStream(example, { big: new Uint8Array(65_530) }, 'example'))
      .to.throw(PerkunasError)
      .with.property('code', 'TOO_LARGE')
  })
})

describe('BOLT 1: stating messages', () => {
  it('two things of one name, one type, one kind -> an error when stated', () => {
    expect(() => message('a', 1, { b: u8 }, { b: record(1, u8) })).to.throw(RangeError)
    expect(() => stream({ a: record(1, u8), b: record(1, u8) })).to.throw(RangeError)
    expect(() => messageSet(message('a', 1, {}), message('b', 1, {}))).to.throw(RangeError)
    expect(() => messageSet(message('a', 1, {}), message('a', 3, {}))).to.throw(RangeError)
  })

  it('an announcement keeps what follows as it came; a message refuses what is no stream', () => {
    const set = messageSet(
      announcement('signed', 256, { data: sizedBytes }),
      message('plain', 258, { number: u8 }),
    )
    const signed = Uint8Array.of(1, 0, 0, 1, 7, 2, 5)
    const read = set.decode(signed)
    expect(read).to.deep.equal({ kind: 'signed', data: Uint8Array.of(7), excess: Uint8Array.of(2, 5) })
    if (read.kind === 'unknown') throw new Error('known expected')
    expect(set.encode(read)).to.deep.equal(signed)
    expect(() => set.decode(Uint8Array.of(1, 2, 7, 2, 5))).to.throw(PerkunasError, 'value missing')
  })
})
