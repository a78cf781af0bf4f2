// Onion packets (BOLT 4, "Packet Construction" and "Onion Decryption"): the sender wraps one payload per hop, each
// hop takes its own off and learns neither where it stands nor how long the route is.

import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { sha256 } from '../script/index.js'
import { blindingFactor, deriveKey, mac, randomStream, type SharedSecret, sameBytes } from './keys.js'

/** Bytes that a packet has beside its payloads: version, ephemeral key, HMAC. */
export const PACKET_OVERHEAD = 1 + 33 + 32
/** Bytes for all payloads of a payment's packet. */
export const PAYMENT_PAYLOADS_BYTES = 1300
/** Bytes of a payment's packet. */
export const PAYMENT_PACKET_BYTES = PAYMENT_PAYLOADS_BYTES + PACKET_OVERHEAD
/** Bytes for all payloads of a long onion message; a short one is as long as a payment. */
export const LONG_MESSAGE_PAYLOADS_BYTES = 32768
/** The longest packet that fits into a message of 65 535 bytes, with its type, path key and length. */
export const MAX_PACKET_BYTES = 65535 - 2 - 33 - 2

const HMAC_BYTES = 32
const NO_DATA = new Uint8Array(0)

/** One hop as its sender sees it. */
export interface OnionHop {
  /** The node's ID, or its blinded one; compressed, 33 bytes. */
  readonly publicKey: Uint8Array
  /** A TLV stream of at least 2 bytes, without the length that goes before it. */
  readonly payload: Uint8Array
}

/** What a packet is made from. */
export interface OnionRequest {
  /** Secret of the first ephemeral key, fresh for every packet; 32 bytes. */
  readonly sessionKey: Uint8Array
  /** Of the session key with the first hop, if it was made ahead. */
  readonly agreement?: Agreement
  /** The route, at least one hop; the last is the recipient. */
  readonly hops: readonly OnionHop[]
  /** What the packet commits to without containing it: the payment hash; nothing for onion messages. */
  readonly associatedData?: Uint8Array
  /** Bytes for all payloads; 1300 if not given. */
  readonly payloadsBytes?: number
}

/** What a session key and a hop share. */
export interface Agreement {
  /** The hop's. */
  readonly publicKey: Uint8Array
  /** Of the session key, 33 bytes. */
  readonly ephemeral: Uint8Array
  /** 32 bytes. Secret. */
  readonly sharedSecret: Uint8Array
}

/** Makes ahead what most of the time for a packet goes to. @throws PerkunasError INVALID_ARGUMENT if a key is not one */
export function agree(sessionKey: Uint8Array, publicKey: Uint8Array): Agreement {
  return {
    publicKey,
    ephemeral: secp256k1.publicKey(sessionKey),
    sharedSecret: secp256k1.ecdh(publicKey, sessionKey),
  }
}

/** A new packet. */
export interface Onion {
  readonly packet: Uint8Array
  /** One per hop in order, 32 bytes each: to read failures and attributions by. Secret. */
  readonly sharedSecrets: readonly Uint8Array[]
}

/** Bytes that a payload takes in a packet, with its length and HMAC. */
export function hopBytes(payload: Uint8Array): number {
  return (payload.length < 0xfd ? 1 : 3) + payload.length + HMAC_BYTES
}

/**
 * Builds the packet for a route.
 *
 * @throws PerkunasError INVALID_ARGUMENT if a key is not one, there is no hop, or a payload has fewer than 2 bytes;
 *   TOO_LARGE if the payloads do not fit
 */
export function buildOnion(request: OnionRequest): Onion {
  const { hops, associatedData = NO_DATA, payloadsBytes: size = PAYMENT_PAYLOADS_BYTES } = request
  if (hops.length === 0) throw argument('hops', 'at least one hop expected')
  if (!Number.isSafeInteger(size) || size < 0 || size > MAX_PACKET_BYTES - PACKET_OVERHEAD)
    throw argument('payloadsBytes', `at most ${MAX_PACKET_BYTES - PACKET_OVERHEAD} expected, got ${size}`)
  const shifts = hops.map(({ payload }) => {
    if (payload.length < 2 || payload.length > 0xffff)
      throw argument('payload', `2 to 65535 bytes expected, got ${payload.length}`)
    return hopBytes(payload)
  })
  const total = shifts.reduce((sum, shift) => sum + shift, 0)
  if (total > size) {
    throw new PerkunasError(
      'TOO_LARGE',
      `the payloads of the ${hops.length} hops take ${total} of ${size} bytes`,
      {
        limit: size,
        actual: total,
      },
    )
  }
  const { ephemeral, sharedSecrets } = agreeWithAll(request)
  // Each hop's stream, longer than the payloads by what the hop shifts out: its tail is what it pads with.
  const streams = sharedSecrets.map((secret, i) =>
    randomStream(deriveKey('rho', secret), size + (shifts[i] ?? 0)),
  )
  const filler = fillerOf(streams, shifts, size)
  const payloads = randomStream(deriveKey('pad', request.sessionKey), size)
  let hmac: Uint8Array = new Uint8Array(HMAC_BYTES)
  for (let i = hops.length - 1; i >= 0; i--) {
    const [hop, stream, secret, shift] = [hops[i], streams[i], sharedSecrets[i], shifts[i]]
    if (!hop || !stream || !secret || shift === undefined) break
    payloads.copyWithin(shift, 0, size - shift)
    writeHop(payloads, hop.payload, hmac)
    xor(payloads, stream)
    if (i === hops.length - 1) payloads.set(filler, size - filler.length)
    hmac = mac(deriveKey('mu', secret), payloads, associatedData)
  }
  return { packet: join(ephemeral, payloads, hmac), sharedSecrets }
}

/** What a node needs to take its layer off. */
export interface PeelRequest {
  /** The packet as received; untrusted, of any length. */
  readonly packet: Uint8Array
  /** ECDH with the node's secret. */
  readonly sharedSecret: SharedSecret
  readonly associatedData?: Uint8Array
  /** Within a blinded route the tweak of the node ID that the packet is for: `unblind`'s `nodeTweak`. */
  readonly nodeTweak?: Uint8Array
}

/** A packet whose outer form is wrong: no secret is shared with its sender, so only the previous hop can be told. */
export interface Malformed {
  readonly kind: 'malformed'
  readonly failure: 'invalid_onion_version' | 'invalid_onion_key' | 'invalid_onion_hmac'
  /** SHA-256 of the packet, for the failure message. */
  readonly sha256OfOnion: Uint8Array
}

/** An authentic packet in which no payload can be found: `invalid_onion_payload`. */
export interface Unreadable {
  readonly kind: 'unreadable'
  readonly sharedSecret: Uint8Array
}

/** A payload and what follows it. */
export interface PeeledLayer {
  readonly kind: 'forward' | 'final'
  /** The TLV stream without its length. */
  readonly payload: Uint8Array
  /** Shared with the sender: returns failures and, as no two packets have the same, tells replays. Secret. */
  readonly sharedSecret: Uint8Array
}

/** What a node finds. */
export type Peeled =
  | Malformed
  | Unreadable
  | (PeeledLayer & { readonly kind: 'final' })
  | (PeeledLayer & {
      readonly kind: 'forward'
      /** Makes the packet for the next hop, as long as the one received: it costs as much as all the rest. */
      next(): Uint8Array
    })

/**
 * Takes one layer off a packet.
 *
 * Once the HMAC has been verified the work is the same wherever the node stands in the route: the next packet is made
 * by who sends it on. Replays are the caller's to notice, by the shared secret.
 *
 * @throws whatever `sharedSecret` throws of its own; for no packet anything
 */
export function peelOnion({
  packet,
  sharedSecret,
  associatedData = NO_DATA,
  nodeTweak,
}: PeelRequest): Peeled {
  const size = packet.length - PACKET_OVERHEAD
  if (packet[0] !== 0) return malformed('invalid_onion_version', packet)
  const ephemeral = packet.slice(1, 34)
  if (!secp256k1.isPoint(ephemeral)) return malformed('invalid_onion_key', packet)
  if (size < 0) return malformed('invalid_onion_hmac', packet)
  const secret = sharedSecret(ephemeral, nodeTweak)
  const payloads = packet.subarray(34, 34 + size)
  const hmac = mac(deriveKey('mu', secret), payloads, associatedData)
  if (!sameBytes(hmac, packet.subarray(34 + size))) return malformed('invalid_onion_hmac', packet)

  const unwrapped = randomStream(deriveKey('rho', secret), size)
  xor(unwrapped, payloads)
  const factor = blindingFactor(ephemeral, secret)
  const prefix = readLength(unwrapped)
  const end = prefix === undefined ? size + 1 : prefix.bytes + prefix.length + HMAC_BYTES
  // Sender and node agree on the secret, so this is the sender's mistake; but for a factor of zero or beyond n: never seen.
  if (prefix === undefined || prefix.length < 2 || end > size || !secp256k1.isSecret(factor))
    return { kind: 'unreadable', sharedSecret: secret }
  const payload = unwrapped.slice(prefix.bytes, prefix.bytes + prefix.length)
  const nextHmac = unwrapped.subarray(end - HMAC_BYTES, end)
  if (nextHmac.every((byte) => byte === 0)) return { kind: 'final', payload, sharedSecret: secret }
  return {
    kind: 'forward',
    payload,
    sharedSecret: secret,
    next() {
      // What is left, and behind it what the stream makes of as many zeros as this hop has taken out.
      const rest = randomStream(deriveKey('rho', secret), size + end).subarray(end)
      rest.set(unwrapped.subarray(end))
      // The factor is a hash that only the sender and this hop know. Multiplying in variable time by it could at most
      // help to link two packets that are linked by their arrival already.
      return join(secp256k1.multiply(ephemeral, factor), rest, nextHmac)
    },
  }
}

/** The shared secrets of a route from its session key, without building a packet: to read failures after a restart. */
export function routeSecrets(
  sessionKey: Uint8Array,
  publicKeys: readonly Uint8Array[],
): readonly Uint8Array[] {
  const hops = publicKeys.map((publicKey) => ({ publicKey }))
  return agreeWithAll({ sessionKey, hops }).sharedSecrets
}

interface AgreementRequest extends Pick<OnionRequest, 'sessionKey' | 'agreement'> {
  readonly hops: readonly Pick<OnionHop, 'publicKey'>[]
}

// Each hop sees another ephemeral key; the sender knows all their secrets.
function agreeWithAll({ sessionKey, agreement, hops }: AgreementRequest) {
  const first = agreement?.ephemeral ?? secp256k1.publicKey(sessionKey)
  const sharedSecrets: Uint8Array[] = []
  let [secret, ephemeral] = [sessionKey, first]
  for (const [i, { publicKey }] of hops.entries()) {
    const isMade = i === 0 && agreement !== undefined && sameBytes(agreement.publicKey, publicKey)
    const shared = isMade ? agreement.sharedSecret : secp256k1.ecdh(publicKey, secret)
    sharedSecrets.push(shared)
    if (i === hops.length - 1) break
    secret = secp256k1.multiplySecret(secret, blindingFactor(ephemeral, shared))
    ephemeral = secp256k1.publicKey(secret)
  }
  return { ephemeral: first, sharedSecrets }
}

// What stands behind the last payload when the last hop gets the packet: the zeros that each hop before it added, under
// the streams of that hop and the ones after it.
function fillerOf(streams: readonly Uint8Array[], shifts: readonly number[], size: number): Uint8Array {
  const passed = shifts.slice(0, -1)
  const filler = new Uint8Array(passed.reduce((sum, shift) => sum + shift, 0))
  let length = 0
  for (const [i, shift] of passed.entries()) {
    const stream = streams[i]?.subarray(size - length, size + shift) ?? NO_DATA
    length += shift
    xor(filler.subarray(0, length), stream)
  }
  return filler
}

function writeHop(to: Uint8Array, payload: Uint8Array, hmac: Uint8Array): void {
  const { length } = payload
  const prefix = length < 0xfd ? [length] : [0xfd, length >> 8, length & 0xff]
  to.set(prefix)
  to.set(payload, prefix.length)
  to.set(hmac, prefix.length + length)
}

// A length beyond 65535 fits into no packet: its form is not looked at further.
function readLength(bytes: Uint8Array): { readonly length: number; readonly bytes: number } | undefined {
  const [first = 0xff, high = 0, low = 0] = bytes
  if (first < 0xfd) return { length: first, bytes: 1 }
  const length = high * 256 + low
  return first === 0xfd && length >= 0xfd ? { length, bytes: 3 } : undefined
}

function join(ephemeral: Uint8Array, payloads: Uint8Array, hmac: Uint8Array): Uint8Array {
  const packet = new Uint8Array(payloads.length + PACKET_OVERHEAD)
  packet.set(ephemeral, 1)
  packet.set(payloads, 34)
  packet.set(hmac, 34 + payloads.length)
  return packet
}

// As far as both reach.
function xor(to: Uint8Array, from: Uint8Array): void {
  const end = Math.min(to.length, from.length)
  for (let i = 0; i < end; i++) to[i] = (to[i] ?? 0) ^ (from[i] ?? 0)
}

function malformed(failure: Malformed['failure'], packet: Uint8Array): Malformed {
  return { kind: 'malformed', failure, sha256OfOnion: sha256(packet) }
}

function argument(name: string, message: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError('INVALID_ARGUMENT', `${name}: ${message}`, { argument: name })
}
