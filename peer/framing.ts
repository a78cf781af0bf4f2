// BOLT 1: what a message on an authenticated connection looks like. Two bytes of type, then a payload, together
// at most 65535 bytes. Lightning's own control messages are understood here; Perun payloads travel in two
// custom types of the odd range, which other Lightning nodes ignore.
import { concat, fromHex, type Hex, toHex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import { decodeTlv, encodeTlv, type TlvRecord } from './tlv.js'

/** Message types that a connection handles itself. */
export const MESSAGE_TYPE = {
  warning: 1,
  init: 16,
  error: 17,
  ping: 18,
  pong: 19,
  /** A whole Perun payload. */
  payload: 50443,
  /** A piece of a Perun payload that does not fit into one message. */
  fragment: 50445,
} as const

/** Longest payload behind a message's type. */
export const MAX_PAYLOAD = 65533

/** Longest answer that a ping can ask for; beyond it there is no answer. */
const MAX_PONG = 65531

/** What `init` says (BOLT 1, and one field of our own). */
export interface Init {
  /** Feature bits that are set, ascending; an even bit must be understood by the other side. */
  readonly features: readonly number[]
  /** Hashes of the chains of interest, 32 bytes each; absent: any. */
  readonly networks?: readonly Hex[]
  /** Names this connection among several between the same two peers; see peer-bus.ts. Perkunas only. */
  readonly link?: Link
}

/** Where a connection stands in the order that one side has given to its connections. */
export interface Link {
  /** 8 random bytes per running bus. */
  readonly instance: Hex
  /** Higher is newer, within one instance. */
  readonly order: bigint
}

/** A message, taken apart as far as a connection needs. */
export type Message =
  | { readonly kind: 'init'; readonly init: Init }
  | { readonly kind: 'ping'; readonly answer: number | undefined }
  | { readonly kind: 'pong'; readonly length: number }
  | { readonly kind: 'payload'; readonly payload: Uint8Array }
  | { readonly kind: 'fragment'; readonly total: number; readonly offset: number; readonly part: Uint8Array }
  | { readonly kind: 'other'; readonly type: number; readonly payload: Uint8Array }

/** Puts a type before a payload. */
export function encodeMessage(type: number, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(2 + payload.length)
  out[0] = type >> 8
  out[1] = type & 0xff
  out.set(payload, 2)
  return out
}

/**
 * Takes a message apart. Parts are views of it.
 *
 * @throws PerkunasError INVALID_MESSAGE if it is too short for its type or breaks that type's rules
 */
export function decodeMessage(message: Uint8Array): Message {
  const type = readU16(message, 0, 'type')
  const payload = message.subarray(2)
  switch (type) {
    case MESSAGE_TYPE.payload:
      return { kind: 'payload', payload }
    case MESSAGE_TYPE.fragment:
      return {
        kind: 'fragment',
        total: readU32(payload, 0, 'fragment.total'),
        offset: readU32(payload, 4, 'fragment.offset'),
        part: payload.subarray(FRAGMENT_HEADER),
      }
    case MESSAGE_TYPE.init:
      return { kind: 'init', init: decodeInit(payload) }
    case MESSAGE_TYPE.ping: {
      const answer = readU16(payload, 0, 'ping.num_pong_bytes')
      readPadding(payload, 2, 'ping.byteslen')
      return { kind: 'ping', answer: answer <= MAX_PONG ? answer : undefined }
    }
    case MESSAGE_TYPE.pong:
      return { kind: 'pong', length: readPadding(payload, 0, 'pong.byteslen') }
    default:
      return { kind: 'other', type, payload }
  }
}

/** A ping that asks for a pong of `answer` bytes. */
export function encodePing(answer: number): Uint8Array {
  return encodeMessage(MESSAGE_TYPE.ping, Uint8Array.of(answer >> 8, answer & 0xff, 0, 0))
}

/** The answer to a ping: `length` zero bytes. */
export function encodePong(length: number): Uint8Array {
  const payload = new Uint8Array(2 + length)
  payload[0] = length >> 8
  payload[1] = length & 0xff
  return encodeMessage(MESSAGE_TYPE.pong, payload)
}

/** Longest text of an error or a warning that we send or show, in bytes. */
const MAX_TEXT = 512
const ALL_CHANNELS = new Uint8Array(32)

/**
 * A warning about the connection as a whole. Not an `error`: that one, for no channel in particular, would make
 * a Lightning node close every channel it has with us.
 */
export function encodeWarning(text: string): Uint8Array {
  const data = new TextEncoder().encode(printable(text).slice(0, MAX_TEXT))
  return encodeMessage(
    MESSAGE_TYPE.warning,
    concat(ALL_CHANNELS, Uint8Array.of(data.length >> 8, data.length & 0xff), data),
  )
}

/**
 * The text of a received `error` or `warning`, shortened, with everything that is not printable ASCII replaced.
 *
 * @throws PerkunasError INVALID_MESSAGE if it is too short
 */
export function decodeText(payload: Uint8Array): string {
  const length = readU16(payload, 32, 'len')
  if (payload.length < 34 + length) throw short('data')
  return printable(String.fromCharCode(...payload.subarray(34, 34 + Math.min(length, MAX_TEXT))))
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?')
}

const TLV_NETWORKS = 1n
/** Odd, in the range for custom records. */
const TLV_LINK = 0x504b4fn

/** Encodes `init` with its type. */
export function encodeInit({ features, networks, link }: Init): Uint8Array {
  const bitmap = new Uint8Array(features.length === 0 ? 0 : (Math.max(...features) >> 3) + 1)
  for (const bit of features) {
    const at = bitmap.length - 1 - (bit >> 3)
    bitmap[at] = (bitmap[at] ?? 0) | (1 << (bit & 7))
  }
  const records: TlvRecord[] = []
  if (networks !== undefined)
    records.push({ type: TLV_NETWORKS, value: concat(...networks.map((chain) => fromHex(chain, 32))) })
  if (link !== undefined) {
    const value = new Uint8Array(16)
    value.set(fromHex(link.instance, 8))
    new DataView(value.buffer).setBigUint64(8, link.order)
    records.push({ type: TLV_LINK, value })
  }
  return encodeMessage(
    MESSAGE_TYPE.init,
    concat(Uint8Array.of(0, 0, bitmap.length >> 8, bitmap.length & 0xff), bitmap, encodeTlv(records)),
  )
}

function decodeInit(payload: Uint8Array): Init {
  const globalLength = readU16(payload, 0, 'init.gflen')
  const length = readU16(payload, 2 + globalLength, 'init.flen')
  const end = 4 + globalLength + length
  if (payload.length < end) throw short('init.features')
  const features = new Set([
    ...bitsOf(payload.subarray(2, 2 + globalLength)),
    ...bitsOf(payload.subarray(4 + globalLength, end)),
  ])
  const out: { features: readonly number[]; networks?: readonly Hex[]; link?: Link } = {
    features: [...features].sort((a, b) => a - b),
  }
  for (const { type, value } of decodeTlv(
    payload.subarray(end),
    (t) => t === TLV_NETWORKS || t === TLV_LINK,
  )) {
    if (type === TLV_NETWORKS) {
      if (value.length % 32 !== 0) throw malformed('init.networks', 'not a list of 32-byte hashes')
      out.networks = Array.from({ length: value.length / 32 }, (_, i) =>
        toHex(value.subarray(32 * i, 32 * i + 32)),
      )
    } else {
      if (value.length !== 16) throw malformed('init.link', '16 bytes expected')
      const order = new DataView(value.buffer, value.byteOffset, 16).getBigUint64(8)
      out.link = { instance: toHex(value.subarray(0, 8)), order }
    }
  }
  return out
}

function bitsOf(bitmap: Uint8Array): number[] {
  const bits: number[] = []
  for (let i = bitmap.length - 1; i >= 0; i--) {
    const byte = bitmap[i] ?? 0
    for (let bit = 0; bit < 8; bit++) if (byte & (1 << bit)) bits.push(8 * (bitmap.length - 1 - i) + bit)
  }
  return bits
}

const FRAGMENT_HEADER = 8
/** Payload bytes in each fragment but the last, which has 1 to as many. */
export const FRAGMENT_BYTES = MAX_PAYLOAD - FRAGMENT_HEADER

/**
 * The messages that carry one Perun payload: one, or as many full fragments as it takes and a last one. A fragment
 * says the payload's length and where it belongs, 4 bytes each.
 */
export function encodePayload(payload: Uint8Array): readonly Uint8Array[] {
  if (payload.length <= MAX_PAYLOAD) return [encodeMessage(MESSAGE_TYPE.payload, payload)]
  const messages: Uint8Array[] = []
  for (let offset = 0; offset < payload.length; offset += FRAGMENT_BYTES) {
    const part = payload.subarray(offset, offset + FRAGMENT_BYTES)
    const message = new Uint8Array(2 + FRAGMENT_HEADER + part.length)
    const view = new DataView(message.buffer)
    view.setUint16(0, MESSAGE_TYPE.fragment)
    view.setUint32(2, payload.length)
    view.setUint32(6, offset)
    message.set(part, 10)
    messages.push(message)
  }
  return messages
}

/** Joins fragments. Holds what has arrived of one payload and never more, whatever length was announced. */
export class Joiner {
  readonly #maxBytes: number
  #parts: Uint8Array[] = []
  #total = 0
  #received = 0

  /** @param maxBytes longest payload */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether a payload is incomplete; a whole one may not come in between, for order is kept. */
  get isJoining(): boolean {
    return this.#parts.length > 0
  }

  /**
   * Takes the next fragment; returns the payload when it is complete.
   *
   * @throws PerkunasError INVALID_MESSAGE if it is not the one expected next; TOO_LARGE
   */
  take(total: number, offset: number, part: Uint8Array): Uint8Array | undefined {
    if (!this.isJoining) {
      if (total > this.#maxBytes) {
        throw new PerkunasError(
          'TOO_LARGE',
          `a payload of ${total} bytes, at most ${this.#maxBytes} allowed`,
          {
            limit: this.#maxBytes,
            actual: total,
          },
        )
      }
      if (total <= MAX_PAYLOAD) throw malformed('fragment.total', 'fits into one message')
      this.#total = total
    }
    const expected = Math.min(FRAGMENT_BYTES, this.#total - this.#received)
    if (total !== this.#total || offset !== this.#received || part.length !== expected) {
      throw malformed('fragment', `${expected} bytes at ${this.#received} of ${this.#total} expected`)
    }
    this.#parts.push(part)
    this.#received += part.length
    if (this.#received < total) return undefined
    const payload = concat(...this.#parts)
    this.#parts = []
    this.#received = 0
    return payload
  }
}

function readU16(bytes: Uint8Array, at: number, path: string): number {
  const high = bytes[at]
  const low = bytes[at + 1]
  if (high === undefined || low === undefined) throw short(path)
  return (high << 8) | low
}

function readU32(bytes: Uint8Array, at: number, path: string): number {
  return readU16(bytes, at, path) * 0x10000 + readU16(bytes, at + 2, path)
}

/** Reads a length and checks that as many bytes follow. */
function readPadding(bytes: Uint8Array, at: number, path: string): number {
  const length = readU16(bytes, at, path)
  if (bytes.length < at + 2 + length) throw short(path)
  return length
}

function short(path: string): PerkunasError<'INVALID_MESSAGE'> {
  return malformed(path, 'message ends early')
}

function malformed(path: string, reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `${path}: ${reason}`, { path, reason })
}
