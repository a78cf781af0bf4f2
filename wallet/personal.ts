// Signing as Ethereum's contracts check it: EIP-191 version 0x45 ("personal messages"), ECDSA, 65 bytes r ‖ s ‖ v.
import { concat, fromHex, type Hex, isHex, toHex } from '../channel/bytes.js'
import type { Address } from '../channel/params.js'
import { keccak256 } from './keccak.js'
import { secp256k1 } from './secp256k1.js'

const ZERO_ADDRESS: Address = `0x${'00'.repeat(20)}`
const text = new TextEncoder()
const PREFIX = text.encode('\x19Ethereum Signed Message:\n')
const PREFIX_32 = text.encode('\x19Ethereum Signed Message:\n32')

/** The digest that is signed for a message of any length: Keccak-256 of prefix ‖ decimal length ‖ message (EIP-191). */
export function personalDigest(message: Uint8Array): Uint8Array {
  return keccak256(
    message.length === 32
      ? concat(PREFIX_32, message)
      : concat(PREFIX, text.encode(String(message.length)), message),
  )
}

/**
 * Signs a message as `eth_sign` and `personal_sign` do. Deterministic, low s, v 27 or 28.
 *
 * @returns 65 bytes r ‖ s ‖ v
 * @throws PerkunasError INVALID_ARGUMENT if `secret` is none
 */
export function signPersonal(message: Uint8Array, secret: Uint8Array): Hex {
  return signDigest(personalDigest(message), secret)
}

/**
 * Signs a 32-byte digest without any prefix: for a ledger's transactions, never for what somebody else made up.
 *
 * @returns 65 bytes r ‖ s ‖ v, v being 27 or 28
 * @throws PerkunasError INVALID_ARGUMENT if `digest` is not 32 bytes or `secret` is none
 */
export function signDigest(digest: Uint8Array, secret: Uint8Array): Hex {
  const { signature, recovery } = secp256k1.sign(digest, secret)
  return `${toHex(signature)}${recovery === 0 ? '1b' : '1c'}`
}

/**
 * Whether `signature` over `message` is by `address`, exactly as strictly as OpenZeppelin's `ECDSA.recover` on the
 * chain: 65 bytes only, v 27 or 28, s in the lower half, never the zero address. Never throws.
 *
 * A looser check would accept signatures with which nothing can be claimed on the chain.
 */
export function verifyPersonal(message: Uint8Array, signature: Hex, address: Address): boolean {
  return address !== ZERO_ADDRESS && recoverPersonal(message, signature) === address
}

/** Who signed `message`, by the rules of {@link verifyPersonal}; `undefined` if nobody did. Never throws. */
export function recoverPersonal(message: Uint8Array, signature: Hex): Address | undefined {
  if (!(message instanceof Uint8Array) || !isHex(signature, 65)) return undefined
  const v = signature.slice(-2)
  if (v !== '1b' && v !== '1c') return undefined
  const rs = fromHex(signature).subarray(0, 64)
  const publicKey = secp256k1.recover(rs, v === '1b' ? 0 : 1, personalDigest(message))
  return publicKey && hashed(publicKey)
}

/**
 * The address of a public key: the last 20 bytes of the Keccak-256 of its x ‖ y.
 *
 * @param publicKey 33 or 65 bytes
 * @throws PerkunasError INVALID_ARGUMENT if it is no point
 */
export function addressOf(publicKey: Uint8Array): Address {
  return hashed(secp256k1.decompress(publicKey))
}

function hashed(uncompressed: Uint8Array): Address {
  return toHex(keccak256(uncompressed.subarray(1)).subarray(12))
}
