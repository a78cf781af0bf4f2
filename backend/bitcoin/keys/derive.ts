// Keys of one commitment from basepoints and a per-commitment point (BOLT 3, "Key Derivation").
//
// Points are compressed, 33 bytes; secrets 32 bytes. All throw PerkunasError INVALID_ARGUMENT for what is neither.
import { concat } from '../../../channel/bytes.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { sha256 } from '../script/hash.js'

/** The point of a per-commitment secret. */
export function commitmentPoint(secret: Uint8Array): Uint8Array {
  return secp256k1.publicKey(secret)
}

/** localpubkey, local_htlcpubkey, remote_htlcpubkey, local_delayedpubkey, remote_delayedpubkey: all by this formula. */
export function derivePublicKey(basepoint: Uint8Array, point: Uint8Array): Uint8Array {
  return secp256k1.tweakAdd(basepoint, sha256(concat(point, basepoint)))
}

/** The secret of {@link derivePublicKey}. @param basepoint of the secret, for whoever has it at hand */
export function deriveSecret(
  basepointSecret: Uint8Array,
  point: Uint8Array,
  basepoint: Uint8Array = secp256k1.publicKey(basepointSecret),
): Uint8Array {
  return secp256k1.tweakSecret(basepointSecret, sha256(concat(point, basepoint)))
}

/**
 * The key that can spend a commitment's outputs once it is revoked: neither side knows its secret before.
 *
 * @param revocationBasepoint of the party that will punish
 * @param point of the party whose commitment it is
 */
export function deriveRevocationKey(revocationBasepoint: Uint8Array, point: Uint8Array): Uint8Array {
  return secp256k1.add(
    secp256k1.multiply(revocationBasepoint, sha256(concat(revocationBasepoint, point))),
    secp256k1.multiply(point, sha256(concat(point, revocationBasepoint))),
  )
}

/** The secret of {@link deriveRevocationKey}, which needs the secrets of both sides. */
export function deriveRevocationSecret(
  revocationBasepointSecret: Uint8Array,
  perCommitmentSecret: Uint8Array,
): Uint8Array {
  const base = secp256k1.publicKey(revocationBasepointSecret)
  const point = secp256k1.publicKey(perCommitmentSecret)
  return secp256k1.tweakSecret(
    secp256k1.multiplySecret(revocationBasepointSecret, sha256(concat(base, point))),
    secp256k1.multiplySecret(perCommitmentSecret, sha256(concat(point, base))),
  )
}
