// The keys and pseudo-random streams that everything in BOLT 4 is made of.
import { chacha20 } from '@noble/ciphers/chacha.js'
import { concat } from '../../../channel/bytes.js'
import { type Sodium, sodium } from '../../../peer/sodium.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { sha256 } from '../script/index.js'

/**
 * What a key derived from a shared secret is for: `rho` obfuscates payloads, `mu` authenticates packets, `pad` fills
 * a new packet, `um` authenticates failures, `ammag` and `ammagext` obfuscate failures and their attribution,
 * `blinded_node_id` hides a node ID.
 */
export type KeyType = 'rho' | 'mu' | 'pad' | 'um' | 'ammag' | 'ammagext' | 'blinded_node_id'

/**
 * ECDH by whoever holds a node's secret: SHA-256 of the compressed shared point, 32 bytes.
 *
 * @param point on the curve, 33 bytes; has been checked
 * @param tweak if given, the node's secret is multiplied by it first (a blinded node ID); from 1 to n - 1
 */
export type SharedSecret = (point: Uint8Array, tweak?: Uint8Array) => Uint8Array

/**
 * {@link SharedSecret} by a secret in memory, in constant time.
 *
 * @throws PerkunasError INVALID_ARGUMENT (of the returned function) if the secret, the point or the tweak is not one
 */
export function sharedSecretWith(secret: Uint8Array): SharedSecret {
  return (point, tweak) =>
    secp256k1.ecdh(point, tweak === undefined ? secret : secp256k1.multiplySecret(secret, tweak))
}

/** The two blocks that HMAC makes of its key (RFC 2104). */
interface MacKey {
  readonly inner: Uint8Array
  readonly outer: Uint8Array
}

// The type is HMAC's key: its blocks are the same every time.
const TYPES: Readonly<Record<KeyType, MacKey>> = {
  rho: macKeyOf('rho'),
  mu: macKeyOf('mu'),
  pad: macKeyOf('pad'),
  um: macKeyOf('um'),
  ammag: macKeyOf('ammag'),
  ammagext: macKeyOf('ammagext'),
  blinded_node_id: macKeyOf('blinded_node_id'),
}
const NONCE = new Uint8Array(12)

/** The key of a type that belongs to a shared secret. @see BOLT 4, "Key Generation" */
export function deriveKey(type: KeyType, sharedSecret: Uint8Array): Uint8Array {
  return macWith(TYPES[type], [sharedSecret])
}

/** ChaCha20 with a nonce of zeros, as no key is used twice. @see BOLT 4, "Pseudo Random Byte Stream" */
export function randomStream(key: Uint8Array, length: number): Uint8Array {
  const stream = new Uint8Array(length)
  cover(key, stream, stream)
  return stream
}

/** `data` with the stream of `key` over it: obfuscates and, applied again, restores. A new array. */
export function obfuscate(key: Uint8Array, data: Uint8Array): Uint8Array {
  const covered = new Uint8Array(data.length)
  cover(key, data, covered)
  return covered
}

/** HMAC with SHA-256 over the parts in order, 32 bytes. @param key of 64 bytes at most */
export function mac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return macWith({ inner: block(key, 0x36), outer: block(key, 0x5c) }, parts)
}

/** SHA-256 of a point and a shared secret: what the next hop's ephemeral key or path key is multiplied by. */
export function blindingFactor(point: Uint8Array, sharedSecret: Uint8Array): Uint8Array {
  return sha256(concat(point, sharedSecret))
}

/** Whether two byte strings are equal, in time that tells only their lengths. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}

/** The stream over `data` into `out`, which may be the same: by libsodium where it is there, in a sixth of the time. */
const cover = coverBy(sodium)

function coverBy(library: Sodium | undefined): (key: Uint8Array, data: Uint8Array, out: Uint8Array) => void {
  if (library === undefined) return (key, data, out) => void chacha20(key, NONCE, data, out)
  return (key, data, out) => library.crypto_stream_chacha20_ietf_xor(out, data, NONCE, key)
}

// Two hashes at once rather than an object that is fed: that makes less to be cleared away.
function macWith({ inner, outer }: MacKey, parts: readonly Uint8Array[]): Uint8Array {
  return sha256(concat(outer, sha256(concat(inner, ...parts))))
}

function macKeyOf(type: KeyType): MacKey {
  const key = new TextEncoder().encode(type)
  return { inner: block(key, 0x36), outer: block(key, 0x5c) }
}

/** A key, filled up to a block of SHA-256, with a byte over it. */
function block(key: Uint8Array, byte: number): Uint8Array {
  const out = new Uint8Array(64).fill(byte)
  for (let i = 0; i < key.length; i++) out[i] = (key[i] ?? 0) ^ byte
  return out
}
