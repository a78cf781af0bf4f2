// BOLT 2, "Defined Channel Types": what a channel's commitments look like, as a closed list that borrows feature bits.
import { equalBytes } from '../../channel/bytes.js'
import { bitmapOf, FEATURES, type FeatureName } from './features.js'

/** What commitments look like. The last two are proposals. */
export type CommitmentFormat = 'static_remotekey' | 'anchors' | 'zero_fee' | 'simple_taproot'

/** What a channel is, for its whole life. */
export interface ChannelType {
  readonly commitments: CommitmentFormat
  /** It is never announced, and goes by an alias. */
  readonly scidAlias: boolean
  /** It is used before its funding is confirmed. */
  readonly zeroconf: boolean
}

const BITS: Readonly<Record<CommitmentFormat, readonly FeatureName[]>> = {
  static_remotekey: ['option_static_remotekey'],
  anchors: ['option_static_remotekey', 'option_anchors'],
  zero_fee: ['zero_fee_commitments'],
  simple_taproot: ['option_simple_taproot'],
}

const FORMATS = ['static_remotekey', 'anchors', 'zero_fee', 'simple_taproot'] as const

/** The features that both sides must have negotiated for a type. */
export function featuresOfType({ commitments, scidAlias, zeroconf }: ChannelType): readonly FeatureName[] {
  return [
    ...BITS[commitments],
    ...(scidAlias ? (['option_scid_alias'] as const) : []),
    ...(zeroconf ? (['option_zeroconf'] as const) : []),
  ]
}

/** The `channel_type` of a message: even bits, as short as possible. */
export function encodeChannelType(type: ChannelType): Uint8Array {
  return bitmapOf(featuresOfType(type).map((name) => FEATURES[name].bit))
}

const ALL: readonly { readonly type: ChannelType; readonly bitmap: Uint8Array }[] = FORMATS.flatMap(
  (commitments) =>
    [false, true].flatMap((scidAlias) =>
      [false, true].map((zeroconf) => {
        const type = { commitments, scidAlias, zeroconf }
        return { type, bitmap: encodeChannelType(type) }
      }),
    ),
)

/** Whether it is a type, whatever else it says. */
export function isChannelType(value: unknown): value is ChannelType {
  if (typeof value !== 'object' || value === null) return false
  const { commitments, scidAlias, zeroconf }: Partial<ChannelType> = value
  return ALL.some(
    ({ type }) =>
      type.commitments === commitments && type.scidAlias === scidAlias && type.zeroconf === zeroconf,
  )
}

/** The type that exactly these bytes stand for; undefined if none is defined for them, and the channel must be refused. */
export function decodeChannelType(bitmap: Uint8Array): ChannelType | undefined {
  return ALL.find((one) => equalBytes(one.bitmap, bitmap))?.type
}
