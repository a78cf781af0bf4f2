// Who a peer is: a secp256k1 key, as everywhere in Lightning.
import { fromHex, type Hex, isHex, toHex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import { type RecoverableSignature, secp256k1 } from '../wallet/secp256k1.js'

/** A peer's compressed secp256k1 public key, 33 bytes. */
export type PeerID = Hex

/** A key of our own. The secret itself can not be read from it, so that nobody logs it by accident. */
export interface Identity {
  readonly id: PeerID
  /**
   * SHA-256 of the compressed point that our secret shares with a public key of 33 bytes (BOLT 8).
   *
   * @param tweak multiplies the secret first, as a blinded node ID asks for (BOLT 4, "Route Blinding")
   */
  ecdh(publicKey: Uint8Array, tweak?: Uint8Array): Uint8Array
  /** Signs a digest of 32 bytes, as Lightning's invoices and gossip are signed. */
  sign(digest: Uint8Array): RecoverableSignature
}

/**
 * An identity from its secret.
 *
 * @param secret 32 bytes; fresh random ones if not given. It is copied.
 * @throws PerkunasError INVALID_ARGUMENT if it is no secp256k1 secret
 */
export function createIdentity(secret: Uint8Array = randomSecret()): Identity {
  if (!secp256k1.isSecret(secret)) {
    throw new PerkunasError('INVALID_ARGUMENT', 'a secp256k1 secret of 32 bytes expected', {
      argument: 'secret',
    })
  }
  const own = Uint8Array.from(secret)
  return Object.freeze({
    id: toHex(secp256k1.publicKey(own)),
    ecdh: (publicKey: Uint8Array, tweak?: Uint8Array) =>
      secp256k1.ecdh(publicKey, tweak === undefined ? own : secp256k1.multiplySecret(own, tweak)),
    sign: (digest: Uint8Array) => secp256k1.sign(digest, own),
  })
}

/** A fresh secp256k1 secret, 32 bytes. */
export function randomSecret(): Uint8Array {
  for (;;) {
    const secret = crypto.getRandomValues(new Uint8Array(32))
    if (secp256k1.isSecret(secret)) return secret
  }
}

/** Whether a value is a {@link PeerID}: the compressed form of a point on the curve. */
export function isPeerID(value: unknown): value is PeerID {
  return faultOfPeerID(value) === undefined
}

/** What speaks against a value as a {@link PeerID}, in words, or undefined. */
export function faultOfPeerID(value: unknown): string | undefined {
  if (typeof value !== 'string') return `a peer ID as text expected, got ${typeof value}`
  if (!isHex(value, 33)) {
    const got = value.length > 80 ? `${value.length} characters` : JSON.stringify(value)
    return `a peer ID is 33 bytes in lower-case hex, as 0x02… or 0x03…; got ${got}`
  }
  if (!secp256k1.isPoint(fromHex(value)))
    return `${value} is no peer ID: no secp256k1 public key in compressed form`
  return undefined
}
