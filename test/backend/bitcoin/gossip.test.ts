import { expect } from 'chai'
import fc from 'fast-check'
import { type ForwardingPolicy, forwardingFee, routeTerms } from '../../../backend/bitcoin/forwarding.js'
import { blockDelta, blockHeight, type Msat, msat } from '../../../backend/bitcoin/units.js'
import {
  decodeAddresses,
  encodeAddresses,
  formatHost,
  type NodeAddress,
} from '../../../backend/bitcoin/wire/addresses.js'
import {
  announcementHash,
  badSignatures,
  channelUpdateChecksum,
  isSignedBy,
} from '../../../backend/bitcoin/wire/announcements.js'
import { lightningMessages } from '../../../backend/bitcoin/wire/messages.js'
import {
  joinShortChannelID,
  parseShortChannelID,
  shortChannelID,
} from '../../../backend/bitcoin/wire/short-channel-id.js'
import { toHex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'

const ports = fc.integer({ min: 0, max: 65_535 })
const hostOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const ascii = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 255,
})
const addresses: fc.Arbitrary<readonly NodeAddress[]> = fc
  .tuple(
    fc.array(fc.record({ kind: fc.constant('ipv4' as const), host: hostOf(4), port: ports }), {
      maxLength: 4,
    }),
    fc.array(fc.record({ kind: fc.constant('ipv6' as const), host: hostOf(16), port: ports }), {
      maxLength: 4,
    }),
    fc.array(fc.record({ kind: fc.constant('tor v3' as const), host: hostOf(35), port: ports }), {
      maxLength: 4,
    }),
    fc.array(fc.record({ kind: fc.constant('dns' as const), host: ascii, port: ports }), { maxLength: 1 }),
  )
  .map((kinds) => kinds.flat())

describe('gossip: addresses', () => {
  it('encode, decode -> the same, in the order of types whatever order they were given in', () => {
    fc.assert(
      fc.property(addresses, (all) => {
        const bytes = encodeAddresses(all)
        expect(decodeAddresses(bytes)).to.deep.equal({ addresses: all, rest: new Uint8Array(0) })
        expect(encodeAddresses([...all].sort((a, b) => (a.kind < b.kind ? 1 : -1)))).to.have.length(
          bytes.length,
        )
      }),
    )
  })

  it('an unknown type -> what came before it, and the rest as bytes; Tor v2 -> passed over', () => {
    const known = encodeAddresses([{ kind: 'ipv4', host: Uint8Array.of(1, 2, 3, 4), port: 5 }])
    const unknown = Uint8Array.of(9, 1, 2, 3)
    const torV2 = Uint8Array.from([3, ...new Uint8Array(12)])
    const read = decodeAddresses(Uint8Array.from([...torV2, ...known, ...unknown]))
    expect(read.addresses).to.have.length(1)
    expect(read.rest).to.deep.equal(unknown)
  })

  it('any bytes -> addresses, or INVALID_MESSAGE', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 2, 3, 4, 5, 6), (bytes, type) => {
        try {
          decodeAddresses(Uint8Array.from([type, ...bytes]))
        } catch (error) {
          expect(isError(error, 'INVALID_MESSAGE')).to.equal(true)
        }
      }),
    )
  })

  it('two host names, or one that is not ASCII -> not written', () => {
    const dns = (host: string): NodeAddress => ({ kind: 'dns', host, port: 1 })
    for (const wrong of [[dns('a'), dns('b')], [dns('münchen.de')], [dns('')], [dns('a'.repeat(256))]]) {
      expect(() => encodeAddresses(wrong))
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
  })

  it('hosts as people write them', () => {
    const v6 = Uint8Array.from([0x20, 1, 0x0d, 0xb8, ...new Uint8Array(11), 1])
    expect(formatHost({ kind: 'ipv6', host: v6, port: 1 })).to.equal('2001:db8:0:0:0:0:0:1')
    const onion = formatHost({ kind: 'tor v3', host: new Uint8Array(35), port: 1 })
    expect(onion).to.equal(`${'a'.repeat(56)}.onion`)
  })
})

describe('gossip: signatures', () => {
  const secrets = [1, 2, 3, 4].map((n) => new Uint8Array(32).fill(n))
  const keys = secrets.map((secret) => secp256k1.publicKey(secret))
  const [key1, key2, key3, key4] = keys
  if (key1 === undefined || key2 === undefined || key3 === undefined || key4 === undefined) throw new Error()
  const empty = new Uint8Array(64)
  const chainHash = `0x${'07'.repeat(32)}` as const
  const unsigned = {
    kind: 'channel_announcement',
    nodeSignature1: empty,
    nodeSignature2: empty,
    bitcoinSignature1: empty,
    bitcoinSignature2: empty,
    features: Uint8Array.of(),
    chainHash,
    shortChannelID: shortChannelID(5n),
    nodeID1: toHex(key1),
    nodeID2: toHex(key2),
    bitcoinKey1: key3,
    bitcoinKey2: key4,
    excess: Uint8Array.of(1, 2, 3),
  } as const
  const hash = announcementHash(lightningMessages.encode(unsigned))
  const [s1, s2, s3, s4] = secrets.map((secret) => secp256k1.sign(hash, secret).signature)
  const signed = {
    ...unsigned,
    nodeSignature1: s1 ?? empty,
    nodeSignature2: s2 ?? empty,
    bitcoinSignature1: s3 ?? empty,
    bitcoinSignature2: s4 ?? empty,
  }

  it('all four hold, over what follows the fields too; any one replaced is named', () => {
    expect(announcementHash(lightningMessages.encode(signed))).to.deep.equal(hash)
    expect(badSignatures(signed, hash)).to.deep.equal([])
    for (const name of [
      'nodeSignature1',
      'nodeSignature2',
      'bitcoinSignature1',
      'bitcoinSignature2',
    ] as const) {
      expect(badSignatures({ ...signed, [name]: empty }, hash)).to.deep.equal([name])
    }
    const other = announcementHash(lightningMessages.encode({ ...signed, excess: Uint8Array.of(1, 2, 4) }))
    expect(badSignatures(signed, other)).to.have.length(4)
  })

  it('a key that is no point -> its signature does not hold, nothing is thrown', () => {
    const noPoint = Uint8Array.from([2, ...new Uint8Array(32).fill(0xff)])
    expect(badSignatures({ ...signed, bitcoinKey1: noPoint }, hash)).to.deep.equal(['bitcoinSignature1'])
  })

  it('an update: by its node, and by no other; its checksum changes with all but signature and timestamp', () => {
    const update = {
      kind: 'channel_update',
      signature: empty,
      chainHash,
      shortChannelID: shortChannelID(5n),
      timestamp: 1,
      messageFlags: 1,
      channelFlags: 0,
      cltvExpiryDelta: blockDelta(80),
      htlcMinimumMsat: msat(1n),
      feeBaseMsat: msat(2n),
      feeProportionalMillionths: 3,
      htlcMaximumMsat: msat(4n),
    } as const
    const bytes = lightningMessages.encode(update)
    const digest = announcementHash(bytes)
    const message = { ...update, signature: secp256k1.sign(digest, new Uint8Array(32).fill(1)).signature }
    expect(isSignedBy(message, toHex(key1), digest)).to.equal(true)
    expect(isSignedBy(message, toHex(key2), digest)).to.equal(false)

    const checksum = channelUpdateChecksum(bytes)
    expect(channelUpdateChecksum(lightningMessages.encode({ ...message, timestamp: 99 }))).to.equal(checksum)
    for (const changed of [
      { ...update, channelFlags: 1 },
      { ...update, htlcMaximumMsat: msat(5n) },
      { ...update, chainHash: `0x${'08'.repeat(32)}` as const },
      { ...update, excess: Uint8Array.of(0) },
    ]) {
      expect(channelUpdateChecksum(lightningMessages.encode(changed))).to.not.equal(checksum)
    }
  })

  it('what is no announcement -> refused', () => {
    for (const run of [
      () => announcementHash(Uint8Array.of(1, 3)),
      () => announcementHash(Uint8Array.of(1, 0, 5)),
      () => announcementHash(new Uint8Array(0)),
      () => channelUpdateChecksum(new Uint8Array(200)),
      () => channelUpdateChecksum(Uint8Array.of(1, 2, 3)),
    ]) {
      expect(run).to.throw(PerkunasError).with.property('code', 'INVALID_ARGUMENT')
    }
  })
})

describe('gossip: short channel IDs', () => {
  it('texts and parts that are none -> refused', () => {
    for (const text of [
      '',
      '1x2',
      '1x2x3x4',
      '16777216x0x0',
      '0x16777216x0',
      '0x0x65536',
      '-1x0x0',
      '1 x2x3',
      'axbxc',
    ]) {
      expect(() => parseShortChannelID(text), text)
        .to.throw(PerkunasError)
        .with.property('code', 'INVALID_ARGUMENT')
    }
    expect(() => joinShortChannelID({ block: 1.5, transaction: 0, output: 0 })).to.throw(PerkunasError)
    expect(() => shortChannelID(2n ** 64n)).to.throw(PerkunasError)
  })
})

describe('gossip: fees along a route', () => {
  const policies: fc.Arbitrary<ForwardingPolicy> = fc.record({
    feeBaseMsat: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map(msat),
    feeProportionalMillionths: fc.integer({ min: 0, max: 2_000_000 }),
    cltvExpiryDelta: fc.integer({ min: 0, max: 2016 }).map(blockDelta),
  })

  it('each node keeps at least its fee and its blocks, and the receiver gets its due', () => {
    const last = { amountMsat: msat(1_000_001n), cltvExpiry: blockHeight(800_018) }
    fc.assert(
      fc.property(fc.array(policies, { maxLength: 20 }), (forwarders) => {
        const terms = routeTerms(forwarders, last)
        expect(terms.at(-1)).to.equal(last)
        forwarders.forEach((policy, i) => {
          const [incoming, outgoing] = [terms[i], terms[i + 1]]
          if (incoming === undefined || outgoing === undefined) throw new Error('too few')
          const kept: bigint = incoming.amountMsat - outgoing.amountMsat
          expect(kept).to.equal(forwardingFee(policy, outgoing.amountMsat))
          expect(incoming.cltvExpiry - outgoing.cltvExpiry).to.equal(policy.cltvExpiryDelta)
        })
      }),
    )
  })

  it('a fee is rounded down, and never lost in 64 bits', () => {
    const policy = { feeBaseMsat: msat(1n), feeProportionalMillionths: 1, cltvExpiryDelta: blockDelta(0) }
    const fees = [999_999n, 1_000_000n, 2n ** 63n].map((amount) => forwardingFee(policy, amount as Msat))
    expect(fees).to.deep.equal([1n, 2n, 9_223_372_036_855n + 0n])
  })
})
