// One behaviour over every library: arguments are checked here, before a library sees them, because libraries
// answer bad input differently (false, null, an exception, or a result).
import { PerkunasError } from '../channel/errors.js'
import type { Curve, RecoverableSignature, Secp256k1 } from './secp256k1-curve.js'
import { nobleCurve } from './secp256k1-noble.js'

// The order of the group and its half, rounded down, big-endian.
const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const N = scalarBytes(ORDER)
const HALF = scalarBytes(ORDER / 2n)
const NO_AUXILIARY = new Uint8Array(32)

/** Puts one behaviour over a library; what it lacks is computed by the JavaScript provider. */
export function checked(curve: Curve): Secp256k1 {
  const all: Required<Curve> = { ...nobleCurve, ...curve }
  return {
    name: curve.name,

    sign(digest, secret) {
      demand(isBytes(digest, 32), 'digest', '32 bytes')
      demand(isSecret(secret), 'secret', SECRET)
      return recoverable(all.sign(reduced(digest), secret))
    },
    verify(signature, digest, publicKey) {
      if (!isSignature(signature) || !isBytes(digest, 32) || !isEncoding(publicKey)) return false
      return quiet(() => all.verify(signature, digest, publicKey)) ?? false
    },
    recover(signature, recovery, digest) {
      if (!isSignature(signature) || !isBytes(digest, 32) || (recovery !== 0 && recovery !== 1))
        return undefined
      return quiet(() => all.recover(signature, recovery, digest)) ?? undefined
    },
    publicKey(secret) {
      demand(isSecret(secret), 'secret', SECRET)
      return answer('secret', SECRET, () => all.publicKey(secret))
    },

    isSecret,
    isPoint: (value): value is Uint8Array => isEncoding(value) && (quiet(() => all.isPoint(value)) ?? false),
    compress(point) {
      demand(isEncoding(point), 'point', POINT)
      return answer('point', POINT, () => all.convert(point, true))
    },
    decompress(point) {
      demand(isEncoding(point), 'point', POINT)
      return answer('point', POINT, () => all.convert(point, false))
    },

    ecdh(publicKey, secret) {
      demand(isEncoding(publicKey), 'publicKey', POINT)
      demand(isSecret(secret), 'secret', SECRET)
      return answer('publicKey', POINT, () => all.ecdh(publicKey, secret))
    },
    add(...points) {
      demand(points.length > 0 && points.every(isEncoding), 'points', 'one or more points')
      return answer('points', 'points whose sum is not infinity', () => all.add(points))
    },
    multiply(point, scalar) {
      demand(isEncoding(point), 'point', POINT)
      demand(isSecret(scalar), 'scalar', SECRET)
      return answer('point', POINT, () => all.multiply(point, scalar))
    },
    tweakAdd(point, tweak) {
      demand(isEncoding(point), 'point', POINT)
      demand(isBelow(tweak, N), 'tweak', SCALAR)
      return answer('point', 'a point whose sum with tweak · G is not infinity', () =>
        all.tweakAdd(point, tweak),
      )
    },

    tweakSecret(secret, tweak) {
      demand(isSecret(secret), 'secret', SECRET)
      demand(isBelow(tweak, N), 'tweak', SCALAR)
      return answer('tweak', 'a tweak whose sum with the secret is not zero', () =>
        all.tweakSecret(secret, tweak),
      )
    },
    multiplySecret(secret, factor) {
      demand(isSecret(secret), 'secret', SECRET)
      demand(isSecret(factor), 'factor', SECRET)
      return answer('factor', SECRET, () => all.multiplySecret(secret, factor))
    },

    schnorrSign(message, secret, auxiliary = NO_AUXILIARY) {
      demand(isBytes(message, 32), 'message', '32 bytes')
      demand(isSecret(secret), 'secret', SECRET)
      demand(isBytes(auxiliary, 32), 'auxiliary', '32 bytes')
      return answer('secret', SECRET, () => all.schnorrSign(message, secret, auxiliary))
    },
    schnorrVerify(signature, message, publicKey) {
      if (!isBytes(signature, 64) || !isBytes(message, 32) || !isBytes(publicKey, 32)) return false
      return quiet(() => all.schnorrVerify(signature, message, publicKey)) ?? false
    },
  }
}

const SECRET = 'a scalar from 1 to n - 1, 32 bytes'
const SCALAR = 'a scalar from 0 to n - 1, 32 bytes'
const POINT = 'a point on secp256k1, 33 or 65 bytes'

// The message never shows the value: it may be a secret.
function demand(holds: boolean, argument: string, expected: string): asserts holds {
  if (!holds) throw new PerkunasError('INVALID_ARGUMENT', `${argument}: ${expected} expected`, { argument })
}

function answer(
  argument: string,
  expected: string,
  compute: () => Uint8Array | null | undefined,
): Uint8Array {
  const result = quiet(compute)
  demand(result !== null && result !== undefined, argument, expected)
  return result
}

// A library's complaint says no more than that there is no answer.
function quiet<T>(compute: () => T): T | undefined {
  try {
    return compute()
  } catch {
    return undefined
  }
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length
}

function isEncoding(value: unknown): value is Uint8Array {
  if (!(value instanceof Uint8Array)) return false
  const [first] = value
  return value.length === 33 ? first === 2 || first === 3 : value.length === 65 && first === 4
}

function isSecret(value: unknown): value is Uint8Array {
  if (!isBelow(value, N)) return false
  // Every byte is looked at: where the first one that is not zero stands tells nothing by time.
  let any = 0
  for (let i = 0; i < value.length; i++) any |= value[i] ?? 0
  return any !== 0
}

/** r and s from 0 to n - 1, s not above half of n; that neither is zero is left to the library. */
function isSignature(value: unknown): value is Uint8Array {
  return isBytes(value, 64) && compare(value, 0, N) < 0 && compare(value, 32, HALF) <= 0
}

function isBelow(value: unknown, limit: Uint8Array): value is Uint8Array {
  return isBytes(value, 32) && compare(value, 0, limit) < 0
}

function compare(value: Uint8Array, offset: number, limit: Uint8Array): number {
  for (let i = 0; i < limit.length; i++) {
    const difference = (value[offset + i] ?? 0) - (limit[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

// RFC 6979 section 2.3.4 feeds the nonce with the digest reduced modulo n; older versions of libsecp256k1 feed it
// with the digest as it is. The signature is over the reduced digest in any case, so reduce it for all of them.
function reduced(digest: Uint8Array): Uint8Array {
  if (compare(digest, 0, N) < 0) return digest
  let value = 0n
  for (const byte of digest) value = (value << 8n) | BigInt(byte)
  return scalarBytes(value - ORDER)
}

function scalarBytes(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * (31 - i))) & 0xffn))
}

// Recovery 2 and 3 mean that the nonce point's x is not below n: one signature in 2^127. Neither the chain nor
// this interface has a place for them.
function recoverable({
  signature,
  recovery,
}: {
  signature: Uint8Array
  recovery: number
}): RecoverableSignature {
  demand(recovery === 0 || recovery === 1, 'digest', 'a digest whose signature has recovery 0 or 1')
  return { signature, recovery }
}
