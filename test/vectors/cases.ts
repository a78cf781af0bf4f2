// What a module of vectors exports, and how it reads its figures. `x.ts` holds the cases of `x.json`.
import { readFileSync } from 'node:fs'
import { fromHex, toHex } from '../../channel/bytes.js'

/** One vector: something published that must come out the same here. */
export interface Case {
  /** Unique in its file. */
  readonly name: string
  /** Throws if the vector does not hold. */
  run(): void | Promise<void>
  /** Why it can't be tried yet; it is then listed and not run. See {@link mayBePending} of suite.ts. */
  readonly pending?: string
}

/**
 * Reads `test/vectors/<file>.json`.
 *
 * @typeParam T what the file holds, stated by its only reader
 */
export function load<T>(file: string): T {
  return JSON.parse(readText(file))
}

/** The text of `test/vectors/<file>.json`. */
export function readText(file: string): string {
  return readFileSync(new URL(`../../../test/vectors/${file}.json`, import.meta.url), 'utf8')
}

/** Bytes from hex digits without `0x`, as the files have them. */
export function bytes(digits: string): Uint8Array {
  return fromHex(`0x${digits}`)
}

/** Hex digits without `0x`. */
export function digits(value: Uint8Array): string {
  return toHex(value).slice(2)
}
