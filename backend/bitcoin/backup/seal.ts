// A backup as it leaves the process: encrypted and authenticated by a key that only who has the seed can make.
//
//     bytes   0-7      the ASCII letters PKBACKUP
//             8        version, 1
//             9-16     which seed: 8 bytes of HKDF-SHA256
//             17-40    nonce, random
//             41-      XChaCha20-Poly1305 of the contents; what is before the nonce is authenticated with it
//
// Keys: HKDF-SHA256 (RFC 5869) of the seed with the salt `perkunas/bitcoin/backup/1` and the info `key` or `seed`. They are
// fixed for ever: a file of today must open in ten years.
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { concat, equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { decodeContents, encodeContents, type NodeBackup } from './contents.js'

/** Random bytes that {@link sealBackup} needs. */
export const NONCE_BYTES = 24

const VERSION = 1
const MAGIC = new TextEncoder().encode('PKBACKUP')
const SEED_BYTES = 8
const HEAD_BYTES = MAGIC.length + 1 + SEED_BYTES
const TAG_BYTES = 16

/**
 * The backup as a file or a blob for others to keep.
 *
 * @param seed the node's
 * @param nonce {@link NONCE_BYTES} random bytes, other ones each time
 */
export function sealBackup(backup: NodeBackup, seed: Uint8Array, nonce: Uint8Array): Uint8Array {
  const head = concat(MAGIC, Uint8Array.of(VERSION), derived(seed, 'seed', SEED_BYTES))
  const sealed = xchacha20poly1305(derived(seed, 'key', 32), nonce, head).encrypt(encodeContents(backup))
  return concat(head, nonce, sealed)
}

/**
 * What a sealed backup says.
 *
 * @throws PerkunasError INVALID_RECORD if it is none, is truncated or altered, or was written by a newer version of this
 *   package; INVALID_KEY_MATERIAL if it was made with another seed; INVALID_ARGUMENT if that is none
 */
export function openBackup(file: Uint8Array, seed: Uint8Array): NodeBackup {
  if (!(file instanceof Uint8Array) || !equalBytes(file.subarray(0, MAGIC.length), MAGIC))
    throw invalid('it is no channel backup')
  const version = file[MAGIC.length] ?? 0
  if (version > VERSION)
    throw invalid(`its version is ${version}, and ${VERSION} is the newest that is known`)
  if (version < VERSION) throw invalid(`there is no version ${version}`)
  if (file.length < HEAD_BYTES + NONCE_BYTES + TAG_BYTES) throw invalid('it is truncated')
  const head = file.subarray(0, HEAD_BYTES)
  if (!equalBytes(head.subarray(MAGIC.length + 1), derived(seed, 'seed', SEED_BYTES))) {
    const reason = 'the backup was made with another seed'
    throw new PerkunasError('INVALID_KEY_MATERIAL', reason, { reason })
  }
  const nonce = file.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES)
  return decodeContents(
    opened(file.subarray(HEAD_BYTES + NONCE_BYTES), derived(seed, 'key', 32), nonce, head),
  )
}

function opened(sealed: Uint8Array, key: Uint8Array, nonce: Uint8Array, head: Uint8Array): Uint8Array {
  try {
    return xchacha20poly1305(key, nonce, head).decrypt(sealed)
  } catch {
    throw invalid('it is truncated or altered')
  }
}

function derived(seed: Uint8Array, info: string, length: number): Uint8Array {
  if (!(seed instanceof Uint8Array) || seed.length < 16) {
    const message = `a seed of 16 bytes or more expected, got ${seed?.length}`
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'seed' })
  }
  const encoder = new TextEncoder()
  return hkdf(sha256, seed, encoder.encode('perkunas/bitcoin/backup/1'), encoder.encode(info), length)
}

function invalid(reason: string): PerkunasError<'INVALID_RECORD'> {
  return new PerkunasError('INVALID_RECORD', `backup: ${reason}`, { key: 'backup', reason })
}
