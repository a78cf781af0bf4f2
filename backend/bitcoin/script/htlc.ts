// HTLC-timeout and HTLC-success: the holder's own way to its HTLCs, agreed by both (BOLT 3, "HTLC-Timeout and
// HTLC-Success Transactions").
import { PerkunasError } from '../../../channel/errors.js'
import type { Sat } from '../units.js'
import { type Commitment, type HtlcOutput, htlcTransactionAmount } from './commitment.js'
import { encodeOutputs, writeOutpoint, writeUint32 } from './encode.js'
import { FORMATS } from './format.js'
import { sha256d } from './hash.js'
import { p2wsh } from './scripts.js'
import { Preimage } from './sighash.js'
import { SIGHASH_ALL, type SighashType, witnessSignature } from './signature.js'
import type { Transaction } from './transaction.js'

/** Who signs an HTLC transaction: the holder of the commitment signs all of it, the counterparty as the form says. */
export type HtlcSigner = 'local' | 'remote'

/** The sighash byte of a signature in an HTLC transaction. */
export function htlcSighash(commitment: Commitment, signer: HtlcSigner): SighashType {
  return signer === 'local' ? SIGHASH_ALL : FORMATS[commitment.params.format].remoteHtlcSighash
}

/**
 * The HTLC transaction of one output, unsigned: HTLC-timeout if it was offered, HTLC-success if received.
 *
 * Where it pays no fee, inputs and outputs are added behind the first before the holder signs; the counterparty's
 * signature stays valid.
 */
export function htlcTransaction(commitment: Commitment, output: HtlcOutput): Transaction {
  const { version, sequence } = shape(commitment)
  return {
    version,
    inputs: [{ outpoint: { txid: commitment.txid, index: output.index }, sequence, witness: [] }],
    outputs: [{ amount: htlcTransactionAmount(commitment, output), script: p2wsh(commitment.delayedScript) }],
    locktime: locktimeOf(output),
  }
}

/** The witness of the first input of an HTLC transaction, from both signatures in compact form. */
export function htlcWitness(
  commitment: Commitment,
  output: HtlcOutput,
  signed: {
    readonly local: Uint8Array
    readonly remote: Uint8Array
    /** Of a received HTLC. */
    readonly preimage?: Uint8Array
  },
): readonly Uint8Array[] {
  if ((output.htlc.direction === 'received') !== (signed.preimage !== undefined)) {
    throw new PerkunasError('INVALID_ARGUMENT', 'a preimage goes with HTLC-success, and only with it', {
      argument: 'preimage',
    })
  }
  return [
    new Uint8Array(),
    witnessSignature(signed.remote, htlcSighash(commitment, 'remote')),
    witnessSignature(signed.local, htlcSighash(commitment, 'local')),
    signed.preimage ?? new Uint8Array(),
    output.witnessScript,
  ]
}

/**
 * The digests that one side signs, one for each HTLC output in its order.
 *
 * The transactions differ in a few fields only, so none is built: each digest is a change to the bytes of the one before.
 */
export function htlcDigests(commitment: Commitment, signer: HtlcSigner): readonly Uint8Array[] {
  if (commitment.htlcs.length === 0) return []
  const { txid } = commitment
  const script = p2wsh(commitment.delayedScript)
  const sighash = htlcSighash(commitment, signer)
  const { version, sequence } = shape(commitment)
  const point = new Uint8Array(36)
  const hashSequence = sequenceHash(sequence)
  const preimages = new Map<number, Preimage>()
  const outputHashes = new Map<bigint, Uint8Array>()
  return commitment.htlcs.map((output) => {
    const { witnessScript, amount } = output
    let preimage = preimages.get(witnessScript.length)
    if (preimage === undefined) {
      preimage = new Preimage(witnessScript.length)
      preimage.version(version)
      if (sighash === SIGHASH_ALL) preimage.hashSequence(hashSequence)
      preimages.set(witnessScript.length, preimage)
    }
    const outpoint = { txid, index: output.index }
    if (sighash === SIGHASH_ALL) {
      writeOutpoint(point, 0, outpoint)
      preimage.hashPrevouts(sha256d(point))
    }
    preimage.input(outpoint, { amount, scriptCode: witnessScript }, sequence)
    preimage.hashOutputs(outputHash(htlcTransactionAmount(commitment, output), script, outputHashes))
    preimage.end(locktimeOf(output), sighash)
    return preimage.digest()
  })
}

function shape({ params }: Commitment): { readonly version: number; readonly sequence: number } {
  const { version, oneBlockDelay } = FORMATS[params.format]
  return { version, sequence: oneBlockDelay ? 1 : 0 }
}

function locktimeOf({ htlc }: HtlcOutput): number {
  return htlc.direction === 'offered' ? htlc.cltvExpiry : 0
}

function sequenceHash(sequence: number): Uint8Array {
  const bytes = new Uint8Array(4)
  writeUint32(bytes, 0, sequence)
  return sha256d(bytes)
}

// Parts of one payment have equal amounts.
function outputHash(amount: Sat, script: Uint8Array, known: Map<bigint, Uint8Array>): Uint8Array {
  const found = known.get(amount)
  if (found !== undefined) return found
  const hash = sha256d(encodeOutputs([{ amount, script }]))
  known.set(amount, hash)
  return hash
}
