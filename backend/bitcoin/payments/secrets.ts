// Secrets for one step, out of its entropy: each name gives another one.
import { concat } from '../../../channel/bytes.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { sha256 } from '../script/index.js'

/** 32 bytes. */
export function freshBytes(entropy: Uint8Array, name: string): Uint8Array {
  return sha256(concat(new TextEncoder().encode(`payments/${name}/`), entropy))
}

/** 32 bytes that are a secret of secp256k1. */
export function freshKey(entropy: Uint8Array, name: string): Uint8Array {
  for (let count = 0; ; count++) {
    const key = freshBytes(entropy, `${name}/${count}`)
    if (secp256k1.isSecret(key)) return key
  }
}
