// What it is that spent the funding output (BOLT 5, "Mutual Close Handling", "Unilateral Close Handling", "Revoked
// Transaction Close Handling").
//
// Known transactions are recognized by their ID; a revoked or a later one by the number in its lock time and sequence,
// which the peer can't choose, since we signed it.
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { commitmentPoint, findCommitmentSecret, type Signer } from '../keys/index.js'
import {
  type Commitment,
  type CommitmentSignatures,
  commitmentNumberOf,
  obscuringFactor,
  type PublishedCommitment,
  type Transaction,
  transactionID,
} from '../script/index.js'
import { isSame } from './facts.js'
import { readCommitment } from './published.js'
import type { MonitorTerms } from './record.js'
import { type MonitorState, type RevokedHtlc, revokedOf } from './state.js'

/** Each way to spend a funding output, with what is needed to claim what is ours. */
export type FundingSpend = { readonly transaction: Transaction } & (
  | {
      readonly kind: 'holderNewest' | 'holderPrevious'
      readonly commitment: Commitment
      readonly signatures: CommitmentSignatures
      readonly point: Uint8Array
    }
  | {
      readonly kind: 'counterpartyCurrent' | 'counterpartyNext'
      readonly commitment: Commitment
      readonly point: Uint8Array
    }
  | { readonly kind: 'revoked'; readonly commitment: PublishedCommitment; readonly point: Uint8Array }
  /** Of a number that the peer has not got from us as far as we know: we lost data. */
  | { readonly kind: 'future'; readonly number: bigint }
  /** One of those that we signed. */
  | { readonly kind: 'closing' }
  /** To be told to people. The number is there if it may be a commitment. */
  | { readonly kind: 'unknown'; readonly number?: bigint }
)

/** Builds what the monitor knows. */
export type CommitmentBuilder = Pick<Signer, 'commitmentPoint' | 'localCommitment' | 'remoteCommitment'>

/** The number that a transaction has if it is a commitment of the channel: then its row of HTLCs is wanted. */
export function numberOfSpend({ setup, basepoints }: MonitorTerms, tx: Transaction): bigint | undefined {
  const [opener, accepter] =
    setup.opener === 'local' ? [basepoints, setup.remote] : [setup.remote, basepoints]
  return commitmentNumberOf(tx, obscuringFactor(opener.payment, accepter.payment))
}

/**
 * Classifies a transaction.
 *
 * @param revokedHtlcs what the table of revoked commitments says to {@link numberOfSpend}; empty if nothing
 * @throws PerkunasError INVALID_ARGUMENT if it does not spend the funding output
 */
export function classifySpend(
  state: MonitorState,
  transaction: Transaction,
  {
    builder,
    revokedHtlcs,
  }: { readonly builder: CommitmentBuilder; readonly revokedHtlcs: readonly RevokedHtlc[] },
): FundingSpend {
  const { terms } = state
  if (!transaction.inputs.some(({ outpoint }) => isSame(outpoint, terms.funding.outpoint))) {
    throw new PerkunasError('INVALID_ARGUMENT', 'a transaction that spends the funding output expected', {
      argument: 'transaction',
    })
  }
  const txid = transactionID(transaction)
  if (state.closings.some((one) => equalBytes(transactionID(one), txid))) {
    return { kind: 'closing', transaction }
  }
  const number = numberOfSpend(terms, transaction)
  if (number === undefined) return { kind: 'unknown', transaction }

  for (const [i, { state: ours, signatures }] of state.holder.entries()) {
    if (ours.number !== number) continue
    const commitment = builder.localCommitment(ours)
    if (!equalBytes(commitment.txid, txid)) continue
    const kind = i === state.holder.length - 1 ? 'holderNewest' : 'holderPrevious'
    const point = builder.commitmentPoint(number)
    return { kind, transaction, commitment, signatures, point }
  }
  for (const [i, { state: theirs, point }] of state.counterparty.entries()) {
    if (theirs.number !== number) continue
    const commitment = builder.remoteCommitment(theirs, point)
    if (!equalBytes(commitment.txid, txid)) continue
    return { kind: i === 0 ? 'counterpartyCurrent' : 'counterpartyNext', transaction, commitment, point }
  }
  const secret = findCommitmentSecret(state.secrets, number)
  if (secret !== undefined) {
    const point = commitmentPoint(secret)
    const commitment = readCommitment(transaction, { terms, number, point, htlcs: revokedHtlcs })
    if (commitment !== undefined) return { kind: 'revoked', transaction, commitment, point }
  }
  // Ours of that number may be one that we lost too: what is ours in either is found by its script.
  const isLater = number >= revokedOf(state) + BigInt(state.counterparty.length)
  return { kind: isLater ? 'future' : 'unknown', transaction, number }
}
