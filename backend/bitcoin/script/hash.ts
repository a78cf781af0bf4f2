// The hashes of Bitcoin scripts and transactions, from Node.js where it is there: a state with 483 HTLCs is thousands
// of short hashes, and OpenSSL computes one three times as fast as JavaScript does.
import { ripemd160 as nobleRipemd160 } from '@noble/hashes/legacy.js'
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'

/** SHA-256, 32 bytes. */
export const sha256: (data: Uint8Array) => Uint8Array = loadSha256()

/** SHA-256 of SHA-256: transaction IDs and signature hashes. */
export function sha256d(data: Uint8Array): Uint8Array {
  return sha256(sha256(data))
}

/** RIPEMD-160, 20 bytes. */
export function ripemd160(data: Uint8Array): Uint8Array {
  return nobleRipemd160(data)
}

/** RIPEMD-160 of SHA-256: keys in scripts. */
export function hash160(data: Uint8Array): Uint8Array {
  return nobleRipemd160(sha256(data))
}

function loadSha256(): (data: Uint8Array) => Uint8Array {
  const node = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:crypto')
  if (node?.hash === undefined) return nobleSha256
  const { hash } = node
  return (data) => {
    // A plain Uint8Array over the same bytes: a Buffer's slice() would share memory, and it never equals one of ours.
    const digest = hash('sha256', data, 'buffer')
    return new Uint8Array(digest.buffer, digest.byteOffset, 32)
  }
}
