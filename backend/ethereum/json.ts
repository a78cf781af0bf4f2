// Reading what a node answers: JSON-RPC values of Ethereum ("execution-apis", "Schema"), each checked.
import { type Hex, isHex } from '../../channel/index.js'
import { jsonReading } from '../json.js'

export { isObject, type JsonObject } from '../json.js'

const reading = jsonReading('the node')
/** Objects and lists; as `JsonReading`. */
export const { object, list } = reading
const { wrong } = reading

/** Bytes in hex of any case, of exactly `length` if given. @throws PerkunasError INVALID_MESSAGE */
export function bytes(value: unknown, path: string, length?: number): Hex {
  const lower = typeof value === 'string' ? value.toLowerCase() : value
  return isHex(lower, length) ? lower : wrong(path, 'bytes in hex', value)
}

/** A quantity of up to 256 bits. @throws PerkunasError INVALID_MESSAGE */
export function integer(value: unknown, path: string): bigint {
  return typeof value === 'string' && /^0x[0-9a-fA-F]{1,64}$/.test(value)
    ? BigInt(value)
    : wrong(path, 'a quantity', value)
}

/** A quantity that a double holds exactly. @throws PerkunasError INVALID_MESSAGE */
export function number(value: unknown, path: string): number {
  const result = Number(integer(value, path))
  return Number.isSafeInteger(result) ? result : wrong(path, 'a quantity below 2^53', value)
}

/** A quantity as nodes want it. */
export function quantity(value: bigint | number): Hex {
  return `0x${value.toString(16)}`
}
