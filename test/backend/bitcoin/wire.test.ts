import { expect } from 'chai'
import fc from 'fast-check'
import { type LightningMessage, lightningMessages } from '../../../backend/bitcoin/wire/messages.js'
import {
  decodeQueryFlags,
  decodeShortIDs,
  decodeTimestamps,
  encodeQueryFlags,
  encodeShortIDs,
  encodeTimestamps,
} from '../../../backend/bitcoin/wire/queries.js'
import { shortChannelID } from '../../../backend/bitcoin/wire/short-channel-id.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import type { Field } from '../../../peer/wire/fields.js'
import { decodeField } from '../../../peer/wire/tlv.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { messagesOf } from './arbitrary.js'

const { decode, encode, schemas } = lightningMessages
const aPoint = secp256k1.publicKey(new Uint8Array(32).fill(7))

/** Some value of a field that stands for itself. */
function sample(field: Field<unknown>): unknown {
  return decodeField(field, field.format === 'point' ? aPoint : new Uint8Array(field.least), 'sample')
}

function isKnown(message: { readonly kind: string }): message is LightningMessage {
  return schemas.some(({ kind }) => kind === message.kind)
}

/** What the bytes are: a message, which must be written as it was read, or refused with a typed error. */
function judge(bytes: Uint8Array): 'message' | 'unknown' | 'refused' {
  let message: ReturnType<typeof decode>
  try {
    message = decode(bytes)
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return 'refused'
    throw error
  }
  if (message.kind === 'unknown') return 'unknown'
  expect(encode(message)).to.deep.equal(bytes)
  return 'message'
}

describe('wire: every message', () => {
  it('there are 50', () => {
    expect(schemas).to.have.length(50)
  })

  for (const schema of schemas) {
    const messages = messagesOf(schema, sample)

    it(`${schema.kind}: encode, decode -> the same value, of plain bytes of its own`, () => {
      fc.assert(
        fc.property(messages, (message) => {
          if (!isKnown(message)) throw new Error('not ours')
          const bytes = encode(message)
          const before = structuredClone(message)
          // A Buffer must do as well, and what is read must not be a view of it.
          const buffer = Buffer.from(bytes)
          const decoded = decode(buffer)
          buffer.fill(0xff)
          expect(decoded).to.deep.equal(message)
          expect(message).to.deep.equal(before)
        }),
        { numRuns: 30 },
      )
    })

    it(`${schema.kind}: any changed, missing or added byte -> a typed refusal, or a message that is those bytes`, () => {
      const changes = fc.record({
        at: fc.nat(),
        to: fc.integer({ min: 0, max: 255 }),
        how: fc.constantFrom('change', 'remove', 'insert', 'cut', 'double'),
      })
      fc.assert(
        fc.property(messages, fc.array(changes, { minLength: 1, maxLength: 4 }), (message, edits) => {
          if (!isKnown(message)) throw new Error('not ours')
          let bytes = encode(message)
          for (const { at, to, how } of edits) {
            const index = at % (bytes.length + 1)
            const head = bytes.subarray(0, index)
            const middle = bytes.subarray(index, index + 1)
            const tail = bytes.subarray(index + 1)
            if (how === 'change') bytes = Uint8Array.from([...head, ...middle.map(() => to), ...tail])
            else if (how === 'remove') bytes = Uint8Array.from([...head, ...tail])
            else if (how === 'insert') bytes = Uint8Array.from([...head, to, ...middle, ...tail])
            else if (how === 'cut') bytes = Uint8Array.from(head)
            else bytes = Uint8Array.from([...head, ...middle, ...tail, ...middle, ...tail])
          }
          judge(bytes)
        }),
        { numRuns: 60 },
      )
    })

    it(`${schema.kind}: every shorter start of it without extension -> refused`, () => {
      const [message] = fc.sample(messages, { numRuns: 1, seed: 7 })
      if (message === undefined || !isKnown(message)) throw new Error('not ours')
      const names = ['kind', ...Object.keys(schema.fields)]
      const bare = Object.fromEntries(Object.entries(message).filter(([name]) => names.includes(name)))
      const bytes = encode({ ...bare, kind: message.kind } as LightningMessage)
      for (let length = 0; length < bytes.length; length++) {
        expect(judge(bytes.subarray(0, length)), `${length} bytes`).to.equal('refused')
      }
      expect(judge(bytes)).to.equal('message')
    })
  }

  it('random bytes behind every type -> a typed refusal, or a message that is those bytes', () => {
    const types = fc.constantFrom(...schemas.map(({ type }) => type))
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 2000 }), (type, rest) => {
        judge(Uint8Array.of(type >> 8, type & 0xff, ...rest))
      }),
      { numRuns: 500 },
    )
  })
})

describe('wire: messages as a whole', () => {
  it('an unknown odd type -> kept for the caller to ignore; an unknown even one, an empty message -> refused', () => {
    expect(decode(Uint8Array.of(0x80, 0x01, 5))).to.deep.equal({
      kind: 'unknown',
      type: 0x8001,
      payload: Uint8Array.of(5),
    })
    for (const bytes of [Uint8Array.of(0x80, 0x02), Uint8Array.of(), Uint8Array.of(1)]) {
      expect(judge(bytes)).to.equal('refused')
    }
  })

  it('a count of 65535 items that are not there -> refused before a list is made', () => {
    const head = Uint8Array.from([0, 71, ...new Uint8Array(64), 0xff, 0xff])
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 100; i++) expect(judge(head)).to.equal('refused')
    expect(process.memoryUsage().heapUsed - before).to.be.lessThan(20_000_000)
  })

  it('more than 65535 bytes -> the encoder refuses', () => {
    const channelID = `0x${'00'.repeat(32)}` as const
    const signature = new Uint8Array(64)
    const encodeWith = (htlcs: number) =>
      encode({ kind: 'commitment_signed', channelID, signature, htlcSignature: Array(htlcs).fill(signature) })
    // 2 + 32 + 64 + 2 + 64 * 1022 = 65508
    expect(encodeWith(1022)).to.have.length(65_508)
    expect(() => encodeWith(1023))
      .to.throw(PerkunasError)
      .with.property('code', 'TOO_LARGE')
  })

  it('values that are not of their type -> the encoder refuses, whatever they are', () => {
    const wrong = fc.oneof(
      fc.anything(),
      fc.constantFrom(-1, 256, 1.5, Number.NaN, -1n, 2n ** 64n, '0x00', null),
    )
    const choices = schemas.flatMap((schema) =>
      ['unknown', 'excess', ...Object.keys({ ...schema.fields, ...schema.extension?.records })].map(
        (name) => ({ schema, name }),
      ),
    )
    fc.assert(
      fc.property(fc.constantFrom(...choices), wrong, fc.nat(), ({ schema, name }, value, seed) => {
        const [message] = fc.sample(messagesOf(schema, sample), { numRuns: 1, seed })
        const broken = { ...message, [name]: value } as unknown as LightningMessage
        let bytes: Uint8Array
        try {
          bytes = encode(broken)
        } catch (error) {
          expect(error).to.be.instanceOf(PerkunasError)
          return
        }
        // It was of the type after all, or a record that says nothing by its value.
        expect(judge(bytes)).to.equal('message')
      }),
      { numRuns: 1000 },
    )
  })

  it('a Lightning message with records out of order, doubled or known by name among the unknown -> refused', () => {
    const channelID = `0x${'00'.repeat(32)}` as const
    const value = Uint8Array.of(1)
    for (const types of [[5n, 3n], [5n, 5n], [1n]]) {
      const unknown = types.map((type) => ({ type, value }))
      expect(() => encode({ kind: 'start_batch', channelID, batchSize: 2, unknown }))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })
})

describe('wire: lists inside of queries', () => {
  const pairs = fc.tuple(fc.integer({ min: 0, max: 0xffff_ffff }), fc.integer({ min: 0, max: 0xffff_ffff }))
  const numbers = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })

  it('short channel IDs, flags, timestamps: encode, decode -> the same', () => {
    fc.assert(
      fc.property(fc.array(numbers), fc.array(pairs), (values, timestamps) => {
        const ids = values.map(shortChannelID)
        expect(decodeShortIDs(encodeShortIDs(ids))).to.deep.equal(ids)
        expect(decodeQueryFlags(encodeQueryFlags(values))).to.deep.equal(values)
        expect(decodeTimestamps(encodeTimestamps(timestamps))).to.deep.equal(timestamps)
      }),
    )
  })

  it('another encoding, no encoding, half an item -> refused', () => {
    const half = new Uint8Array(7)
    for (const run of [
      () => decodeShortIDs(Uint8Array.of(1, ...new Uint8Array(8))),
      () => decodeShortIDs(new Uint8Array(0)),
      () => decodeShortIDs(Uint8Array.of(0, ...half)),
      () => decodeQueryFlags({ encodingType: 1, encodedQueryFlags: Uint8Array.of(1) }),
      () => decodeQueryFlags({ encodingType: 0, encodedQueryFlags: Uint8Array.of(0xfd) }),
      () => decodeTimestamps({ encodingType: 1, encodedTimestamps: new Uint8Array(8) }),
      () => decodeTimestamps({ encodingType: 0, encodedTimestamps: half }),
    ]) {
      expect(run).to.throw(PerkunasError).with.property('code', 'INVALID_MESSAGE')
    }
  })
})
