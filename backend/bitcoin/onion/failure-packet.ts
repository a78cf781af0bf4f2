// How a failure travels back (BOLT 4, "Returning Errors"): the erring node seals its message for the origin, every hop
// obfuscates it once more, the origin takes hop by hop off until an HMAC fits.
import { PerkunasError } from '../../../channel/errors.js'
import { ATTRIBUTION_BYTES, attribute, readAttribution } from './attribution.js'
import { deriveKey, mac, obfuscate, sameBytes } from './keys.js'

/** Bytes of message and padding together, at least; older nodes can't read other lengths. */
export const FAILURE_BYTES = 256
/** Hops that a packet of 1300 bytes of payloads is taken to have at most: so often the origin tries. */
export const MAX_HOPS = 27

const HMAC_BYTES = 32
// An HTLC can carry no longer one: the message around it is limited to 65 535 bytes.
const MAX_FAILURE_BYTES = 65535 - HMAC_BYTES - 4 - 2 - 32 - 8 - 2 - 4 - ATTRIBUTION_BYTES
const NO_HOP = new Uint8Array(32)

/** What goes back to the previous hop: `update_fail_htlc`'s reason and its attribution data. */
export interface FailurePacket {
  readonly packet: Uint8Array
  /** 920 bytes; nothing if the hop does not take part. */
  readonly attribution?: Uint8Array
}

/** How a node makes or passes on a failure. */
export interface ReturnHop {
  /** That the node shares with the origin: `peelOnion`'s. */
  readonly sharedSecret: Uint8Array
  /** In units of 100 ms. Attribution data is made if this is given; never within a blinded route. */
  readonly holdTime?: number
}

/**
 * Makes the packet of a failure at this node.
 *
 * @param message an encoded failure message
 * @param length of message and padding together; at least 256, which is the default
 * @throws PerkunasError TOO_LARGE if the message does not fit into `update_fail_htlc`
 */
export function createFailure(hop: ReturnHop, message: Uint8Array, length = FAILURE_BYTES): FailurePacket {
  const padded = Math.max(length, FAILURE_BYTES, message.length)
  if (!(padded <= MAX_FAILURE_BYTES))
    throw new PerkunasError('TOO_LARGE', `a failure of ${padded} bytes, at most ${MAX_FAILURE_BYTES}`, {
      limit: MAX_FAILURE_BYTES,
      actual: padded,
    })
  const packet = new Uint8Array(HMAC_BYTES + 2 + 2 + padded)
  const view = new DataView(packet.buffer)
  view.setUint16(HMAC_BYTES, message.length)
  packet.set(message, HMAC_BYTES + 2)
  view.setUint16(HMAC_BYTES + 2 + message.length, padded - message.length)
  packet.set(mac(deriveKey('um', hop.sharedSecret), packet.subarray(HMAC_BYTES)))
  return wrapFailure(hop, { packet })
}

/**
 * Passes a failure on from the next hop to the previous one. Works for any bytes: only the origin can tell.
 *
 * @throws PerkunasError INVALID_ARGUMENT if the attribution data has not 920 bytes
 */
export function wrapFailure(hop: ReturnHop, { packet, attribution }: FailurePacket): FailurePacket {
  const { sharedSecret, holdTime } = hop
  const wrapped = obfuscate(deriveKey('ammag', sharedSecret), packet)
  if (holdTime === undefined) return { packet: wrapped }
  const own = { sharedSecret, holdTime, message: packet }
  return {
    packet: wrapped,
    attribution: attribute(attribution === undefined ? own : { ...own, downstream: attribution }),
  }
}

/** What the origin learns from a failure packet. */
export interface OpenedFailure {
  /** The erring hop (0 = the first) and its encoded message; nothing if no HMAC fits. */
  readonly failure?: { readonly hop: number; readonly message: Uint8Array }
  /** In units of 100 ms, of each hop in order up to the erring one or the first whose attribution is wrong. */
  readonly holdTimes: readonly number[]
  /**
   * The first hop, up to the erring one, whose attribution is wrong: it or the one before it changed the packet, or it
   * can't attribute. Nothing if all is right or no attribution came.
   */
  readonly broken?: number
}

/**
 * Reads a failure at the origin. The work is that of 27 hops, however long the route and wherever it failed, so that
 * the time until the next attempt does not tell the erring node where it stands.
 *
 * @param sharedSecrets of the route's hops in order, at most 27
 * @param returned untrusted bytes; attribution data of a wrong length counts as none
 * @throws PerkunasError INVALID_ARGUMENT if there are more hops
 */
export function openFailure(sharedSecrets: readonly Uint8Array[], returned: FailurePacket): OpenedFailure {
  if (sharedSecrets.length > MAX_HOPS)
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `at most ${MAX_HOPS} hops expected, got ${sharedSecrets.length}`,
      {
        argument: 'sharedSecrets',
      },
    )
  const attributed = returned.attribution?.length === ATTRIBUTION_BYTES
  const times: number[] = []
  let packet = returned.packet
  let data = attributed && returned.attribution ? returned.attribution : new Uint8Array(ATTRIBUTION_BYTES)
  let failure: OpenedFailure['failure']
  let broken: number | undefined
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    const sharedSecret = sharedSecrets[hop] ?? NO_HOP
    const real = hop < sharedSecrets.length && failure === undefined
    packet = obfuscate(deriveKey('ammag', sharedSecret), packet)
    const behind = sharedSecrets.length - 1 - hop
    const step = readAttribution({ sharedSecret, message: packet, data, behind })
    data = step.downstream
    const expected = mac(deriveKey('um', sharedSecret), packet.subarray(HMAC_BYTES))
    const mine = sameBytes(expected, packet.subarray(0, HMAC_BYTES))
    if (real && !step.valid) broken ??= hop
    if (real && broken === undefined) times.push(step.holdTime)
    if (real && mine) failure = { hop, message: messageOf(packet) }
  }
  return {
    ...(failure && { failure }),
    holdTimes: attributed ? times : [],
    ...(attributed && broken !== undefined && { broken }),
  }
}

// Authentic but not of this form is a failure all the same, of a kind unknown.
function messageOf(packet: Uint8Array): Uint8Array {
  const [high = 0, low = 0] = packet.subarray(HMAC_BYTES)
  const start = HMAC_BYTES + 2
  const end = start + high * 256 + low
  return end <= packet.length ? packet.slice(start, end) : new Uint8Array(0)
}
