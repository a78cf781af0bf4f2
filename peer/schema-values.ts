// The single values that messages and records consist of: numbers, amounts, bytes, texts.
import { type Hex, toHex } from '../channel/bytes.js'
import { Writer } from './msgpack-writer.js'
import type { Schema } from './schema.js'
import { kindOf, refuse, tooLarge } from './schema-refusal.js'

/** 2^64 - 1. */
const MAX_U64 = (1n << 64n) - 1n
/** 2^256 - 1: the largest amount that a contract can hold. */
const MAX_AMOUNT = (1n << 256n) - 1n

/** `true` or `false`. */
export const bool: Schema<boolean> = symmetric(
  (value) => (typeof value === 'boolean' ? value : refuse(`boolean expected, got ${kindOf(value)}`)),
  (value, out) => out.bool(value),
)

/** An integer from 0 to `max` (at most and by default 2^53 - 1) as a number. */
export function uint(max: number = Number.MAX_SAFE_INTEGER): Schema<number> {
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0 || Object.is(value, -0)) {
      return refuse(`unsigned integer expected, got ${kindOf(value)}`)
    }
    return value <= max ? value : refuse(`at most ${max} expected, got ${value}`)
  }
  return {
    write: (value, out) => out.uint(check(value)),
    fromWire: (wire) => check(typeof wire === 'bigint' ? Number(wire) : wire),
  }
}

/** An integer from 0 to 2^64 - 1 as a bigint. */
export function u64(): Schema<bigint> {
  return {
    write: (value, out) => {
      if (typeof value !== 'bigint') return refuse(`bigint expected, got ${kindOf(value)}`)
      if (value < 0n || value > MAX_U64) return refuse('outside 0 to 2^64 - 1')
      out.u64(value)
    },
    fromWire: (wire) => {
      if (typeof wire === 'number' && Number.isSafeInteger(wire) && wire >= 0) return BigInt(wire)
      if (typeof wire === 'bigint' && wire >= 0n && wire <= MAX_U64) return wire
      return refuse(`unsigned integer expected, got ${kindOf(wire)}`)
    },
  }
}

/**
 * An amount from 0 to 2^256 - 1 as a bigint; on the wire its big-endian bytes without leading zeros, none
 * at all for zero.
 */
export function amount(): Schema<bigint> {
  return {
    write: (value, out) => {
      if (typeof value !== 'bigint') return refuse(`amount as bigint expected, got ${kindOf(value)}`)
      if (value < 0n) return refuse('amount below zero')
      if (value > MAX_AMOUNT) return refuse('amount above 2^256 - 1')
      const digits = value === 0n ? '' : value.toString(16)
      out.hex(digits.length % 2 === 0 ? digits : `0${digits}`, 0)
    },
    fromWire: (wire) => {
      if (!(wire instanceof Uint8Array)) return refuse(`amount as binary expected, got ${kindOf(wire)}`)
      if (wire.length > 32) return refuse('amount above 2^256 - 1')
      if (wire.length === 0) return 0n
      if (wire[0] === 0) return refuse('amount with a leading zero')
      return BigInt(toHex(wire))
    },
  }
}

/** Bytes as a {@link Hex} string, exactly `size` of them or at most `size.max`; binary on the wire. */
export function hex(size: number | { readonly max: number }): Schema<Hex> {
  const check = lengthCheck(size)
  return {
    write: (value, out) => {
      if (typeof value !== 'string' || !value.startsWith('0x') || !out.hex(value, 2)) {
        return refuse(`lower-case 0x hex expected, got ${kindOf(value)}`)
      }
      check((value.length - 2) / 2)
    },
    fromWire: (wire) => {
      if (!(wire instanceof Uint8Array)) return refuse(`binary expected, got ${kindOf(wire)}`)
      check(wire.length)
      return toHex(wire)
    },
  }
}

/** Bytes as they are, exactly `size` of them or at most `size.max`. Decoding copies. */
export function bytes(size: number | { readonly max: number }): Schema<Uint8Array> {
  const check = lengthCheck(size)
  return {
    write: (value, out) => {
      if (!(value instanceof Uint8Array)) return refuse(`bytes expected, got ${kindOf(value)}`)
      check(value.length)
      out.binary(value)
    },
    fromWire: (wire) => {
      if (!(wire instanceof Uint8Array)) return refuse(`binary expected, got ${kindOf(wire)}`)
      check(wire.length)
      return Uint8Array.from(wire)
    },
  }
}

/** Well-formed Unicode text of at most `maxBytes` in UTF-8; may not start with a byte order mark. */
export function text(maxBytes: number): Schema<string> {
  const check = (value: unknown): string => {
    if (typeof value !== 'string') return refuse(`text expected, got ${kindOf(value)}`)
    if (value.length > maxBytes) return tooLarge(maxBytes, value.length)
    if (!PLAIN.test(value)) {
      if (/\p{Surrogate}/u.test(value) || value.startsWith('\uFEFF')) return refuse('malformed text')
      const size = new TextEncoder().encode(value).length
      if (size > maxBytes) return tooLarge(maxBytes, size)
    }
    return value
  }
  return symmetric(check, (value, out) => out.text(value))
}

/** Text whose UTF-8 length is its length. */
const PLAIN = /^[\p{ASCII}]*$/u

/** Exactly this value. */
export function literal<const V extends string | number | boolean | null>(expected: V): Schema<V> {
  const check = (value: unknown): V =>
    value === expected ? expected : refuse(`${String(expected)} expected`)
  return symmetric(check, (value, out) => {
    if (typeof value === 'string') out.text(value)
    else if (typeof value === 'number') out.uint(value)
    else if (typeof value === 'boolean') out.bool(value)
    else out.nil()
  })
}

/** One of a few texts. */
export function oneOf<const V extends string>(...allowed: readonly V[]): Schema<V> {
  const known = new Map<unknown, { readonly value: V; readonly encoded: Uint8Array }>(
    allowed.map((value) => [value, { value, encoded: encodedText(value) }]),
  )
  const find = (value: unknown) => known.get(value) ?? refuse(`one of ${allowed.join(', ')} expected`)
  return {
    write: (value, out) => out.raw(find(value).encoded),
    fromWire: (wire) => find(wire).value,
  }
}

function encodedText(value: string): Uint8Array {
  const out = new Writer()
  out.text(value)
  return out.since(0)
}

/** A schema whose values are what msgpack has. */
function symmetric<T>(check: (value: unknown) => T, write: (value: T, out: Writer) => void): Schema<T> {
  return { write: (value, out) => write(check(value), out), fromWire: check }
}

function lengthCheck(size: number | { readonly max: number }): (length: number) => void {
  if (typeof size === 'number') {
    return (length) => {
      if (length !== size) refuse(`${size} bytes expected, got ${length}`)
    }
  }
  return (length) => {
    if (length > size.max) tooLarge(size.max, length)
  }
}
