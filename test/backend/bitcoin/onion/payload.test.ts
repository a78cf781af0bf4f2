import { expect } from 'chai'
import fc from 'fast-check'
import {
  decodePayload,
  encodePayload,
  type Payload,
  type PayloadPlace,
  readInstruction,
} from '../../../../backend/bitcoin/onion/payload.js'
import { blockHeight, msat } from '../../../../backend/bitcoin/units.js'
import { shortChannelID } from '../../../../backend/bitcoin/wire/short-channel-id.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const key = secp256k1.publicKey(new Uint8Array(32).fill(1))
const full: Required<Payload> = {
  amtToForward: msat(1000n),
  outgoingCltvValue: blockHeight(800_000),
  shortChannelID: shortChannelID(0x0102030405060708n),
  paymentData: { paymentSecret: new Uint8Array(32).fill(2), totalMsat: msat(3000n) },
  encryptedRecipientData: new Uint8Array(10),
  currentPathKey: key,
  paymentMetadata: Uint8Array.of(1, 2, 3),
  totalAmountMsat: msat(2000n),
  keysendPreimage: new Uint8Array(32).fill(3),
  unknown: [{ type: 65537n, value: Uint8Array.of(9) }],
}
const anyPayload = fc
  .subarray(Object.keys(full), { minLength: 1 })
  .map((names): Payload => Object.fromEntries(Object.entries(full).filter(([name]) => names.includes(name))))

const only = (...names: readonly (keyof Payload)[]): Uint8Array =>
  encodePayload(Object.fromEntries(names.map((name) => [name, full[name]])))

describe('BOLT 4: payloads', () => {
  it('decode ∘ encode is the identity for every set of records', () => {
    fc.assert(
      fc.property(anyPayload, (payload) => {
        const bytes = encodePayload(payload)
        expect(decodePayload(bytes)).to.deep.equal(payload)
        expect(encodePayload(decodePayload(bytes))).to.deep.equal(bytes)
      }),
    )
  })

  it('changed, cut or random bytes -> INVALID_MESSAGE or a payload that encodes to them, and an instruction or its refusal', () => {
    fc.assert(
      fc.property(
        anyPayload,
        fc.nat(),
        fc.nat(255),
        fc.uint8Array({ maxLength: 80 }),
        fc.record({ final: fc.boolean(), pathKey: fc.constantFrom(key, undefined) }),
        (payload, at, byte, random, { final, pathKey }) => {
          const place: PayloadPlace = { final, ...(pathKey && { pathKey }) }
          const changed = encodePayload(payload)
          changed[at % changed.length] = byte
          for (const bytes of [changed, changed.subarray(0, at % changed.length), random]) {
            expect(readInstruction(bytes, place).kind).to.be.a('string')
            try {
              expect(encodePayload(decodePayload(bytes))).to.deep.equal(bytes)
            } catch (error) {
              if (!isError(error, 'INVALID_MESSAGE')) throw error
            }
          }
        },
      ),
    )
  })

  it('forward: amount, expiry and channel, nothing else is looked at', () => {
    const bytes = only('amtToForward', 'outgoingCltvValue', 'shortChannelID', 'unknown')
    expect(readInstruction(bytes, { final: false })).to.deep.equal({
      kind: 'forward',
      amtToForward: full.amtToForward,
      outgoingCltvValue: full.outgoingCltvValue,
      shortChannelID: full.shortChannelID,
    })
  })

  it('receive: the total is the amount unless payment data says otherwise; keysend and metadata are handed on', () => {
    const base = {
      kind: 'receive',
      amtToForward: full.amtToForward,
      outgoingCltvValue: full.outgoingCltvValue,
    }
    const place = { final: true }
    expect(readInstruction(only('amtToForward', 'outgoingCltvValue'), place)).to.deep.equal({
      ...base,
      totalMsat: full.amtToForward,
    })
    const all = only('amtToForward', 'outgoingCltvValue', 'paymentData', 'paymentMetadata', 'keysendPreimage')
    expect(readInstruction(all, place)).to.deep.equal({
      ...base,
      totalMsat: full.paymentData.totalMsat,
      paymentSecret: full.paymentData.paymentSecret,
      paymentMetadata: full.paymentMetadata,
      keysendPreimage: full.keysendPreimage,
    })
  })

  it('a record that is missing -> invalid with its type and where it would be', () => {
    const cases: [Uint8Array, PayloadPlace, bigint, number][] = [
      [only('outgoingCltvValue', 'shortChannelID'), { final: false }, 2n, 0],
      [only('amtToForward', 'shortChannelID'), { final: false }, 4n, 4],
      [only('amtToForward', 'outgoingCltvValue'), { final: false }, 6n, 9],
      [only('amtToForward', 'outgoingCltvValue'), { final: true, pathKey: key }, 10n, 9],
      [only('amtToForward', 'outgoingCltvValue', 'currentPathKey'), { final: true }, 12n, 9],
      [only('encryptedRecipientData'), { final: false }, 12n, 12],
      [only('encryptedRecipientData', 'currentPathKey'), { final: false, pathKey: key }, 12n, 12],
      [only('encryptedRecipientData', 'amtToForward'), { final: false, pathKey: key }, 2n, 0],
      [
        only('encryptedRecipientData', 'amtToForward', 'outgoingCltvValue'),
        { final: true, pathKey: key },
        18n,
        21,
      ],
    ]
    for (const [bytes, place, type, offset] of cases)
      expect(readInstruction(bytes, place)).to.include({ kind: 'invalid', type, offset })
  })

  it('an unknown even record, a wrong length, an order -> invalid with type and offset', () => {
    const base = only('amtToForward', 'outgoingCltvValue')
    const place = { final: true }
    const unknown = Uint8Array.of(...base, 20, 1, 7)
    expect(readInstruction(unknown, place)).to.include({ kind: 'invalid', type: 20n, offset: 9 })
    expect(readInstruction(Uint8Array.of(...base, 6, 1, 7), place)).to.include({
      kind: 'invalid',
      type: 6n,
      offset: 9,
    })
    expect(readInstruction(Uint8Array.of(4, 0, 2, 0), place)).to.include({
      kind: 'invalid',
      type: 0n,
      offset: 0,
    })
  })

  it('blinded: at the introduction point, within, and at the end', () => {
    const { encryptedRecipientData, currentPathKey } = full
    const base = { kind: 'blinded', encryptedRecipientData }
    expect(readInstruction(only('encryptedRecipientData', 'currentPathKey'), { final: false })).to.deep.equal(
      {
        ...base,
        introduction: true,
        pathKey: currentPathKey,
      },
    )
    expect(readInstruction(only('encryptedRecipientData'), { final: false, pathKey: key })).to.deep.equal({
      ...base,
      introduction: false,
      pathKey: key,
    })
    const end = only('encryptedRecipientData', 'amtToForward', 'outgoingCltvValue', 'totalAmountMsat')
    expect(readInstruction(end, { final: true, pathKey: key })).to.deep.equal({
      ...base,
      introduction: false,
      pathKey: key,
      final: {
        amtToForward: full.amtToForward,
        outgoingCltvValue: full.outgoingCltvValue,
        totalMsat: full.totalAmountMsat,
      },
    })
    const odd = only('encryptedRecipientData', 'unknown')
    expect(readInstruction(odd, { final: false, pathKey: key })).to.include({ kind: 'invalid', type: 65537n })
  })
})
