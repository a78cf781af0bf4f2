// How an LDK node opens channels and takes those of others.
import * as ldk from 'lightningdevkit'

/** What a test may want otherwise. */
export interface LdkPolicy {
  /** Channels with anchors, opened and accepted. Default true. */
  readonly anchors?: boolean
  /** Confirmations of the funding before a channel is used, where the peer opened it. Default 1. */
  readonly minimumDepth?: number
  /** Use a channel of the peer's without confirmations. Default false. */
  readonly zeroConf?: boolean
  /** Hide the real short channel ID behind an alias. Default false. */
  readonly scidPrivacy?: boolean
  /** Say our closing script when a channel is opened, so that it can't change. Default true, as LDK has it. */
  readonly upfrontShutdown?: boolean
  /** HTLCs that the peer may have in flight. Default 483. */
  readonly maxAcceptedHtlcs?: number
  /** Blocks that the peer waits for its own money: at least 144. */
  readonly toSelfDelay?: number
  /** In sat per 1000 weight. Default 1000. */
  readonly feerate?: number
}

/** LDK's configuration. Whatever is not in the policy is generous: a test is not about LDK's defaults. */
export function userConfig(policy: LdkPolicy): ldk.UserConfig {
  const handshake = ldk.ChannelHandshakeConfig.constructor_default()
  handshake.set_minimum_depth(policy.minimumDepth ?? 1)
  handshake.set_negotiate_anchors_zero_fee_htlc_tx(policy.anchors ?? true)
  handshake.set_negotiate_scid_privacy(policy.scidPrivacy ?? false)
  handshake.set_commit_upfront_shutdown_pubkey(policy.upfrontShutdown ?? true)
  handshake.set_our_max_accepted_htlcs(policy.maxAcceptedHtlcs ?? 483)
  handshake.set_max_inbound_htlc_value_in_flight_percent_of_channel(100)
  handshake.set_our_to_self_delay(policy.toSelfDelay ?? 144)
  const limits = ldk.ChannelHandshakeLimits.constructor_default()
  limits.set_max_funding_satoshis(1_000_000_000n)
  limits.set_force_announced_channel_preference(false)
  const channel = ldk.ChannelConfig.constructor_default()
  // At the low fee rates of a test the default would be used up by two or three HTLCs that count as dust.
  channel.set_max_dust_htlc_exposure(ldk.MaxDustHTLCExposure.constructor_fixed_limit_msat(5_000_000_000n))
  const config = ldk.UserConfig.constructor_default()
  config.set_channel_handshake_config(handshake)
  config.set_channel_handshake_limits(limits)
  config.set_channel_config(channel)
  // Without being asked LDK refuses channels with anchors.
  config.set_manually_accept_inbound_channels(true)
  return config
}
