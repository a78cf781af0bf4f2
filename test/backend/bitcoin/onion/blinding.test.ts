import { expect } from 'chai'
import fc from 'fast-check'
import { resolveBlinded } from '../../../../backend/bitcoin/onion/blinded-payment.js'
import { blindRoute, unblind } from '../../../../backend/bitcoin/onion/blinding.js'
import { sharedSecretWith } from '../../../../backend/bitcoin/onion/keys.js'
import {
  createOnionMessage,
  joinRoutes,
  type OnionMessageContent,
  type OnionMessagePacket,
  peelOnionMessage,
} from '../../../../backend/bitcoin/onion/message.js'
import {
  aggregateRelays,
  amountToForward,
  decodeRecipientData,
  encodeRecipientData,
  type PaymentRelay,
  padRecipientData,
  type RecipientData,
} from '../../../../backend/bitcoin/onion/recipient-data.js'
import { blockDelta, blockHeight, type Msat, msat } from '../../../../backend/bitcoin/units.js'
import { shortChannelID } from '../../../../backend/bitcoin/wire/short-channel-id.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const secretOf = (i: number) => new Uint8Array(32).fill(i + 1)
const nodeOf = (i: number) => secp256k1.publicKey(secretOf(i))
const secretOfNode = (i: number) => sharedSecretWith(secretOf(i))
const pathSecret = new Uint8Array(32).fill(0x55)
const sessionKey = new Uint8Array(32).fill(0x66)

const relay = fc.record({
  cltvExpiryDelta: fc.nat(2000).map(blockDelta),
  feeProportionalMillionths: fc.nat(50_000),
  feeBaseMsat: fc.bigInt(0n, 10_000n).map(msat),
})
const amount = fc.bigInt(0n, 10n ** 13n).map(msat)
const anyData: fc.Arbitrary<RecipientData> = fc.record(
  {
    padding: fc.uint8Array({ maxLength: 300 }),
    shortChannelID: fc.bigInt(0n, 2n ** 64n - 1n).map(shortChannelID),
    nextNodeID: fc.nat(20).map((i) => toHex(nodeOf(i))),
    pathID: fc.uint8Array({ maxLength: 300 }),
    nextPathKeyOverride: fc.nat(20).map(nodeOf),
    paymentRelay: relay,
    paymentConstraints: fc.record({
      maxCltvExpiry: fc.nat(1_000_000).map(blockHeight),
      htlcMinimumMsat: amount,
    }),
    allowedFeatures: fc.uint8Array({ maxLength: 4 }),
    unknown: fc.constant([{ type: 561n, value: Uint8Array.of(1, 2) }]),
  },
  { requiredKeys: [] },
)

/** A blinded route over nodes 0 … n - 1, each told what `data` says. */
const routeOver = (data: readonly RecipientData[]) =>
  blindRoute(
    pathSecret,
    data.map((one, i) => ({ nodeID: nodeOf(i), data: encodeRecipientData(one) })),
  )

describe('BOLT 4: recipient data', () => {
  it('decode ∘ encode is the identity; changed, cut or random bytes -> INVALID_MESSAGE or data that encodes to them', () => {
    fc.assert(
      fc.property(
        anyData,
        fc.nat(),
        fc.nat(255),
        fc.uint8Array({ maxLength: 80 }),
        (data, at, byte, random) => {
          const bytes = encodeRecipientData(data)
          expect(decodeRecipientData(bytes)).to.deep.equal(data)
          const changed = bytes.slice()
          if (changed.length > 0) changed[at % changed.length] = byte
          for (const hostile of [changed, bytes.subarray(0, at % (bytes.length + 1)), random]) {
            try {
              expect(encodeRecipientData(decodeRecipientData(hostile))).to.deep.equal(hostile)
            } catch (error) {
              if (!isError(error, 'INVALID_MESSAGE')) throw error
            }
          }
        },
      ),
    )
  })

  it('padded -> all of one length, and but for the padding the same', () => {
    fc.assert(
      fc.property(fc.array(anyData, { maxLength: 8 }), (all) => {
        const padded = padRecipientData(all)
        expect(new Set(padded.map(({ length }) => length)).size).to.be.at.most(1)
        const bare = (data: RecipientData) => ({ ...data, padding: undefined })
        expect(padded.map(decodeRecipientData).map(bare)).to.deep.equal(all.map(bare))
      }),
    )
    // 1, 255 and 256 bytes of difference, which no record takes, among others that fit
    for (const lengths of [
      [0, 1],
      [0, 255],
      [0, 256],
      [0, 1, 252, 253, 254],
    ]) {
      const padded = padRecipientData(lengths.map((length) => ({ pathID: new Uint8Array(40 + length) })))
      expect(new Set(padded.map(({ length }) => length)).size).to.equal(1)
    }
  })

  it('fees as one cover what all nodes take, and take at most a thousandth more', () => {
    fc.assert(
      fc.property(
        fc.array(relay, { minLength: 1, maxLength: 5 }),
        amount,
        (relays: PaymentRelay[], wanted) => {
          const { feeBaseMsat, feeProportionalMillionths, cltvExpiryDelta } = aggregateRelays(
            relays,
            blockDelta(18),
          )
          expect(Number(cltvExpiryDelta)).to.equal(
            18 + relays.reduce((sum, one) => sum + one.cltvExpiryDelta, 0),
          )
          const sent = wanted + feeBaseMsat + (wanted * BigInt(feeProportionalMillionths)) / 1_000_000n
          const arrived = relays.reduce<Msat | undefined>(
            (left, one) => left && amountToForward(left, one),
            msat(sent),
          )
          expect((arrived ?? 0n) >= wanted).to.equal(true)
          expect((arrived ?? 0n) <= wanted + wanted / 1000n + 10_000n).to.equal(true)
        },
      ),
    )
  })
})

describe('BOLT 4: blinded routes', () => {
  it('any route -> each node decrypts what it was told, by the path key that the one before it derives', () => {
    fc.assert(
      fc.property(fc.array(anyData, { minLength: 1, maxLength: 6 }), (data) => {
        const route = routeOver(data)
        let pathKey = route.firstPathKey
        for (const [i, { blindedNodeID, encryptedRecipientData }] of route.hops.entries()) {
          const found = unblind(pathKey, secretOfNode(i))
          if (found === undefined) throw new Error('no path key')
          const told = found.decrypt(encryptedRecipientData)
          expect(told && decodeRecipientData(told)).to.deep.equal(data[i])
          expect(secp256k1.publicKey(secp256k1.multiplySecret(secretOf(i), found.nodeTweak))).to.deep.equal(
            blindedNodeID,
          )
          expect(unblind(pathKey, secretOfNode(i + 1))?.decrypt(encryptedRecipientData)).to.equal(undefined)
          pathKey = found.nextPathKey
        }
        expect(pathKey).to.deep.equal(secp256k1.publicKey(route.nextPathSecret))
      }),
      { numRuns: 20 },
    )
  })

  it('bytes that are no path key, ciphertexts that are changed or short -> nothing, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (random) => {
        expect(unblind(random, secretOfNode(0))).to.equal(undefined)
        expect(unblind(nodeOf(3), secretOfNode(0))?.decrypt(random)).to.equal(undefined)
      }),
    )
    expect(unblind(secp256k1.decompress(nodeOf(1)), secretOfNode(0))).to.equal(undefined)
  })

  const told: RecipientData = {
    shortChannelID: shortChannelID(5n),
    paymentRelay: { cltvExpiryDelta: blockDelta(40), feeProportionalMillionths: 0, feeBaseMsat: msat(100n) },
    paymentConstraints: { maxCltvExpiry: blockHeight(1000), htlcMinimumMsat: msat(500n) },
  }
  const htlc = { amountMsat: msat(1100n), cltvExpiry: blockHeight(1000) }
  const resolve = (data: RecipientData, given = htlc, final = false) => {
    const { firstPathKey, hops } = routeOver([data])
    return resolveBlinded(
      {
        kind: 'blinded',
        encryptedRecipientData: hops[0]?.encryptedRecipientData ?? new Uint8Array(0),
        introduction: true,
        pathKey: firstPathKey,
        ...(final && {
          final: { amtToForward: msat(1000n), outgoingCltvValue: blockHeight(990), totalMsat: msat(1000n) },
        }),
      },
      given,
      secretOfNode(0),
    )
  }

  it('payment: forwarded with fee and delta taken off; at each limit and one beyond', () => {
    expect(resolve(told)).to.deep.include({
      kind: 'forward',
      to: { kind: 'channel', shortChannelID: shortChannelID(5n) },
      amtToForward: msat(1000n),
      outgoingCltvValue: blockHeight(960),
    })
    const reason = (data: RecipientData, given = htlc) => {
      const resolved = resolve(data, given)
      return resolved.kind === 'refused' ? resolved.reason : resolved.kind
    }
    expect(reason(told, { ...htlc, cltvExpiry: blockHeight(1001) })).to.equal('route expired')
    expect(reason(told, { ...htlc, amountMsat: msat(500n) })).to.equal('forward')
    expect(reason(told, { ...htlc, amountMsat: msat(499n) })).to.equal('below minimum')
    const { paymentConstraints: _, ...free } = told
    expect(reason(free, { ...htlc, amountMsat: msat(99n) })).to.equal('does not cover fee and delta')
    expect(reason(free, { ...htlc, cltvExpiry: blockHeight(39) })).to.equal('does not cover fee and delta')
    expect(reason({ ...told, nextNodeID: toHex(nodeOf(4)) })).to.equal('two next nodes')
    expect(reason({ ...told, allowedFeatures: Uint8Array.of(0, 2) })).to.equal('unknown feature')
    expect(reason({ ...told, allowedFeatures: new Uint8Array(2) })).to.equal('forward')
    const { paymentRelay: __, ...noRelay } = told
    expect(reason(noRelay)).to.equal('no next node')
    expect(reason({ ...told, unknown: [{ type: 562n, value: new Uint8Array(0) }] })).to.equal(
      'invalid recipient data',
    )
  })

  it('payment: received with its path ID; less money or time than the sender meant -> refused', () => {
    const own: RecipientData = { pathID: Uint8Array.of(1, 2, 3) }
    expect(resolve(own, htlc, true)).to.deep.include({
      kind: 'receive',
      pathID: own.pathID,
      totalMsat: msat(1000n),
    })
    expect(resolve(own, { ...htlc, amountMsat: msat(999n) }, true).kind).to.equal('refused')
    expect(resolve(own, { ...htlc, cltvExpiry: blockHeight(989) }, true).kind).to.equal('refused')
  })
})

describe('BOLT 4: onion messages', () => {
  /** Nodes 0 … n - 1, the last of which made the route and finds its path ID. */
  const dataFor = (count: number): RecipientData[] =>
    Array.from({ length: count }, (_, i) =>
      i === count - 1 ? { pathID: Uint8Array.of(7) } : { nextNodeID: toHex(nodeOf(i + 1)) },
    )

  function follow(first: OnionMessagePacket, count: number) {
    let message = first
    for (let i = 0; i < count - 1; i++) {
      const peeled = peelOnionMessage(message, secretOfNode(i))
      if (peeled.kind !== 'forward') throw new Error(peeled.kind === 'ignored' ? peeled.reason : peeled.kind)
      expect(peeled.to).to.deep.equal({ kind: 'node', nodeID: toHex(nodeOf(i + 1)) })
      message = peeled.message
    }
    return peelOnionMessage(message, secretOfNode(count - 1))
  }

  it('any content over 1 to 6 nodes -> received with the path ID; short and long packets', () => {
    const anyContent: fc.Arbitrary<OnionMessageContent> = fc.oneof(
      fc.uint8Array({ maxLength: 3000 }).map((invoice) => ({ invoice })),
      fc.uint8Array({ maxLength: 300 }).map((invoiceRequest) => ({
        invoiceRequest,
        replyPath: {
          ...routeOver(dataFor(2)),
          firstNode: { kind: 'node', nodeID: toHex(nodeOf(0)) } as const,
        },
      })),
      fc.constant({}),
    )
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 6 }), anyContent, (count, given) => {
        const route = routeOver(dataFor(count))
        const { replyPath, ...rest } = given
        const content = replyPath
          ? {
              ...rest,
              replyPath: {
                firstNode: replyPath.firstNode,
                firstPathKey: replyPath.firstPathKey,
                hops: replyPath.hops,
              },
            }
          : rest
        const message = createOnionMessage({ sessionKey, route, content })
        expect([1366, 32834]).to.include(message.packet.length)
        expect(follow(message, count)).to.deep.equal({ kind: 'received', pathID: Uint8Array.of(7), content })
      }),
      { numRuns: 30 },
    )
  })

  it("the sender's own part joined to a path that was given -> the override leads over", () => {
    const given = blindRoute(
      new Uint8Array(32).fill(0x44),
      dataFor(4)
        .slice(2)
        .map((data, i) => ({ nodeID: nodeOf(i + 2), data: encodeRecipientData(data) })),
    )
    const own = routeOver([
      { nextNodeID: toHex(nodeOf(1)) },
      { nextNodeID: toHex(nodeOf(2)), nextPathKeyOverride: given.firstPathKey },
    ])
    const message = createOnionMessage({ sessionKey, route: joinRoutes(own, given), content: {} })
    expect(follow(message, 4).kind).to.equal('received')
  })

  it('what BOLT 4 says to ignore is ignored, each for its reason', () => {
    const reasonOf = (data: readonly RecipientData[], content: OnionMessageContent = {}) => {
      const message = createOnionMessage({ sessionKey, route: routeOver(data), content })
      const peeled = peelOnionMessage(message, secretOfNode(0))
      return peeled.kind === 'ignored' ? peeled.reason : peeled.kind
    }
    const [first = {}, last = {}] = dataFor(2)
    expect(reasonOf([first, last])).to.equal('forward')
    expect(reasonOf([{}, last])).to.equal('no next node')
    expect(reasonOf([{ ...first, pathID: Uint8Array.of(1) }, last])).to.equal(
      'path ID for a node that forwards',
    )
    expect(reasonOf([{ ...first, allowedFeatures: Uint8Array.of(1) }, last])).to.equal('unknown feature')
    expect(reasonOf([last], { invoice: Uint8Array.of(1), invoiceError: Uint8Array.of(1) })).to.equal(
      'more than one payload',
    )
    const odd = [{ type: 65n, value: new Uint8Array(0) }]
    expect(reasonOf([last], { invoice: Uint8Array.of(1), unknown: odd })).to.equal('more than one payload')
    expect(reasonOf([last], { unknown: odd })).to.equal('received')
    expect(reasonOf([last], { unknown: [{ type: 70n, value: new Uint8Array(0) }] })).to.equal(
      'invalid payload',
    )
  })

  it('changed, cut or random packets and path keys -> ignored, never an exception', () => {
    const { pathKey, packet } = createOnionMessage({ sessionKey, route: routeOver(dataFor(2)), content: {} })
    fc.assert(
      fc.property(
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.uint8Array({ maxLength: 100 }),
        (at, flip, random) => {
          const changed = packet.slice()
          changed[at % changed.length] = (changed[at % changed.length] ?? 0) ^ flip
          const otherKey = pathKey.slice()
          otherKey[at % 33] = (otherKey[at % 33] ?? 0) ^ flip
          for (const message of [
            { pathKey, packet: changed },
            { pathKey, packet: packet.subarray(0, at % packet.length) },
            { pathKey, packet: random },
            { pathKey: random, packet },
            { pathKey: otherKey, packet },
          ])
            expect(peelOnionMessage(message, secretOfNode(0)).kind).to.equal('ignored')
        },
      ),
      { numRuns: 50 },
    )
  })
})
