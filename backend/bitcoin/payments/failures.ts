// How a failed HTLC is told and read: the onion's failure, in both directions (BOLT 4, "Returning Errors").
import type { PeerID } from '../../../peer/index.js'
import type { Attribution, Removal } from '../channel/index.js'
import {
  attribute,
  attributionOf,
  attributionRecord,
  createFailure,
  decodeFailure,
  encodeFailure,
  type Failure,
  failureCode,
  openFailure,
  PERM,
  readFulfilAttribution,
} from '../onion/index.js'
import type { OutgoingPart, PaymentFailure } from './state.js'

/** An HTLC as far as what goes back to its payer is concerned. */
export interface Returning {
  readonly sharedSecret: Uint8Array
  /** In units of 100 ms; nothing if it is not to be told. */
  readonly holdTime?: number
}

const NOTHING = new Uint8Array(0)

/** Fails an HTLC to us. */
export function failing(to: Returning, failure: Failure): Removal {
  const { packet: reason, attribution } = createFailure(to, encodeFailure(failure))
  return { kind: 'fail', reason, ...(attribution && { attribution: attributionRecord(attribution) }) }
}

/** Fulfils an HTLC to us. */
export function fulfilling({ sharedSecret, holdTime }: Returning, preimage: Uint8Array): Removal {
  if (holdTime === undefined) return { kind: 'fulfill', preimage }
  const attribution = attributionRecord(attribute({ sharedSecret, holdTime, message: NOTHING }))
  return { kind: 'fulfill', preimage, attribution }
}

/**
 * What a failed part of ours met.
 *
 * @param route the nodes of its hops
 */
export function failureOf(
  { sharedSecrets }: Pick<OutgoingPart, 'sharedSecrets'>,
  route: readonly PeerID[],
  removal: Removal,
): PaymentFailure {
  if (removal.kind === 'malformed') return { kind: 'malformed', code: removal.failureCode }
  if (removal.kind === 'fulfill') return { kind: 'unreadable' }
  const { reason: packet, attribution } = removal
  const returned =
    attribution === undefined ? { packet } : { packet, attribution: attributionOf(attribution) }
  const opened = openFailure(sharedSecrets, returned)
  const decoded = opened.failure && decodeFailure(opened.failure.message)
  const node = opened.failure && route[opened.failure.hop]
  if (opened.failure === undefined || decoded === undefined || node === undefined)
    return { kind: 'unreadable' }
  const { failure } = decoded
  const { hop } = opened.failure
  return { kind: 'rejected', hop, node, code: failureCode(failure), failure, holdTimes: opened.holdTimes }
}

/** How long hops held an HTLC that was fulfilled, in units of 100 ms, as far as they told and it is authentic. */
export function holdTimesOf(
  { sharedSecrets }: Pick<OutgoingPart, 'sharedSecrets'>,
  attribution: Attribution | undefined,
): readonly number[] {
  if (attribution === undefined) return []
  return readFulfilAttribution(sharedSecrets, attributionOf(attribution)).holdTimes
}

/** What is for good and of one channel alone. */
const OF_CHANNELS: readonly number[] = [
  failureCode({ kind: 'permanent_channel_failure' }),
  failureCode({ kind: 'required_channel_feature_missing' }),
]

/** Whether the payee says no for good, so that no other channel with it helps. */
export function isFinal(failure: PaymentFailure): boolean {
  switch (failure.kind) {
    case 'rejected':
      return (failure.code & PERM) !== 0 && !OF_CHANNELS.includes(failure.code)
    case 'noChannel':
    case 'unreadable':
      return false
    default:
      return true
  }
}
