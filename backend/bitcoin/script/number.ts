// The commitment number, hidden from third parties in lock time and sequence.
import { concat } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { sha256 } from './hash.js'
import type { Transaction } from './transaction.js'

/** The largest commitment number: 48 bits. */
export const MAX_COMMITMENT_NUMBER = (1n << 48n) - 1n

/**
 * What the numbers of a channel are obscured with: 48 bits of a hash of both payment basepoints.
 *
 * @param openerBasepoint the payment basepoint of who sent open_channel
 * @see BOLT 3, "Commitment Transaction"
 */
export function obscuringFactor(openerBasepoint: Uint8Array, accepterBasepoint: Uint8Array): bigint {
  const hash = sha256(concat(openerBasepoint, accepterBasepoint))
  return hash.subarray(26).reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)
}

/** Lock time and sequence of commitment `number`. @throws PerkunasError INVALID_ARGUMENT outside 48 bits */
export function obscure(
  number: bigint,
  factor: bigint,
): { readonly locktime: number; readonly sequence: number } {
  if (number < 0n || number > MAX_COMMITMENT_NUMBER) {
    throw new PerkunasError('INVALID_ARGUMENT', `commitment number of 48 bits expected, got ${number}`, {
      argument: 'number',
    })
  }
  const obscured = number ^ factor
  return {
    locktime: Number(0x2000_0000n | (obscured & 0xff_ffffn)),
    sequence: Number(0x8000_0000n | (obscured >> 24n)),
  }
}

/**
 * The number of a transaction that spends a funding output.
 *
 * @returns undefined if lock time and sequence are not those of a commitment, such as a closing transaction's
 */
export function commitmentNumberOf(tx: Transaction, factor: bigint): bigint | undefined {
  const [input] = tx.inputs
  if (tx.inputs.length !== 1 || input === undefined) return undefined
  if (tx.locktime >>> 24 !== 0x20 || input.sequence >>> 24 !== 0x80) return undefined
  return ((BigInt(input.sequence & 0xff_ffff) << 24n) | BigInt(tx.locktime & 0xff_ffff)) ^ factor
}
