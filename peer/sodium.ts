// libsodium through npm `sodium-native`, whose binaries are in its package, for those who know how to do without it.

/** What is used of it. */
export interface Sodium {
  crypto_aead_chacha20poly1305_ietf_encrypt(
    out: Uint8Array,
    plaintext: Uint8Array,
    associated: Uint8Array | null,
    unused: null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void
  /** Throws if the ciphertext is not authentic. */
  crypto_aead_chacha20poly1305_ietf_decrypt(
    out: Uint8Array,
    unused: null,
    sealed: Uint8Array,
    associated: Uint8Array | null,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void
  /** `out` is as long as `data`, and may be the same. */
  crypto_stream_chacha20_ietf_xor(out: Uint8Array, data: Uint8Array, nonce: Uint8Array, key: Uint8Array): void
}

/** Undefined where it is not installed, or not for this platform. */
export const sodium: Sodium | undefined = load()

function load(): Sodium | undefined {
  const node = typeof process === 'undefined' ? undefined : process.getBuiltinModule?.('node:module')
  try {
    return node?.createRequire(import.meta.url)('sodium-native')
  } catch {
    return undefined
  }
}
