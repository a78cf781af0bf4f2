// JSON that somebody else's node answered, read with nothing taken for granted.
import { PerkunasError } from '../channel/errors.js'

/** An object of JSON. */
export type JsonObject = Readonly<Record<string, unknown>>

/** Whether a value is an object that is not a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What reads the answers of one kind of node. Each throws PerkunasError INVALID_MESSAGE; `path` says where in an answer. */
export interface JsonReading {
  /** An object. */
  object(value: unknown, path: string): JsonObject
  /** A list. */
  list(value: unknown, path: string): readonly unknown[]
  /** Refuses a value, always. */
  wrong(path: string, expected: string, value: unknown): never
}

/** @param who answered, for messages: "the node" */
export function jsonReading(who: string): JsonReading {
  const wrong = (path: string, expected: string, value: unknown): never => {
    throw new PerkunasError(
      'INVALID_MESSAGE',
      `${who} answered ${path} with ${String(JSON.stringify(value)).slice(0, 80)} where ${expected} was expected`,
      { path, reason: `${expected} expected` },
    )
  }
  return {
    object: (value, path) => (isObject(value) ? value : wrong(path, 'an object', value)),
    list: (value, path) => (Array.isArray(value) ? value : wrong(path, 'a list', value)),
    wrong,
  }
}
