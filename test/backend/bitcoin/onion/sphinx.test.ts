import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { expect } from 'chai'
import fc from 'fast-check'
import { deriveKey, mac, sharedSecretWith } from '../../../../backend/bitcoin/onion/keys.js'
import {
  buildOnion,
  hopBytes,
  LONG_MESSAGE_PAYLOADS_BYTES,
  type OnionHop,
  PACKET_OVERHEAD,
  PAYMENT_PACKET_BYTES,
  PAYMENT_PAYLOADS_BYTES,
  type Peeled,
  peelOnion,
  routeSecrets,
} from '../../../../backend/bitcoin/onion/sphinx.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const secretOf = (i: number) => new Uint8Array(32).fill(i + 1)
const sessionKey = new Uint8Array(32).fill(0x77)
const associatedData = new Uint8Array(32).fill(0xaa)
const routeOf = (payloads: readonly Uint8Array[]): OnionHop[] =>
  payloads.map((payload, i) => ({ publicKey: secp256k1.publicKey(secretOf(i)), payload }))

/** Peels hop by hop until somebody gets no further packet. */
function peelAll(packet: Uint8Array, data = associatedData): Peeled[] {
  const all: Peeled[] = []
  let current = packet
  for (let i = 0; ; i++) {
    const peeled = peelOnion({
      packet: current,
      sharedSecret: sharedSecretWith(secretOf(i)),
      associatedData: data,
    })
    all.push(peeled)
    if (peeled.kind !== 'forward') return all
    current = peeled.next()
    expect(current.length).to.equal(packet.length)
  }
}

describe('BOLT 4: onion packets', () => {
  it('the HMAC over several parts is that over all of them, by whichever library', () => {
    const bytes = fc.uint8Array({ maxLength: 200 })
    fc.assert(
      fc.property(bytes, fc.array(bytes, { maxLength: 3 }), (key, parts) => {
        const whole = Uint8Array.from(parts.flatMap((part) => [...part]))
        expect(mac(key, ...parts)).to.deep.equal(hmac(sha256, key, whole))
      }),
    )
  })
  const payload = fc.uint8Array({ minLength: 2, maxLength: 60 })

  it('any route of 1 to 27 hops that fits -> each hop finds its payload and a shared secret, the last knows it is', () => {
    fc.assert(
      fc.property(fc.array(payload, { minLength: 1, maxLength: 27 }), (payloads) => {
        fc.pre(payloads.reduce((sum, one) => sum + hopBytes(one), 0) <= PAYMENT_PAYLOADS_BYTES)
        const hops = routeOf(payloads)
        const { packet, sharedSecrets } = buildOnion({ sessionKey, hops, associatedData })
        expect(packet.length).to.equal(PAYMENT_PACKET_BYTES)
        const peeled = peelAll(packet)
        expect(peeled.map(({ kind }) => kind)).to.deep.equal(
          payloads.map((_, i) => (i === payloads.length - 1 ? 'final' : 'forward')),
        )
        expect(peeled.map((one) => ('payload' in one ? one.payload : undefined))).to.deep.equal(payloads)
        expect(peeled.map((one) => ('sharedSecret' in one ? one.sharedSecret : undefined))).to.deep.equal(
          sharedSecrets,
        )
        const keys = hops.map(({ publicKey }) => publicKey)
        expect(routeSecrets(sessionKey, keys)).to.deep.equal(sharedSecrets)
      }),
      { numRuns: 20 },
    )
  })

  it('27 hops whose payloads fill all 1300 bytes -> fits; a byte more -> TOO_LARGE', () => {
    const payloads = Array.from({ length: 27 }, () => new Uint8Array(15))
    const rest = PAYMENT_PAYLOADS_BYTES - 27 * 48
    payloads[3] = new Uint8Array(15 + rest)
    expect(
      peelAll(buildOnion({ sessionKey, hops: routeOf(payloads), associatedData }).packet),
    ).to.have.length(27)
    payloads[3] = new Uint8Array(16 + rest)
    expect(() => buildOnion({ sessionKey, hops: routeOf(payloads), associatedData }))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'TOO_LARGE'))
  })

  it('payloads on both sides of a length of three bytes, in a long packet -> found', () => {
    const payloads = [252, 253, 254, 65000 - 33000, 2].map((length) => new Uint8Array(length).fill(length))
    const payloadsBytes = LONG_MESSAGE_PAYLOADS_BYTES + 1300
    const { packet } = buildOnion({ sessionKey, hops: routeOf(payloads), associatedData, payloadsBytes })
    expect(peelAll(packet).map((one) => ('payload' in one ? one.payload.length : 0))).to.deep.equal([
      252, 253, 254, 32000, 2,
    ])
  })

  it('no hop, a payload of one byte, a key that is none -> INVALID_ARGUMENT', () => {
    const [hop] = routeOf([new Uint8Array(2)])
    if (hop === undefined) throw new Error('no hop')
    const wrong = [
      { sessionKey, hops: [] },
      { sessionKey, hops: [{ ...hop, payload: new Uint8Array(1) }] },
      { sessionKey, hops: [{ ...hop, publicKey: new Uint8Array(33) }] },
      { sessionKey: new Uint8Array(32), hops: [hop] },
      { sessionKey, hops: [hop], payloadsBytes: 65536 },
    ]
    for (const request of wrong) {
      expect(() => buildOnion(request))
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    }
  })

  it('any flipped bit, other associated data, another node -> malformed with the failure that fits', () => {
    const { packet } = buildOnion({
      sessionKey,
      hops: routeOf([new Uint8Array(20), new Uint8Array(30)]),
      associatedData,
    })
    const sharedSecret = sharedSecretWith(secretOf(0))
    fc.assert(
      fc.property(fc.nat(packet.length * 8 - 1), (bit) => {
        const changed = packet.slice()
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const peeled = peelOnion({ packet: changed, sharedSecret, associatedData })
        if (peeled.kind !== 'malformed') throw new Error(peeled.kind)
        const key = changed.slice(1, 34)
        const expected =
          bit < 8
            ? 'invalid_onion_version'
            : secp256k1.isPoint(key)
              ? 'invalid_onion_hmac'
              : 'invalid_onion_key'
        expect(peeled.failure).to.equal(expected)
        expect(peeled.sha256OfOnion).to.have.length(32)
      }),
    )
    const strangers = [
      { packet, sharedSecret },
      { packet, sharedSecret: sharedSecretWith(secretOf(1)), associatedData },
      { packet, sharedSecret, associatedData, nodeTweak: secretOf(5) },
    ]
    for (const request of strangers)
      expect(peelOnion(request)).to.include({ kind: 'malformed', failure: 'invalid_onion_hmac' })
  })

  it('random bytes of any length -> malformed, never an exception', () => {
    const sharedSecret = sharedSecretWith(secretOf(0))
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500 }), fc.boolean(), (random, plausible) => {
        if (plausible) random.set([0, ...secp256k1.publicKey(secretOf(9))].slice(0, random.length))
        expect(peelOnion({ packet: random, sharedSecret, associatedData }).kind).to.equal('malformed')
      }),
    )
  })

  it('an authentic packet without a payload of at least 2 bytes and room for an HMAC -> unreadable', () => {
    // The sender is free to put anything under its own HMAC: payload bytes that claim to be longer than they are.
    const sharedSecret = sharedSecretWith(secretOf(0))
    const one = { publicKey: secp256k1.publicKey(secretOf(0)), payload: new Uint8Array(2) }
    for (const payloadsBytes of [35, 36, 64]) {
      const { packet } = buildOnion({ sessionKey, hops: [one], payloadsBytes })
      expect(packet.length).to.equal(payloadsBytes + PACKET_OVERHEAD)
      expect(peelOnion({ packet, sharedSecret }).kind).to.equal('final')
    }
    // All-zero payloads of 34 bytes at most: the pseudo-random length is what the stream gives, most are too long.
    const kinds = new Set<string>()
    for (let i = 1; i < 60; i++) kinds.add(peelForged(new Uint8Array(34), new Uint8Array(32).fill(i)))
    expect([...kinds]).to.deep.equal(['unreadable'])
  })
})

/** What the first node finds in a packet with these payloads under a right HMAC. */
function peelForged(payloads: Uint8Array, session: Uint8Array): string {
  const sharedSecret = sharedSecretWith(secretOf(0))
  const ephemeral = secp256k1.publicKey(session)
  const secret = sharedSecret(ephemeral)
  const packet = new Uint8Array(payloads.length + PACKET_OVERHEAD)
  packet.set(ephemeral, 1)
  packet.set(payloads, 34)
  packet.set(mac(deriveKey('mu', secret), payloads), 34 + payloads.length)
  const peeled = peelOnion({ packet, sharedSecret })
  if ('sharedSecret' in peeled) expect(peeled.sharedSecret).to.deep.equal(secret)
  return peeled.kind
}
