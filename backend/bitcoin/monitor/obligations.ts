// By when a monitor must have got something into a block, for whoever decides when to be online.

import { CLAIM_BUFFER, EXPIRY_GRACE, WORTH_CLOSING } from '../channel/policy.js'
import { commitmentStakes } from '../resolver/commitment.js'
import type { Outpoint } from '../script/index.js'
import { type Msat, type Sat, toSat } from '../units.js'
import type { Monitor, MonitorEnv } from './machine.js'
import type { HtlcKey } from './record.js'
import { liveHtlcs, type MonitorState, preimageOf, revokedOf } from './state.js'
import { viewOf } from './view.js'

/** Something that is lost, or may be, from a block on. */
export type ChainObligation =
  /** Look at the chain at least once in so many blocks: the peer may have published what it revoked. */
  | { readonly kind: 'watch'; readonly within: number }
  /** Our commitment must be in a block by then, so that its HTLCs can be claimed in time. */
  | { readonly kind: 'commitment'; readonly height: number; readonly value: Sat }
  /** The output must be spent by us by then. */
  | {
      readonly kind: 'claim'
      /** What gives it to us: that it was revoked, the preimage, or that its time is over. */
      readonly by: 'penalty' | 'preimage' | 'timeout'
      readonly height: number
      readonly outpoint: Outpoint
      readonly value: Sat
      /** The HTLC that it is, where that is known. */
      readonly htlc?: HtlcKey
    }

/** All that there are, the soonest first; what has no height comes before. */
export function obligationsOf(monitor: Monitor, env: MonitorEnv): readonly ChainObligation[] {
  const { known, isResolved } = monitor
  if (isResolved) return []
  const view = viewOf(monitor, env.signer(known.terms))
  if (view === undefined) {
    const within = known.terms.setup.toSelfDelay.remote
    const watch: readonly ChainObligation[] = revokedOf(known) > 0n ? [{ kind: 'watch', within }] : []
    const stakes = commitmentStakes(known, env)
    if (stakes?.due === undefined) return watch
    return [...watch, { kind: 'commitment', height: stakes.due, value: stakes.value }]
  }
  return view.outputs
    .flatMap(({ claim, spent }): readonly (ChainObligation & { readonly kind: 'claim' })[] => {
      const { kind, recipe, deadline, outpoint, amount, htlc } = claim
      if (spent !== undefined || kind === 'anchor' || recipe === undefined || deadline === undefined)
        return []
      const isTimeout = htlc?.offerer === 'local'
      const by = view.spend.kind === 'revoked' ? 'penalty' : isTimeout ? 'timeout' : 'preimage'
      const which = htlc?.id === undefined ? {} : { htlc: { offerer: htlc.offerer, id: htlc.id } }
      return [{ kind: 'claim', by, height: deadline, outpoint, value: amount, ...which }]
    })
    .sort((a, b) => a.height - b.height)
}

/**
 * By when our commitment should have been published for each HTLC that is worth it, if it is not: as the channel itself has it,
 * see `obligations` in channel/expiry.ts.
 */
export function deadlinesOf(
  known: MonitorState,
): readonly { readonly height: number; readonly amount: Msat }[] {
  return liveHtlcs(known).flatMap((htlc) => {
    const { offerer, amount, cltvExpiry } = htlc
    if (toSat(amount) < WORTH_CLOSING) return []
    const isKnown = preimageOf(known, htlc) !== undefined
    if (offerer === 'local') return isKnown ? [] : [{ height: cltvExpiry + EXPIRY_GRACE, amount }]
    return isKnown ? [{ height: cltvExpiry - CLAIM_BUFFER, amount }] : []
  })
}
