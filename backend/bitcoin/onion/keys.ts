// The keys and pseudo-random streams that everything in BOLT 4 is made of.
import { chacha20 } from '@noble/ciphers/chacha.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'

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

// The type is HMAC's key: what is hashed of it first is the same every time.
const TYPES: Readonly<Record<KeyType, ReturnType<typeof hmac.create>>> = {
  rho: stateOf('rho'),
  mu: stateOf('mu'),
  pad: stateOf('pad'),
  um: stateOf('um'),
  ammag: stateOf('ammag'),
  ammagext: stateOf('ammagext'),
  blinded_node_id: stateOf('blinded_node_id'),
}
const NONCE = new Uint8Array(12)

/** The key of a type that belongs to a shared secret. @see BOLT 4, "Key Generation" */
export function deriveKey(type: KeyType, sharedSecret: Uint8Array): Uint8Array {
  return TYPES[type].clone().update(sharedSecret).digest()
}

/** ChaCha20 with a nonce of zeros, as no key is used twice. @see BOLT 4, "Pseudo Random Byte Stream" */
export function randomStream(key: Uint8Array, length: number): Uint8Array {
  return chacha20(key, NONCE, new Uint8Array(length))
}

/** `data` with the stream of `key` over it: obfuscates and, applied again, restores. A new array. */
export function obfuscate(key: Uint8Array, data: Uint8Array): Uint8Array {
  return chacha20(key, NONCE, data)
}

/** HMAC with SHA-256 over the parts in order, 32 bytes: by Node.js where it is there, which is four times as fast on a packet. */
export const mac: (key: Uint8Array, ...parts: readonly Uint8Array[]) => Uint8Array = loadMac()

/** SHA-256 of a point and a shared secret: what the next hop's ephemeral key or path key is multiplied by. */
export function blindingFactor(point: Uint8Array, sharedSecret: Uint8Array): Uint8Array {
  return sha256.create().update(point).update(sharedSecret).digest()
}

/** Whether two byte strings are equal, in time that tells only their lengths. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= (a[i] ?? 0) ^ (b[i] ?? 0)
  return difference === 0
}

function stateOf(type: KeyType): ReturnType<typeof hmac.create> {
  return hmac.create(sha256, new TextEncoder().encode(type))
}

function loadMac(): typeof mac {
  const node = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:crypto')
  if (node === undefined) {
    return (key, ...parts) => {
      const state = hmac.create(sha256, key)
      for (const part of parts) state.update(part)
      return state.digest()
    }
  }
  const { createHmac } = node
  return (key, ...parts) => {
    const state = createHmac('sha256', key)
    for (const part of parts) state.update(part)
    // A Buffer's slice() would share memory, and it never equals one of ours.
    return Uint8Array.from(state.digest())
  }
}
