// Encoded messages of other implementations, with their fields; and some that must be refused.
import { expect } from 'chai'
import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { bytes, type Case, digits, load } from './cases.js'
import { camel, named, plainMessage, reasonOf } from './wire.js'

interface Vector {
  readonly message: string
  readonly hex: string
  readonly fields: object
  readonly tlvs?: object
  readonly unknown_tlvs?: readonly { readonly type: string; readonly hex: string }[]
  readonly excess?: string
}

interface File {
  readonly vectors: readonly Vector[]
  readonly invalid: readonly { readonly message: string; readonly hex: string; readonly reason: string }[]
}

/** What a stream may be refused for. */
const BAD_STREAM = ['type', 'length', 'value'].flatMap((what) =>
  ['missing', 'truncated', 'not minimal'].map((how) => `${what} ${how}`),
)
BAD_STREAM.push('wrong order', 'duplicate type', 'too short', 'too long')

/** Every message is decoded, compared and encoded again; the invalid ones are refused for their reason. */
export function cases(): readonly Case[] {
  const { vectors, invalid } = load<File>('wire-messages')
  return [
    ...vectors.map((vector, i) => ({
      name: `${vector.message} ${i}: decode and encode -> fields and bytes`,
      run: () => {
        const decoded = lightningMessages.decode(bytes(vector.hex))
        expect(plainMessage(decoded)).to.deep.equal(expected(vector))
        if (decoded.kind === 'unknown') throw new Error('known message expected')
        expect(digits(lightningMessages.encode(decoded))).to.equal(vector.hex)
      },
    })),
    ...invalid.map(({ message, hex, reason }, i) => ({
      name: `invalid ${message} ${i} -> ${reason}`,
      run: () => {
        const found = reasonOf(() => lightningMessages.decode(bytes(hex)))
        if (reason === 'bad-tlv-stream') expect(found).to.be.oneOf(BAD_STREAM)
        else expect(found).to.equal(reason.replace('unknown-even-type', 'unknown even type'))
      },
    })),
  ]
}

function expected({ message, fields, tlvs, unknown_tlvs, excess }: Vector): object {
  const out = Object.entries({ ...fields, ...tlvs }).map(([name, value]) => [camel(name), named(value)])
  return {
    kind: message,
    ...Object.fromEntries(out),
    ...(unknown_tlvs === undefined
      ? {}
      : { unknown: unknown_tlvs.map(({ type, hex }) => ({ type, value: hex })) }),
    ...(excess === undefined || excess === '' ? {} : { excess }),
  }
}
