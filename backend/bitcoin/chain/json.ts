// Reading what nodes answer in JSON, each value checked.
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { jsonReading } from '../../json.js'
import { type BlockHeight, blockHeight, type FeeratePerKw, feeratePerKw, type Sat, sat } from '../units.js'

export { isObject, type JsonObject } from '../../json.js'

/** Objects, lists, and the refusal of anything else; as {@link JsonReading}. */
export const { object, list, wrong } = jsonReading('the chain source')

/** A text. @throws PerkunasError INVALID_MESSAGE */
export function text(value: unknown, path: string): string {
  return typeof value === 'string' ? value : wrong(path, 'a text', value)
}

/** True or false. @throws PerkunasError INVALID_MESSAGE */
export function flag(value: unknown, path: string): boolean {
  return typeof value === 'boolean' ? value : wrong(path, 'true or false', value)
}

/** A number that is not negative. @throws PerkunasError INVALID_MESSAGE */
export function positive(value: unknown, path: string): number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
    ? value
    : wrong(path, 'a number of at least 0', value)
}

/** A whole number below 2^53. @throws PerkunasError INVALID_MESSAGE */
export function whole(value: unknown, path: string): number {
  return Number.isSafeInteger(value) ? positive(value, path) : wrong(path, 'a whole number', value)
}

/** A block's height. @throws PerkunasError INVALID_MESSAGE */
export function height(value: unknown, path: string): BlockHeight {
  const number = whole(value, path)
  return number <= 0xffff_ffff ? blockHeight(number) : wrong(path, 'a height', value)
}

/** Bytes in hex digits without `0x`, of either case. @throws PerkunasError INVALID_MESSAGE */
export function hexBytes(value: unknown, path: string, length?: number): Uint8Array {
  const fits = typeof value === 'string' && (length === undefined || value.length === 2 * length)
  try {
    return fits ? fromHex(`0x${value.toLowerCase()}`) : wrong(path, 'bytes in hex', value)
  } catch {
    return wrong(path, 'bytes in hex', value)
  }
}

/** 32 bytes that are written in reverse, as IDs are. @throws PerkunasError INVALID_MESSAGE */
export function reversed(value: unknown, path: string): Hex {
  return toHex(hexBytes(value, path, 32).reverse())
}

/**
 * An amount that is written in bitcoins, exactly: all amounts that there can be differ in a double, and the nearest one is
 * less than half a satoshi away.
 *
 * @throws PerkunasError INVALID_MESSAGE
 */
export function bitcoins(value: unknown, path: string): Sat {
  const satoshis = Math.round(positive(value, path) * 1e8)
  return satoshis <= 2_100_000_000_000_000 ? sat(BigInt(satoshis)) : wrong(path, 'an amount', value)
}

/** A feerate in bitcoins for 1000 vbytes, rounded up. @throws PerkunasError INVALID_MESSAGE */
export function feerateOf(value: unknown, path: string): FeeratePerKw {
  const perKvb = Math.round(positive(value, path) * 1e8)
  return perKvb <= 0xffff_ffff ? feeratePerKw(Math.ceil(perKvb / 4)) : wrong(path, 'a feerate', value)
}
