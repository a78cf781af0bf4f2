// Reading what a node answers: JSON-RPC values of Ethereum ("execution-apis", "Schema"), each checked.
import { type Hex, isHex, PerkunasError } from '../../channel/index.js'

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value is an object that is not an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** An object. @throws PerkunasError INVALID_MESSAGE */
export function object(value: unknown, path: string): JsonObject {
  return isObject(value) ? value : wrong(path, 'an object', value)
}

/** A list. @throws PerkunasError INVALID_MESSAGE */
export function list(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) ? value : wrong(path, 'a list', value)
}

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

function wrong(path: string, expected: string, value: unknown): never {
  throw new PerkunasError(
    'INVALID_MESSAGE',
    `the node answered ${path} with ${String(JSON.stringify(value)).slice(0, 80)} where ${expected} was expected`,
    { path, reason: `${expected} expected` },
  )
}
