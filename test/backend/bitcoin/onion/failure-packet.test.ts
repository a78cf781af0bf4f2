import { expect } from 'chai'
import fc from 'fast-check'
import {
  ATTRIBUTION_BYTES,
  attribute,
  attributionOf,
  attributionRecord,
  readFulfilAttribution,
} from '../../../../backend/bitcoin/onion/attribution.js'
import {
  createFailure,
  type FailurePacket,
  MAX_HOPS,
  openFailure,
  wrapFailure,
} from '../../../../backend/bitcoin/onion/failure-packet.js'
import { lightningMessages } from '../../../../backend/bitcoin/wire/messages.js'
import { isError } from '../../../../channel/errors.js'

const secretsOf = (count: number) => Array.from({ length: count }, (_, i) => new Uint8Array(32).fill(i + 1))
const message = Uint8Array.of(0x20, 2)

/** A failure of one hop as the origin gets it; hop i holds for 10 · i. `tamper` changes what a hop hands back. */
function returnFrom(
  secrets: readonly Uint8Array[],
  erring: number,
  tamper: (hop: number, packet: FailurePacket) => FailurePacket = (_, packet) => packet,
): FailurePacket {
  let packet: FailurePacket | undefined
  for (let hop = erring; hop >= 0; hop--) {
    const own = { sharedSecret: secrets[hop] ?? new Uint8Array(32), holdTime: 10 * hop }
    packet = tamper(hop, packet === undefined ? createFailure(own, message) : wrapFailure(own, packet))
  }
  return packet ?? { packet: new Uint8Array(0) }
}

function flip(bytes: Uint8Array, at: number): Uint8Array {
  const changed = bytes.slice()
  changed[at % bytes.length] = (changed[at % bytes.length] ?? 0) ^ 1
  return changed
}

describe('BOLT 4: failures on their way back', () => {
  it('any route of up to 20 hops, failing anywhere -> the origin reads who, what and all hold times', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.nat(19), (count, at) => {
        const [secrets, erring] = [secretsOf(count), at % count]
        expect(openFailure(secrets, returnFrom(secrets, erring))).to.deep.equal({
          failure: { hop: erring, message },
          holdTimes: Array.from({ length: erring + 1 }, (_, hop) => 10 * hop),
        })
      }),
      { numRuns: 30 },
    )
  })

  it('more than 20 hops -> the failure is read; the first hops are beyond attribution', () => {
    const secrets = secretsOf(MAX_HOPS)
    const opened = openFailure(secrets, returnFrom(secrets, MAX_HOPS - 1))
    expect(opened).to.deep.equal({ failure: { hop: MAX_HOPS - 1, message }, holdTimes: [], broken: 0 })
    expect(() => openFailure(secretsOf(MAX_HOPS + 1), { packet: new Uint8Array(292) }))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })

  it('a hop changes the packet or the attribution -> blame falls on it and its upstream neighbour', () => {
    const secrets = secretsOf(6)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.nat(), fc.boolean(), (culprit, at, ofPacket) => {
        const returned = returnFrom(secrets, 5, (hop, given) => {
          if (hop !== culprit) return given
          const attribution = given.attribution ?? new Uint8Array(0)
          return ofPacket
            ? { ...given, packet: flip(given.packet, at) }
            : // the culprit's own hold time: what else it could spoil, some hops have no use for
              { ...given, attribution: flip(attribution, at % 4) }
        })
        const opened = openFailure(secrets, returned)
        // The hop before signed what it got, so the culprit's own HMAC is the first that does not fit.
        expect(opened.broken).to.equal(culprit)
        expect(opened.holdTimes).to.have.length(culprit)
        expect(opened.failure === undefined).to.equal(ofPacket)
      }),
    )
  })

  it('a hop that takes no part -> blame falls on it, those before it are read', () => {
    const secrets = secretsOf(4)
    const returned = returnFrom(secrets, 3, (hop, given) => (hop === 2 ? { packet: given.packet } : given))
    expect(openFailure(secrets, returned)).to.deep.equal({
      failure: { hop: 3, message },
      holdTimes: [0, 10],
      broken: 2,
    })
  })

  it('random bytes -> no failure found, never an exception', () => {
    const secrets = secretsOf(5)
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 400 }),
        fc.uint8Array({ maxLength: 930 }),
        (packet, attribution) => {
          const opened = openFailure(secrets, { packet, attribution })
          expect(opened.failure).to.equal(undefined)
          expect(opened.holdTimes).to.deep.equal([])
        },
      ),
    )
  })

  it('an authentic packet whose message does not fit -> a failure of that hop, empty', () => {
    const [secret = new Uint8Array(32)] = secretsOf(1)
    const opened = openFailure([secret], createFailure({ sharedSecret: secret }, new Uint8Array(300)))
    expect(opened.failure?.message).to.have.length(300)
    const empty = openFailure([secret], createFailure({ sharedSecret: secret }, new Uint8Array(0)))
    expect(empty.failure).to.deep.equal({ hop: 0, message: new Uint8Array(0) })
  })

  it('a message that fits no update_fail_htlc -> TOO_LARGE; attribution of a wrong length -> INVALID_ARGUMENT', () => {
    const [sharedSecret = new Uint8Array(32)] = secretsOf(1)
    expect(() => createFailure({ sharedSecret }, new Uint8Array(65000)))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'TOO_LARGE'))
    expect(() =>
      wrapFailure({ sharedSecret, holdTime: 0 }, { packet: message, attribution: new Uint8Array(919) }),
    )
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })

  it('attribution in a message -> the same bytes behind it', () => {
    const bytes = Uint8Array.from({ length: ATTRIBUTION_BYTES }, (_, i) => 255 - (i % 251))
    const encoded = lightningMessages.encode({
      kind: 'update_fail_htlc',
      channelID: `0x${'00'.repeat(32)}`,
      id: 0n,
      reason: message,
      attributionData: attributionRecord(bytes),
    })
    expect(encoded.slice(-ATTRIBUTION_BYTES)).to.deep.equal(bytes)
    const decoded = lightningMessages.decode(encoded)
    if (decoded.kind !== 'update_fail_htlc' || decoded.attributionData === undefined) throw new Error('lost')
    expect(attributionOf(decoded.attributionData)).to.deep.equal(bytes)
  })

  it('fulfilment over up to 20 hops -> all hold times; any changed byte of the first hold time -> broken at 0', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), (count) => {
        const secrets = secretsOf(count)
        let data: Uint8Array | undefined
        for (const [hop, sharedSecret] of [...secrets.entries()].reverse()) {
          const own = { sharedSecret, holdTime: hop, message: new Uint8Array(0) }
          data = attribute(data === undefined ? own : { ...own, downstream: data })
        }
        if (data === undefined) throw new Error('no hops')
        expect(data).to.have.length(ATTRIBUTION_BYTES)
        expect(readFulfilAttribution(secrets, data)).to.deep.equal({
          holdTimes: secrets.map((_, hop) => hop),
        })
        expect(readFulfilAttribution(secrets, flip(data, 0))).to.deep.equal({ holdTimes: [], broken: 0 })
      }),
      { numRuns: 20 },
    )
  })
})
