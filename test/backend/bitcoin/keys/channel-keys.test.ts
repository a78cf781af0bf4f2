import { expect } from 'chai'
import fc from 'fast-check'
import {
  basepointsOf,
  channelSecrets,
  commitmentKeys,
  commitmentPoint,
  commitmentSecret,
  derivePublicKey,
  deriveRevocationKey,
  deriveRevocationSecret,
  deriveSecret,
  nodeSecret,
} from '../../../../backend/bitcoin/keys/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { secp256k1 } from '../../../../wallet/secp256k1.js'

const SEED = Uint8Array.from({ length: 32 }, (_, i) => i)

describe('channel keys', () => {
  // Computed by another HKDF (OpenSSL's).
  it('the derivation never changes', () => {
    const secrets = channelSecrets(SEED, 1n)
    expect(
      Object.fromEntries(Object.entries(secrets).map(([name, secret]) => [name, toHex(secret)])),
    ).to.deep.equal({
      funding: '0x0f28de3da67cf0468b7b0b73f18de861a55045b6026310aa39b23f06d2fe95a6',
      revocation: '0x3689f5e85567d58881f440edc7be08b2d7ca698dfd9fae66d7b7c4842dc65c19',
      payment: '0x88c56046cd3cc39e7ef7acdee608fc73fa80cb1193397563e6438af9904455b0',
      delayedPayment: '0x9747c2d51ee329785980c7dad9a25552e8e4b3307975f665a06702ad13212c28',
      htlc: '0x4ea40127ec406e62cfd46197a56c3254dd7d85207426c4f5b23a1a16b98f77a6',
      commitmentSeed: '0xe93b68822e68b0cc86e51391c6a0f0567df5f34491bd17aac24d8b1bfb759bf3',
    })
    expect(toHex(nodeSecret(SEED))).to.equal(
      '0xbf802913793a4dd8f0dc7e5261d9a7394f8346311cebff3342dbdbf84d16b707',
    )
  })

  it('another index, seed or purpose -> other keys', () => {
    const seen = new Set<string>()
    for (const seed of [SEED, SEED.slice(0, 16), SEED.slice().reverse()]) {
      seen.add(toHex(nodeSecret(seed)))
      for (const index of [0n, 1n, 2n ** 32n, 2n ** 64n - 1n]) {
        for (const secret of Object.values(channelSecrets(seed, index))) seen.add(toHex(secret))
      }
    }
    expect(seen.size).to.equal(3 * (1 + 4 * 6))
  })

  it('a seed below 16 bytes or an index outside 64 bits -> INVALID_ARGUMENT', () => {
    for (const derive of [
      () => nodeSecret(SEED.slice(0, 15)),
      () => channelSecrets(SEED.slice(0, 15), 0n),
      () => channelSecrets(SEED, -1n),
      () => channelSecrets(SEED, 2n ** 64n),
    ]) {
      expect(derive)
        .to.throw()
        .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
    }
  })

  it('both sides derive the same keys, and each the secrets of its own', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 2n ** 64n - 2n }),
        fc.bigInt({ min: 0n, max: 2n ** 48n - 1n }),
        (index, n) => {
          const holder = channelSecrets(SEED, index)
          const counterparty = channelSecrets(SEED, index + 1n)
          const secret = commitmentSecret(holder.commitmentSeed, n)
          const point = commitmentPoint(secret)
          const keys = commitmentKeys(basepointsOf(holder), basepointsOf(counterparty), point)
          expect(keys).to.deep.equal({
            localFunding: secp256k1.publicKey(holder.funding),
            remoteFunding: secp256k1.publicKey(counterparty.funding),
            localDelayed: secp256k1.publicKey(deriveSecret(holder.delayedPayment, point)),
            localHtlc: secp256k1.publicKey(deriveSecret(holder.htlc, point)),
            remoteHtlc: secp256k1.publicKey(deriveSecret(counterparty.htlc, point)),
            remotePayment: secp256k1.publicKey(counterparty.payment),
            revocation: secp256k1.publicKey(deriveRevocationSecret(counterparty.revocation, secret)),
          })
          const points = [basepointsOf(holder), basepointsOf(counterparty), point] as const
          expect(commitmentKeys(...points, { holder: { ...holder, point: secret } })).to.deep.equal(keys)
          expect(commitmentKeys(...points, { counterparty })).to.deep.equal(keys)
        },
      ),
      { numRuns: 25 },
    )
  })

  it('a basepoint in an array that held another one -> its own keys', () => {
    const [one, other] = [0n, 1n].map((index) => basepointsOf(channelSecrets(SEED, index)).htlc)
    if (one === undefined || other === undefined) throw new Error('two basepoints expected')
    const point = commitmentPoint(commitmentSecret(SEED, 0n))
    for (const derive of [derivePublicKey, deriveRevocationKey]) {
      const basepoint = one.slice()
      const before = derive(basepoint, point)
      basepoint.set(other)
      expect(derive(basepoint, point)).to.deep.equal(derive(other, point)).and.not.to.deep.equal(before)
    }
  })

  it('a point that is none -> INVALID_ARGUMENT', () => {
    const points = basepointsOf(channelSecrets(SEED, 0n))
    expect(() => commitmentKeys(points, points, new Uint8Array(33)))
      .to.throw()
      .that.satisfies((error: unknown) => isError(error, 'INVALID_ARGUMENT'))
  })
})
