// The parts of a transaction that are hashed, written by hand for the same reason as the digests of sighash.ts: that of a
// commitment has hundreds of outputs, and its ID is needed before anything of it can be signed.
import { PerkunasError } from '../../../channel/errors.js'
import type { Outpoint, Transaction, TransactionOutput } from './shape.js'

/**
 * A transaction of segwit inputs without its witnesses; the bytes are the same as @scure/btc-signer's.
 *
 * @throws PerkunasError INVALID_ARGUMENT if an outpoint or the lock time has no form in it
 */
export function encodeSegwitBody({ version, inputs, outputs, locktime }: Transaction): Uint8Array {
  if (!isUint32(locktime)) throw unfit('locktime', `32 bits expected, got ${locktime}`)
  const inputsAt = 4 + countBytes(inputs.length)
  const outputsAt = inputsAt + 41 * inputs.length + countBytes(outputs.length)
  const encodedOutputs = encodeOutputs(outputs)
  const bytes = new Uint8Array(outputsAt + encodedOutputs.length + 4)
  writeUint32(bytes, 0, version)
  writeCount(bytes, 4, inputs.length)
  inputs.forEach(({ outpoint, sequence }, i) => {
    writeOutpoint(bytes, inputsAt + 41 * i, outpoint)
    writeUint32(bytes, inputsAt + 41 * i + 37, sequence)
  })
  writeCount(bytes, inputsAt + 41 * inputs.length, outputs.length)
  bytes.set(encodedOutputs, outputsAt)
  writeUint32(bytes, outputsAt + encodedOutputs.length, locktime)
  return bytes
}

/** Outputs one after the other, each an amount and a script with its length. */
export function encodeOutputs(outputs: readonly TransactionOutput[]): Uint8Array {
  const length = outputs.reduce((sum, { script }) => sum + 8 + countBytes(script.length) + script.length, 0)
  const bytes = new Uint8Array(length)
  let at = 0
  for (const { amount, script } of outputs) {
    writeUint64(bytes, at, amount)
    at += 8
    at = writeCount(bytes, at, script.length)
    bytes.set(script, at)
    at += script.length
  }
  return bytes
}

/**
 * Writes 36 bytes: the ID as hashed, and the index.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the ID has not 32 bytes or the index not 32 bits
 */
export function writeOutpoint(bytes: Uint8Array, at: number, { txid, index }: Outpoint): void {
  if (txid.length !== 32) throw unfit('txid', `32 bytes expected, got ${txid.length}`)
  if (!isUint32(index)) throw unfit('index', `32 bits expected, got ${index}`)
  bytes.set(txid, at)
  writeUint32(bytes, at + 32, index)
}

/** Little-endian, as everything in a transaction. */
export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value & 0xff
  bytes[at + 1] = (value >>> 8) & 0xff
  bytes[at + 2] = (value >>> 16) & 0xff
  bytes[at + 3] = value >>> 24
}

/** Little-endian. All there can be is below 2^51, so that a number holds it; what a peer names may be more. */
export function writeUint64(bytes: Uint8Array, at: number, value: bigint): void {
  const number = Number(value)
  if (number > Number.MAX_SAFE_INTEGER) {
    writeUint32(bytes, at, Number(value & 0xffff_ffffn))
    writeUint32(bytes, at + 4, Number((value >> 32n) & 0xffff_ffffn))
    return
  }
  writeUint32(bytes, at, (number % 0x1_0000_0000) >>> 0)
  writeUint32(bytes, at + 4, Math.floor(number / 0x1_0000_0000))
}

/** Bytes of a compact size below 2^32: no transaction has more of anything. */
export function countBytes(count: number): number {
  if (count < 0xfd) return 1
  return count <= 0xffff ? 3 : 5
}

function writeCount(bytes: Uint8Array, at: number, count: number): number {
  const size = countBytes(count)
  if (size === 1) bytes[at] = count
  else if (size === 3) bytes.set([0xfd, count & 0xff, count >> 8], at)
  else {
    bytes[at] = 0xfe
    writeUint32(bytes, at + 1, count)
  }
  return at + size
}

function isUint32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff
}

function unfit(argument: string, reason: string): PerkunasError {
  return new PerkunasError('INVALID_ARGUMENT', `${argument}: ${reason}`, { argument })
}
