// Attribution data: how long each hop held an HTLC, under HMACs that tell which hop changed something on the way back
// (BOLT 4, "Returning Errors"; BOLT 2, "Removing an HTLC"). Goes with failures and, over an empty message, with
// fulfilments.
//
// Every hop x (0 = the one that speaks) leaves one HMAC for each number y of hops that may stand behind it, as only
// the origin knows how many do: y = 19 - x … 0, in this order, x by x. 20 + 19 + … + 1 = 210 HMACs of 4 bytes.
import { PerkunasError } from '../../../channel/errors.js'
import type { UpdateFailHtlc } from '../wire/channel.js'
import { deriveKey, mac, obfuscate, sameBytes } from './keys.js'

/** Hops that attribution reaches back over. */
export const ATTRIBUTION_HOPS = 20
const TIME_BYTES = 4
const TIMES_BYTES = ATTRIBUTION_HOPS * TIME_BYTES
const TAG_BYTES = 4
const TAGS = (ATTRIBUTION_HOPS * (ATTRIBUTION_HOPS + 1)) / 2
/** Length of attribution data: 20 hold times, 210 truncated HMACs. */
export const ATTRIBUTION_BYTES = TIMES_BYTES + TAGS * TAG_BYTES

/** Attribution data as `update_fail_htlc` and `update_fulfill_htlc` have it. */
export type AttributionRecord = NonNullable<UpdateFailHtlc['attributionData']>

/** The bytes of a message's attribution data, which are one obfuscated whole. */
export function attributionOf({ htlcHoldTimes, truncatedHmacs }: AttributionRecord): Uint8Array {
  const bytes = new Uint8Array(ATTRIBUTION_BYTES)
  const view = new DataView(bytes.buffer)
  for (const [i, time] of htlcHoldTimes.slice(0, ATTRIBUTION_HOPS).entries())
    view.setUint32(i * TIME_BYTES, time)
  bytes.set(truncatedHmacs.subarray(0, TAGS * TAG_BYTES), TIMES_BYTES)
  return bytes
}

/** Attribution data for a message. @throws PerkunasError INVALID_ARGUMENT unless there are 920 bytes */
export function attributionRecord(bytes: Uint8Array): AttributionRecord {
  checkLength(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const htlcHoldTimes = Array.from({ length: ATTRIBUTION_HOPS }, (_, i) => view.getUint32(i * TIME_BYTES))
  return { htlcHoldTimes, truncatedHmacs: bytes.slice(TIMES_BYTES) }
}

/** What a hop adds to attribution data. */
export interface Attribute {
  /** That the hop shares with the origin: `peelOnion`'s. */
  readonly sharedSecret: Uint8Array
  /** How long the hop held the HTLC, in units of 100 ms, rounded down; 0 if it does not say. */
  readonly holdTime: number
  /** The failure packet as it was before this hop obfuscated it; empty for a fulfilment. */
  readonly message: Uint8Array
  /** What came from the next hop; nothing if this hop fails or fulfils itself, or nothing came. */
  readonly downstream?: Uint8Array
}

/**
 * Adds a hop's own hold time and HMACs and obfuscates the whole, for the previous hop.
 *
 * @returns 920 bytes
 * @throws PerkunasError INVALID_ARGUMENT if `downstream` has another length or `holdTime` is no u32
 */
export function attribute({ sharedSecret, holdTime, message, downstream }: Attribute): Uint8Array {
  if (!Number.isInteger(holdTime) || holdTime < 0 || holdTime > 0xffff_ffff)
    throw new PerkunasError('INVALID_ARGUMENT', `holdTime: a u32 expected, got ${holdTime}`, {
      argument: 'holdTime',
    })
  const data = new Uint8Array(ATTRIBUTION_BYTES)
  if (downstream !== undefined) {
    checkLength(downstream)
    shiftDown(downstream, data)
  }
  new DataView(data.buffer).setUint32(0, holdTime)
  const um = deriveKey('um', sharedSecret)
  for (let behind = ATTRIBUTION_HOPS - 1; behind >= 0; behind--)
    data.set(tag(um, message, data, behind), tagAt(0, behind))
  return obfuscate(deriveKey('ammagext', sharedSecret), data)
}

/** One hop's part of attribution data as the origin reads it. */
export interface AttributionStep {
  /** In units of 100 ms; of no worth if not valid. */
  readonly holdTime: number
  /** Whether the HMAC is the hop's. */
  readonly valid: boolean
  /** For the next hop. */
  readonly downstream: Uint8Array
}

/**
 * Takes one hop's obfuscation off, verifies its HMAC, and makes the data what the hop received. Constant work.
 *
 * @param behind how many hops of the route stand behind this one
 */
export function readAttribution({
  sharedSecret,
  message,
  data,
  behind,
}: {
  readonly sharedSecret: Uint8Array
  /** The failure packet with this hop's obfuscation taken off; empty for a fulfilment. */
  readonly message: Uint8Array
  readonly data: Uint8Array
  readonly behind: number
}): AttributionStep {
  checkLength(data)
  const clear = obfuscate(deriveKey('ammagext', sharedSecret), data)
  // Beyond 20 hops there is no HMAC for the position: another one is looked at all the same, to no avail.
  const position = Math.min(Math.max(behind, 0), ATTRIBUTION_HOPS - 1)
  const um = deriveKey('um', sharedSecret)
  const expected = tag(um, message, clear, position)
  // Of the mirrored position too, to no end but that every position costs the same.
  tag(um, message, clear, ATTRIBUTION_HOPS - 1 - position)
  const at = tagAt(0, position)
  const same = sameBytes(expected, clear.subarray(at, at + TAG_BYTES))
  const downstream = new Uint8Array(ATTRIBUTION_BYTES)
  shiftUp(clear, downstream)
  return { holdTime: new DataView(clear.buffer).getUint32(0), valid: same && position === behind, downstream }
}

/** What attribution data of a fulfilment tells. */
export interface HoldTimes {
  /** In units of 100 ms, of each hop in order until the first whose HMAC is wrong. */
  readonly holdTimes: readonly number[]
  /** The first hop whose HMAC is wrong: it or the one before it changed the data, or one of them can't attribute. */
  readonly broken?: number
}

/**
 * Reads the attribution data of a fulfilment at the origin.
 *
 * @param sharedSecrets of the route's hops in order
 * @throws PerkunasError INVALID_ARGUMENT if `data` has not 920 bytes
 */
export function readFulfilAttribution(sharedSecrets: readonly Uint8Array[], data: Uint8Array): HoldTimes {
  const holdTimes: number[] = []
  let [rest, broken]: [Uint8Array, number | undefined] = [data, undefined]
  for (const [hop, sharedSecret] of sharedSecrets.entries()) {
    const behind = sharedSecrets.length - 1 - hop
    const step = readAttribution({ sharedSecret, message: new Uint8Array(0), data: rest, behind })
    rest = step.downstream
    if (!step.valid) broken ??= hop
    if (broken === undefined) holdTimes.push(step.holdTime)
  }
  return broken === undefined ? { holdTimes } : { holdTimes, broken }
}

/** Offset of the HMAC that hop `x` left for `behind` hops behind it. */
function tagAt(x: number, behind: number): number {
  const before = x * ATTRIBUTION_HOPS - (x * (x - 1)) / 2
  return TIMES_BYTES + (before + ATTRIBUTION_HOPS - 1 - x - behind) * TAG_BYTES
}

// Over the message, the hold times of the hop and those behind it, and for each of the latter the HMAC that fits its
// own position.
function tag(um: Uint8Array, message: Uint8Array, data: Uint8Array, behind: number): Uint8Array {
  const parts = [message, data.subarray(0, (behind + 1) * TIME_BYTES)]
  for (let x = 1; x <= behind; x++) {
    const at = tagAt(x, behind - x)
    parts.push(data.subarray(at, at + TAG_BYTES))
  }
  return mac(um, ...parts).subarray(0, TAG_BYTES)
}

// Makes room for one hop in front. The HMAC for the most hops behind falls away: there can't be as many any more.
function shiftDown(from: Uint8Array, to: Uint8Array): void {
  to.set(from.subarray(0, TIMES_BYTES - TIME_BYTES), TIME_BYTES)
  for (let x = 0; x < ATTRIBUTION_HOPS - 1; x++) {
    const first = tagAt(x, ATTRIBUTION_HOPS - 2 - x)
    to.set(from.subarray(first, tagAt(x, 0) + TAG_BYTES), tagAt(x + 1, ATTRIBUTION_HOPS - 2 - x))
  }
}

function shiftUp(from: Uint8Array, to: Uint8Array): void {
  to.set(from.subarray(TIME_BYTES, TIMES_BYTES), 0)
  for (let x = 0; x < ATTRIBUTION_HOPS - 1; x++) {
    const first = tagAt(x + 1, ATTRIBUTION_HOPS - 2 - x)
    to.set(from.subarray(first, tagAt(x + 1, 0) + TAG_BYTES), tagAt(x, ATTRIBUTION_HOPS - 2 - x))
  }
}

function checkLength(data: Uint8Array): void {
  if (data.length !== ATTRIBUTION_BYTES)
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `attribution data: ${ATTRIBUTION_BYTES} bytes expected, got ${data.length}`,
      { argument: 'attribution' },
    )
}
