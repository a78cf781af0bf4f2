// What a node shows of itself to its peers, and what it makes of what they show.
import type { Hex } from '../../../channel/bytes.js'
import type { Init } from '../../../peer/index.js'
import {
  bitmapOf,
  bitsOf,
  type FeatureName,
  type FeaturePolicy,
  faultOfFeatures,
  featuresFor,
  negotiate,
} from '../features.js'

/** The features of a node, unless it is told otherwise. */
export const NODE_FEATURES: FeaturePolicy = {
  option_data_loss_protect: 'required',
  option_upfront_shutdown_script: 'optional',
  var_onion_optin: 'required',
  option_static_remotekey: 'required',
  payment_secret: 'required',
  basic_mpp: 'optional',
  option_support_large_channel: 'optional',
  option_anchors: 'optional',
  option_shutdown_anysegwit: 'optional',
  option_provide_storage: 'optional',
  option_channel_type: 'optional',
  option_scid_alias: 'optional',
  option_simple_close: 'optional',
}

/** The features of a node that uses some channels before their funding is confirmed: see `OpenDecision`, `OpenOptions`. */
export const ZERO_CONF_FEATURES: FeaturePolicy = { ...NODE_FEATURES, option_zeroconf: 'optional' }

/** The part of a bus's options that makes it speak Lightning. */
export interface LightningInit {
  readonly init: Pick<Init, 'features' | 'networks'>
  readonly understands: (feature: number) => boolean
}

/**
 * What a bus must show for a node.
 *
 * @param chainHash of the chain's first block, as hashed
 */
export function lightningInit(chainHash: Hex, features: FeaturePolicy = NODE_FEATURES): LightningInit {
  const shown = [...bitsOf(featuresFor('init', features))]
  return {
    init: { features: shown, networks: [chainHash] },
    understands: (bit) => faultOfFeatures(bitmapOf([bit]), features)?.kind !== 'unknown required',
  }
}

/** What both sides have, or why they can't go on with each other. */
export function negotiated(inits: { readonly local: Init; readonly remote: Init }): {
  readonly features: readonly FeatureName[]
  readonly fault?: string
} {
  const theirs = bitmapOf(inits.remote.features)
  const features = [...negotiate(bitmapOf(inits.local.features), theirs)]
  const fault = faultOfFeatures(theirs, Object.fromEntries(features.map((one) => [one, 'optional'])))
  return fault?.kind === 'missing dependency'
    ? { features, fault: `${fault.feature} needs ${fault.needs}` }
    : { features }
}
