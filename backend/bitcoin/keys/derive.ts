// Keys of one commitment from basepoints and a per-commitment point (BOLT 3, "Key Derivation").
//
// Points are compressed, 33 bytes; secrets 32 bytes. All throw PerkunasError INVALID_ARGUMENT for what is neither.
import { concat, equalBytes, fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { sha256 } from '../script/hash.js'
import { remembered } from './remembered.js'

/** The point of a per-commitment secret. */
export function commitmentPoint(secret: Uint8Array): Uint8Array {
  return secp256k1.publicKey(secret)
}

/** {@link commitmentPoint} of a secret that was revealed: the signer asks for it, and then the monitor in the same step. */
export function revealedPoint(secret: Uint8Array): Uint8Array {
  return lastRevealed(toHex(secret))
}

const lastRevealed = remembered(1, (secret: Hex) => commitmentPoint(fromHex(secret)))

/**
 * localpubkey, local_htlcpubkey, remote_htlcpubkey, local_delayedpubkey, remote_delayedpubkey: all by this formula.
 *
 * @param secret of the basepoint, for its owner, to whom the same key costs a third less
 */
export function derivePublicKey(basepoint: Uint8Array, point: Uint8Array, secret?: Uint8Array): Uint8Array {
  return secret === undefined
    ? secp256k1.tweakAdd(decompressed(basepoint), sha256(concat(point, basepoint)))
    : secp256k1.publicKey(deriveSecret(secret, point, basepoint))
}

/** The secret of {@link derivePublicKey}'s key. @param basepoint of the secret, for whoever has it at hand */
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
 * @param secrets of one or the other, for its owner, to whom the same key costs less
 */
export function deriveRevocationKey(
  revocationBasepoint: Uint8Array,
  point: Uint8Array,
  secrets: { readonly revocation?: Uint8Array | undefined; readonly point?: Uint8Array | undefined } = {},
): Uint8Array {
  return secp256k1.add(
    multiple(
      decompressed(revocationBasepoint),
      sha256(concat(revocationBasepoint, point)),
      secrets.revocation,
    ),
    multiple(point, sha256(concat(point, revocationBasepoint)), secrets.point),
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

/** Basepoints, which are used with each commitment, in the form that saves a square root each time. */
function decompressed(basepoint: Uint8Array): Uint8Array {
  const known = basepoints.get(basepoint)
  // Whose array it is may write another point into it.
  if (known !== undefined && equalBytes(known.point, basepoint)) return known.decompressed
  const made = secp256k1.decompress(basepoint)
  basepoints.set(basepoint, { point: basepoint.slice(), decompressed: made })
  return made
}

const basepoints = new WeakMap<
  Uint8Array,
  { readonly point: Uint8Array; readonly decompressed: Uint8Array }
>()

function multiple(point: Uint8Array, factor: Uint8Array, secret: Uint8Array | undefined): Uint8Array {
  return secret === undefined
    ? secp256k1.multiply(point, factor)
    : secp256k1.publicKey(secp256k1.multiplySecret(secret, factor))
}
