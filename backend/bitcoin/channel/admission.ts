// Whether there is room for another channel that a peer opens: an attempt costs its sender nothing, so channels that
// are opened and never funded are counted.
import type { Hex } from '../../../channel/bytes.js'
import { chosen, isCount, isOneOf } from '../figures.js'

/** A channel, as far as room is concerned. */
export interface Occupant {
  /** Node ID. */
  readonly peer: Hex
  readonly temporaryID: Hex
  /** Its funding has confirmed, or we paid for it. */
  readonly isFunded: boolean
}

/** How much room there is. */
export interface AdmissionLimits {
  /** Channels without a confirmed funding, for each peer. */
  readonly unfundedPerPeer: number
  /** Peers that have such a channel and no other. */
  readonly unfundedPeers: number
  /**
   * Of which channels with anchors, whose commitments pay little by themselves, the wallet must have coins to pay for a child:
   * others are refused while it lacks them. By default of those that are to be announced. Who takes the others without, as
   * phones do that are paid before they have any coin, is told how much is missing.
   */
  readonly anchorReserve: 'none' | 'announced' | 'all'
}

/** The defaults. */
export const ADMISSION_LIMITS: AdmissionLimits = {
  unfundedPerPeer: 4,
  unfundedPeers: 50,
  anchorReserve: 'announced',
}

/** A node's limits: the defaults, and what its user wants otherwise. @throws PerkunasError INVALID_ARGUMENT */
export function admissionLimits(wanted?: Partial<AdmissionLimits>): AdmissionLimits {
  return chosen('admission', { defaults: ADMISSION_LIMITS, wanted }, (limits) => ({
    unfundedPerPeer: isCount(limits.unfundedPerPeer, 0, MAX),
    unfundedPeers: isCount(limits.unfundedPeers, 0, MAX),
    anchorReserve: isOneOf(limits.anchorReserve, 'none', 'announced', 'all'),
  }))
}

/** More than there are. */
const MAX = 2 ** 32

/**
 * Why a channel can't be opened to us now; undefined if it can.
 *
 * A temporary ID is the peer's own: another peer may use the same at the same time, and both are kept apart by the peer.
 */
export function faultOfAdmission(
  all: Iterable<Occupant>,
  { peer, temporaryID }: Pick<Occupant, 'peer' | 'temporaryID'>,
  limits: AdmissionLimits = ADMISSION_LIMITS,
): string | undefined {
  let unfunded = 0
  let isKnown = false
  const waiting = new Set<Hex>()
  const known = new Set<Hex>()
  for (const one of all) {
    if (one.isFunded) known.add(one.peer)
    else waiting.add(one.peer)
    if (one.peer !== peer) continue
    if (one.temporaryID === temporaryID) return 'temporary_channel_id is in use'
    if (one.isFunded) isKnown = true
    else unfunded++
  }
  if (unfunded >= limits.unfundedPerPeer) return 'too many channels wait for their funding'
  if (isKnown || unfunded > 0) return undefined
  const strangers = [...waiting].filter((one) => !known.has(one)).length
  return strangers >= limits.unfundedPeers ? 'too many peers wait for their funding' : undefined
}
