// secp256k1 by the native addon of npm `secp256k1`, whose binaries for the common platforms are in the package.
//
// The addon is loaded by its own file: the package's main entry silently becomes a JavaScript implementation,
// slower than @noble/curves, where the addon can't be loaded. It has no BIP 340.
import type { Curve } from './secp256k1-curve.js'

interface Addon {
  ecdsaSign(digest: Uint8Array, secret: Uint8Array): { signature: Uint8Array; recid: number }
  ecdsaVerify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean
  ecdsaRecover(signature: Uint8Array, recovery: number, digest: Uint8Array, compressed: boolean): Uint8Array
  ecdh(publicKey: Uint8Array, secret: Uint8Array): Uint8Array
  publicKeyCreate(secret: Uint8Array): Uint8Array
  publicKeyVerify(point: Uint8Array): boolean
  publicKeyConvert(point: Uint8Array, compressed: boolean): Uint8Array
  publicKeyCombine(points: readonly Uint8Array[]): Uint8Array
  publicKeyTweakAdd(point: Uint8Array, tweak: Uint8Array): Uint8Array
  publicKeyTweakMul(point: Uint8Array, scalar: Uint8Array): Uint8Array
  privateKeyTweakAdd(secret: Uint8Array, tweak: Uint8Array): Uint8Array
  privateKeyTweakMul(secret: Uint8Array, factor: Uint8Array): Uint8Array
}

/** Loads the addon. Throws whatever loading throws where there is none. */
export function loadNativeCurve(): Curve {
  // Not an import: this file is in browser bundles too, and they must not meet a Node.js module.
  if (typeof process === 'undefined' || process.getBuiltinModule === undefined) {
    throw new Error('native addons need Node.js')
  }
  const load = process.getBuiltinModule('node:module').createRequire(import.meta.url)
  const addon: Addon = load('secp256k1/bindings.js')
  return {
    name: 'native',
    sign(digest, secret) {
      const { signature, recid } = addon.ecdsaSign(digest, secret)
      return { signature, recovery: recid }
    },
    verify: (signature, digest, publicKey) => addon.ecdsaVerify(signature, digest, publicKey),
    recover: (signature, recovery, digest) => addon.ecdsaRecover(signature, recovery, digest, false),
    publicKey: (secret) => addon.publicKeyCreate(secret),
    isPoint: (point) => addon.publicKeyVerify(point),
    convert: (point, compressed) => addon.publicKeyConvert(point, compressed),
    add: (points) => addon.publicKeyCombine(points),
    multiply: (point, scalar) => addon.publicKeyTweakMul(point, scalar),
    tweakAdd: (point, tweak) => addon.publicKeyTweakAdd(point, tweak),
    // The addon writes these two in place.
    tweakSecret: (secret, tweak) => addon.privateKeyTweakAdd(Uint8Array.from(secret), tweak),
    multiplySecret: (secret, factor) => addon.privateKeyTweakMul(Uint8Array.from(secret), factor),
    ecdh: (publicKey, secret) => addon.ecdh(publicKey, secret),
  }
}
