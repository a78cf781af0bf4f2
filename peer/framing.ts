// BOLT 1: what a message on an authenticated connection looks like. Two bytes of type, then a payload, together
// at most 65535 bytes. Lightning's own control messages are understood here; Perun payloads travel in two
// custom types of the odd range, which other Lightning nodes ignore.
import { concat, type Hex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import { bitmapOf, bitsOf, unionOf } from './wire/bits.js'
import { error, init, initRecords, ping, pong, warning } from './wire/control.js'
import { channelID, hexArray, sizedBytes, struct, u64 } from './wire/fields.js'
import { message, messageSet } from './wire/message.js'
import { Reader } from './wire/reader.js'
import { record } from './wire/tlv.js'

/** Message types that a connection handles itself. */
export const MESSAGE_TYPE = {
  warning: warning.type,
  init: init.type,
  error: error.type,
  ping: ping.type,
  pong: pong.type,
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

/** Lightning's `init` with one more record, odd and in the range for custom ones. */
const ownInit = message('init', init.type, init.fields, {
  ...initRecords,
  link: record(0x504b4f, struct('link', { instance: hexArray(8), order: u64 })),
})
const control = messageSet(ownInit, ping, pong, warning)

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
    case MESSAGE_TYPE.ping:
    case MESSAGE_TYPE.pong:
      return decodeControl(message)
    default:
      return { kind: 'other', type, payload }
  }
}

function decodeControl(bytes: Uint8Array): Message {
  const decoded = control.decode(bytes)
  switch (decoded.kind) {
    case 'init': {
      const { globalfeatures, features, networks, link } = decoded
      return {
        kind: 'init',
        init: {
          features: [...bitsOf(unionOf(globalfeatures, features))],
          ...(networks === undefined ? {} : { networks }),
          ...(link === undefined ? {} : { link }),
        },
      }
    }
    case 'ping': {
      const { numPongBytes } = decoded
      return { kind: 'ping', answer: numPongBytes <= MAX_PONG ? numPongBytes : undefined }
    }
    case 'pong':
      return { kind: 'pong', length: decoded.ignored.length }
    default:
      throw malformed('type', 'no control message')
  }
}

/** Encodes `init` with its type. */
export function encodeInit({ features, networks, link }: Init): Uint8Array {
  return control.encode({
    kind: 'init',
    globalfeatures: NOTHING,
    features: bitmapOf(features),
    ...(networks === undefined ? {} : { networks }),
    ...(link === undefined ? {} : { link }),
  })
}

/** A ping that asks for a pong of `answer` bytes. */
export function encodePing(answer: number): Uint8Array {
  return control.encode({ kind: 'ping', numPongBytes: answer, ignored: NOTHING })
}

/** The answer to a ping: `length` zero bytes. */
export function encodePong(length: number): Uint8Array {
  return control.encode({ kind: 'pong', ignored: new Uint8Array(length) })
}

const NOTHING = new Uint8Array(0)

/** Longest text of an error or a warning that we send or show, in bytes. */
const MAX_TEXT = 512
const ALL_CHANNELS: Hex = `0x${'00'.repeat(32)}`

/**
 * A warning about the connection as a whole. Not an `error`: that one, for no channel in particular, would make
 * a Lightning node close every channel it has with us.
 */
export function encodeWarning(text: string): Uint8Array {
  const data = new TextEncoder().encode(printable(text).slice(0, MAX_TEXT))
  return control.encode({ kind: 'warning', channelID: ALL_CHANNELS, data })
}

/**
 * The text of a received `error` or `warning`, shortened, with everything that is not printable ASCII replaced.
 *
 * @throws PerkunasError INVALID_MESSAGE if it is too short
 */
export function decodeText(payload: Uint8Array): string {
  const from = new Reader(payload, 'text')
  channelID.read(from)
  const data = sizedBytes.read(from)
  return printable(String.fromCharCode(...data.subarray(0, MAX_TEXT)))
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '?')
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

function short(path: string): PerkunasError<'INVALID_MESSAGE'> {
  return malformed(path, 'too short')
}

function malformed(path: string, reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `${path}: ${reason}`, { path, reason })
}
