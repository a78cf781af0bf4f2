import { expect } from 'chai'
import fc from 'fast-check'
import {
  answerRequest,
  bolt12ExpiresAt,
  decodeBolt12Invoice,
  decodeInvoiceError,
  encodeBolt12Invoice,
  encodeInvoiceError,
  faultOfAnswer,
  type InvoiceAnswer,
  type InvoiceError,
  usableFallbacks,
  usablePaths,
} from '../../../../backend/bitcoin/invoice/bolt12-invoice.js'
import {
  BITCOIN_CHAIN,
  type InvoiceRequest,
  invoiceRequestStream,
  invoiceStream,
  type Offer,
  offerStream,
} from '../../../../backend/bitcoin/invoice/bolt12-records.js'
import {
  decodeBolt12String,
  encodeBolt12String,
  MAX_BOLT12_CHARACTERS,
} from '../../../../backend/bitcoin/invoice/bolt12-string.js'
import {
  answersOffer,
  decodeInvoiceRequest,
  encodeInvoiceRequest,
  formatInvoiceRequest,
  isRequestFor,
  offerToPay,
  parseInvoiceRequest,
  type RequestTerms,
  requestInvoice,
} from '../../../../backend/bitcoin/invoice/invoice-request.js'
import {
  merkleLeaves,
  merkleRoot,
  signatureDigest,
  splitRecords,
} from '../../../../backend/bitcoin/invoice/merkle.js'
import {
  amountAsked,
  decodeOffer,
  encodeOffer,
  formatOffer,
  isOfferExpired,
  parseOffer,
} from '../../../../backend/bitcoin/invoice/offer.js'
import { blindRoute } from '../../../../backend/bitcoin/onion/blinding.js'
import { blockDelta, msat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import { type ErrorCode, isError } from '../../../../channel/errors.js'
import { encodeStream } from '../../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const issuer = new Uint8Array(32).fill(0x11)
const payer = new Uint8Array(32).fill(0x22)
const signer = (secret: Uint8Array) => (digest: Uint8Array) => secp256k1.schnorrSign(digest, secret)
const point = (i: number) => secp256k1.publicKey(new Uint8Array(32).fill(i))

const { firstPathKey, hops } = blindRoute(new Uint8Array(32).fill(7), [
  { nodeID: point(1), data: new Uint8Array(5) },
  { nodeID: point(2), data: new Uint8Array(5) },
])
const path = { firstNode: { kind: 'node', nodeID: toHex(point(1)) } as const, firstPathKey, hops }
const payInfo = {
  feeBaseMsat: msat(1n),
  feeProportionalMillionths: 2,
  cltvExpiryDelta: blockDelta(3),
  htlcMinimumMsat: msat(4n),
  htlcMaximumMsat: msat(5n),
  features: new Uint8Array(0),
}

const offer: Offer = {
  offerAmount: 1000n,
  offerDescription: 'tea',
  offerIssuerID: secp256k1.publicKey(issuer),
}
const terms: RequestTerms = { metadata: new Uint8Array(16).fill(1), payerID: secp256k1.publicKey(payer) }
const answer: InvoiceAnswer = {
  nodeID: secp256k1.publicKey(issuer),
  paymentHash: new Uint8Array(32).fill(9),
  paths: [{ path, payInfo }],
  createdAt: 1_700_000_000n,
  amount: msat(1000n),
}

const text = fc.string({ unit: 'binary', maxLength: 40 })
const anyOffer: fc.Arbitrary<Offer> = fc.record(
  {
    offerChains: fc.constantFrom([BITCOIN_CHAIN], [`0x${'ab'.repeat(32)}` as const, BITCOIN_CHAIN]),
    offerMetadata: fc.uint8Array({ maxLength: 300 }),
    offerCurrency: fc.constantFrom('USD', 'CHF'),
    offerAmount: fc.bigInt(1n, 10n ** 12n),
    offerDescription: text,
    offerFeatures: fc.constantFrom(new Uint8Array(0), Uint8Array.of(0x02)),
    offerAbsoluteExpiry: fc.bigInt(0n, 2n ** 64n - 1n),
    offerPaths: fc.constantFrom([path], [path, path]),
    offerIssuer: text,
    offerQuantityMax: fc.bigInt(0n, 2n ** 64n - 1n),
    offerIssuerID: fc.constant(secp256k1.publicKey(issuer)),
    unknown: fc.constant([
      { type: 33n, value: Uint8Array.of(1) },
      { type: 1_000_000_001n, value: new Uint8Array(0) },
    ]),
  },
  { requiredKeys: ['offerDescription', 'offerAmount', 'offerIssuerID'] },
)

/** Fails unless it throws an error of that code and, if given, reason. */
function refused(run: () => unknown, reason?: string, code: ErrorCode = 'INVALID_MESSAGE'): void {
  expect(run)
    .to.throw()
    .that.satisfies(
      (error: unknown) =>
        isError(error, code) &&
        (reason === undefined || (isError(error, 'INVALID_MESSAGE') && error.facts.reason === reason)),
      reason ?? code,
    )
}

/** Whatever bytes come: an error of that code, or a value that is written as the same bytes. */
function readsOrRefuses<T>(
  bytes: Uint8Array,
  read: (bytes: Uint8Array) => T,
  write: (value: T) => Uint8Array,
): void {
  try {
    expect(write(read(bytes))).to.deep.equal(bytes)
  } catch (error) {
    if (!isError(error, 'INVALID_MESSAGE')) throw error
  }
}

/** A request of exactly these records, signed by the payer. */
function signedRequest(records: InvoiceRequest): Uint8Array {
  const write = (value: InvoiceRequest) => encodeStream(invoiceRequestStream, value, 'request')
  return write({ ...records, signature: signer(payer)(signatureDigest('invoice_request', write(records))) })
}

describe('BOLT 12: strings', () => {
  it('any bytes, broken anywhere, in either case -> the same bytes', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('+', '+ ', '+\n', '+\r\n\t '))),
        fc.boolean(),
        (bytes, breaks, upper) => {
          const plain = encodeBolt12String('lnr', bytes)
          let written = upper ? plain.toUpperCase() : plain
          for (const [at, sign] of breaks) {
            const place = 1 + (at % (written.length - 1))
            const broken = written.slice(0, place) + sign + written.slice(place)
            if (/^[a-z0-9]+(\+\s*[a-z0-9]+)*$/i.test(broken)) written = broken
          }
          expect(decodeBolt12String(written, 'lnr', 'request')).to.deep.equal(bytes)
        },
      ),
    )
  })

  it('any text -> INVALID_MESSAGE; another prefix, odd bits, too much -> refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (random) => {
        refused(() => decodeBolt12String(random, 'lno', 'offer'))
        refused(() => parseOffer(`lno1${random}`))
      }),
    )
    refused(() => decodeBolt12String('lnr1qq', 'lno', 'offer'), 'unknown-prefix')
    refused(() => decodeBolt12String('lno1qp', 'lno', 'offer'), 'nonzero-padding')
    refused(() => decodeBolt12String('lno1q', 'lno', 'offer'), 'padding-too-long')
    refused(() => decodeBolt12String('lno1b', 'lno', 'offer'), 'invalid-character')
    refused(() => decodeBolt12String(`lno1q+${' '.repeat(100_000)}+q`, 'lno', 'offer'), 'bad-continuation')
    const long = 'q'.repeat(MAX_BOLT12_CHARACTERS)
    refused(() => decodeBolt12String(`lno1${long}`, 'lno', 'offer'), undefined, 'TOO_LARGE')
  })
})

describe('BOLT 12: trees', () => {
  it('any two streams that differ in a record -> different roots; signatures are in no tree', () => {
    const value = fc.uint8Array({ maxLength: 20 })
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 40 }), fc.nat(), value, (values, at, other) => {
        const write = (all: readonly Uint8Array[]) =>
          encodeStream(
            offerStream,
            { unknown: all.map((one, i) => ({ type: BigInt(2 * i + 1001), value: one })) },
            'x',
          )
        const changed = values.with(at % values.length, other)
        const same = toHex(write(values)) === toHex(write(changed))
        expect(toHex(merkleRoot(write(values), 'x')) === toHex(merkleRoot(write(changed), 'x'))).to.equal(
          same,
        )
        expect(merkleLeaves(splitRecords(write(values), 'x'))).to.have.length(values.length)
      }),
    )
    const bare = Uint8Array.of(1, 1, 5)
    expect(merkleRoot(Uint8Array.of(...bare, 240, 1, 9), 'x')).to.deep.equal(merkleRoot(bare, 'x'))
    refused(() => merkleRoot(Uint8Array.of(240, 1, 9), 'x'), 'empty')
  })

  it('1000 records -> a root; one more -> refused before anything is hashed', () => {
    const many = (count: number) =>
      encodeStream(
        offerStream,
        {
          unknown: Array.from({ length: count }, (_, i) => ({
            type: BigInt(2 * i + 1001),
            value: new Uint8Array(0),
          })),
        },
        'x',
      )
    expect(merkleRoot(many(1000), 'x')).to.have.length(32)
    refused(() => merkleRoot(many(1001), 'x'), 'too many records')
  })

  it('random bytes -> INVALID_MESSAGE or records that make up the whole', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        readsOrRefuses(
          bytes,
          (given) => splitRecords(given, 'x'),
          (records) => Uint8Array.from(records.flatMap((one) => [...one.bytes])),
        )
      }),
    )
  })
})

describe('BOLT 12: offers', () => {
  it('any offer -> printed, read with every record, printed the same', () => {
    fc.assert(
      fc.property(anyOffer, (given) => {
        expect(parseOffer(formatOffer(given))).to.deep.equal(given)
      }),
    )
  })

  it('changed, cut or random records -> INVALID_MESSAGE or an offer that is written as they are', () => {
    fc.assert(
      fc.property(
        anyOffer,
        fc.nat(),
        fc.nat(255),
        fc.uint8Array({ maxLength: 60 }),
        (given, at, byte, random) => {
          const bytes = encodeOffer(given)
          const changed = bytes.slice()
          changed[at % changed.length] = byte
          for (const hostile of [changed, bytes.subarray(0, at % bytes.length), random])
            readsOrRefuses(hostile, decodeOffer, encodeOffer)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('what no vector tests: currencies, empty paths, amounts and ends', () => {
    refused(() => encodeOffer({ ...offer, offerCurrency: 'usd' }), 'invalid-currency')
    refused(() => encodeOffer({ ...offer, offerPaths: [] }), 'no-paths')
    // Also in the range of signatures, which offers do not have.
    for (const type of [81n, 241n, 999n])
      refused(
        () => encodeOffer({ ...offer, unknown: [{ type, value: new Uint8Array(0) }] }),
        'type-out-of-range',
      )
    expect(amountAsked(offer, 3n)).to.equal(3000n)
    expect(amountAsked({ ...offer, offerCurrency: 'USD' })).to.equal(undefined)
    expect(isOfferExpired({ ...offer, offerAbsoluteExpiry: 5n }, 5n)).to.equal(false)
    expect(isOfferExpired({ ...offer, offerAbsoluteExpiry: 5n }, 6n)).to.equal(true)
    expect(isOfferExpired(offer, 2n ** 64n)).to.equal(false)
  })
})

describe('BOLT 12: invoice requests', () => {
  const complete = (given: Offer): RequestTerms => ({
    ...terms,
    amount: msat(10n ** 15n),
    ...(given.offerQuantityMax !== undefined && { quantity: 1n }),
  })

  it('for any offer -> has all its records, is signed by the payer, prints and reads the same', () => {
    fc.assert(
      fc.property(anyOffer, (given) => {
        const request = requestInvoice(given, complete(given), signer(payer))
        expect(parseInvoiceRequest(formatInvoiceRequest(request))).to.deep.equal(request)
        expect(isRequestFor(request, given)).to.equal(true)
        expect(isRequestFor(request, { ...given, offerMetadata: new Uint8Array(301) })).to.equal(false)
        expect(answersOffer(request)).to.equal(true)
      }),
      { numRuns: 40 },
    )
  })

  it('changed, cut or random records -> INVALID_MESSAGE or a request that is written as they are', () => {
    const bytes = encodeInvoiceRequest(requestInvoice(offer, complete(offer), signer(payer)))
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.uint8Array({ maxLength: 60 }),
        (at, flip, random) => {
          const changed = bytes.slice()
          changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ flip
          // No change goes unnoticed: all is signed.
          refused(() => decodeInvoiceRequest(changed))
          for (const hostile of [bytes.subarray(0, at % bytes.length), random])
            readsOrRefuses(hostile, decodeInvoiceRequest, encodeInvoiceRequest)
        },
      ),
    )
  })

  it('each rule broken alone, under a right signature -> refused for its reason', () => {
    const base: InvoiceRequest = {
      ...offer,
      invreqMetadata: terms.metadata,
      invreqPayerID: terms.payerID,
    }
    expect(decodeInvoiceRequest(signedRequest(base))).to.deep.include(base)
    const { invreqMetadata: _, ...noMetadata } = base
    const { invreqPayerID: __, ...noPayer } = base
    const { offerAmount: ___, ...noAmount } = base
    const other = `0x${'ab'.repeat(32)}` as const
    const bytes = (value: string) => new TextEncoder().encode(value)
    const free: InvoiceRequest = { offerDescription: 'refund', ...terms2(base) }
    const cases: [string, InvoiceRequest][] = [
      ['missing-metadata', noMetadata],
      ['missing-payer-id', noPayer],
      ['missing-amount', noAmount],
      ['amount-too-low', { ...base, invreqAmount: msat(999n) }],
      ['amount-too-low', { ...base, offerQuantityMax: 0n, invreqQuantity: 2n, invreqAmount: msat(1999n) }],
      [
        'amount-too-low',
        { ...base, offerQuantityMax: 0n, invreqQuantity: 2n ** 63n, invreqAmount: msat(1n) },
      ],
      ['unexpected-quantity', { ...base, invreqQuantity: 1n }],
      ['missing-quantity', { ...base, offerQuantityMax: 5n }],
      ['invalid-quantity', { ...base, offerQuantityMax: 5n, invreqQuantity: 0n }],
      ['invalid-quantity', { ...base, offerQuantityMax: 5n, invreqQuantity: 6n }],
      ['wrong-chain', { ...base, invreqChain: other }],
      ['wrong-chain', { ...base, offerChains: [other] }],
      ['unknown-even-feature', { ...base, invreqFeatures: Uint8Array.of(1) }],
      ['no-paths', { ...base, invreqPaths: [] }],
      ['invalid-bip353-name', { ...base, invreqBip353Name: { name: bytes('a b'), domain: bytes('x.org') } }],
      ['type-out-of-range', { ...base, unknown: [{ type: 161n, value: new Uint8Array(0) }] }],
      ['type-out-of-range', { ...base, unknown: [{ type: 3_000_000_001n, value: new Uint8Array(0) }] }],
      ['missing-amount', free],
      ['unexpected-offer-field', { ...free, invreqAmount: msat(1n), offerQuantityMax: 1n }],
      ['unexpected-offer-field', { ...free, invreqAmount: msat(1n), offerChains: [BITCOIN_CHAIN] }],
      ['unexpected-offer-field', { ...free, invreqAmount: msat(1n), offerFeatures: Uint8Array.of(2) }],
    ]
    for (const [reason, records] of cases) refused(() => decodeInvoiceRequest(signedRequest(records)), reason)
    const fine: InvoiceRequest[] = [
      { ...base, offerQuantityMax: 5n, invreqQuantity: 5n, invreqAmount: msat(5000n) },
      { ...base, offerChains: [other], invreqChain: other },
      { ...base, offerCurrency: 'USD', invreqAmount: msat(1n) },
      { ...base, invreqBip353Name: { name: bytes('a.B-1_'), domain: bytes('x.org') } },
      { ...free, invreqAmount: msat(1n) },
    ]
    for (const records of fine) expect(decodeInvoiceRequest(signedRequest(records))).to.deep.include(records)
    refused(() => decodeInvoiceRequest(encodeInvoiceRequest(base)), 'missing-signature')
  })

  it('without an offer -> no signature is needed; nothing of an offer that is not shown', () => {
    const request = offerToPay({ offerDescription: 'refund' }, { ...terms, amount: msat(5n), paths: [path] })
    expect(parseInvoiceRequest(formatInvoiceRequest(request))).to.deep.equal(request)
    expect(answersOffer(request)).to.equal(false)
    refused(() => offerToPay({ offerDescription: 'refund' }, terms), 'missing-amount')
    refused(
      () => requestInvoice(offer, { ...terms, metadata: new Uint8Array(0) }, signer(payer)),
      undefined,
      'INVALID_ARGUMENT',
    )
    refused(() => requestInvoice(offer, terms, signer(issuer)), 'bad-signature')
  })
})

function terms2({ invreqMetadata, invreqPayerID }: InvoiceRequest): InvoiceRequest {
  return { ...(invreqMetadata && { invreqMetadata }), ...(invreqPayerID && { invreqPayerID }) }
}

describe('BOLT 12: invoices', () => {
  const request = requestInvoice(
    { ...offer, unknown: [{ type: 33n, value: Uint8Array.of(1) }] },
    { ...terms, note: 'hot, please' },
    signer(payer),
  )
  const invoice = answerRequest(request, answer, signer(issuer))

  it('answers a request -> has all its records but the signature, is signed by the node, reads the same', () => {
    expect(decodeBolt12Invoice(encodeBolt12Invoice(invoice))).to.deep.equal(invoice)
    const { signature: _, ...copied } = request
    expect(invoice).to.deep.include(copied)
    expect(faultOfAnswer(invoice, request)).to.equal(undefined)
    expect(bolt12ExpiresAt(invoice)).to.equal(1_700_007_200n)
    const short = answerRequest(request, { ...answer, relativeExpiry: 60 }, signer(issuer))
    expect(bolt12ExpiresAt(short)).to.equal(1_700_000_060n)
  })

  it('of another request, or by another node than was asked -> the payer sees it', () => {
    const other = requestInvoice(offer, { ...terms, note: 'cold' }, signer(payer))
    expect(faultOfAnswer(invoice, other)).to.equal('other-request')
    const { offerIssuerID: _, ...anonymous } = { ...offer, offerPaths: [path] }
    const asked = requestInvoice(anonymous, terms, signer(payer))
    const answered = answerRequest(asked, answer, signer(issuer))
    expect(faultOfAnswer(answered, asked, answer.nodeID)).to.equal(undefined)
    expect(faultOfAnswer(answered, asked, point(3))).to.equal('wrong-node-id')
    expect(faultOfAnswer(answered, asked)).to.equal('wrong-node-id')
  })

  it('each rule broken alone, under a right signature -> refused for its reason', () => {
    const { signature: _, ...base } = invoice
    const signed = (records: typeof invoice) => {
      const write = (value: typeof invoice) => encodeStream(invoiceStream, value, 'invoice')
      return write({ ...records, signature: signer(issuer)(signatureDigest('invoice', write(records))) })
    }
    const without = (name: keyof typeof base) =>
      Object.fromEntries(Object.entries(base).filter(([other]) => other !== name))
    expect(decodeBolt12Invoice(signed(base))).to.deep.equal(invoice)
    const even = { ...payInfo, features: Uint8Array.of(4) }
    const cases: [string, typeof invoice][] = [
      ['missing-amount', without('invoiceAmount')],
      ['missing-created-at', without('invoiceCreatedAt')],
      ['missing-payment-hash', without('invoicePaymentHash')],
      ['missing-node-id', without('invoiceNodeID')],
      ['missing-paths', without('invoicePaths')],
      ['missing-paths', { ...base, invoicePaths: [] }],
      ['missing-payinfo', without('invoiceBlindedpay')],
      ['payinfo-count', { ...base, invoiceBlindedpay: [payInfo, payInfo] }],
      ['no-usable-path', { ...base, invoiceBlindedpay: [even] }],
      ['unknown-even-feature', { ...base, invoiceFeatures: Uint8Array.of(1) }],
      ['wrong-amount', { ...base, invreqAmount: msat(1001n) }],
      ['wrong-node-id', { ...base, offerIssuerID: point(4) }],
      ['bad-signature', { ...without('offerIssuerID'), invoiceNodeID: point(4) }],
    ]
    for (const [reason, records] of cases) refused(() => decodeBolt12Invoice(signed(records)), reason)
    refused(() => decodeBolt12Invoice(encodeBolt12Invoice(base)), 'missing-signature')
    const mpp = { ...base, invoiceFeatures: Uint8Array.of(1, 0, 0) }
    expect(decodeBolt12Invoice(signed(mpp))).to.deep.include(mpp)
  })

  it('paths with unknown demands and odd addresses -> not used', () => {
    const two = [
      { path, payInfo: { ...payInfo, features: Uint8Array.of(4) } },
      { path, payInfo: { ...payInfo, features: Uint8Array.of(8) } },
    ]
    const addresses = [
      { version: 0, address: new Uint8Array(20) },
      { version: 0, address: new Uint8Array(21) },
      { version: 1, address: new Uint8Array(32) },
      { version: 16, address: new Uint8Array(41) },
      { version: 17, address: new Uint8Array(20) },
    ]
    const made = answerRequest(request, { ...answer, paths: two, fallbacks: addresses }, signer(issuer))
    expect(usablePaths(made)).to.deep.equal(two.slice(1))
    expect(usableFallbacks(made).map((one) => 'version' in one && one.version)).to.deep.equal([0, 1])
  })

  it('changed, cut or random records -> INVALID_MESSAGE or an invoice that is written as they are', () => {
    const bytes = encodeBolt12Invoice(invoice)
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.uint8Array({ maxLength: 60 }),
        (at, flip, random) => {
          const changed = bytes.slice()
          changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ flip
          refused(() => decodeBolt12Invoice(changed))
          for (const hostile of [bytes.subarray(0, at % bytes.length), random])
            readsOrRefuses(hostile, decodeBolt12Invoice, encodeBolt12Invoice)
        },
      ),
    )
  })

  it('errors: decode ∘ encode is the identity; any bytes -> INVALID_MESSAGE or an error', () => {
    const anyError: fc.Arbitrary<InvoiceError> = fc.record(
      {
        erroneousField: fc.bigInt(0n, 2n ** 64n - 1n),
        suggestedValue: fc.uint8Array({ maxLength: 20 }),
        error: text,
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(anyError, fc.uint8Array({ maxLength: 40 }), (error, random) => {
        expect(decodeInvoiceError(encodeInvoiceError(error))).to.deep.equal(error)
        readsOrRefuses(random, decodeInvoiceError, encodeInvoiceError)
      }),
    )
  })
})
