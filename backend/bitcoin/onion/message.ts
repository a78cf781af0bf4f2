// Onion messages (BOLT 4, "Onion Messages"): packets without a payment, always along blinded routes, without an answer
// but along a reply path. `onion_message` carries a path key and a packet; this is what is in the packet.
import { isError, PerkunasError } from '../../../channel/errors.js'
import { restBytes } from '../../../peer/wire/fields.js'
import { decodeStream, encodeStream, record, type StreamOf, stream } from '../../../peer/wire/tlv.js'
import { blindedPath } from './blinded-path.js'
import { type BlindedRoute, unblind } from './blinding.js'
import type { SharedSecret } from './keys.js'
import { type NextNode, nextOf, readRecipientData } from './recipient-data.js'
import {
  buildOnion,
  hopBytes,
  LONG_MESSAGE_PAYLOADS_BYTES,
  PAYMENT_PAYLOADS_BYTES,
  peelOnion,
} from './sphinx.js'

/** `onionmsg_tlv`. */
export const onionMessageStream = stream({
  replyPath: record(2, blindedPath),
  encryptedRecipientData: record(4, restBytes),
  /** TLV streams of BOLT 12, not looked into here. */
  invoiceRequest: record(64, restBytes),
  invoice: record(66, restBytes),
  invoiceError: record(68, restBytes),
})

/** The records of an onion message's payload. */
export type OnionMessagePayload = StreamOf<typeof onionMessageStream.records>
/** What the recipient gets: at most one of the payloads, and a way to answer. */
export type OnionMessageContent = Omit<OnionMessagePayload, 'encryptedRecipientData'>

/** Writes a payload. @throws PerkunasError INVALID_ARGUMENT, TOO_LARGE */
export function encodeOnionMessagePayload(payload: OnionMessagePayload): Uint8Array {
  return encodeStream(onionMessageStream, payload, 'onionMessage')
}

/** Reads a payload. @throws PerkunasError INVALID_MESSAGE, also for an unknown even record */
export function decodeOnionMessagePayload(bytes: Uint8Array): OnionMessagePayload {
  return decodeStream(onionMessageStream, bytes, 'onionMessage')
}

/** `onion_message`'s fields. */
export interface OnionMessagePacket {
  /** For the first node; compressed, 33 bytes. */
  readonly pathKey: Uint8Array
  readonly packet: Uint8Array
}

/**
 * Makes a message along a blinded route.
 *
 * Where the sender goes a way of its own to the introduction point, that is a blinded route of its own making, whose
 * last node is told the recipient's path key as `nextPathKeyOverride`; both routes' hops behind one another are the route.
 *
 * @param sessionKey fresh for every message, 32 bytes
 * @throws PerkunasError INVALID_ARGUMENT; TOO_LARGE if the content does not fit into 32 768 bytes
 */
export function createOnionMessage({
  sessionKey,
  route,
  content,
}: {
  readonly sessionKey: Uint8Array
  readonly route: BlindedRoute
  readonly content: OnionMessageContent
}): OnionMessagePacket {
  const last = route.hops.length - 1
  const hops = route.hops.map(({ blindedNodeID, encryptedRecipientData }, i) => ({
    publicKey: blindedNodeID,
    payload: encodeOnionMessagePayload({ ...(i === last && content), encryptedRecipientData }),
  }))
  const bytes = hops.reduce((sum, { payload }) => sum + hopBytes(payload), 0)
  // Only two lengths, so that they tell little; the short one is that of payments.
  const payloadsBytes = bytes <= PAYMENT_PAYLOADS_BYTES ? PAYMENT_PAYLOADS_BYTES : LONG_MESSAGE_PAYLOADS_BYTES
  const { packet } = buildOnion({ sessionKey, hops, payloadsBytes })
  return { pathKey: route.firstPathKey, packet }
}

/** What a node makes of an onion message. There are no errors to be returned: what is wrong is dropped. */
export type PeeledMessage =
  | { readonly kind: 'ignored'; readonly reason: string }
  | { readonly kind: 'forward'; readonly to: NextNode; readonly message: OnionMessagePacket }
  | {
      readonly kind: 'received'
      /** What this node put into the route when it made it; a reply must have the one that was given for it. */
      readonly pathID?: Uint8Array
      readonly content: OnionMessageContent
    }

/** Takes a layer off an onion message, or says why it is dropped. Never throws for what a peer sent. */
export function peelOnionMessage(
  { pathKey, packet }: OnionMessagePacket,
  sharedSecret: SharedSecret,
): PeeledMessage {
  const unblinding = unblind(pathKey, sharedSecret)
  if (unblinding === undefined) return ignored('invalid path key')
  const peeled = peelOnion({ packet, sharedSecret, nodeTweak: unblinding.nodeTweak })
  if (peeled.kind === 'malformed' || peeled.kind === 'unreadable') return ignored(peeled.kind)
  const payload = quietly(() => decodeOnionMessagePayload(peeled.payload))
  if (payload === undefined) return ignored('invalid payload')
  const { encryptedRecipientData, ...content } = payload
  const data = readRecipientData(encryptedRecipientData && unblinding.decrypt(encryptedRecipientData))
  if (data === undefined) return ignored('invalid recipient data')
  // No feature is defined for onion messages, so none can be allowed, not even an odd one.
  if (data.allowedFeatures?.some((byte) => byte !== 0)) return ignored('unknown feature')
  if (peeled.kind === 'final') {
    const { invoiceRequest, invoice, invoiceError } = content
    const payloads = [invoiceRequest, invoice, invoiceError, ...(content.unknown ?? []).filter(isPayload)]
    if (payloads.filter((one) => one !== undefined).length > 1) return ignored('more than one payload')
    return { kind: 'received', ...(data.pathID && { pathID: data.pathID }), content }
  }
  if (Object.keys(content).length > 0) return ignored('payload for a node that forwards')
  if (data.pathID !== undefined) return ignored('path ID for a node that forwards')
  const to = nextOf(data)
  if (to === undefined) return ignored('no next node')
  const next = { pathKey: data.nextPathKeyOverride ?? unblinding.nextPathKey, packet: peeled.next() }
  return { kind: 'forward', to, message: next }
}

function isPayload({ type }: { readonly type: bigint }): boolean {
  return type >= 64n
}

function ignored(reason: string): PeeledMessage {
  return { kind: 'ignored', reason }
}

function quietly<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return undefined
    throw error
  }
}

/** A route of two parts: the sender's own up to the introduction point, then the recipient's. */
export function joinRoutes(own: BlindedRoute, given: BlindedRoute): BlindedRoute {
  if (own.hops.length === 0)
    throw new PerkunasError('INVALID_ARGUMENT', 'own: hops expected', { argument: 'own' })
  return { firstPathKey: own.firstPathKey, hops: [...own.hops, ...given.hops] }
}
