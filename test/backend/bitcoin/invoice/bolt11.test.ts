import { expect } from 'chai'
import fc from 'fast-check'
import { bitsOf } from '../../../../backend/bitcoin/features.js'
import {
  createInvoice,
  decodeInvoice,
  encodeInvoice,
  expiresAt,
  type NewInvoice,
  signedDigest,
} from '../../../../backend/bitcoin/invoice/bolt11.js'
import type { TaggedField } from '../../../../backend/bitcoin/invoice/fields.js'
import { formatPrefix, parsePrefix } from '../../../../backend/bitcoin/invoice/prefix.js'
import { encodeBech32, MAX_CHARACTERS, wordsOf } from '../../../../backend/bitcoin/invoice/words.js'
import { blockDelta, MAX_MSAT, msat } from '../../../../backend/bitcoin/units.js'
import { shortChannelID } from '../../../../backend/bitcoin/wire/short-channel-id.js'
import { toHex } from '../../../../channel/bytes.js'
import { type ErrorCode, isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const secret = new Uint8Array(32).fill(0x11)
const nodeID = toHex(secp256k1.publicKey(secret))
const sign = (digest: Uint8Array) => secp256k1.sign(digest, secret)

const plain: NewInvoice = {
  currency: 'bcrt',
  timestamp: 1_700_000_000,
  paymentHash: new Uint8Array(32).fill(1),
  paymentSecret: new Uint8Array(32).fill(2),
  description: { kind: 'text', text: 'tea' },
}

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const amount = fc.bigInt(1n, MAX_MSAT).map(msat)
const hop = fc.record({
  nodeID: fc.integer({ min: 1, max: 20 }).map((i) => toHex(secp256k1.publicKey(new Uint8Array(32).fill(i)))),
  shortChannelID: fc.bigInt(0n, 2n ** 64n - 1n).map(shortChannelID),
  feeBaseMsat: fc.bigInt(0n, 0xffff_ffffn).map(msat),
  feeProportionalMillionths: fc.nat(0xffff_ffff),
  cltvExpiryDelta: fc.nat(0xffff).map(blockDelta),
})
const anyInvoice: fc.Arbitrary<NewInvoice> = fc.record(
  {
    currency: fc.constantFrom('bc', 'tb', 'tbs', 'bcrt'),
    amount,
    timestamp: fc.nat(2 ** 31 - 1),
    paymentHash: bytes(32),
    paymentSecret: bytes(32),
    description: fc.oneof(
      fc.string({ unit: 'binary', maxLength: 100 }).map((text) => ({ kind: 'text', text }) as const),
      bytes(32).map((hash) => ({ kind: 'hash', hash }) as const),
    ),
    metadata: fc.uint8Array({ maxLength: 600 }),
    named: fc.constant(nodeID),
    expiry: fc.bigInt(0n, 2n ** 64n - 1n),
    minFinalCltvExpiryDelta: fc.nat(0xffff_ffff).map(blockDelta),
    fallbacks: fc.array(
      fc.oneof(
        bytes(20).map((program) => ({ kind: 'witness', version: 0, program }) as const),
        bytes(32).map((program) => ({ kind: 'witness', version: 1, program }) as const),
        fc
          .uint8Array({ minLength: 2, maxLength: 40 })
          .map((program) => ({ kind: 'witness', version: 16, program }) as const),
        bytes(20).map((hash) => ({ kind: 'pubkeyHash', hash }) as const),
        bytes(20).map((hash) => ({ kind: 'scriptHash', hash }) as const),
      ),
      { maxLength: 3 },
    ),
    routes: fc.array(fc.array(hop, { minLength: 1, maxLength: 4 }), { maxLength: 3 }),
    features: fc
      .subarray([[], [0x80], [0x02, 0x41, 0x00], [0x02, 0, 0, 0, 0, 0]])
      .map(([one = []]) => Uint8Array.from(one)),
    unknown: fc.array(
      fc.record({
        tag: fc.constantFrom(0, 2, 4, 31),
        words: fc.array(fc.nat(31), { maxLength: 20 }).map((all) => Uint8Array.from(all)),
      }),
      { maxLength: 2 },
    ),
  },
  { requiredKeys: ['currency', 'timestamp', 'paymentHash', 'paymentSecret', 'description'] },
)

/** Fails unless it throws an error of that code and, if given, reason. */
function refused(run: () => unknown, code: ErrorCode, reason?: string): void {
  expect(run)
    .to.throw()
    .that.satisfies(
      (error: unknown) =>
        isError(error, code) &&
        (reason === undefined || (isError(error, 'INVALID_MESSAGE') && error.facts.reason === reason)),
      `${code} ${reason ?? ''}`,
    )
}

/** An invoice of exactly these fields, signed. */
function printed(fields: readonly TaggedField[], prefix = 'lnbcrt'): string {
  const draft = { prefix, timestamp: 1, fields }
  return encodeInvoice({ signed: { ...draft, ...sign(signedDigest(draft)) } })
}

const field = (tag: number, ...words: readonly number[]): TaggedField => ({
  tag,
  words: Uint8Array.from(words),
})
const hash32 = wordsOf(new Uint8Array(32).fill(1))
const needed = [field(1, ...hash32), field(16, ...hash32), field(13)]

describe('BOLT 11: invoices', () => {
  it('created -> signed by the payee, read with every value, printed the same, in either case', () => {
    fc.assert(
      fc.property(anyInvoice, (given) => {
        const invoice = createInvoice(given, sign)
        const text = encodeInvoice(invoice)
        expect(decodeInvoice(text)).to.deep.equal(invoice)
        expect(decodeInvoice(text.toUpperCase())).to.deep.equal(invoice)
        expect(encodeInvoice(decodeInvoice(text.toUpperCase()))).to.equal(text)
        expect(invoice.payee).to.equal(nodeID)
        const { unknown = [], features = new Uint8Array(0), ...values } = given
        expect(invoice).to.deep.include(values)
        expect([...bitsOf(invoice.features)]).to.deep.equal([...bitsOf(features)])
        expect(invoice.signed.fields.slice(-unknown.length || Infinity)).to.deep.equal(unknown)
      }),
    )
  })

  it('what is left out -> 3600 s, 18 blocks, no routes; the end is a sum beyond 2^53 even', () => {
    const invoice = createInvoice(plain, sign)
    expect([invoice.expiry, invoice.minFinalCltvExpiryDelta]).to.deep.equal([3600n, blockDelta(18)])
    expect([invoice.routes, invoice.fallbacks, invoice.features]).to.deep.equal([[], [], new Uint8Array(0)])
    expect(expiresAt(invoice)).to.equal(1_700_003_600n)
    const long = createInvoice({ ...plain, expiry: 2n ** 64n - 1n }, sign)
    expect(expiresAt(long)).to.equal(2n ** 64n - 1n + 1_700_000_000n)
  })

  it('amounts -> the shortest form, exact to a thousandth of a satoshi; any unit is read', () => {
    fc.assert(
      fc.property(amount, (value) => {
        expect(parsePrefix(formatPrefix({ currency: 'bc', amount: value }))).to.deep.equal({
          currency: 'bc',
          amount: value,
        })
      }),
    )
    const forms: [bigint, string][] = [
      [1n, 'lnbc10p'],
      [100n, 'lnbc1n'],
      [250_000_000n, 'lnbc2500u'],
      [2_000_000_000n, 'lnbc20m'],
      [100_000_000_000n, 'lnbc1'],
      [MAX_MSAT, 'lnbc21000000'],
    ]
    for (const [value, text] of forms)
      expect(formatPrefix({ currency: 'bc', amount: msat(value) })).to.equal(text)
    expect(parsePrefix('lnbc20000000000p').amount).to.equal(2_000_000_000n)
    for (const text of [
      'lnbc0',
      'lnbc01u',
      'lnbcu',
      'lnbc-1u',
      'lnbc21000000001m',
      `lnbc${'9'.repeat(500)}p`,
    ])
      refused(() => parsePrefix(text), 'INVALID_MESSAGE')
    for (const text of ['lnxy1u', 'ln', 'bc', 'lntc', 'xlnbc'])
      refused(() => parsePrefix(text), 'INVALID_MESSAGE', 'unknown-prefix')
    refused(() => formatPrefix({ currency: 'bc', amount: msat(0n) }), 'INVALID_AMOUNT')
  })

  it('each rule broken alone, under a right signature -> refused for its reason', () => {
    const [p, s, d] = needed
    if (!p || !s || !d) throw new Error('fields')
    const key = field(19, ...wordsOf(secp256k1.publicKey(secret)))
    expect(decodeInvoice(printed([p, s, d, key])).named).to.equal(nodeID)
    const cases: [string, readonly TaggedField[]][] = [
      ['missing-payment-hash', [s, d]],
      ['missing-payment-secret', [p, d]],
      ['missing-description', [p, s]],
      ['two-descriptions', [...needed, field(23, ...hash32)]],
      ['wrong-length', [...needed, field(1, ...hash32, 0)]],
      ['wrong-length', [...needed, field(16, ...hash32.subarray(1))]],
      ['wrong-length', [p, s, field(23, 1)]],
      ['wrong-length', [...needed, field(19, ...hash32)]],
      ['invalid-point', [...needed, field(19, ...new Uint8Array(53))]],
      ['bad-signature', [...needed, field(19, ...wordsOf(secp256k1.publicKey(new Uint8Array(32).fill(5))))]],
      ['invalid-utf8', [p, s, field(13, ...wordsOf(Uint8Array.of(0xc3, 0x28)))]],
      ['non-minimal', [...needed, field(6, 0, 1)]],
      ['non-minimal', [...needed, field(24, 0)]],
      ['non-minimal', [...needed, field(5, 0, 8)]],
      ['out-of-range', [...needed, field(6, ...new Uint8Array(14).fill(1))]],
      ['out-of-range', [...needed, field(24, 4, 0, 0, 0, 0, 0, 0)]],
      ['unknown-even-feature', [...needed, field(5, 4)]],
      ['invalid-route', [...needed, field(3)]],
      ['invalid-route', [...needed, field(3, ...wordsOf(new Uint8Array(52)))]],
      ['invalid point', [...needed, field(3, ...wordsOf(new Uint8Array(51)))]],
      [
        'invalid-point',
        [...needed, field(3, ...wordsOf(Uint8Array.of(2, ...new Uint8Array(50).fill(0xff))))],
      ],
    ]
    for (const [reason, fields] of cases)
      refused(() => decodeInvoice(printed(fields)), 'INVALID_MESSAGE', reason)
  })

  it('addresses of unknown versions or wrong lengths -> passed over, and printed again', () => {
    const fields = [19, 17, 0, 1].map((version) => field(9, version, ...wordsOf(new Uint8Array(21))))
    const text = printed([...needed, ...fields, field(9)])
    expect(decodeInvoice(text).fallbacks).to.deep.equal([])
    expect(encodeInvoice(decodeInvoice(text))).to.equal(text)
  })

  it('any words under a right checksum -> INVALID_MESSAGE or an invoice that prints the same', () => {
    const anyField = fc.record({
      tag: fc.constantFrom(1, 3, 5, 6, 9, 13, 16, 19, 23, 24, 27, 31),
      words: fc.oneof(
        fc.constant(hash32),
        fc.array(fc.nat(31), { maxLength: 100 }).map((all) => Uint8Array.from(all)),
      ),
    })
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(anyField, { maxLength: 6 }).map((fields) => printed([...needed, ...fields])),
          fc
            .array(fc.nat(31), { maxLength: 300 })
            .map((words) => encodeBech32({ prefix: 'lnbc', words: Uint8Array.from(words) })),
          fc.tuple(anyInvoice, fc.nat(), fc.nat(31)).map(([given, at, word]) => {
            // the words of an invoice, one of them another
            const { signed } = createInvoice(given, sign)
            const fields = signed.fields.map((one) => ({ ...one, words: one.words.slice() }))
            const changed = fields[at % fields.length]
            if (changed && changed.words.length > 0) changed.words[at % changed.words.length] = word
            return encodeInvoice({ signed: { ...signed, fields } })
          }),
        ),
        (text) => {
          try {
            expect(encodeInvoice(decodeInvoice(text))).to.equal(text)
          } catch (error) {
            if (!isError(error, 'INVALID_MESSAGE')) throw error
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  it('any text, or one changed character -> INVALID_MESSAGE; one that is too long -> TOO_LARGE before it is read', () => {
    const text = encodeInvoice(createInvoice(plain, sign))
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(text.length - 1), (random, at) => {
        refused(() => decodeInvoice(random), 'INVALID_MESSAGE')
        const changed = text.slice(0, at) + (random[0] ?? 'q') + text.slice(at + 1)
        if (changed !== text) refused(() => decodeInvoice(changed), 'INVALID_MESSAGE')
      }),
    )
    refused(() => decodeInvoice(text.replace('k', '\u212a').toUpperCase()), 'INVALID_MESSAGE')
    refused(() => decodeInvoice(`lnbc1${'q'.repeat(MAX_CHARACTERS)}`), 'TOO_LARGE')
  })

  it('values without a form in an invoice -> INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE', () => {
    const wrong: [ErrorCode, Partial<NewInvoice>][] = [
      ['INVALID_ARGUMENT', { timestamp: 2 ** 35 }],
      ['INVALID_ARGUMENT', { timestamp: 1.5 }],
      ['INVALID_ARGUMENT', { paymentHash: new Uint8Array(31) }],
      ['INVALID_ARGUMENT', { paymentSecret: new Uint8Array(33) }],
      ['INVALID_ARGUMENT', { expiry: -1n }],
      ['INVALID_ARGUMENT', { description: { kind: 'text', text: '\ud800' } }],
      ['INVALID_ARGUMENT', { routes: [[]] }],
      ['INVALID_ARGUMENT', { fallbacks: [{ kind: 'witness', version: 0, program: new Uint8Array(21) }] }],
      ['TOO_LARGE', { description: { kind: 'text', text: 'x'.repeat(640) } }],
      ['TOO_LARGE', { metadata: new Uint8Array(640) }],
      ['TOO_LARGE', { unknown: Array(500).fill({ tag: 2, words: new Uint8Array(1000) }) }],
      ['INVALID_MESSAGE', { features: Uint8Array.of(4) }],
      ['INVALID_MESSAGE', { named: toHex(secp256k1.publicKey(new Uint8Array(32).fill(9))) }],
    ]
    for (const [code, values] of wrong) refused(() => createInvoice({ ...plain, ...values }, sign), code)
  })
})

describe('bolt11: what can not be printed', () => {
  const { signed } = createInvoice(plain, sign)
  for (const prefix of ['', 'LNBC', 'ln bc', 'lnb\u00fc', 'ln\n'])
    it(`the prefix ${JSON.stringify(prefix)} -> INVALID_ARGUMENT`, () => {
      expect(() => encodeInvoice({ signed: { ...signed, prefix } }))
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    })
  it('a word of more than five bits -> INVALID_ARGUMENT', () => {
    const fields = [{ tag: 13, words: Uint8Array.of(32) }]
    expect(() => encodeInvoice({ signed: { ...signed, fields } }))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })
})
