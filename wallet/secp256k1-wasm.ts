// secp256k1 by npm `tiny-secp256k1`: libsecp256k1 in WebAssembly, for browsers and for platforms without the addon.
//
// Left to the JavaScript provider: ECDH, because the library's only multiplication takes variable time, and the
// product of two secrets, which it lacks.
//
// For a browser the application installs the package and its bundler must know WebAssembly modules; an application
// that does without needs to do nothing.
import type { Curve } from './secp256k1-curve.js'

/** Loads the library. Rejects with whatever loading throws where it is not installed. */
export async function loadWasmCurve(): Promise<Curve> {
  // The handler tells bundlers that the package may be missing: without it they fail, not we.
  const tiny = await import('tiny-secp256k1').catch((cause: unknown) => {
    throw new Error('tiny-secp256k1 is not installed or does not load', { cause })
  })
  return {
    name: 'wasm',
    sign(digest, secret) {
      const { signature, recoveryId } = tiny.signRecoverable(digest, secret)
      return { signature, recovery: recoveryId }
    },
    verify: (signature, digest, publicKey) => tiny.verify(digest, publicKey, signature, true),
    recover: (signature, recovery, digest) => tiny.recover(digest, signature, recovery, false),
    publicKey: (secret) => tiny.pointFromScalar(secret, true),
    isPoint: (point) => tiny.isPoint(point),
    convert: (point, compressed) => tiny.pointCompress(point, compressed),
    add: sum,
    multiply: (point, scalar) => tiny.pointMultiply(point, scalar, true),
    tweakAdd: (point, tweak) => tiny.pointAddScalar(point, tweak, true),
    tweakSecret: (secret, tweak) => tiny.privateAdd(secret, tweak),
    schnorrSign: (message, secret, auxiliary) => tiny.signSchnorr(message, secret, auxiliary),
    schnorrVerify: (signature, message, publicKey) => tiny.verifySchnorr(message, publicKey, signature),
  }

  function sum(points: readonly Uint8Array[]): Uint8Array | undefined {
    // Pairwise, where infinity is not representable: null stands for it, and P + null is P.
    let total: Uint8Array | null = null
    for (const point of points) {
      total = total === null ? tiny.pointCompress(point, true) : tiny.pointAdd(total, point, true)
    }
    return total ?? undefined
  }
}
