import { expect } from 'chai'
import fc from 'fast-check'
import {
  absurd,
  byteLength,
  concat,
  equalBytes,
  fromHex,
  isError,
  isHex,
  toHex,
} from '../../channel/index.js'

describe('channel: bytes', () => {
  it('any bytes -> canonical hex and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const hex = toHex(bytes)
        expect(isHex(hex) && isHex(hex, bytes.length)).to.equal(true)
        expect(byteLength(hex)).to.equal(bytes.length)
        expect(equalBytes(fromHex(hex), bytes)).to.equal(true)
      }),
    )
  })

  for (const value of [
    '',
    '0',
    '0x0',
    '0xAB',
    '0X00',
    '00',
    '0x0g',
    ' 0x00',
    '0x00\n',
    1,
    null,
    undefined,
    {},
  ]) {
    it(`${JSON.stringify(value)} is no canonical hex`, () => {
      expect(isHex(value)).to.equal(false)
    })
  }

  it('another length than demanded -> INVALID_ARGUMENT', () => {
    expect(isHex('0x00', 2)).to.equal(false)
    expect(() => fromHex('0x00', 2))
      .to.throw()
      .satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })

  it('a secret that is not well written -> not in the error', () => {
    const secret = 'ABCDEF0123456789'.repeat(4)
    for (const value of [`0x${secret}`, `0x${secret.toLowerCase()}`] as const) {
      expect(() => fromHex(value, 31))
        .to.throw()
        .satisfies(
          (error: unknown) =>
            isError(error, 'INVALID_ARGUMENT') &&
            !/abcdef/i.test(`${error.message} ${JSON.stringify(error.facts)} ${error.cause}`) &&
            error.message.endsWith('got a string of 66 characters'),
        )
    }
  })

  it('concatenation and equality', () => {
    const [a, b] = [Uint8Array.of(1), Uint8Array.of(2, 3)]
    expect(toHex(concat(a, b, new Uint8Array()))).to.equal('0x010203')
    expect(equalBytes(a, Uint8Array.of(1, 0))).to.equal(false)
    expect(equalBytes(b, Uint8Array.of(2, 4))).to.equal(false)
  })
})

describe('channel: errors', () => {
  it('are told apart by their code', () => {
    const error = (() => {
      try {
        return fromHex('0x0')
      } catch (caught) {
        return caught
      }
    })()
    expect([isError(error, 'INVALID_ARGUMENT'), isError(error, 'CLOSED')]).to.deep.equal([true, false])
    expect(isError(new Error('INVALID_ARGUMENT'), 'INVALID_ARGUMENT')).to.equal(false)
  })

  it('what can not be is reported as such', () => {
    const impossible: never[] = []
    expect(() => impossible.map(absurd)).not.to.throw()
  })
})
