// What may be spent on getting what is ours, out of what it is worth. Of an HTLC's satoshis
//
//     a quarter   gets the commitment confirmed that has it (`commitmentMillionths`): the child at our anchor
//     a half      claims its output of that commitment (`budgetMillionths`)
//     a quarter   sweeps what its HTLC transaction pays, once the delay is over (`sweepMillionths`)
//
// so that nobody who makes us go on chain for an HTLC makes us pay more for it than it is worth: the three are never more
// than all of it. Where a step is not needed, its part is spent in the last blocks before somebody else may take the output,
// when not to spend it is to leave it to them: all of a penalty, and of an HTLC that the peer's commitment pays at once all
// but the part of the commitment. What only we can take, balances and what an HTLC transaction pays, has no such blocks.
// A commitment may cost us `closeMillionths` of our balance in it besides, which is all for one that has no HTLCs.
//
// Within its budget a price follows the time that is left (see price.ts). That depends on who is lost to:
//
//     received, we have the preimage     the peer takes it back after its expiry: until then
//     offered, for one that came in      whoever sent us that one takes it back after its expiry: early enough before that for
//                                        a preimage that the peer shows at the last to be used there
//     offered, a payment of our own      nobody. If the peer takes it with the preimage, late as it is, what we wanted to pay
//                                        is paid. It pays what the estimator says, in no haste
//     revoked                            the peer takes it after its delay: until then
//
// What all replacements of a transaction cost together: each takes an output that the one before it took as well, all those
// that are left, so no two of them get into blocks, and what is not in a block costs nothing. The sum is the fee of the one
// that did, and that is at most the budget of what it takes, as it was when it was made. Parts that a stranger took make the
// budget of what is left smaller, and its fee with it, even below what was offered before. A commitment's own fee is no part
// of this: both agreed on it while the channel was open, and its opener pays it.
import type { OutputClaim } from '../monitor/claims.js'
import type { Claim } from '../script/index.js'
import { type Sat, sat } from '../units.js'
import type { ResolverPolicy } from './policy.js'

/** What of an output its budget depends on. */
export interface Stake extends Pick<OutputClaim, 'kind' | 'amount'> {
  readonly recipe:
    | { readonly kind: 'claim'; readonly claim: Pick<Claim, 'kind'> }
    | { readonly kind: 'htlcTransaction' }
}

/**
 * The most that the fees of one transaction that takes these outputs may be.
 *
 * @param isLast in the last blocks before somebody else may take them
 */
export function claimBudget(stakes: readonly Stake[], isLast: boolean, policy: ResolverPolicy): Sat {
  const parts = stakes.map((stake) => millionthsOf(stake.amount, shareOf(stake, isLast, policy)))
  return sat(parts.reduce((sum, part) => sum + part, 0n))
}

/**
 * The most that our child of a commitment may pay.
 *
 * @param htlcs what its HTLCs bring us @param balance what else it pays us after a delay
 */
export function commitmentBudget(
  { htlcs, balance }: { readonly htlcs: bigint; readonly balance: bigint },
  { commitmentMillionths, closeMillionths }: ResolverPolicy,
): Sat {
  return sat(millionthsOf(htlcs, commitmentMillionths) + millionthsOf(balance, closeMillionths))
}

function shareOf(
  { kind, recipe }: Stake,
  isLast: boolean,
  { budgetMillionths, commitmentMillionths, sweepMillionths }: ResolverPolicy,
): number {
  if (recipe.kind === 'claim' && recipe.claim.kind === 'penalty') return isLast ? MILLION : budgetMillionths
  if (kind === 'secondLevel') return sweepMillionths
  const isAtOnce = kind === 'htlc' && recipe.kind === 'claim'
  return isAtOnce && isLast ? MILLION - commitmentMillionths : budgetMillionths
}

function millionthsOf(amount: bigint, millionths: number): bigint {
  return (amount * BigInt(millionths)) / BigInt(MILLION)
}

const MILLION = 1_000_000
