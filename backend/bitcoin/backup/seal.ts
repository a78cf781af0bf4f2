// A backup as it leaves the process: encrypted and authenticated by a key that only who has the seed can make.
//
//     bytes   0-7      the ASCII letters PKBACKUP
//             8        version: 1, or 2 for what peers keep, where the contents are a length of two bytes, so many bytes, and
//                      zeros, so that how long it is tells nothing
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
const PADDED = 2
const MAGIC = new TextEncoder().encode('PKBACKUP')
const SEED_BYTES = 8
const HEAD_BYTES = MAGIC.length + 1 + SEED_BYTES
const TAG_BYTES = 16
const LENGTH_BYTES = 2

/**
 * The backup as a file or a blob for others to keep.
 *
 * @param seed the node's
 * @param nonce {@link NONCE_BYTES} random bytes, other ones each time
 */
export function sealBackup(backup: NodeBackup, seed: Uint8Array, nonce: Uint8Array): Uint8Array {
  return sealed(encodeContents(backup), { seed, nonce, version: VERSION })
}

/**
 * The backup as a blob for peers to keep: of one of few lengths, and with as many channels as the longest of them holds, the
 * largest ones first.
 *
 * @param lengths in bytes, ascending
 */
export function sealBlob(
  backup: NodeBackup,
  seed: Uint8Array,
  { nonce, lengths }: { readonly nonce: Uint8Array; readonly lengths: readonly number[] },
): Uint8Array {
  const frame = HEAD_BYTES + NONCE_BYTES + TAG_BYTES + LENGTH_BYTES
  let channels = [...backup.channels].sort((a, b) => (a.capacity < b.capacity ? 1 : -1))
  for (;;) {
    const contents = encodeContents({ ...backup, channels })
    const fitting = lengths.find((one) => one >= contents.length + frame)
    if (fitting !== undefined) {
      const padded = new Uint8Array(fitting - frame + LENGTH_BYTES)
      new DataView(padded.buffer).setUint16(0, contents.length)
      padded.set(contents, LENGTH_BYTES)
      return sealed(padded, { seed, nonce, version: PADDED })
    }
    if (channels.length === 0) throw invalid('not even an empty one fits')
    channels = channels.slice(0, Math.floor(channels.length * 0.9))
  }
}

function sealed(
  contents: Uint8Array,
  given: { readonly seed: Uint8Array; readonly nonce: Uint8Array; readonly version: number },
): Uint8Array {
  const { seed, nonce, version } = given
  const head = concat(MAGIC, Uint8Array.of(version), derived(seed, 'seed', SEED_BYTES))
  const bytes = xchacha20poly1305(derived(seed, 'key', 32), nonce, head).encrypt(contents)
  return concat(head, nonce, bytes)
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
  if (version > PADDED) throw invalid(`its version is ${version}, and ${PADDED} is the newest that is known`)
  if (version < VERSION) throw invalid(`there is no version ${version}`)
  if (file.length < HEAD_BYTES + NONCE_BYTES + TAG_BYTES) throw invalid('it is truncated')
  const head = file.subarray(0, HEAD_BYTES)
  if (!equalBytes(head.subarray(MAGIC.length + 1), derived(seed, 'seed', SEED_BYTES))) {
    const reason = 'the backup was made with another seed'
    throw new PerkunasError('INVALID_KEY_MATERIAL', reason, { reason })
  }
  const nonce = file.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES)
  const contents = opened(file.subarray(HEAD_BYTES + NONCE_BYTES), derived(seed, 'key', 32), nonce, head)
  return decodeContents(version === PADDED ? unpadded(contents) : contents)
}

function unpadded(contents: Uint8Array): Uint8Array {
  const [high = 0, low = 0] = contents
  const length = 256 * high + low
  if (LENGTH_BYTES + length > contents.length) throw invalid('it is shorter than it says')
  return contents.subarray(LENGTH_BYTES, LENGTH_BYTES + length)
}

function opened(given: Uint8Array, key: Uint8Array, nonce: Uint8Array, head: Uint8Array): Uint8Array {
  try {
    return xchacha20poly1305(key, nonce, head).decrypt(given)
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
