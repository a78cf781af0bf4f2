// What of a channel's money is ours, or may become it, and what that takes.
import { equalBytes } from '../../../channel/bytes.js'
import type { Sat } from '../units.js'
import { claimsOf, type HtlcOnChain, type OutputClaim } from './claims.js'
import { isSame } from './facts.js'
import type { Monitor, MonitorEnv } from './machine.js'
import type { FundingSpend } from './spend.js'
import { type ChainOutput, depthOf, type View, viewOf } from './view.js'

/** A part of the money, before the fees of what claims it. Heights are of blocks. */
export type ClaimableBalance =
  /** Ours if our newest commitment were on chain, its fee paid. HTLCs in flight are not in it. */
  | { readonly kind: 'onClose'; readonly amount: Sat }
  /** On its way to the wallet, or there: final at that height. */
  | { readonly kind: 'awaitingConfirmations'; readonly amount: Sat; readonly height: number }
  /** Ours and nobody else's, from that height on. */
  | { readonly kind: 'awaitingDelay'; readonly amount: Sat; readonly height: number }
  /** Ours by a preimage that we have, if it gets into a block before the peer's claim, possible after `deadline`. */
  | {
      readonly kind: 'contentious'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly deadline: number
    }
  /** We offered it: ours from that height on, unless the peer shows the preimage first. */
  | {
      readonly kind: 'maybeTimeout'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly height: number
    }
  /** The peer offered it: ours if we learn the preimage before that height. */
  | {
      readonly kind: 'maybePreimage'
      readonly amount: Sat
      readonly htlc: HtlcOnChain
      readonly height: number
    }
  /** The peer cheated: ours, before that height for certain if there is one. */
  | { readonly kind: 'punishable'; readonly amount: Sat; readonly deadline?: number }

/** All parts, in no order. What is in our own wallet is none of them: what we spent is, until it is final. */
export function balancesOf(monitor: Monitor, env: MonitorEnv): readonly ClaimableBalance[] {
  if (monitor.isResolved) return []
  const view = viewOf(monitor, env.signer(monitor.known.terms))
  if (view === undefined) return balancesOnClose(monitor, env)
  if (view.spend.kind === 'closing') return balancesOfClosing(view, env)
  return view.outputs.flatMap((output) => balanceOf(monitor, view, output, env) ?? [])
}

function balanceOf(
  { abandoned }: Monitor,
  { spend, outputs }: View,
  { claim, spent }: ChainOutput,
  { height, policy }: MonitorEnv,
): ClaimableBalance | undefined {
  const { amount, kind, outpoint } = claim
  if (kind === 'anchor' || abandoned.some((one) => isSame(one, outpoint))) return undefined
  if (spent === undefined) return balanceOfClaim(claim, spend.kind === 'revoked')
  // What it became is listed itself.
  if (spent.by === 'peer' || outputs.some(({ from }) => from === spent.fact)) return undefined
  if (depthOf(spent.fact, height) >= policy.finality) return undefined
  return { kind: 'awaitingConfirmations', amount, height: spent.fact.height + policy.finality - 1 }
}

function balanceOfClaim(claim: OutputClaim, isRevoked: boolean): ClaimableBalance {
  const { kind, amount, htlc, recipe, earliest, competitorAt } = claim
  if (isRevoked && kind !== 'toRemote') {
    return {
      kind: 'punishable',
      amount,
      ...(competitorAt === undefined ? {} : { deadline: competitorAt - 1 }),
    }
  }
  if (htlc === undefined) return { kind: 'awaitingDelay', amount, height: earliest }
  if (htlc.offerer === 'local') return { kind: 'maybeTimeout', amount, htlc, height: earliest }
  const height = competitorAt ?? htlc.cltvExpiry
  return recipe === undefined
    ? { kind: 'maybePreimage', amount, htlc, height }
    : { kind: 'contentious', amount, htlc, deadline: height - 1 }
}

/** As if our newest commitment, or else the peer's, were in the next block. */
function balancesOnClose({ known }: Monitor, env: MonitorEnv): readonly ClaimableBalance[] {
  const signer = env.signer(known.terms)
  const ours = known.holder.at(-1)
  const theirs = known.counterparty[0]
  let spend: FundingSpend
  if (ours !== undefined) {
    const commitment = signer.localCommitment(ours.state)
    const { signatures } = ours
    const point = signer.commitmentPoint(ours.state.number)
    spend = { kind: 'holderNewest', transaction: commitment.transaction, commitment, signatures, point }
  } else if (theirs !== undefined) {
    const commitment = signer.remoteCommitment(theirs.state, theirs.point)
    const { point } = theirs
    spend = { kind: 'counterpartyCurrent', transaction: commitment.transaction, commitment, point }
  } else return []
  const { outputs } = claimsOf(known, spend, env.height + 1)
  return outputs.flatMap((claim): readonly ClaimableBalance[] => {
    if (claim.kind === 'anchor') return []
    return claim.htlc === undefined
      ? [{ kind: 'onClose', amount: claim.amount }]
      : [balanceOfClaim(claim, false)]
  })
}

function balancesOfClosing(
  { fact }: View,
  { destination, height, policy }: MonitorEnv,
): readonly ClaimableBalance[] {
  if (depthOf(fact, height) >= policy.finality) return []
  const final = fact.height + policy.finality - 1
  return fact.transaction.outputs.flatMap(({ amount, script }) =>
    equalBytes(script, destination)
      ? [{ kind: 'awaitingConfirmations', amount, height: final } as const]
      : [],
  )
}
