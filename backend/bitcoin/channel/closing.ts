// What both forms of closing have in common: what each side gets, what is remembered, what is published.
//
// Every transaction that we sign may confirm, so each is told to the monitor in the step that signs it.

import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import {
  type Closing,
  type ClosingFunding,
  type ClosingShare,
  completeClosing,
  dustLimitOf,
  encodeTransaction,
  feeOf,
  type Transaction,
  transactionID,
  weightOf,
} from '../script/index.js'
import { type FeeratePerKw, type Sat, sat, toSat } from '../units.js'
import { viewOf } from './book.js'
import { signerOf } from './commitments.js'
import { LOCKTIME_SLACK, MAX_CLOSINGS } from './policy.js'
import type { ClosingProgress, Live } from './state.js'
import { type ChannelEnv, type Effect, type Step, tell } from './step.js'
import { fundingKeys } from './terms.js'

/** Weight of two signatures and the script of the funding output as a witness, marker and flag included. */
const WITNESS_WEIGHT = 2 + 1 + 1 + 2 * 73 + 1 + 71

/** The funding output as closings spend it, our key first. */
export function closingFunding({ terms }: Live): ClosingFunding {
  return { ...terms.funding, keys: fundingKeys(terms.local, terms.remote) }
}

/** What each side gets, and where. @throws PerkunasError INVALID_STATE before both said shutdown */
export function shares({ book, shutdown }: Live): {
  readonly local: ClosingShare
  readonly remote: ClosingShare
} {
  const { toLocal, toRemote } = viewOf(book, 'local')
  const { local, remote } = shutdown
  if (local === undefined || remote === undefined) {
    throw new PerkunasError('INVALID_STATE', 'both must have said shutdown', { rule: 'shutdown' })
  }
  return { local: { balance: toLocal, script: local }, remote: { balance: toRemote, script: remote } }
}

/** What a closing transaction costs with both outputs. */
export function closingFee(live: Live, feerate: FeeratePerKw): Sat {
  const { local, remote } = shares(live)
  const outputs = [local, remote].map(({ script }) => ({ amount: sat(dustLimitOf(script)), script }))
  const inputs = [{ outpoint: live.terms.funding.outpoint, sequence: 0, witness: [] }]
  const bytes = encodeTransaction({ version: 2, inputs, outputs, locktime: 0 }).length
  return feeOf(feerate, 4 * bytes + WITNESS_WEIGHT)
}

/**
 * Our signature.
 *
 * @param given our side's name in the closing, and what of the fee is ours; an output that is left out is given away whole
 */
export function signOurs<S extends string>(
  live: Live,
  closing: Closing<S>,
  given: { readonly side: S; readonly fee: Sat },
  env: ChannelEnv,
): Uint8Array {
  const { balance } = shares(live).local
  const isThere = closing.owners.includes(given.side)
  const fee = isThere ? given.fee : toSat(balance)
  return signerOf(live.terms, env).signClosing(live.signer, { closing, side: given.side, balance, fee })
}

/**
 * What follows from the signatures of both: the transaction is published, and of several the one that pays most settles how
 * the channel ends. One that no node relays settles nothing: it is known, since it may confirm some day, and that is all.
 */
export function completed(
  live: Live,
  { closing, isOurs }: { readonly closing: Closing<string>; readonly isOurs: boolean },
  signatures: { readonly local: Uint8Array; readonly remote: Uint8Array },
  { height }: Pick<ChannelEnv, 'height'>,
): Omit<Step, 'handoffs'> & { readonly next: Live } {
  const transaction = completeClosing(closing, [signatures.local, signatures.remote])
  const { complete } = live.closing
  const isSame =
    complete !== undefined && equalBytes(transactionID(complete), transactionID(closing.transaction))
  const signed = live.closing.signed + (isSame ? 0 : 1)
  if (!isRelayed(live, transaction, height)) {
    return {
      next: { ...live, closing: { ...live.closing, signed } },
      monitor: [{ kind: 'closing', transaction: closing.transaction, isComplete: false }],
      effects: [],
    }
  }
  const isBest = complete === undefined || isSame || paysMore(live, transaction, complete)
  const progress: ClosingProgress = {
    ...live.closing,
    signed,
    complete: isBest ? transaction : complete,
  }
  // The peer gets no more time by replacing its own.
  const isNewOfOurs = isBest && isOurs && !isSame
  const patience =
    live.patience?.closing === undefined || isNewOfOurs
      ? { ...live.patience, closing: height }
      : live.patience
  const effects: readonly Effect[] = [
    { kind: 'publish', what: 'closing', transaction },
    ...(isSame ? [] : [tell({ kind: 'closing', transaction } as const)]),
  ]
  return {
    next: { ...live, closing: progress, patience },
    monitor: [{ kind: 'closing', transaction, isComplete: true }],
    effects,
  }
}

/** Whether nodes take it now: a satoshi for each virtual byte, and no lock time beyond the next blocks. */
function isRelayed(live: Live, transaction: Transaction, height: number): boolean {
  const isFinal = transaction.locktime <= height + LOCKTIME_SLACK
  return isFinal && 4n * feePaid(live, transaction) >= BigInt(weightOf(transaction))
}

function paysMore(live: Live, one: Transaction, other: Transaction): boolean {
  const weight = (transaction: Transaction) => BigInt(weightOf(transaction))
  return feePaid(live, one) * weight(other) > feePaid(live, other) * weight(one)
}

/** What goes to the miners, outputs that were left out included. */
export function feePaid({ terms }: Live, { outputs }: Transaction): bigint {
  return outputs.reduce((left: bigint, { amount }) => left - amount, terms.capacity)
}

/** Whether the peer has had us sign as many as we remember: there is no end of replacements. */
export function hasSignedEnough({ closing }: Live): boolean {
  return closing.signed >= MAX_CLOSINGS
}
