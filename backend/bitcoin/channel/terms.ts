// What both sides agreed on when a channel was opened, and never changes.
import type { Hex } from '../../../channel/bytes.js'
import type { ChannelType } from '../channel-type.js'
import type { Basepoints, ChannelSetup } from '../keys/index.js'
import type { Side } from '../monitor/record.js'
import {
  ANCHOR_AMOUNT,
  type CommitmentFormat,
  commitmentFee,
  FORMATS,
  type Funding,
} from '../script/index.js'
import type { FeeratePerKw } from '../units.js'
import { add, type Msat, type Sat, sat } from '../units.js'
import type { ShortChannelID } from '../wire/index.js'

/** What one side says of itself and asks of the other, in open_channel or accept_channel. */
export interface SideTerms {
  readonly basepoints: Basepoints
  /** Of its own commitments. */
  readonly dustLimit: Sat
  /** HTLCs that it takes: their sum, the smallest, their number. */
  readonly maxInFlight: Msat
  readonly htlcMinimum: Msat
  readonly maxAcceptedHtlcs: number
  /** What the **other** side must keep. */
  readonly reserve: Sat
  /** What the **other** side must wait. */
  readonly toSelfDelay: number
  /** The only script that it will be paid to when the channel closes, if it said so. */
  readonly upfrontShutdown?: Uint8Array
}

/** Terms of a channel that is being opened. */
export interface ProposedTerms {
  readonly keyIndex: bigint
  readonly temporaryID: Hex
  readonly opener: Side
  readonly type: ChannelType
  readonly isAnnounced: boolean
  readonly capacity: Sat
  /** A gift of the opener. */
  readonly push: Msat
  /** Of the first commitments. */
  readonly feerate: FeeratePerKw
  readonly local: SideTerms
  /** By which the peer may name the channel in its invoices. */
  readonly alias?: ShortChannelID
  /** Where we are paid to when the channel closes. */
  readonly shutdownScript: Uint8Array
}

/** Terms of a channel that has its funding output. */
export interface Terms extends ProposedTerms {
  readonly channelID: Hex
  readonly funding: Funding
  readonly remote: SideTerms
  /** Confirmations that the funding needs; 0 for none. */
  readonly minimumDepth: number
}

/** The form of its commitments, by the name that scripts know. */
export function formatOf({ commitments }: ChannelType): CommitmentFormat | undefined {
  switch (commitments) {
    case 'static_remotekey':
      return commitments
    case 'anchors':
      return 'anchors_zero_fee_htlc'
    default:
      return undefined
  }
}

/** Form of a channel that exists: others than those of {@link formatOf} are not opened. */
export function formatOfTerms({ type }: Pick<ProposedTerms, 'type'>): CommitmentFormat {
  return formatOf(type) ?? 'anchors_zero_fee_htlc'
}

/** What a signer must know. */
export function setupOf(terms: ProposedTerms & { readonly remote: SideTerms }): ChannelSetup {
  const { opener, local, remote } = terms
  return {
    format: formatOfTerms(terms),
    opener,
    remote: remote.basepoints,
    toSelfDelay: { local: remote.toSelfDelay, remote: local.toSelfDelay },
    dustLimit: { local: local.dustLimit, remote: remote.dustLimit },
  }
}

/** What an opener pays for a commitment with so many HTLCs in outputs: the fee, and the anchors. */
export function costOf(format: CommitmentFormat, feerate: FeeratePerKw, untrimmed: number): Sat {
  const anchors = FORMATS[format].anchors === 'pair' ? sat(2n * ANCHOR_AMOUNT) : sat(0n)
  return add(commitmentFee(format, feerate, untrimmed), anchors)
}

/** `channel_id` of the first form: the hash of the funding transaction with the output's index in its last bytes. */
export function channelIDOf({ txid, index }: Funding['outpoint']): Uint8Array {
  const id = txid.slice()
  id[30] = (id[30] ?? 0) ^ (index >> 8)
  id[31] = (id[31] ?? 0) ^ (index & 0xff)
  return id
}

/** Of the funding output, ours first. */
export function fundingKeys(local: SideTerms, remote: SideTerms): readonly [Uint8Array, Uint8Array] {
  return [local.basepoints.funding, remote.basepoints.funding]
}
