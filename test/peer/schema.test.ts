import { expect } from 'chai'
import fc from 'fast-check'
import { Packr } from 'msgpackr'
import { isError, PerkunasError } from '../../channel/errors.js'
import {
  amount,
  bool,
  bytes,
  converted,
  defineMessage,
  hex,
  type Infer,
  list,
  literal,
  type MessageDefinition,
  type MessageOf,
  messageCodec,
  messageHeader,
  nullable,
  object,
  oneOf,
  optional,
  refined,
  type Schema,
  schemaCodec,
  text,
  u64,
  uint,
  union,
} from '../../peer/index.js'

const free = new Packr({ useRecords: false, int64AsType: 'bigint' })

const update = defineMessage({
  name: 'update',
  version: 1,
  fields: {
    channel: hex(32),
    version: u64(),
    balances: list(list(amount(), { max: 10 }), { max: 10 }),
    data: hex({ max: 1024 }),
    raw: bytes({ max: 100 }),
    note: optional(text(40)),
    actor: uint(1024),
    final: bool,
    parent: nullable(hex(32)),
    role: oneOf('payer', 'payee'),
    marker: literal('x'),
    change: union('kind', { add: { amount: amount() }, remove: { index: uint(), reason: text(20) } }),
  },
})
const reject = defineMessage({ name: 'reject', version: 3, fields: { reason: text(1000) } })
const codec = messageCodec([update, reject])
type Message = MessageOf<typeof update> | MessageOf<typeof reject>

const hexOf = (limits: { minLength: number; maxLength: number }): fc.Arbitrary<`0x${string}`> =>
  fc.uint8Array(limits).map((b) => `0x${Buffer.from(b).toString('hex')}` as const)
const bigAmount = fc.oneof(
  fc.constantFrom(0n, 1n, 255n, 256n, (1n << 64n) - 1n, 1n << 64n, (1n << 256n) - 1n),
  fc.bigInt({ min: 0n, max: (1n << 256n) - 1n }),
)
const smallText = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .filter((s) => Buffer.byteLength(s) <= 40 && !s.startsWith('\uFEFF'))
const updates: fc.Arbitrary<Message> = fc
  .record({
    channel: hexOf({ minLength: 32, maxLength: 32 }),
    version: fc.oneof(
      fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
      fc.constantFrom(0n, 127n, 128n, 65535n, 65536n, (1n << 32n) - 1n, 1n << 32n, (1n << 64n) - 1n),
    ),
    balances: fc.array(fc.array(bigAmount, { maxLength: 10 }), { maxLength: 10 }),
    data: hexOf({ minLength: 0, maxLength: 1024 }),
    raw: fc.uint8Array({ maxLength: 100 }),
    actor: fc.integer({ min: 0, max: 1024 }),
    final: fc.boolean(),
    parent: fc.option(hexOf({ minLength: 32, maxLength: 32 })),
    role: fc.constantFrom('payer' as const, 'payee' as const),
    change: fc.oneof(
      bigAmount.map((a) => ({ kind: 'add' as const, amount: a })),
      fc
        .record({
          index: fc.oneof(fc.maxSafeNat(), fc.nat(300)),
          reason: fc.constantFrom('', 'because', 'é€😀'),
        })
        .map((r) => ({ kind: 'remove' as const, ...r })),
    ),
    note: fc.option(smallText, { nil: undefined }),
  })
  .map(({ note, ...rest }) => ({
    kind: 'update' as const,
    marker: 'x' as const,
    ...rest,
    ...(note === undefined ? {} : { note }),
  }))

function refusalOf(run: () => unknown): PerkunasError {
  try {
    run()
  } catch (error) {
    if (error instanceof PerkunasError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

function invalid(run: () => unknown): { path: string; reason: string } {
  const error = refusalOf(run)
  if (!isError(error, 'INVALID_MESSAGE')) throw error
  return error.facts
}

describe('peer: schema', () => {
  it('any message -> decodes to itself, and encodes to the same bytes again', () => {
    fc.assert(
      fc.property(updates, (message) => {
        const encoded = codec.encode(message)
        const decoded = codec.decode(encoded)
        expect(decoded).to.deep.equal(message)
        expect(codec.encode(decoded)).to.deep.equal(encoded)
      }),
      { numRuns: 500 },
    )
  })

  it('what is written -> the bytes that msgpackr writes, also of long texts, lists and byte strings', () => {
    const lengths = [0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536]
    const numbers = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]
    const wide = [...numbers.map(BigInt), 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]
    const max = 65_536
    const all = schemaCodec(
      object({
        texts: list(text(4 * max), { max }),
        flags: list(bool, { max }),
        raw: list(bytes({ max }), { max }),
        data: list(hex({ max }), { max }),
        numbers: list(uint(), { max }),
        wide: list(u64(), { max }),
        none: optional(bool),
      }),
    )
    const texts = [
      ...lengths.map((length) => 'x'.repeat(length)),
      'é',
      'x€'.repeat(50),
      '😀'.repeat(70_000 / 4),
    ]
    const flags = lengths.map((_, i) => i % 2 === 0)
    const raw = lengths.map((length) => new Uint8Array(length).fill(length))
    const data = raw.map((each) => `0x${Buffer.from(each).toString('hex')}` as const)
    const long = (value: bigint) => (value < 2n ** 32n ? Number(value) : value)
    for (const many of [flags, Array.from({ length: 65_536 }, () => true)]) {
      const value = { texts, flags: many, raw, data, numbers, wide }
      const plain = [texts, many, raw, raw, numbers.map((n) => long(BigInt(n))), wide.map(long), null]
      expect(Buffer.from(all.encode(value)).equals(free.pack(plain))).to.equal(true)
    }
  })

  it('one value encoded while another one is -> both are whole, and nothing of what was refused is left', () => {
    const inner = schemaCodec(text(100))
    const nested = converted(bytes({ max: 100 }), {
      encode: (value: string) => inner.encode(value),
      decode: (value) => inner.decode(value),
      is: (value): value is string => typeof value === 'string',
    })
    const outer = schemaCodec(list(nested, { max: 3 }))
    expect(refusalOf(() => outer.encode(['well', 'x'.repeat(101)])).code).to.equal('TOO_LARGE')
    expect(outer.decode(outer.encode(['well', 'then']))).to.deep.equal(['well', 'then'])
  })

  it('any bytes changed, removed or added -> another message with its own one encoding, or a typed refusal', () => {
    const change = fc.record({
      at: fc.nat(2000),
      put: fc.nat(255),
      mode: fc.constantFrom('set', 'cut', 'insert'),
    })
    let refused = 0
    fc.assert(
      fc.property(updates, fc.array(change, { minLength: 1, maxLength: 4 }), (message, changes) => {
        const altered = [...codec.encode(message)]
        for (const { at, put, mode } of changes) {
          const i = at % altered.length
          altered.splice(i, mode === 'insert' ? 0 : 1, ...(mode === 'cut' ? [] : [put]))
          if (altered.length === 0) break
        }
        const input = Uint8Array.from(altered)
        try {
          expect(codec.encode(codec.decode(input))).to.deep.equal(input)
        } catch (error) {
          if (!isError(error, 'INVALID_MESSAGE') && !isError(error, 'TOO_LARGE')) throw error
          refused++
        }
      }),
      { numRuns: 3000 },
    )
    expect(refused).to.be.greaterThan(100)
  })

  it('random bytes -> a typed refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (input) => {
        expect(refusalOf(() => codec.decode(input)).code).to.be.oneOf(['INVALID_MESSAGE', 'TOO_LARGE'])
      }),
      { numRuns: 2000 },
    )
  })

  it('whatever any msgpack writer says -> the same bytes as ours, or a typed refusal', () => {
    const tree = fc.anything({ withBigInt: false, withDate: true, withMap: true, withSet: true })
    const loose = schemaCodec(list(nullable(hex({ max: 10 })), { max: 5 }))
    fc.assert(
      fc.property(tree, (value) => {
        const input = free.pack(value)
        try {
          expect(Buffer.from(loose.encode(loose.decode(input)))).to.deep.equal(input)
        } catch (error) {
          if (!(error instanceof PerkunasError)) throw error
        }
      }),
      { numRuns: 1000 },
    )
  })

  const pair = schemaCodec(object({ a: uint(10), b: object({ c: amount() }) }))
  const zero = new Uint8Array(0)

  it('a missing field -> refused with its name', () => {
    expect(invalid(() => pair.decode(free.pack([1]))).reason).to.equal('field b is missing')
    expect(invalid(() => pair.decode(free.pack([1, []])))).to.deep.equal({
      path: 'b',
      reason: 'field c is missing',
    })
  })

  it('an unknown field -> refused, received and sent', () => {
    expect(invalid(() => pair.decode(free.pack([1, [zero], 3]))).reason).to.equal('1 unknown fields')
    const surplus = { a: 1, b: { c: 0n, d: 1 } }
    expect(refusalOf(() => pair.encode(surplus)).facts).to.deep.equal({ argument: 'b.d' })
  })

  it('a wrong type -> refused with its path', () => {
    expect(invalid(() => pair.decode(free.pack(['1', [zero]]))).path).to.equal('a')
    expect(invalid(() => pair.decode(free.pack([1, ['']]))).path).to.equal('b.c')
    expect(invalid(() => pair.decode(free.pack([11, [zero]]))).reason).to.equal('at most 10 expected, got 11')
    expect(invalid(() => pair.decode(free.pack([{ a: 1 }, [zero]]))).reason).to.match(/not used/)
    expect(invalid(() => pair.decode(free.pack([1.5, [zero]]))).reason).to.match(/not used/)
    expect(invalid(() => pair.decode(free.pack([-1, [zero]]))).reason).to.match(/not used/)
  })

  it('an amount with a leading zero or of 33 bytes -> refused', () => {
    expect(invalid(() => pair.decode(free.pack([1, [Uint8Array.of(0)]])))).to.deep.equal({
      path: 'b.c',
      reason: 'amount with a leading zero',
    })
    expect(invalid(() => pair.decode(free.pack([1, [new Uint8Array(33).fill(1)]]))).reason).to.equal(
      'amount above 2^256 - 1',
    )
  })

  it('a negative or too large amount -> not encoded', () => {
    for (const c of [-1n, 1n << 256n]) {
      expect(refusalOf(() => pair.encode({ a: 1, b: { c } })).facts).to.deep.equal({ argument: 'b.c' })
    }
  })

  it('a number in a longer form than needed -> refused', () => {
    const one = schemaCodec(uint())
    const forms = [
      [0xcc, 0x7f],
      [0xcd, 0x00, 0xff],
      [0xce, 0x00, 0x00, 0xff, 0xff],
      [0xcf, 0, 0, 0, 1, 0, 0, 0, 0],
      [0xd3, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
      [0xd0, 0x01],
    ]
    for (const form of forms)
      expect(invalid(() => one.decode(Uint8Array.from(form))).reason).to.match(/shortest|not used/)
    expect(one.decode(Uint8Array.of(0xcc, 0x80))).to.equal(128)
    expect(one.decode(Uint8Array.of(0xd3, 0, 0, 0, 1, 0, 0, 0, 0))).to.equal(2 ** 32)
    expect(invalid(() => one.decode(Uint8Array.of(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0))).reason).to.equal(
      'negative',
    )
    expect(invalid(() => one.decode(Uint8Array.of(0xd3, 0, 0x20, 0, 0, 0, 0, 0, 0))).reason).to.match(
      /unsigned integer/,
    )
  })

  it('bytes, text or a list in a longer form than needed -> refused', () => {
    for (const form of [
      [0xc5, 0, 0],
      [0xd9, 0],
      [0xda, 0, 1, 0x61],
      [0xdc, 0, 0],
      [0xc6, 0, 0, 0, 0],
      [0xdd, 0, 0, 0, 0],
    ]) {
      expect(invalid(() => pair.decode(Uint8Array.from(form))).reason).to.equal('not in shortest form')
    }
  })

  it('a length that is not there -> refused before anything is allocated for it', () => {
    const heads = [0xc6, 0xdb, 0xdd].map((head) => Uint8Array.of(head, 0xff, 0xff, 0xff, 0xff, 0))
    for (const input of heads) expect(invalid(() => pair.decode(input)).reason).to.match(/announced/)
  })

  it('33 nested lists -> refused; a hundred thousand cost no more', () => {
    for (const depth of [33, 100_000]) {
      const input = new Uint8Array(depth + 1).fill(0x91)
      expect(invalid(() => pair.decode(input)).reason).to.equal('nested deeper than 32')
    }
  })

  it('broken UTF-8, lone surrogates and a byte order mark -> refused both ways', () => {
    const words = schemaCodec(text(100))
    expect(invalid(() => words.decode(Uint8Array.of(0xa2, 0xc3, 0x28))).reason).to.equal('not UTF-8')
    expect(invalid(() => words.decode(Uint8Array.of(0xa3, 0xef, 0xbb, 0xbf))).reason).to.match(/byte order/)
    for (const word of ['\uD800', 'a\uDC00b', '\uFEFFa'])
      expect(refusalOf(() => words.encode(word)).code).to.equal('INVALID_ARGUMENT')
    expect(words.decode(words.encode(`a\uFEFF${'é'.repeat(40)}`))).to.equal(`a\uFEFF${'é'.repeat(40)}`)
  })

  it('limits are exact: bytes, text in UTF-8, items, whole messages', () => {
    const sized = <T>(schema: Schema<T>, fits: T, tooMuch: T) => {
      const one = schemaCodec(schema)
      expect(one.decode(one.encode(fits))).to.deep.equal(fits)
      expect(refusalOf(() => one.encode(tooMuch)).code).to.equal('TOO_LARGE')
      const wide = schemaCodec(list(schema, { max: 1 }))
      expect(refusalOf(() => wide.encode([tooMuch])).message).to.match(/^0: /)
    }
    sized(hex({ max: 2 }), '0x0102', '0x010203')
    sized(bytes({ max: 2 }), Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3))
    sized(text(4), 'éé', 'ééé')
    sized(list(bool, { max: 2 }), [true, false], [true, false, true])
    const small = schemaCodec(bytes({ max: 100 }), { maxBytes: 12 })
    expect(small.decode(small.encode(new Uint8Array(10)))).to.have.length(10)
    expect(refusalOf(() => small.encode(new Uint8Array(11))).facts).to.deep.equal({ limit: 12, actual: 13 })
    expect(refusalOf(() => small.decode(new Uint8Array(13))).facts).to.deep.equal({ limit: 12, actual: 13 })
    expect(invalid(() => schemaCodec(list(bool, { min: 1, max: 2 })).decode(free.pack([]))).reason).to.match(
      /at least 1/,
    )
    expect(invalid(() => schemaCodec(hex(2)).decode(free.pack(Uint8Array.of(1)))).reason).to.equal(
      '2 bytes expected, got 1',
    )
  })

  it('an unknown message, a repeated name, another version -> refused', () => {
    expect(invalid(() => codec.decode(free.pack(['nothing', 1]))).reason).to.equal(
      'unknown message "nothing"',
    )
    expect(invalid(() => codec.decode(free.pack(['reject', 2, 'no']))).reason).to.equal(
      'reject: version 3 expected, got 2',
    )
    expect(messageHeader(free.pack(['reject', 2, 'no']))).to.deep.equal({ name: 'reject', version: 2 })
    expect(refusalOf(() => messageCodec([reject, reject])).code).to.equal('INVALID_ARGUMENT')
    const odds: readonly Partial<MessageDefinition>[] = [
      { fields: { kind: bool } },
      { version: 0 },
      { name: '' },
    ]
    for (const odd of odds) {
      expect(refusalOf(() => defineMessage({ name: 'a', version: 1, fields: {}, ...odd })).code).to.equal(
        'INVALID_ARGUMENT',
      )
    }
  })

  it('names of Object.prototype are no messages, no members and no fields', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(invalid(() => codec.decode(free.pack([name, 1]))).reason).to.match(/unknown message/)
      expect(invalid(() => schemaCodec(union('kind', { a: {} })).decode(free.pack([name]))).path).to.equal(
        'kind',
      )
    }
    expect(refusalOf(() => object(Object.fromEntries([['__proto__', bool]]))).code).to.equal(
      'INVALID_ARGUMENT',
    )
  })

  it('absence and null have one encoding each: a schema that takes nil can not be made optional', () => {
    expect(refusalOf(() => optional(nullable(bool))).code).to.equal('INVALID_ARGUMENT')
    expect(refusalOf(() => nullable(literal(null))).code).to.equal('INVALID_ARGUMENT')
  })

  it('converted and refined values -> the outer type, refused by its own rule', () => {
    const even = refined(uint(), (n): n is number => n % 2 === 0, 'even number')
    expect(invalid(() => schemaCodec(even).decode(free.pack(3))).reason).to.equal('even number expected')
    expect(refusalOf(() => schemaCodec(even).encode(3)).code).to.equal('INVALID_ARGUMENT')
    const set = converted(list(uint(), { max: 9 }), {
      encode: (value: ReadonlySet<number>) => [...value],
      decode: (value) => {
        const out = new Set(value)
        if (out.size !== value.length)
          throw new PerkunasError('INVALID_STATE', 'a number twice', { rule: 'twice' })
        return out
      },
      is: (value): value is ReadonlySet<number> => value instanceof Set,
    })
    const sets = schemaCodec(object({ seen: set }))
    expect(sets.decode(sets.encode({ seen: new Set([1, 2]) }))).to.deep.equal({ seen: new Set([1, 2]) })
    expect(invalid(() => sets.decode(free.pack([[1, 1]])))).to.deep.equal({
      path: 'seen',
      reason: 'a number twice',
    })
  })

  it('types are inferred from schemas', () => {
    const schema = object({ id: hex(2), size: optional(uint()), sum: nullable(amount()) })
    const value: Infer<typeof schema> = { id: '0x0102', sum: null }
    const both = schemaCodec(schema)
    expect(both.decode(both.encode(value))).to.deep.equal(value)
    // @ts-expect-error a string is no amount
    const wrong: Infer<typeof schema> = { id: '0x0102', sum: '1' }
    expect(() => both.encode(wrong)).to.throw(PerkunasError)
  })
})
