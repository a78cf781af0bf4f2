// Signing and verifying a commitment and all of its HTLC transactions.
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import type { Commitment, HtlcOutput } from './commitment.js'
import { htlcDigests, htlcTransaction, htlcWitness } from './htlc.js'
import { compareBytes } from './scripts.js'
import { witnessDigest } from './sighash.js'
import { SIGHASH_ALL, witnessSignature } from './signature.js'
import { type Transaction, withWitness } from './transaction.js'

/** What commitment_signed carries: compact signatures, 64 bytes each. */
export interface CommitmentSignatures {
  readonly signature: Uint8Array
  /** One for each HTLC output, in their order. */
  readonly htlcSignatures: readonly Uint8Array[]
}

/** Why signatures were refused. */
export type SignatureFault =
  | { readonly kind: 'commitment' }
  | { readonly kind: 'count'; readonly expected: number; readonly actual: number }
  /** `index` in the order of HTLC outputs. */
  | { readonly kind: 'htlc'; readonly index: number }

/** The digest that both sides sign for the funding output. */
export function commitmentDigest({ params, transaction, fundingScript }: Commitment): Uint8Array {
  return witnessDigest(transaction, 0, { amount: params.funding.amount, scriptCode: fundingScript })
}

/**
 * Signs a commitment as its holder's counterparty: what goes into commitment_signed.
 *
 * @param secrets the counterparty's: of `remoteFunding` and `remoteHtlc`
 */
export function signCommitment(
  commitment: Commitment,
  secrets: { readonly funding: Uint8Array; readonly htlc: Uint8Array },
): CommitmentSignatures {
  return {
    signature: secp256k1.sign(commitmentDigest(commitment), secrets.funding).signature,
    htlcSignatures: htlcDigests(commitment, 'remote').map(
      (digest) => secp256k1.sign(digest, secrets.htlc).signature,
    ),
  }
}

/**
 * Checks the counterparty's signatures on a commitment, as its holder: that of the commitment, then each HTLC's.
 *
 * @returns the first fault, or undefined if all are good
 */
export function faultOfSignatures(
  commitment: Commitment,
  { signature, htlcSignatures }: CommitmentSignatures,
): SignatureFault | undefined {
  const { keys } = commitment.params
  const expected = commitment.htlcs.length
  if (htlcSignatures.length !== expected) {
    return { kind: 'count', expected, actual: htlcSignatures.length }
  }
  if (!secp256k1.verify(signature, commitmentDigest(commitment), keys.remoteFunding)) {
    return { kind: 'commitment' }
  }
  if (expected === 0) return undefined
  if (!secp256k1.isPoint(keys.remoteHtlc)) return { kind: 'htlc', index: 0 }
  // Decompressed once, which costs about a tenth of a verification.
  const key = secp256k1.decompress(keys.remoteHtlc)
  const digests = htlcDigests(commitment, 'remote')
  const index = digests.findIndex((digest, i) => {
    const one = htlcSignatures[i]
    return one === undefined || !secp256k1.verify(one, digest, key)
  })
  return index < 0 ? undefined : { kind: 'htlc', index }
}

/** The holder's own signature on its commitment. Who has it and the counterparty's can publish. */
export function signOwnCommitment(commitment: Commitment, fundingSecret: Uint8Array): Uint8Array {
  return secp256k1.sign(commitmentDigest(commitment), fundingSecret).signature
}

/** The transaction with both signatures (compact), ready for the chain. */
export function completeCommitment(
  commitment: Commitment,
  signatures: { readonly local: Uint8Array; readonly remote: Uint8Array },
): Transaction {
  const { localFunding, remoteFunding } = commitment.params.keys
  const witness = fundingWitness(commitment.fundingScript, [
    { key: localFunding, signature: signatures.local },
    { key: remoteFunding, signature: signatures.remote },
  ])
  return withWitness(commitment.transaction, 0, witness)
}

/** The witness that spends a funding output: signatures in the order of the keys. */
export function fundingWitness(
  script: Uint8Array,
  signers: readonly { readonly key: Uint8Array; readonly signature: Uint8Array }[],
): readonly Uint8Array[] {
  return [
    new Uint8Array(),
    ...[...signers]
      .sort((a, b) => compareBytes(a.key, b.key))
      .map(({ signature }) => witnessSignature(signature, SIGHASH_ALL)),
    script,
  ]
}

/** How an HTLC transaction is completed. */
export interface HtlcCompletion {
  /** The counterparty's compact signature. */
  readonly remote: Uint8Array
  /** Of a received HTLC. */
  readonly preimage?: Uint8Array
  /** Adds inputs and outputs that pay the fee where the form lets HTLC transactions pay none. */
  readonly extend?: (tx: Transaction) => Transaction
  /** Where its input and output are in what `extend` gives: 0 if absent. Others may stand there alike. */
  readonly at?: number
}

/**
 * The holder's complete HTLC transaction; of several that are one, with the witness of this one.
 *
 * @param given with the holder's secret of `localHtlc`
 * @throws PerkunasError INVALID_ARGUMENT if `extend` touches what the counterparty signed
 */
export function completeHtlcTransaction(
  commitment: Commitment,
  output: HtlcOutput,
  given: HtlcCompletion & { readonly htlcSecret: Uint8Array },
): Transaction {
  const plain = htlcTransaction(commitment, output)
  const tx = given.extend?.(plain) ?? plain
  const { at = 0 } = given
  if (!isKept(plain, tx, at)) {
    throw new PerkunasError('INVALID_ARGUMENT', 'what the counterparty signed must stay as it is', {
      argument: 'extend',
    })
  }
  const digest = witnessDigest(tx, at, { amount: output.amount, scriptCode: output.witnessScript })
  const local = secp256k1.sign(digest, given.htlcSecret).signature
  return withWitness(
    tx,
    at,
    htlcWitness(commitment, output, {
      local,
      remote: given.remote,
      ...(given.preimage === undefined ? {} : { preimage: given.preimage }),
    }),
  )
}

/** Whether a transaction has the input and the output of another one at the same place. */
function isKept(plain: Transaction, tx: Transaction, at: number): boolean {
  const [input, output] = [plain.inputs[0], plain.outputs[0]]
  const [actual, paid] = [tx.inputs[at], tx.outputs[at]]
  if (input === undefined || output === undefined || actual === undefined || paid === undefined) return false
  return (
    actual.outpoint.index === input.outpoint.index &&
    equalBytes(actual.outpoint.txid, input.outpoint.txid) &&
    actual.sequence === input.sequence &&
    paid.amount === output.amount &&
    equalBytes(paid.script, output.script) &&
    tx.locktime === plain.locktime &&
    tx.version === plain.version
  )
}
