// secp256k1 in JavaScript, by @noble/curves: always there, and what the other providers are measured against.
import { schnorr, secp256k1 } from '@noble/curves/secp256k1.js'
import { bytesToNumberBE } from '@noble/curves/utils.js'
import { sha256 } from '@noble/hashes/sha2.js'
import type { Curve } from './secp256k1-curve.js'

const { Point } = secp256k1
const { Fn } = Point

/** The JavaScript provider. */
export const nobleCurve: Required<Curve> = {
  name: 'js',
  sign(digest, secret) {
    const bytes = secp256k1.sign(digest, secret, { prehash: false, lowS: true, format: 'recovered' })
    return { signature: bytes.slice(1), recovery: bytes[0] ?? -1 }
  },
  verify: (signature, digest, publicKey) =>
    secp256k1.verify(signature, digest, publicKey, { prehash: false, lowS: true }),
  recover: (signature, recovery, digest) =>
    secp256k1.Signature.fromBytes(signature).addRecoveryBit(recovery).recoverPublicKey(digest).toBytes(false),
  publicKey: (secret) => secp256k1.getPublicKey(secret, true),
  isPoint(point) {
    Point.fromBytes(point)
    return true
  },
  convert: (point, compressed) => Point.fromBytes(point).toBytes(compressed),
  add: (points) => points.reduce((sum, point) => sum.add(Point.fromBytes(point)), Point.ZERO).toBytes(true),
  multiply: (point, scalar) => Point.fromBytes(point).multiplyUnsafe(bytesToNumberBE(scalar)).toBytes(true),
  tweakAdd: (point, tweak) =>
    Point.fromBytes(point)
      .add(Point.BASE.multiplyUnsafe(bytesToNumberBE(tweak)))
      .toBytes(true),
  tweakSecret: (secret, tweak) => scalar(Fn.add(bytesToNumberBE(secret), bytesToNumberBE(tweak))),
  multiplySecret: (secret, factor) => scalar(Fn.mul(bytesToNumberBE(secret), bytesToNumberBE(factor))),
  ecdh: (publicKey, secret) => sha256(secp256k1.getSharedSecret(secret, publicKey, true)),
  schnorrSign: (message, secret, auxiliary) => schnorr.sign(message, secret, auxiliary),
  schnorrVerify: (signature, message, publicKey) => schnorr.verify(signature, message, publicKey),
}

function scalar(value: bigint): Uint8Array | undefined {
  return value === 0n ? undefined : Fn.toBytes(value)
}
