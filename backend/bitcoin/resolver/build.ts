// The transactions of attempts. Three ways to pay: from what is claimed, from an HTLC as the peer signed it, and from the
// wallet's coins, whose inputs are left for the wallet to sign.

import type { CommitmentOnChain, Signer, SignerState } from '../keys/index.js'
import type { Recipe } from '../monitor/claims.js'
import {
  buildClaimTransaction,
  type Claim,
  type Commitment,
  claimTransactionWeight,
  claimWeight,
  dustLimitOf,
  encodeWithoutWitness,
  FORMATS,
  feeOf,
  htlcFee,
  htlcTransaction,
  type Transaction,
  type TransactionInput,
  type TransactionOutput,
  weightOf,
  withWitness,
} from '../script/index.js'
import { type FeeratePerKw, type Sat, sat } from '../units.js'

import type { Published, WalletCoin } from './attempt.js'
import { RELAY_STEP, rateOf } from './price.js'

/** Who signs what is ours. */
export interface Keys {
  readonly signer: Signer
  readonly record: SignerState
  /** Of the commitment on chain. */
  readonly onChain: CommitmentOnChain
}

/** An HTLC that is claimed by its own transaction. */
export type HtlcRecipe = Recipe & { readonly kind: 'htlcTransaction' }

/** A transaction before it is paid for. */
export interface Draft {
  readonly version: number
  readonly locktime: number
  readonly inputs: readonly TransactionInput[]
  /** What they spend. */
  readonly spent: readonly TransactionOutput[]
  readonly outputs: readonly TransactionOutput[]
  /** Of their witnesses, bytes. */
  readonly witnesses: number
  /** What else is paid for, and what that pays itself. */
  readonly parent: { readonly weight: number; readonly fee: Sat }
  /** Of the HTLCs, or what the child is for. */
  readonly sign: (tx: Transaction) => Transaction
}

/** What the wallet gave. */
export interface Purse {
  readonly coins: readonly WalletCoin[]
  readonly change?: Uint8Array
}

/** A transaction whose own inputs are signed, and what all of its inputs spend. */
export interface Funded extends Published {
  readonly spent: readonly TransactionOutput[]
}

/** A script of 34 bytes: no wallet has a longer one. */
const LONGEST_SCRIPT = new Uint8Array(34)
const SIGNATURE_BYTES = 1 + 73
const COIN_SEQUENCE = 0xffff_fffd

/** Claims in one transaction that pays for itself, at the rate or at what they can afford; undefined below dust. */
export function claimed(
  claims: readonly Claim[],
  { to, feerate }: { readonly to: Uint8Array; readonly feerate: FeeratePerKw },
  { signer, record, onChain }: Keys,
): Published | undefined {
  const weight = claimTransactionWeight(claims, to)
  const most = rateOf(claims.reduce((sum, { amount }) => sum + amount, 0n) - dustLimitOf(to), weight)
  const rate = most < feerate ? most : feerate
  if (rate < RELAY_STEP) return undefined
  const tx = buildClaimTransaction({ claims, to, feerate: rate })
  const transaction = claims.reduce(
    (done, claim, i) => withWitness(done, i, signer.signClaim(record, tx, i, claim, onChain)),
    tx,
  )
  return { transaction, fee: feeOf(rate, weight), feerate: rate }
}

/** An HTLC transaction as the peer signed it, fee included. */
export function asSigned(recipe: HtlcRecipe, { signer, record }: Keys): Published {
  const { commitment, output, remote, preimage } = recipe
  const transaction = signer.signHtlc(publishedBy(record, commitment), commitment, output, {
    remote,
    ...(preimage === undefined ? {} : { preimage }),
  })
  const { format, feerate } = commitment.params
  return { transaction, fee: htlcFee(format, feerate, output.htlc.direction), feerate }
}

/** HTLC transactions that pay nothing, as one. */
export function htlcDraft(recipes: readonly HtlcRecipe[], keys: Keys): Draft {
  const plain = recipes.map(({ commitment, output }) => htlcTransaction(commitment, output))
  return {
    version: plain[0]?.version ?? 2,
    locktime: plain[0]?.locktime ?? 0,
    inputs: plain.flatMap(({ inputs }) => inputs),
    outputs: plain.flatMap(({ outputs }) => outputs),
    spent: recipes.map(({ output: { amount, script } }) => ({ amount, script })),
    witnesses: recipes.reduce((sum, { output: { witnessScript }, preimage }) => {
      return sum + 2 + 2 * SIGNATURE_BYTES + 1 + (preimage?.length ?? 0) + 1 + witnessScript.length
    }, 0),
    parent: { weight: 0, fee: sat(0n) },
    sign: (tx) =>
      recipes.reduce((done, { commitment, output, remote, preimage }, at) => {
        const record = publishedBy(keys.record, commitment)
        return keys.signer.signHtlc(record, commitment, output, {
          remote,
          at,
          extend: () => done,
          ...(preimage === undefined ? {} : { preimage }),
        })
      }, tx),
  }
}

/** The child of our commitment, by its anchor. @param parent the commitment, signed */
export function anchorDraft(
  anchor: Claim,
  {
    commitment,
    parent,
    script,
  }: { readonly commitment: Commitment; readonly parent: Transaction; readonly script: Uint8Array },
  { signer, record, onChain }: Keys,
): Draft {
  return {
    version: FORMATS[commitment.params.format].version,
    locktime: 0,
    inputs: [{ outpoint: anchor.outpoint, sequence: anchor.sequence, witness: [] }],
    outputs: [],
    spent: [{ amount: anchor.amount, script }],
    witnesses: claimWeight(anchor) - 4 * 41,
    parent: { weight: weightOf(parent), fee: commitment.fee },
    sign: (tx) => withWitness(tx, 0, signer.signClaim(record, tx, 0, anchor, onChain)),
  }
}

/** The weight of all that is paid for, with such coins and what is left of them. */
export function draftWeight(draft: Draft, { coins, change = LONGEST_SCRIPT }: Purse): number {
  return weightWith(draft, coins, [{ amount: sat(0n), script: change }]) + draft.parent.weight
}

/** What coins still have to bring in at a rate, after paying for themselves; zero or less if they do. */
export function missing(draft: Draft, purse: Purse, feerate: FeeratePerKw): bigint {
  const { change = LONGEST_SCRIPT } = purse
  const weight = draftWeight(draft, purse) - draft.parent.weight
  return feeFor(draft, feerate, weight) + dustLimitOf(change) - surplusOf(draft, purse)
}

/** The highest rate that such coins pay. */
export function affordable(draft: Draft, purse: Purse): FeeratePerKw {
  const { change = LONGEST_SCRIPT } = purse
  const total = surplusOf(draft, purse) - dustLimitOf(change) + draft.parent.fee
  return rateOf(total, draftWeight(draft, purse))
}

/** Pays for a draft at a rate that its coins afford, and signs what is ours. */
export function funded(
  draft: Draft,
  purse: Purse & { readonly change: Uint8Array },
  feerate: FeeratePerKw,
): Funded | undefined {
  const { coins, change } = purse
  const weight = weightWith(draft, coins, [{ amount: sat(0n), script: change }])
  const fee = feeFor(draft, feerate, weight)
  const left = surplusOf(draft, purse) - fee
  if (left < dustLimitOf(change)) return undefined
  const tx = withCoins(draft, coins, [{ amount: sat(left), script: change }])
  const spent = [...draft.spent, ...coins.map(({ amount, script }) => ({ amount, script }))]
  return { transaction: draft.sign(tx), fee: sat(fee), feerate, spent }
}

/** For both at the rate, and never less than what the child itself must pay. */
function feeFor({ parent }: Draft, feerate: FeeratePerKw, weight: number): bigint {
  const least = feeOf(RELAY_STEP, weight)
  const both = feeOf(feerate, weight + parent.weight)
  return both < parent.fee + least ? least : both - parent.fee
}

function surplusOf({ spent, outputs }: Draft, { coins }: Purse): bigint {
  const sum = (list: readonly { readonly amount: Sat }[]) =>
    list.reduce((total, { amount }) => total + amount, 0n)
  return sum(spent) + sum(coins) - sum(outputs)
}

function withCoins(
  { version, locktime, inputs, outputs }: Draft,
  coins: readonly WalletCoin[],
  more: readonly TransactionOutput[],
): Transaction {
  const added = coins.map(({ outpoint }) => ({ outpoint, sequence: COIN_SEQUENCE, witness: [] }))
  return { version, locktime, inputs: [...inputs, ...added], outputs: [...outputs, ...more] }
}

function weightWith(draft: Draft, coins: readonly WalletCoin[], more: readonly TransactionOutput[]): number {
  const witnesses = coins.reduce((sum, { weight }) => sum + weight - 4 * 41, draft.witnesses)
  return 4 * encodeWithoutWitness(withCoins(draft, coins, more)).length + 2 + witnesses
}

/** What is on chain, or is to be, is published, whoever did it. */
function publishedBy(record: SignerState, { params }: Commitment): SignerState {
  return { ...record, published: params.number }
}
