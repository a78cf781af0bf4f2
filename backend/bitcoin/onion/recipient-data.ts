// What a node of a blinded route is told: `encrypted_data_tlv` (BOLT 4, "Inside encrypted_recipient_data").
import { isError, PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/identity.js'
import { nodeID, point, restBytes, struct, tu32, u32 } from '../../../peer/wire/fields.js'
import { decodeStream, encodeStream, record, type StreamOf, stream } from '../../../peer/wire/tlv.js'
import { type BlockDelta, blockDelta, type Msat, wireAmount } from '../units.js'
import { blocks16, height, shortID, truncatedAmount } from '../wire/fields.js'
import type { ShortChannelID } from '../wire/short-channel-id.js'

/** How a node is paid, and how much time it gets. */
const paymentRelay = struct('payment_relay', {
  cltvExpiryDelta: blocks16,
  feeProportionalMillionths: u32,
  feeBaseMsat: {
    ...tu32,
    read: (from: Parameters<typeof tu32.read>[0]) => wireAmount<Msat>(BigInt(tu32.read(from))),
    write: (to: Parameters<typeof tu32.write>[0], value: Msat) => tu32.write(to, Number(value)),
  },
})

/** Until when, and for how much, the route may be used. */
const paymentConstraints = struct('payment_constraints', {
  maxCltvExpiry: height,
  htlcMinimumMsat: truncatedAmount<Msat>(),
})

/** `encrypted_data_tlv`. */
export const recipientDataStream = stream({
  padding: record(1, restBytes),
  shortChannelID: record(2, shortID),
  nextNodeID: record(4, nodeID),
  pathID: record(6, restBytes),
  nextPathKeyOverride: record(8, point),
  paymentRelay: record(10, paymentRelay),
  paymentConstraints: record(12, paymentConstraints),
  allowedFeatures: record(14, restBytes),
})

/** The records that a node of a blinded route is given; which there must be depends on its place and on the onion. */
export type RecipientData = StreamOf<typeof recipientDataStream.records>
/** A node's fee and delta. */
export type PaymentRelay = NonNullable<RecipientData['paymentRelay']>
/** A route's limits. */
export type PaymentConstraints = NonNullable<RecipientData['paymentConstraints']>

/** Writes what a node is to be told. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodeRecipientData(data: RecipientData): Uint8Array {
  return encodeStream(recipientDataStream, data, 'recipientData')
}

/** Reads what a node is told. @throws PerkunasError INVALID_MESSAGE, also for an unknown even record */
export function decodeRecipientData(bytes: Uint8Array): RecipientData {
  return decodeStream(recipientDataStream, bytes, 'recipientData')
}

/** {@link decodeRecipientData} for bytes of a peer whose every fault has the same consequence. */
export function readRecipientData(bytes: Uint8Array | undefined): RecipientData | undefined {
  if (bytes === undefined) return undefined
  try {
    return decodeRecipientData(bytes)
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return undefined
    throw error
  }
}

/**
 * Encodes the data of all nodes of a route to the same length, so that it tells nobody its place. The padding takes at
 * least two bytes wherever there is any.
 *
 * @throws PerkunasError as {@link encodeRecipientData}
 */
export function padRecipientData(all: readonly RecipientData[]): readonly Uint8Array[] {
  const bare = all.map(({ padding: _, ...data }) => encodeRecipientData(data).length)
  // A record of up to 252 bytes takes 2 more, a longer one 4: none takes 1, 255 or 256 altogether.
  let target = Math.max(0, ...bare)
  while (bare.some((length) => paddingFor(target - length) === undefined)) target++
  return all.map(({ padding: _, ...data }, i) => {
    const padding = paddingFor(target - (bare[i] ?? 0))
    return encodeRecipientData(padding ? { ...data, padding } : data)
  })
}

/** Padding whose record takes so many bytes: none for 0, undefined if there is none. */
function paddingFor(total: number): Uint8Array | false | undefined {
  if (total === 0) return false
  if (total >= 2 && total < 2 + 253) return new Uint8Array(total - 2)
  return total >= 4 + 253 ? new Uint8Array(total - 4) : undefined
}

/** To whom an HTLC or a message goes next. */
export type NextNode =
  | { readonly kind: 'node'; readonly nodeID: PeerID }
  | { readonly kind: 'channel'; readonly shortChannelID: ShortChannelID }

/** To whom an HTLC or a message goes next, if the data says so. The node goes before the channel. */
export function nextOf({ nextNodeID, shortChannelID }: RecipientData): NextNode | undefined {
  if (nextNodeID !== undefined) return { kind: 'node', nodeID: nextNodeID }
  return shortChannelID === undefined ? undefined : { kind: 'channel', shortChannelID }
}

/** What a sender is told of a blinded route as a whole. */
export interface AggregatedRelay {
  readonly feeBaseMsat: Msat
  readonly feeProportionalMillionths: number
  readonly cltvExpiryDelta: BlockDelta
}

const MILLION = 1_000_000n

/**
 * The fees and deltas of a route's nodes as if they were one.
 *
 * @param relays from the introduction point to the last node that forwards
 * @param minFinalCltvExpiryDelta of the recipient, which adds to the delta
 * @throws PerkunasError INVALID_AMOUNT or INVALID_ARGUMENT if a sum does not fit
 * @see BOLT 4, "payload format", Requirements
 */
export function aggregateRelays(
  relays: readonly PaymentRelay[],
  minFinalCltvExpiryDelta: BlockDelta,
): AggregatedRelay {
  let [base, proportional, delta] = [0n, 0n, Number(minFinalCltvExpiryDelta)]
  for (const relay of relays.toReversed()) {
    const [ownBase, own] = [relay.feeBaseMsat, BigInt(relay.feeProportionalMillionths)]
    base = divideUp(ownBase * MILLION + base * (MILLION + own), MILLION)
    proportional = divideUp((proportional + own) * MILLION + proportional * own, MILLION)
    delta += relay.cltvExpiryDelta
  }
  if (base > 0xffff_ffffn || proportional > 0xffff_ffffn || delta > 0xffff)
    throw new PerkunasError('INVALID_ARGUMENT', 'relays: their sum does not fit into a blinded_payinfo', {
      argument: 'relays',
    })
  return {
    feeBaseMsat: wireAmount<Msat>(base),
    feeProportionalMillionths: Number(proportional),
    cltvExpiryDelta: blockDelta(delta),
  }
}

/**
 * What a node of a blinded route forwards of what it gets: the least from which its fee could have been added.
 *
 * @returns undefined if not even the base fee is covered
 */
export function amountToForward(incoming: Msat, relay: PaymentRelay): Msat | undefined {
  if (incoming < relay.feeBaseMsat) return undefined
  const proportional = BigInt(relay.feeProportionalMillionths)
  return wireAmount<Msat>(divideUp((incoming - relay.feeBaseMsat) * MILLION, MILLION + proportional))
}

function divideUp(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b
}
