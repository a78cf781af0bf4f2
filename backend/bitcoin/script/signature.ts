// ECDSA signatures in their two forms: r ‖ s on the wire, DER with a sighash byte in a witness.
import { PerkunasError } from '../../../channel/errors.js'

/** Signs all inputs and outputs. */
export const SIGHASH_ALL = 0x01
/** Signs this input and the output of the same index: others may be added (anchors, "HTLC transactions"). */
export const SIGHASH_SINGLE_ANYONECANPAY = 0x83

/** What a signature is over. */
export type SighashType = typeof SIGHASH_ALL | typeof SIGHASH_SINGLE_ANYONECANPAY

/** A compact signature (64 bytes) as a witness item: DER (BIP 66) and the sighash byte, at most 72 bytes for low s. */
export function witnessSignature(compact: Uint8Array, sighash: SighashType): Uint8Array {
  if (compact.length !== 64) {
    throw new PerkunasError('INVALID_SIGNATURE', `64 bytes expected, got ${compact.length}`, {})
  }
  const r = integer(compact.subarray(0, 32))
  const s = integer(compact.subarray(32))
  const out = new Uint8Array(7 + r.length + s.length)
  out.set([0x30, 4 + r.length + s.length, 0x02, r.length])
  out.set(r, 4)
  out.set([0x02, s.length], 4 + r.length)
  out.set(s, 6 + r.length)
  out[6 + r.length + s.length] = sighash
  return out
}

/**
 * The compact signature and the sighash byte in a witness item.
 *
 * @returns undefined if it is not strict DER (BIP 66) of two integers of at most 32 bytes
 */
export function readWitnessSignature(
  item: Uint8Array,
): { readonly compact: Uint8Array; readonly sighash: number } | undefined {
  const compact = new Uint8Array(64)
  if (item[0] !== 0x30 || item[1] !== item.length - 3) return undefined
  let at = 2
  for (const end of [32, 64]) {
    const length = item[at + 1]
    if (item[at] !== 0x02 || length === undefined || length < 1 || at + 2 + length > item.length - 1)
      return undefined
    let number = item.subarray(at + 2, at + 2 + length)
    at += 2 + length
    const [first = 0, second = 0] = number
    if (first >= 0x80) return undefined
    if (first === 0) {
      if (number.length > 1 && second < 0x80) return undefined
      number = number.subarray(1)
    }
    if (number.length > 32) return undefined
    compact.set(number, end - number.length)
  }
  const sighash = item[at]
  return at === item.length - 1 && sighash !== undefined ? { compact, sighash } : undefined
}

// Without leading zeros, but positive.
function integer(bytes: Uint8Array): Uint8Array {
  const first = bytes.findIndex((byte) => byte !== 0)
  if (first < 0) return new Uint8Array(1)
  const digits = bytes.subarray(first)
  if ((digits[0] ?? 0) < 0x80) return digits
  const padded = new Uint8Array(digits.length + 1)
  padded.set(digits, 1)
  return padded
}
