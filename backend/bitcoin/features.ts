// BOLT 9: what a node, a channel or an invoice can do, as bits. Sets are the bitmaps that messages hold: big-endian, bit 0
// the lowest of the last byte. Each feature has two bits: the even one demands it, the odd one offers it.
import { demandNames } from '../../channel/arguments.js'
import { PerkunasError } from '../../channel/errors.js'
import { bitmapOf, bitsOf, hasBit } from '../../peer/wire/bits.js'

export { bitmapOf, bitsOf, hasBit, unionOf } from '../../peer/wire/bits.js'

/**
 * Where a feature may be shown: `init`, `node` and `channel` announcements, `invoice` (BOLT 11), `offer` (BOLT 12: offers
 * and requests), `offer invoice` (BOLT 12: invoices), `blinded` (what a blinded path allows), `channel type`.
 */
export type FeatureContext =
  | 'init'
  | 'node'
  | 'channel'
  | 'invoice'
  | 'offer'
  | 'offer invoice'
  | 'blinded'
  | 'channel type'

/** What is known of a feature. */
export interface Feature {
  /** Its even bit; the odd one is the next. */
  readonly bit: number
  readonly contexts: readonly FeatureContext[]
  /** Features that whoever shows this one must show too. */
  readonly needs: readonly FeatureName[]
  /** Every node has it. It need not be shown, but still may, in `contexts`: older nodes ask for it. */
  readonly assumed?: true
  /** Not in the specification yet: the number of its pull request. Never shown unless asked for by name. */
  readonly proposal?: number
}

/** Features by their names in the specification. */
export type FeatureName =
  | 'option_data_loss_protect'
  | 'option_upfront_shutdown_script'
  | 'gossip_queries'
  | 'var_onion_optin'
  | 'gossip_queries_ex'
  | 'option_static_remotekey'
  | 'payment_secret'
  | 'basic_mpp'
  | 'option_support_large_channel'
  | 'option_anchors'
  | 'option_route_blinding'
  | 'option_shutdown_anysegwit'
  | 'option_dual_fund'
  | 'option_quiesce'
  | 'option_attribution_data'
  | 'option_onion_messages'
  | 'zero_fee_commitments'
  | 'option_provide_storage'
  | 'option_channel_type'
  | 'option_scid_alias'
  | 'option_payment_metadata'
  | 'option_zeroconf'
  | 'trampoline_routing'
  | 'option_simple_close'
  | 'option_splice'
  | 'option_simple_taproot'

const PEERS = ['init', 'node'] as const
const PEERS_AND_INVOICES = ['init', 'node', 'invoice'] as const
const PEERS_AND_TYPES = ['init', 'node', 'channel type'] as const

/** All features, by bit. */
export const FEATURES: Readonly<Record<FeatureName, Feature>> = {
  option_data_loss_protect: { bit: 0, contexts: PEERS, needs: [], assumed: true },
  option_upfront_shutdown_script: { bit: 4, contexts: PEERS, needs: [] },
  gossip_queries: { bit: 6, contexts: PEERS, needs: [] },
  var_onion_optin: { bit: 8, contexts: PEERS_AND_INVOICES, needs: [], assumed: true },
  gossip_queries_ex: { bit: 10, contexts: PEERS, needs: [] },
  option_static_remotekey: { bit: 12, contexts: PEERS_AND_TYPES, needs: [], assumed: true },
  payment_secret: { bit: 14, contexts: PEERS_AND_INVOICES, needs: [], assumed: true },
  basic_mpp: { bit: 16, contexts: [...PEERS_AND_INVOICES, 'offer invoice'], needs: ['payment_secret'] },
  option_support_large_channel: { bit: 18, contexts: PEERS, needs: [] },
  option_anchors: { bit: 22, contexts: PEERS_AND_TYPES, needs: [] },
  option_route_blinding: { bit: 24, contexts: PEERS_AND_INVOICES, needs: [] },
  option_shutdown_anysegwit: { bit: 26, contexts: PEERS, needs: [] },
  option_dual_fund: { bit: 28, contexts: PEERS, needs: [] },
  option_quiesce: { bit: 34, contexts: PEERS, needs: [] },
  option_attribution_data: { bit: 36, contexts: PEERS_AND_INVOICES, needs: [] },
  option_onion_messages: { bit: 38, contexts: PEERS, needs: [] },
  zero_fee_commitments: {
    bit: 40,
    contexts: PEERS_AND_TYPES,
    needs: ['option_channel_type'],
    proposal: 1228,
  },
  option_provide_storage: { bit: 42, contexts: PEERS, needs: [] },
  option_channel_type: { bit: 44, contexts: PEERS, needs: [], assumed: true },
  option_scid_alias: { bit: 46, contexts: PEERS_AND_TYPES, needs: [] },
  option_payment_metadata: { bit: 48, contexts: ['invoice'], needs: [] },
  option_zeroconf: { bit: 50, contexts: PEERS_AND_TYPES, needs: ['option_scid_alias'] },
  trampoline_routing: { bit: 56, contexts: PEERS_AND_INVOICES, needs: [], proposal: 836 },
  option_simple_close: { bit: 60, contexts: PEERS, needs: ['option_shutdown_anysegwit'] },
  option_splice: { bit: 62, contexts: PEERS, needs: [] },
  option_simple_taproot: {
    bit: 80,
    contexts: PEERS_AND_TYPES,
    needs: ['option_channel_type', 'option_simple_close'],
    proposal: 995,
  },
}

/** Names of all features, by bit. */
export const FEATURE_NAMES: readonly FeatureName[] = (Object.keys(FEATURES) as FeatureName[]).sort(
  (a, b) => FEATURES[a].bit - FEATURES[b].bit,
)

/** How a feature is shown: its even bit, or its odd one alone. */
export type Demand = 'required' | 'optional'

/** What somebody has: for each feature whether others must have it too. Absent: it does not have it. */
export type FeaturePolicy = Readonly<Partial<Record<FeatureName, Demand>>>

/** Why a set of features can't be accepted. */
export type FeatureFault =
  | { readonly kind: 'unknown required'; readonly bit: number }
  | { readonly kind: 'missing dependency'; readonly feature: FeatureName; readonly needs: FeatureName }

/** How a bitmap shows a feature; with both bits set it is required. */
export function demandOf(bitmap: Uint8Array, feature: FeatureName): Demand | undefined {
  const { bit } = FEATURES[feature]
  if (hasBit(bitmap, bit)) return 'required'
  return hasBit(bitmap, bit + 1) ? 'optional' : undefined
}

/** Whether whoever shows `bitmap` has a feature: it shows it, or everybody has it. */
export function offers(bitmap: Uint8Array, feature: FeatureName): boolean {
  return FEATURES[feature].assumed === true || demandOf(bitmap, feature) !== undefined
}

/**
 * What to show in one place: the bits of those features of a policy that belong there.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the policy has a feature that nobody knows, or one without one that it needs
 */
export function featuresFor(context: FeatureContext, policy: FeaturePolicy): Uint8Array {
  demandNames(policy, FEATURES, 'features')
  const bits: number[] = []
  for (const name of FEATURE_NAMES) {
    const demand = policy[name]
    if (demand === undefined) continue
    const { bit, contexts, needs } = FEATURES[name]
    for (const needed of needs) {
      if (policy[needed] !== undefined || FEATURES[needed].assumed) continue
      throw new PerkunasError('INVALID_ARGUMENT', `features: ${name} needs ${needed}`, {
        argument: 'features',
      })
    }
    if (contexts.includes(context)) bits.push(demand === 'required' ? bit : bit + 1)
  }
  return bitmapOf(bits)
}

/**
 * Why we can't go on with whoever shows `bitmap`: it demands what we don't have, or lacks what another of its features
 * needs. From a peer: close the connection; of a node or channel: don't route through it; of an invoice: don't pay it.
 *
 * @param ours what we have, in any context
 */
export function faultOfFeatures(bitmap: Uint8Array, ours: FeaturePolicy): FeatureFault | undefined {
  for (const bit of bitsOf(bitmap)) {
    if (bit % 2 === 0 && !has(ours, bit)) return { kind: 'unknown required', bit }
  }
  for (const feature of FEATURE_NAMES) {
    if (demandOf(bitmap, feature) === undefined) continue
    for (const needs of FEATURES[feature].needs) {
      if (!offers(bitmap, needs)) return { kind: 'missing dependency', feature, needs }
    }
  }
  return undefined
}

const BY_BIT = new Map(FEATURE_NAMES.map((name) => [FEATURES[name].bit, name]))

function has(ours: FeaturePolicy, bit: number): boolean {
  const name = BY_BIT.get(bit)
  return name !== undefined && (FEATURES[name].assumed === true || ours[name] !== undefined)
}

/**
 * The features that a connection has, after {@link faultOfFeatures} found nothing: those that both sides offer, and those
 * that we demand, for the other side stayed (BOLT 1, "The `init` Message").
 *
 * @param ours what we sent in `init`
 * @param theirs the union of both bitmaps of their `init`
 */
export function negotiate(ours: Uint8Array, theirs: Uint8Array): ReadonlySet<FeatureName> {
  return new Set(
    FEATURE_NAMES.filter(
      (name) => (offers(ours, name) && offers(theirs, name)) || demandOf(ours, name) === 'required',
    ),
  )
}
