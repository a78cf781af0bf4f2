// Signature hashes of version 0 witnesses (BIP 143), written by hand because a commitment needs hundreds of them.
import { PerkunasError } from '../../../channel/errors.js'
import type { Sat } from '../units.js'
import { encodeOutputs, writeOutpoint, writeUint32, writeUint64 } from './encode.js'
import { sha256d } from './hash.js'
import { SIGHASH_ALL, type SighashType } from './signature.js'
import type { Outpoint, Transaction } from './transaction.js'

/** What an input's signature commits to besides the transaction. */
export interface SpentOutput {
  readonly amount: Sat
  /** The witness script, or for P2WPKH the script of P2PKH with the same hash (BIP 143, "scriptCode"). */
  readonly scriptCode: Uint8Array
}

/**
 * The digest that the signature of a version 0 witness signs.
 *
 * @throws PerkunasError INVALID_ARGUMENT if there is no such input, or no output beside it for SIGHASH_SINGLE
 */
export function witnessDigest(
  tx: Transaction,
  input: number,
  spent: SpentOutput,
  sighash: SighashType = SIGHASH_ALL,
): Uint8Array {
  const own = tx.inputs[input]
  const all = sighash === SIGHASH_ALL
  const outputs = all ? tx.outputs : tx.outputs.slice(input, input + 1)
  if (own === undefined || outputs.length === 0) {
    throw new PerkunasError('INVALID_ARGUMENT', `no input or output ${input}`, { argument: 'input' })
  }
  const preimage = new Preimage(spent.scriptCode.length)
  preimage.version(tx.version)
  if (all) {
    const points = new Uint8Array(36 * tx.inputs.length)
    const sequences = new Uint8Array(4 * tx.inputs.length)
    tx.inputs.forEach(({ outpoint, sequence }, i) => {
      writeOutpoint(points, 36 * i, outpoint)
      writeUint32(sequences, 4 * i, sequence)
    })
    preimage.hashPrevouts(sha256d(points))
    preimage.hashSequence(sha256d(sequences))
  }
  preimage.input(own.outpoint, spent, own.sequence)
  preimage.hashOutputs(sha256d(encodeOutputs(outputs)))
  preimage.end(tx.locktime, sighash)
  return preimage.digest()
}

/**
 * The bytes that are hashed, as a buffer to be filled in and, for the next input that is much the same, changed.
 * Fields that are never set are zero, which is what SIGHASH_SINGLE | ANYONECANPAY wants of the first two hashes.
 */
export class Preimage {
  readonly #bytes: Uint8Array
  readonly #scriptAt: number
  readonly #tail: number

  /** @param scriptLength bytes of the script code, which fixes where everything behind it stands */
  constructor(readonly scriptLength: number) {
    this.#scriptAt = 104 + (scriptLength < 0xfd ? 1 : 3)
    this.#tail = this.#scriptAt + scriptLength
    this.#bytes = new Uint8Array(this.#tail + 52)
    if (scriptLength < 0xfd) this.#bytes[104] = scriptLength
    else this.#bytes.set([0xfd, scriptLength & 0xff, scriptLength >> 8], 104)
  }

  version(version: number): void {
    writeUint32(this.#bytes, 0, version)
  }

  hashPrevouts(hash: Uint8Array): void {
    this.#bytes.set(hash, 4)
  }

  hashSequence(hash: Uint8Array): void {
    this.#bytes.set(hash, 36)
  }

  input(outpoint: Outpoint, { amount, scriptCode }: SpentOutput, sequence: number): void {
    writeOutpoint(this.#bytes, 68, outpoint)
    this.#bytes.set(scriptCode, this.#scriptAt)
    writeUint64(this.#bytes, this.#tail, amount)
    writeUint32(this.#bytes, this.#tail + 8, sequence)
  }

  hashOutputs(hash: Uint8Array): void {
    this.#bytes.set(hash, this.#tail + 12)
  }

  end(locktime: number, sighash: SighashType): void {
    writeUint32(this.#bytes, this.#tail + 44, locktime)
    writeUint32(this.#bytes, this.#tail + 48, sighash)
  }

  digest(): Uint8Array {
    return sha256d(this.#bytes)
  }
}
