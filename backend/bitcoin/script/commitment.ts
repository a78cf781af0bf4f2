// A commitment transaction: who gets what if its holder publishes it (BOLT 3, "Commitment Transaction").
//
// "Local" is here, as in BOLT 3, the holder of the transaction and "remote" the counterparty, whichever of them we are.
import { PerkunasError } from '../../../channel/errors.js'
import { type FeeratePerKw, type Msat, type Sat, sat, toSat } from '../units.js'
import { type CommitmentKeys, type CommitmentScripts, commitmentScripts } from './commitment-scripts.js'
import {
  ANCHOR_AMOUNT,
  commitmentFee,
  type HtlcDirection,
  htlcFee,
  isTrimmed,
  SHARED_ANCHOR_MAX,
  trimThreshold,
} from './fees.js'
import { type CommitmentFormat, FORMATS } from './format.js'
import { obscure } from './number.js'
import { compareBytes, type HtlcScripts, P2A_SCRIPT, p2wsh } from './scripts.js'
import { type Outpoint, type Transaction, transactionID } from './transaction.js'

/** The output that a channel's transactions spend. */
export interface Funding {
  readonly outpoint: Outpoint
  readonly amount: Sat
}

/** An HTLC as the holder of a commitment sees it. */
export interface Htlc {
  readonly direction: HtlcDirection
  /** Unique among the HTLCs of its direction. */
  readonly id: bigint
  readonly amount: Msat
  /** 32 bytes. */
  readonly paymentHash: Uint8Array
  /** Block height. */
  readonly cltvExpiry: number
}

/** Everything that a commitment is made of. */
export interface CommitmentParams {
  readonly format: CommitmentFormat
  readonly number: bigint
  /** See `obscuringFactor`. */
  readonly obscuringFactor: bigint
  readonly funding: Funding
  readonly keys: CommitmentKeys
  /** Who pays fees and anchors. */
  readonly opener: 'local' | 'remote'
  /** Blocks that the holder must wait: what the counterparty demanded as to_self_delay. */
  readonly toSelfDelay: number
  /** Of the holder. */
  readonly dustLimit: Sat
  /** Zero where the form pays no fee. */
  readonly feerate: FeeratePerKw
  /** Balances without the HTLCs in flight, before fees and anchors. */
  readonly toLocal: Msat
  readonly toRemote: Msat
  readonly htlcs: readonly Htlc[]
}

/** An output and what it is for. */
export type CommitmentOutput = OutputBase &
  (
    | { readonly role: 'to_local'; readonly witnessScript: Uint8Array }
    /** Without witness script where the form pays to a key. */
    | { readonly role: 'to_remote'; readonly witnessScript?: Uint8Array }
    | { readonly role: 'local_anchor' | 'remote_anchor'; readonly witnessScript: Uint8Array }
    /** Pay-to-anchor. */
    | { readonly role: 'shared_anchor' }
    | HtlcRole
  )

/** An output that is an HTLC. */
export type HtlcOutput = OutputBase & HtlcRole

interface OutputBase {
  /** In the transaction. */
  readonly index: number
  readonly amount: Sat
  /** scriptPubKey. */
  readonly script: Uint8Array
}

interface HtlcRole {
  readonly role: 'htlc'
  readonly witnessScript: Uint8Array
  readonly htlc: Htlc
}

/** An output of a commitment that was read from the chain: of an HTLC its ID and exact amount are not known. */
export type PublishedOutput =
  | Exclude<CommitmentOutput, { readonly role: 'htlc' }>
  | (OutputBase & {
      readonly role: 'htlc'
      readonly witnessScript: Uint8Array
      readonly htlc: Pick<Htlc, 'direction' | 'paymentHash' | 'cltvExpiry'>
    })

/** What must be known of a commitment on chain to claim its outputs; every {@link Commitment} is one. */
export interface PublishedCommitment {
  readonly params: Pick<CommitmentParams, 'format' | 'number' | 'keys' | 'toSelfDelay'>
  readonly txid: Uint8Array
  readonly outputs: readonly PublishedOutput[]
  readonly delayedScript: Uint8Array
}

/** A commitment transaction with all that is known about it. */
export interface Commitment {
  readonly params: CommitmentParams
  /** Without witness. */
  readonly transaction: Transaction
  /** Of the transaction; signatures don't change it. */
  readonly txid: Uint8Array
  readonly fundingScript: Uint8Array
  /** In the order of the transaction. */
  readonly outputs: readonly CommitmentOutput[]
  /** Those of `outputs` that are HTLCs: the order of htlc_signature in commitment_signed. */
  readonly htlcs: readonly HtlcOutput[]
  readonly trimmed: readonly Htlc[]
  /** Witness script of the output of each HTLC transaction. */
  readonly delayedScript: Uint8Array
  /** What the miners get, trimmed outputs and fractions of satoshis included. */
  readonly fee: Sat
}

/**
 * Builds a commitment.
 *
 * An opener that can't afford the fee gives what it has (BOLT 3, "Fee Payment"); whether it may come to that is for the
 * channel to decide beforehand.
 *
 * @param scripts those of its keys, for whoever made them before
 * @throws PerkunasError INVALID_STATE if balances and HTLCs are not the funding amount, nothing is left to pay out, or
 *   the opener has not even enough for the anchors; INVALID_ARGUMENT for values out of their range
 */
export function buildCommitment(params: CommitmentParams, scripts?: CommitmentScripts): Commitment {
  check(params)
  const { format, funding, feerate, dustLimit } = params
  const rules = FORMATS[format]
  const { localAnchor, remoteAnchor, ...made } = scripts ?? commitmentScripts(params)

  const drafts: Draft[] = []
  const trimmed = draftHtlcs(params, made.htlcs, drafts)
  const htlcCount = drafts.length
  const cost =
    commitmentFee(format, feerate, htlcCount) + (rules.anchors === 'pair' ? 2n * ANCHOR_AMOUNT : 0n)
  const toLocal = afterCost(params.toLocal, params.opener === 'local' ? cost : 0n)
  const toRemote = afterCost(params.toRemote, params.opener === 'remote' ? cost : 0n)
  const hasLocal = toLocal >= dustLimit
  const hasRemote = toRemote >= dustLimit
  if (hasLocal) drafts.push({ role: 'to_local', amount: toLocal, ...made.toLocal })
  if (hasRemote) drafts.push({ role: 'to_remote', amount: toRemote, ...made.toRemote })
  if (localAnchor !== undefined && (hasLocal || htlcCount > 0))
    drafts.push({ role: 'local_anchor', amount: ANCHOR_AMOUNT, ...localAnchor })
  if (remoteAnchor !== undefined && (hasRemote || htlcCount > 0))
    drafts.push({ role: 'remote_anchor', amount: ANCHOR_AMOUNT, ...remoteAnchor })
  if (drafts.length === 0) throw invalid('no output is left: all balances are dust')
  if (rules.anchors === 'shared') {
    const rest = funding.amount - drafts.reduce((sum, { amount }) => sum + amount, 0n)
    const amount = rest < SHARED_ANCHOR_MAX ? sat(rest) : SHARED_ANCHOR_MAX
    drafts.push({ role: 'shared_anchor', amount, script: P2A_SCRIPT })
  }

  const outputs = drafts.sort(byOutputOrder).map((draft, index) => ({ ...draft, index }))
  const fee = funding.amount - outputs.reduce((sum, { amount }) => sum + amount, 0n)
  if (fee < 0n) throw invalid("the opener's balance does not pay for the anchors")
  const { locktime, sequence } = obscure(params.number, params.obscuringFactor)
  const transaction = {
    version: rules.version,
    inputs: [{ outpoint: funding.outpoint, sequence, witness: [] }],
    outputs: outputs.map(({ amount, script }) => ({ amount, script })),
    locktime,
  }
  return {
    params,
    transaction,
    txid: transactionID(transaction),
    fundingScript: made.funding,
    outputs,
    htlcs: outputs.filter((output): output is HtlcOutput => output.role === 'htlc'),
    trimmed,
    delayedScript: made.toLocal.witnessScript,
    fee: sat(fee),
  }
}

/** Amount of the output of an HTLC's own transaction. */
export function htlcTransactionAmount({ params }: Commitment, { amount, htlc }: HtlcOutput): Sat {
  return sat(amount - htlcFee(params.format, params.feerate, htlc.direction))
}

type WithoutIndex<T> = T extends unknown ? Omit<T, 'index'> : never
type Draft = WithoutIndex<CommitmentOutput>

/** Adds an output for each HTLC that is large enough; returns the others. */
function draftHtlcs(params: CommitmentParams, scripts: HtlcScripts, drafts: Draft[]): readonly Htlc[] {
  const { format } = params
  const thresholds = {
    offered: trimThreshold(format, params, 'offered'),
    received: trimThreshold(format, params, 'received'),
  }
  const trimmed: Htlc[] = []
  for (const htlc of params.htlcs) {
    if (isTrimmed(htlc.amount, thresholds[htlc.direction])) {
      trimmed.push(htlc)
      continue
    }
    const witnessScript =
      htlc.direction === 'offered'
        ? scripts.offered(htlc.paymentHash)
        : scripts.received(htlc.paymentHash, htlc.cltvExpiry)
    drafts.push({
      role: 'htlc',
      amount: toSat(htlc.amount),
      script: p2wsh(witnessScript),
      witnessScript,
      htlc,
    })
  }
  return trimmed
}

function afterCost(balance: Msat, cost: bigint): Sat {
  const rest = toSat(balance) - cost
  return sat(rest > 0n ? rest : 0n)
}

// BOLT 3, "Transaction Output Ordering": BIP 69, then expiry; then ID, so that it is the same however HTLCs are listed.
function byOutputOrder(a: Draft, b: Draft): number {
  if (a.amount !== b.amount) return a.amount < b.amount ? -1 : 1
  const difference = compareBytes(a.script, b.script)
  if (difference !== 0 || a.role !== 'htlc' || b.role !== 'htlc') return difference
  return a.htlc.cltvExpiry - b.htlc.cltvExpiry || (a.htlc.id < b.htlc.id ? -1 : 1)
}

function check(params: CommitmentParams): void {
  const { format, funding, toSelfDelay, feerate, toLocal, toRemote, htlcs } = params
  const { maxHtlcs, paysFee } = FORMATS[format]
  demand(toSelfDelay >= 0 && toSelfDelay <= 0xffff && Number.isInteger(toSelfDelay), 'toSelfDelay', '16 bits')
  demand(paysFee || feerate === 0, 'feerate', 'zero for this form of commitment')
  const offered = htlcs.reduce((count, { direction }) => (direction === 'offered' ? count + 1 : count), 0)
  demand(Math.max(offered, htlcs.length - offered) <= maxHtlcs, 'htlcs', `at most ${maxHtlcs} each way`)
  demand(funding.outpoint.txid.length === 32, 'txid', '32 bytes')
  for (const [name, key] of Object.entries(params.keys)) {
    demand(key instanceof Uint8Array && key.length === 33, name, 'a compressed public key')
  }
  let sum: bigint = toLocal + toRemote
  for (const { amount, paymentHash, cltvExpiry } of htlcs) {
    demand(paymentHash.length === 32, 'paymentHash', '32 bytes')
    demand(
      Number.isInteger(cltvExpiry) && cltvExpiry > 0 && cltvExpiry < 500_000_000,
      'cltvExpiry',
      'a block height below 500 000 000',
    )
    sum += amount
  }
  if (sum !== funding.amount * 1000n) {
    throw invalid(`balances and HTLCs are ${sum} msat of a funding of ${funding.amount} sat`)
  }
}

function demand(holds: boolean, argument: string, expected: string): void {
  if (!holds) throw new PerkunasError('INVALID_ARGUMENT', `${argument}: ${expected} expected`, { argument })
}

function invalid(rule: string): PerkunasError {
  return new PerkunasError('INVALID_STATE', rule, { rule })
}
