// What the vectors of blinded routes have in common: the data of a node as the files write it.
import type { RecipientData } from '../../backend/bitcoin/onion/recipient-data.js'
import { blockDelta, blockHeight, msat } from '../../backend/bitcoin/units.js'
import { parseShortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { bytes } from './cases.js'

/** `encrypted_data_tlv` in a file. */
export interface RecordedData {
  readonly padding?: string
  readonly short_channel_id?: string
  readonly next_node_id?: string
  readonly path_id?: string
  readonly next_path_key_override?: string
  readonly payment_relay?: {
    readonly cltv_expiry_delta: number
    readonly fee_proportional_millionths: number
    readonly fee_base_msat?: number
  }
  readonly payment_constraints?: { readonly max_cltv_expiry: number; readonly htlc_minimum_msat: number }
  readonly allowed_features?: { readonly features: readonly number[] }
  readonly [unknown: `unknown_tag_${number}`]: string
}

/** The same as we have it. */
export function recipientDataOf(recorded: RecordedData): RecipientData {
  const { payment_relay: relay, payment_constraints: limits } = recorded
  const unknown = Object.entries(recorded).flatMap(([name, value]) => {
    const type = /^unknown_tag_(\d+)$/.exec(name)?.[1]
    return type === undefined ? [] : [{ type: BigInt(type), value: bytes(String(value)) }]
  })
  return {
    ...(recorded.padding !== undefined && { padding: bytes(recorded.padding) }),
    ...(recorded.short_channel_id !== undefined && {
      shortChannelID: parseShortChannelID(recorded.short_channel_id),
    }),
    ...(recorded.next_node_id !== undefined && { nextNodeID: `0x${recorded.next_node_id}` as const }),
    ...(recorded.path_id !== undefined && { pathID: bytes(recorded.path_id) }),
    ...(recorded.next_path_key_override !== undefined && {
      nextPathKeyOverride: bytes(recorded.next_path_key_override),
    }),
    ...(relay && {
      paymentRelay: {
        cltvExpiryDelta: blockDelta(relay.cltv_expiry_delta),
        feeProportionalMillionths: relay.fee_proportional_millionths,
        feeBaseMsat: msat(BigInt(relay.fee_base_msat ?? 0)),
      },
    }),
    ...(limits && {
      paymentConstraints: {
        maxCltvExpiry: blockHeight(limits.max_cltv_expiry),
        htlcMinimumMsat: msat(BigInt(limits.htlc_minimum_msat)),
      },
    }),
    ...(recorded.allowed_features && { allowedFeatures: bitmapOf(recorded.allowed_features.features) }),
    ...(unknown.length > 0 && { unknown }),
  }
}

function bitmapOf(bits: readonly number[]): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil((Math.max(-1, ...bits) + 1) / 8))
  for (const bit of bits) {
    const at = bitmap.length - 1 - (bit >> 3)
    bitmap[at] = (bitmap[at] ?? 0) | (1 << (bit & 7))
  }
  return bitmap
}
