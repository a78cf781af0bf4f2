import { expect } from 'chai'
import fc from 'fast-check'
import { toHex } from '../../channel/bytes.js'
import { PerkunasError } from '../../channel/errors.js'
import {
  decodeMessage,
  decodeText,
  encodeInit,
  encodeMessage,
  encodePayload,
  encodePing,
  encodePong,
  encodeWarning,
  FRAGMENT_BYTES,
  type Init,
  Joiner,
  MAX_PAYLOAD,
  MESSAGE_TYPE,
} from '../../peer/framing.js'
import { bytes, load } from '../vectors/cases.js'

interface Vectors {
  readonly message_extension: {
    readonly valid: readonly { readonly hex: string }[]
    readonly invalid: readonly { readonly hex: string }[]
  }
}

const vectors = load<Vectors>('bolt01')

function refusal(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof PerkunasError) return error.code
    throw error
  }
  return 'nothing'
}

describe('BOLT 1, Appendix C: message extension', () => {
  it('init with an extension -> read if the stream is valid, refused if not', () => {
    for (const { hex } of vectors.message_extension.valid) {
      expect(decodeMessage(bytes(hex))).to.deep.equal({ kind: 'init', init: { features: [] } })
    }
    for (const { hex } of vectors.message_extension.invalid)
      expect(refusal(() => decodeMessage(bytes(hex)))).to.equal('INVALID_MESSAGE')
  })
})

describe('peer: framing', () => {
  const chain = toHex(new Uint8Array(32).fill(7))

  it('init -> itself, with features, networks and link', () => {
    const inits: readonly Init[] = [
      { features: [] },
      { features: [0, 7, 8, 45, 300] },
      { features: [1], networks: [chain, toHex(new Uint8Array(32))] },
      { features: [], networks: [], link: { instance: '0x0102030405060708', order: (1n << 64n) - 1n } },
    ]
    for (const init of inits) expect(decodeMessage(encodeInit(init))).to.deep.equal({ kind: 'init', init })
  })

  it('features in the older global map count too', () => {
    const message = bytes('0010' + '000102' + '000141')
    expect(decodeMessage(message)).to.deep.equal({ kind: 'init', init: { features: [0, 1, 6] } })
  })

  it('a message that ends early -> refused, for each type and at each length', () => {
    const messages = [
      encodeInit({ features: [40], networks: [chain], link: { instance: '0x0102030405060708', order: 1n } }),
      encodePing(3),
      encodePong(3),
    ]
    for (const message of messages) {
      for (let n = 0; n < message.length; n++) {
        const cut = message.subarray(0, n)
        // An init may end before its extension or between two records of it.
        if (message === messages[0] && [12, 46].includes(n)) continue
        expect(
          refusal(() => decodeMessage(cut)),
          `${n} of ${toHex(message)}`,
        ).to.equal('INVALID_MESSAGE')
      }
    }
  })

  it('any bytes -> a message or INVALID_MESSAGE', () => {
    const types = fc.constantFrom(...Object.values(MESSAGE_TYPE), 2, 3, 65535)
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 120 }), (type, rest) => {
        const outcome = refusal(() => {
          const message = decodeMessage(encodeMessage(type, rest))
          if (message.kind === 'other') decodeText(message.payload)
        })
        expect(outcome).to.be.oneOf(['nothing', 'INVALID_MESSAGE'])
      }),
      { numRuns: 2000 },
    )
  })

  it('a ping for 65532 bytes and more -> not answered', () => {
    const ping = (n: number) => decodeMessage(encodePing(n))
    expect(ping(65531)).to.deep.equal({ kind: 'ping', answer: 65531 })
    expect(ping(65532)).to.deep.equal({ kind: 'ping', answer: undefined })
    expect(encodePong(65531)).to.have.length(65535)
  })

  it('text of a warning -> printable ASCII of bounded length (f 46)', () => {
    const message = decodeMessage(encodeWarning(`bell\u0007 é ${'x'.repeat(2000)}`))
    if (message.kind !== 'other') throw new Error(message.kind)
    expect(message.type).to.equal(MESSAGE_TYPE.warning)
    expect(decodeText(message.payload))
      .to.match(/^bell\? \? x+$/)
      .and.have.length(512)
  })

  it('payloads around the limit of one message and of several fragments -> joined to themselves', () => {
    for (const size of [
      0,
      1,
      MAX_PAYLOAD,
      MAX_PAYLOAD + 1,
      2 * FRAGMENT_BYTES,
      2 * FRAGMENT_BYTES + 1,
      1_000_000,
    ]) {
      const whole = Uint8Array.from({ length: size }, (_, i) => (i * 7) >> 3)
      const joiner = new Joiner(1_000_000)
      let out: Uint8Array | undefined
      for (const message of encodePayload(whole)) {
        expect(out).to.equal(undefined)
        expect(message.length).to.be.at.most(65535)
        const read = decodeMessage(message)
        if (read.kind === 'payload') out = read.payload
        else if (read.kind === 'fragment') out = joiner.take(read.total, read.offset, read.part)
      }
      expect(Buffer.compare(out ?? new Uint8Array(1), whole), `${size}`).to.equal(0)
      expect(joiner.isJoining).to.equal(false)
    }
  })

  it('fragments that are too small, repeated, left out, of another payload or too much -> refused', () => {
    const full = new Uint8Array(FRAGMENT_BYTES)
    const total = 3 * FRAGMENT_BYTES
    const begun = () => {
      const joiner = new Joiner(total)
      joiner.take(total, 0, full)
      return joiner
    }
    expect(refusal(() => new Joiner(total).take(total + 1, 0, full))).to.equal('TOO_LARGE')
    expect(refusal(() => new Joiner(total).take(0xffff_ffff, 0, full))).to.equal('TOO_LARGE')
    expect(refusal(() => new Joiner(total).take(MAX_PAYLOAD, 0, full))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => new Joiner(total).take(total, FRAGMENT_BYTES, full))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => new Joiner(total).take(total, 0, full.subarray(1)))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => begun().take(total, 0, full))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => begun().take(total, 2 * FRAGMENT_BYTES, full))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => begun().take(total - 1, FRAGMENT_BYTES, full))).to.equal('INVALID_MESSAGE')
    expect(refusal(() => begun().take(total, FRAGMENT_BYTES, new Uint8Array(0)))).to.equal('INVALID_MESSAGE')
  })
})
