// What is wrong with the parameters of a channel that is being opened (BOLT 2, "The open_channel Message", "The
// accept_channel Message"). Each rule gives the text that the peer is told.
import { equalBytes } from '../../../channel/bytes.js'
import { type ChannelType, decodeChannelType, featuresOfType } from '../channel-type.js'
import type { FeatureName } from '../features.js'
import type { Basepoints } from '../keys/index.js'
import { type CommitmentFormat, isShutdownScript } from '../script/index.js'
import { type FeeratePerKw, toMsat } from '../units.js'
import type { AcceptChannel, OpenChannel } from '../wire/index.js'
import {
  type ChannelPolicy,
  DUST_LIMITS,
  type FeeEstimates,
  feeSpikeMultiple,
  LARGE_CHANNEL,
  MAX_HTLCS,
  MAX_TO_SELF_DELAY,
  minimumFeerate,
} from './policy.js'
import { costOf, formatOf, formatOfTerms, type ProposedTerms, type SideTerms } from './terms.js'

/** Bit of `channel_flags`. */
export const ANNOUNCE_CHANNEL = 1

/** What of ours a peer's parameters are held against. */
export interface Bounds {
  readonly policy: ChannelPolicy
  readonly features: readonly FeatureName[]
}

/** The type of a message, if it is one that we open. */
export function typeOf(bitmap: Uint8Array | undefined): ChannelType | undefined {
  const type = bitmap === undefined ? undefined : decodeChannelType(bitmap)
  return type === undefined || formatOf(type) === undefined ? undefined : type
}

/** Why a type can't be had with these features, for a channel that is announced or not. */
export function faultOfType(
  type: ChannelType,
  features: readonly FeatureName[],
  isAnnounced: boolean,
): string | undefined {
  if (formatOf(type) === undefined) return `no channels of type ${type.commitments}`
  const missing = featuresOfType(type).find(
    (name) => !features.includes(name) && name !== 'option_static_remotekey',
  )
  if (missing !== undefined) return `channel_type needs ${missing}, which was not negotiated`
  if (type.scidAlias && isAnnounced) return 'an announced channel has no option_scid_alias in its type'
  return undefined
}

/** What an acceptor has against open_channel. */
export function faultOfOpen(
  message: OpenChannel,
  { policy, features, fees, chainHash }: Bounds & { readonly fees: FeeEstimates; readonly chainHash: string },
): string | undefined {
  const { fundingSatoshis: funding, pushMsat, feeratePerKw, channelFlags } = message
  if (message.chainHash !== chainHash) return 'unknown chain_hash'
  const type = typeOf(message.channelType)
  if (message.channelType === undefined) return 'channel_type is missing'
  if (type === undefined) return 'unknown channel_type'
  const faultType = faultOfType(type, features, (channelFlags & ANNOUNCE_CHANNEL) !== 0)
  if (faultType !== undefined) return faultType
  const format = formatOfTerms({ type })
  if (funding >= LARGE_CHANNEL && !features.includes('option_support_large_channel')) {
    return `funding_satoshis of 2^24 and more needs option_support_large_channel`
  }
  if (funding > 21n * 10n ** 14n) return 'funding_satoshis is more than there is'
  if (funding < policy.minimumFunding) return `funding_satoshis below our minimum of ${policy.minimumFunding}`
  if (pushMsat > toMsat(funding)) return 'push_msat exceeds funding_satoshis'
  const faultFee = faultOfFeerate(feeratePerKw, fees, format)
  if (faultFee !== undefined) return faultFee
  const side = sideOfOpen(message)
  const fault = faultOfSide(side, funding, { policy, features })
  if (fault !== undefined) return fault
  if (side.reserve < policy.dustLimit) return 'channel_reserve_satoshis below our dust_limit_satoshis'
  const opener = toMsat(funding) - pushMsat
  if (opener < toMsat(costOf(format, feeratePerKw, 0))) return 'the opener can not pay for its commitment'
  if (
    opener - toMsat(costOf(format, feeratePerKw, 0)) <= toMsat(side.reserve) &&
    pushMsat <= toMsat(side.reserve)
  )
    return 'neither balance exceeds channel_reserve_satoshis'
  return undefined
}

/** What an opener has against accept_channel. */
export function faultOfAccept(
  message: AcceptChannel,
  terms: ProposedTerms,
  { policy, features, typeBitmap }: Bounds & { readonly typeBitmap: Uint8Array },
): string | undefined {
  const given = message.channelType
  if (given === undefined) return 'channel_type is missing'
  if (given.length !== typeBitmap.length || given.some((byte, i) => byte !== typeBitmap[i]))
    return 'channel_type is not the one of open_channel'
  if (message.minimumDepth > policy.minimumDepthAccepted)
    return `minimum_depth exceeds ${policy.minimumDepthAccepted}`
  if (terms.type.zeroconf && message.minimumDepth !== 0) return 'minimum_depth is not 0 for option_zeroconf'
  const side = sideOfAccept(message)
  const fault = faultOfSide(side, terms.capacity, { policy, features })
  if (fault !== undefined) return fault
  if (side.reserve < terms.local.dustLimit) return 'channel_reserve_satoshis below our dust_limit_satoshis'
  if (terms.local.reserve < side.dustLimit) return 'dust_limit_satoshis above our channel_reserve_satoshis'
  return undefined
}

/** What is wrong with our own wish, before anything is sent. */
export function faultOfWish(terms: ProposedTerms, features: readonly FeatureName[]): string | undefined {
  const { type, isAnnounced, capacity, push, feerate, local } = terms
  const fault = faultOfType(type, features, isAnnounced)
  if (fault !== undefined) return fault
  if (capacity >= LARGE_CHANNEL && !features.includes('option_support_large_channel'))
    return 'channels of 2^24 sat and more need option_support_large_channel'
  const format = formatOfTerms({ type })
  const spike = (feerate * feeSpikeMultiple(format)) as FeeratePerKw
  const needed = toMsat(costOf(format, spike, 1)) + toMsat(local.reserve) + push
  if (toMsat(capacity) < needed) return `${capacity} sat do not cover fee, reserve and push`
  return undefined
}

/** A peer that says our own key can have no output of two keys with us. */
export function faultOfKeys(ours: Basepoints, theirs: Uint8Array): string | undefined {
  return equalBytes(ours.funding, theirs) ? 'funding_pubkey is ours' : undefined
}

/** What both sides' parameters must be like. */
function faultOfSide(side: SideTerms, funding: bigint, { policy, features }: Bounds): string | undefined {
  const { dustLimit, reserve, toSelfDelay, maxAcceptedHtlcs, maxInFlight, htlcMinimum } = side
  if (dustLimit < DUST_LIMITS.min) return `dust_limit_satoshis below ${DUST_LIMITS.min}`
  if (dustLimit > DUST_LIMITS.max) return `dust_limit_satoshis above ${DUST_LIMITS.max}`
  if (dustLimit > reserve) return 'dust_limit_satoshis above channel_reserve_satoshis'
  if (reserve * 1_000_000n > funding * BigInt(policy.reserveAcceptedMillionths))
    return 'channel_reserve_satoshis is unreasonably large'
  if (toSelfDelay > MAX_TO_SELF_DELAY) return `to_self_delay above ${MAX_TO_SELF_DELAY}`
  if (maxAcceptedHtlcs > MAX_HTLCS) return `max_accepted_htlcs above ${MAX_HTLCS}`
  if (maxAcceptedHtlcs < 1) return 'max_accepted_htlcs is too small'
  if (htlcMinimum > policy.htlcMinimumAccepted) return 'htlc_minimum_msat is too large'
  if (maxInFlight < htlcMinimum || maxInFlight < 1000n) return 'max_htlc_value_in_flight_msat is too small'
  const script = side.upfrontShutdown
  if (script !== undefined && !isShutdownScript(script, closingForms(features)))
    return 'upfront_shutdown_script is not of a standard form'
  return undefined
}

/** A feerate that we would not live with. */
export function faultOfFeerate(
  feerate: FeeratePerKw,
  fees: FeeEstimates,
  format: CommitmentFormat,
): string | undefined {
  const { maximum } = fees
  const least = minimumFeerate(fees, format)
  if (feerate < least) return `feerate_per_kw of ${feerate} below ${least}`
  if (feerate > maximum) return `feerate_per_kw of ${feerate} above ${maximum}`
  return undefined
}

/** Which scripts a peer may be paid to. */
export function closingForms(features: readonly FeatureName[]): {
  readonly anySegwit: boolean
  readonly simpleClose: boolean
} {
  return {
    anySegwit: features.includes('option_shutdown_anysegwit'),
    simpleClose: features.includes('option_simple_close'),
  }
}

/** The opener's terms by its message. */
export function sideOfOpen(message: OpenChannel): SideTerms {
  return side(message)
}

/** The acceptor's terms by its message. */
export function sideOfAccept(message: AcceptChannel): SideTerms {
  return side(message)
}

function side(message: OpenChannel | AcceptChannel): SideTerms {
  const script = message.upfrontShutdownScript
  return {
    basepoints: {
      funding: message.fundingPubkey,
      revocation: message.revocationBasepoint,
      payment: message.paymentBasepoint,
      delayedPayment: message.delayedPaymentBasepoint,
      htlc: message.htlcBasepoint,
    },
    dustLimit: message.dustLimitSatoshis,
    maxInFlight: message.maxHtlcValueInFlightMsat,
    htlcMinimum: message.htlcMinimumMsat,
    maxAcceptedHtlcs: message.maxAcceptedHtlcs,
    reserve: message.channelReserveSatoshis,
    toSelfDelay: message.toSelfDelay,
    // Of length zero it says nothing (BOLT 2).
    ...(script === undefined || script.length === 0 ? {} : { upfrontShutdown: script }),
  }
}
