// What the package asks of the curve secp256k1, and what it asks of a library that computes on it.

/** The providers by name: pure JavaScript, WebAssembly, a native addon. */
export type ProviderName = 'js' | 'wasm' | 'native'

/** An ECDSA signature that names the public key it was made with. */
export interface RecoverableSignature {
  /** r ‖ s, 32 bytes each, big-endian, s in the lower half of the group order. */
  readonly signature: Uint8Array
  /** Whether the y coordinate of the nonce point is odd. */
  readonly recovery: 0 | 1
}

/**
 * Operations on secp256k1, synchronous and the same to the last bit whichever library computes them.
 *
 * Scalars, digests and x coordinates are 32 bytes, big-endian. A *secret* is a scalar from 1 to n - 1, n being
 * the order of the group. A *point* goes in compressed (33 bytes, 02 or 03 first) or uncompressed (65 bytes,
 * 04 first; it saves a square root); hybrid forms (06, 07) are refused.
 *
 * Bad input: predicates, `verify` and `schnorrVerify` answer `false`, `recover` answers `undefined`, whatever they
 * are given; they never throw. Everything else throws `PerkunasError` INVALID_ARGUMENT, also where a sum would be
 * the point at infinity or a secret zero.
 */
export interface Secp256k1 {
  /** Which provider computes. */
  readonly name: ProviderName

  /** Signs a digest: deterministic by RFC 6979 with SHA-256 and no extra entropy, low s. */
  sign(digest: Uint8Array, secret: Uint8Array): RecoverableSignature

  /** Whether `signature` (r ‖ s, 64 bytes) is by `publicKey` over `digest`. False for high s. */
  verify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean

  /**
   * The public key that made a signature, uncompressed, 65 bytes (the form that addresses are hashed from).
   *
   * As strict as `verify`: `undefined` for high s. Who must accept high s negates s and flips `recovery` first.
   */
  recover(signature: Uint8Array, recovery: 0 | 1, digest: Uint8Array): Uint8Array | undefined

  /** The compressed public key of a secret, 33 bytes. Constant time in the secret. */
  publicKey(secret: Uint8Array): Uint8Array

  /** Whether `value` is 32 bytes that encode a scalar from 1 to n - 1. */
  isSecret(value: unknown): value is Uint8Array

  /** Whether `value` encodes a point on the curve in one of the two accepted forms. */
  isPoint(value: unknown): value is Uint8Array

  /** A point's 33-byte form. */
  compress(point: Uint8Array): Uint8Array

  /** A point's 65-byte form. */
  decompress(point: Uint8Array): Uint8Array

  /** SHA-256 of the compressed shared point (BOLT 4, BOLT 8): constant time in the secret. */
  ecdh(publicKey: Uint8Array, secret: Uint8Array): Uint8Array

  /** Sum of one or more points, compressed. */
  add(...points: readonly Uint8Array[]): Uint8Array

  /** `scalar · point`, compressed, for a scalar from 1 to n - 1. **Variable time**: for public scalars only. */
  multiply(point: Uint8Array, scalar: Uint8Array): Uint8Array

  /**
   * `point + tweak · G`, compressed, for a tweak from 0 to n - 1. **Variable time** in the tweak: for a secret one
   * use `add(point, publicKey(tweak))`.
   */
  tweakAdd(point: Uint8Array, tweak: Uint8Array): Uint8Array

  /** `secret + tweak` modulo n, for a tweak from 0 to n - 1. */
  tweakSecret(secret: Uint8Array, tweak: Uint8Array): Uint8Array

  /** `secret · factor` modulo n, for a factor from 1 to n - 1. */
  multiplySecret(secret: Uint8Array, factor: Uint8Array): Uint8Array

  /**
   * Signs a 32-byte message by BIP 340.
   *
   * @param auxiliary 32 bytes of fresh randomness against side channels; zeros, which BIP 340 allows and which
   *   make the signature deterministic, if not given
   */
  schnorrSign(message: Uint8Array, secret: Uint8Array, auxiliary?: Uint8Array): Uint8Array

  /** Whether `signature` (64 bytes) is by `publicKey` (x only, 32 bytes) over a 32-byte message, by BIP 340. */
  schnorrVerify(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
}

/**
 * What a library must compute. Lengths, scalar ranges, point prefixes and low s have been checked before each call;
 * where there is no answer a function throws or returns null or undefined.
 *
 * The optional ones are computed by the JavaScript provider if a library lacks them, or lacks them in constant time.
 */
export interface Curve {
  readonly name: ProviderName
  sign(digest: Uint8Array, secret: Uint8Array): { readonly signature: Uint8Array; readonly recovery: number }
  verify(signature: Uint8Array, digest: Uint8Array, publicKey: Uint8Array): boolean
  recover(signature: Uint8Array, recovery: 0 | 1, digest: Uint8Array): Uint8Array | null | undefined
  publicKey(secret: Uint8Array): Uint8Array | null | undefined
  isPoint(point: Uint8Array): boolean
  convert(point: Uint8Array, compressed: boolean): Uint8Array | null | undefined
  add(points: readonly Uint8Array[]): Uint8Array | null | undefined
  multiply(point: Uint8Array, scalar: Uint8Array): Uint8Array | null | undefined
  tweakAdd(point: Uint8Array, tweak: Uint8Array): Uint8Array | null | undefined
  tweakSecret(secret: Uint8Array, tweak: Uint8Array): Uint8Array | null | undefined
  multiplySecret?(secret: Uint8Array, factor: Uint8Array): Uint8Array | null | undefined
  ecdh?(publicKey: Uint8Array, secret: Uint8Array): Uint8Array | null | undefined
  schnorrSign?(message: Uint8Array, secret: Uint8Array, auxiliary: Uint8Array): Uint8Array | null | undefined
  schnorrVerify?(signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array): boolean
}
