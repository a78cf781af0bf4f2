// Route blinding (BOLT 4, "Route Blinding"): a recipient hides a route to itself behind points that only the nodes on
// it can make sense of, each from the path key it is handed.

import { isError, PerkunasError } from '../../../channel/errors.js'
import { aead, TAG_BYTES } from '../../../peer/aead.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { blindingFactor, deriveKey, type SharedSecret } from './keys.js'

const NONCE = new Uint8Array(12)

/** One node of a route to be blinded. */
export interface HopToBlind {
  /** Compressed, 33 bytes. */
  readonly nodeID: Uint8Array
  /** What the node is told: an encoded `encrypted_data_tlv`. */
  readonly data: Uint8Array
}

/** One node of a blinded route, as the sender sees it. */
export interface BlindedHop {
  /** Compressed, 33 bytes. */
  readonly blindedNodeID: Uint8Array
  /** Ciphertext and tag; {@link unblind} makes the recipient data of it. */
  readonly encryptedRecipientData: Uint8Array
}

/** A blinded route. */
export interface BlindedRoute {
  /** Path key of the first node, compressed, 33 bytes. */
  readonly firstPathKey: Uint8Array
  readonly hops: readonly BlindedHop[]
}

/** A blinded route as its creator keeps it. */
export interface CreatedRoute extends BlindedRoute {
  /**
   * Secret of the path key that the last node would pass on. A further route that continues this one starts with it
   * or, if it starts with another one, is named in the last node's `next_path_key_override`.
   */
  readonly nextPathSecret: Uint8Array
}

/**
 * Blinds a route.
 *
 * @param pathSecret fresh secret of the first path key, 32 bytes
 * @param hops from the introduction point to the recipient; give them data of the same length (`padRecipientData`)
 * @throws PerkunasError INVALID_ARGUMENT if a key is not one or there is no hop
 */
export function blindRoute(pathSecret: Uint8Array, hops: readonly HopToBlind[]): CreatedRoute {
  if (hops.length === 0)
    throw new PerkunasError('INVALID_ARGUMENT', 'hops: at least one expected', { argument: 'hops' })
  const firstPathKey = secp256k1.publicKey(pathSecret)
  let [secret, pathKey] = [pathSecret, firstPathKey]
  const blinded = hops.map(({ nodeID, data }): BlindedHop => {
    const shared = secp256k1.ecdh(nodeID, secret)
    const hop = {
      // The factor is public to whoever knows the node: it hides the node from others by its value, not by its time.
      blindedNodeID: secp256k1.multiply(nodeID, deriveKey('blinded_node_id', shared)),
      encryptedRecipientData: seal(deriveKey('rho', shared), data),
    }
    secret = secp256k1.multiplySecret(secret, blindingFactor(pathKey, shared))
    pathKey = secp256k1.publicKey(secret)
    return hop
  })
  return { firstPathKey, hops: blinded, nextPathSecret: secret }
}

/** What a node learns from a path key. */
export interface Unblinding {
  /** By which the node's secret is multiplied to peel the onion: `peelOnion`'s. */
  readonly nodeTweak: Uint8Array
  /** For the next node, unless the data overrides it; compressed, 33 bytes. */
  readonly nextPathKey: Uint8Array
  /** Decrypts `encrypted_recipient_data`: undefined if it is not authentic. */
  readonly decrypt: (encryptedRecipientData: Uint8Array) => Uint8Array | undefined
}

/**
 * Derives what a node of a blinded route needs.
 *
 * @param pathKey as received: untrusted
 * @returns undefined if the path key is not a point
 */
export function unblind(pathKey: Uint8Array, sharedSecret: SharedSecret): Unblinding | undefined {
  if (pathKey.length !== 33 || !secp256k1.isPoint(pathKey)) return undefined
  const shared = sharedSecret(pathKey)
  const nextPathKey = nextOf(pathKey, shared)
  if (nextPathKey === undefined) return undefined
  const rho = deriveKey('rho', shared)
  return {
    nodeTweak: deriveKey('blinded_node_id', shared),
    nextPathKey,
    decrypt: (data) => aead.open({ key: rho, nonce: NONCE }, data),
  }
}

// In variable time by a hash that the creator of the route knows as well: see `nextEphemeral` in sphinx.ts.
function nextOf(pathKey: Uint8Array, shared: Uint8Array): Uint8Array | undefined {
  try {
    return secp256k1.multiply(pathKey, blindingFactor(pathKey, shared))
  } catch (error) {
    if (isError(error, 'INVALID_ARGUMENT')) return undefined // a hash of zero or beyond n: never seen
    throw error
  }
}

function seal(key: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const out = new Uint8Array(plaintext.length + TAG_BYTES)
  aead.seal({ key, nonce: NONCE }, plaintext, out, 0)
  return out
}
