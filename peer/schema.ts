// What a message or a record consists of, said once: each schema gives the TypeScript type of its values,
// their one canonical encoding, and the check of what a stranger sent. Knows nothing of transports; the
// wire values become bytes in codec.ts.
//
// Objects are arrays of their fields in the order of declaration, without names: a missing or an unknown
// field is a wrong length, and two encoders can't disagree about order. What may change between releases is
// named and versioned one level up, in `defineMessage`.
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { type Hex, isHex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import type { Wire } from './msgpack.js'

/** Checks and converts values of one type. Stateless; can be shared and nested freely. */
export interface Schema<T> {
  /**
   * Checks a value and turns it into what goes on the wire.
   *
   * @throws PerkunasError INVALID_MESSAGE or TOO_LARGE if the value is not one of the type
   */
  readonly toWire: (value: unknown) => Wire
  /**
   * Checks what came off the wire.
   *
   * @throws PerkunasError INVALID_MESSAGE or TOO_LARGE; never another error, whatever came
   */
  readonly fromWire: (wire: unknown) => T
}

/** A schema whose field may be absent from an object; on the wire absence is nil. */
export interface OptionalSchema<T> extends Schema<T | undefined> {
  readonly absent: true
}

/** A schema of objects, open to be merged into unions and messages. */
export interface ObjectSchema<F extends Fields> extends Schema<ObjectOf<F>> {
  readonly fields: F
}

/** Fields of an object by name, in wire order. */
export type Fields = Readonly<Record<string, Schema<unknown>>>

/** The TypeScript type of a schema's values. */
export type Infer<S> = S extends Schema<infer T> ? T : never

/** The TypeScript type of an object with these fields. */
export type ObjectOf<F extends Fields> = Flat<
  { readonly [K in keyof F as F[K] extends OptionalSchema<unknown> ? never : K]: Infer<F[K]> } & {
    readonly [K in keyof F as F[K] extends OptionalSchema<unknown> ? K : never]?: Exclude<
      Infer<F[K]>,
      undefined
    >
  }
>

/** The TypeScript type of a union whose members are told apart by the field `D`. */
export type UnionOf<D extends string, M extends Readonly<Record<string, Fields>>> = {
  readonly [K in keyof M]: Flat<{ readonly [P in D]: K } & ObjectOf<M[K]>>
}[keyof M]

/** An intersection as one object type, as people read it. */
export type Flat<T> = { [K in keyof T]: T[K] }

/** 2^64 - 1. */
const MAX_U64 = (1n << 64n) - 1n
/** 2^256 - 1: the largest amount that a contract can hold. */
const MAX_AMOUNT = (1n << 256n) - 1n
const TWO_32 = 0x1_0000_0000

/** `true` or `false`. */
export const bool: Schema<boolean> = symmetric((value) =>
  typeof value === 'boolean' ? value : refuse(`boolean expected, got ${kindOf(value)}`),
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
    toWire: (value) => {
      const checked = check(value)
      return checked < TWO_32 ? checked : BigInt(checked)
    },
    fromWire: (wire) => check(typeof wire === 'bigint' ? Number(wire) : wire),
  }
}

/** An integer from 0 to 2^64 - 1 as a bigint. */
export function u64(): Schema<bigint> {
  return {
    toWire: (value) => {
      if (typeof value !== 'bigint') return refuse(`bigint expected, got ${kindOf(value)}`)
      if (value < 0n || value > MAX_U64) return refuse('outside 0 to 2^64 - 1')
      return value < TWO_32 ? Number(value) : value
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
    toWire: (value) => {
      if (typeof value !== 'bigint') return refuse(`amount as bigint expected, got ${kindOf(value)}`)
      if (value < 0n) return refuse('amount below zero')
      if (value > MAX_AMOUNT) return refuse('amount above 2^256 - 1')
      if (value === 0n) return new Uint8Array(0)
      const digits = value.toString(16)
      return hexToBytes(digits.length % 2 === 0 ? digits : `0${digits}`)
    },
    fromWire: (wire) => {
      if (!(wire instanceof Uint8Array)) return refuse(`amount as binary expected, got ${kindOf(wire)}`)
      if (wire.length > 32) return refuse('amount above 2^256 - 1')
      if (wire.length === 0) return 0n
      if (wire[0] === 0) return refuse('amount with a leading zero')
      return BigInt(`0x${bytesToHex(wire)}`)
    },
  }
}

/** Bytes as a {@link Hex} string, exactly `size` of them or at most `size.max`; binary on the wire. */
export function hex(size: number | { readonly max: number }): Schema<Hex> {
  const check = lengthCheck(size)
  return {
    toWire: (value) => {
      if (!isHex(value)) return refuse(`lower-case 0x hex expected, got ${kindOf(value)}`)
      check((value.length - 2) / 2)
      return hexToBytes(value.slice(2))
    },
    fromWire: (wire) => {
      if (!(wire instanceof Uint8Array)) return refuse(`binary expected, got ${kindOf(wire)}`)
      check(wire.length)
      return `0x${bytesToHex(wire)}`
    },
  }
}

/** Bytes as they are, exactly `size` of them or at most `size.max`. Decoding copies. */
export function bytes(size: number | { readonly max: number }): Schema<Uint8Array> {
  const check = lengthCheck(size)
  return {
    toWire: (value) => {
      if (!(value instanceof Uint8Array)) return refuse(`bytes expected, got ${kindOf(value)}`)
      check(value.length)
      return value
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
  return symmetric((value) => {
    if (typeof value !== 'string') return refuse(`text expected, got ${kindOf(value)}`)
    if (value.length > maxBytes) return tooLarge(maxBytes, value.length)
    if (!PLAIN.test(value)) {
      if (/\p{Surrogate}/u.test(value) || value.startsWith('\uFEFF')) return refuse('malformed text')
      const size = new TextEncoder().encode(value).length
      if (size > maxBytes) return tooLarge(maxBytes, size)
    }
    return value
  })
}

/** Text whose UTF-8 length is its length. */
const PLAIN = /^[\p{ASCII}]*$/u

/** Exactly this value. */
export function literal<const V extends string | number | boolean | null>(expected: V): Schema<V> {
  return {
    toWire: (value) => (value === expected ? expected : refuse(`${String(expected)} expected`)),
    fromWire: (wire) => (wire === expected ? expected : refuse(`${String(expected)} expected`)),
  }
}

/** One of a few texts. */
export function oneOf<const V extends string>(...allowed: readonly V[]): Schema<V> {
  const check = (value: unknown): V =>
    allowed.find((known) => known === value) ?? refuse(`one of ${allowed.join(', ')} expected`)
  return symmetric(check)
}

/** Between `min` (0) and `max` items of one type. */
export function list<T>(
  item: Schema<T>,
  limits: { readonly max: number; readonly min?: number },
): Schema<readonly T[]> {
  const { max, min = 0 } = limits
  const check = (value: unknown): readonly unknown[] => {
    if (!Array.isArray(value)) return refuse(`list expected, got ${kindOf(value)}`)
    if (value.length > max) return tooLarge(max, value.length)
    return value.length >= min ? value : refuse(`at least ${min} items expected, got ${value.length}`)
  }
  return {
    toWire: (value) => each(check(value), item.toWire),
    fromWire: (wire) => each(check(wire), item.fromWire),
  }
}

/** The value or `null`. */
export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  mustNotBeNil(inner)
  return {
    toWire: (value) => (value === null ? null : inner.toWire(value)),
    fromWire: (wire) => (wire === null ? null : inner.fromWire(wire)),
  }
}

/** A field that an object may lack. */
export function optional<T>(inner: Schema<T>): OptionalSchema<T> {
  mustNotBeNil(inner)
  return {
    absent: true,
    toWire: (value) => (value === undefined ? null : inner.toWire(value)),
    fromWire: (wire) => (wire === null ? undefined : inner.fromWire(wire)),
  }
}

/** An object with exactly these fields. */
export function object<const F extends Fields>(fields: F): ObjectSchema<F> {
  const write = objectWriter(fields)
  const read = objectReader(fields)
  return {
    fields,
    toWire: (value) => write(value, []),
    fromWire: (wire) => {
      const out: Record<string, unknown> = {}
      read(wire, 0, out)
      return out as ObjectOf<F>
    },
  }
}

/**
 * One of several objects, told apart by the text in their field `discriminant` (`kind` or `phase`). On the
 * wire that text comes first, then the member's fields.
 */
export function union<const D extends string, const M extends Readonly<Record<string, Fields>>>(
  discriminant: D,
  members: M,
): Schema<UnionOf<D, M>> {
  const known = new Map(
    Object.entries(members).map(([name, fields]) => [
      name,
      { write: objectWriter(fields, discriminant), read: objectReader(fields) },
    ]),
  )
  const find = (name: unknown) =>
    (typeof name === 'string' ? known.get(name) : undefined) ??
    within(discriminant, () => refuse(`one of ${[...known.keys()].join(', ')} expected`))
  return {
    toWire: (value) => {
      const name = isRecord(value) ? value[discriminant] : undefined
      return find(name).write(value, [String(name)])
    },
    fromWire: (wire) => {
      const name: unknown = Array.isArray(wire) ? wire[0] : undefined
      const out: Record<string, unknown> = { [discriminant]: name }
      find(name).read(wire, 1, out)
      return out as UnionOf<D, M>
    },
  }
}

/**
 * A schema of another type on top of one that there is: brands, maps, classes. `decode` throws any
 * PerkunasError to refuse; `encode` must be its inverse.
 */
export function converted<T, U>(
  inner: Schema<T>,
  both: {
    readonly encode: (value: U) => T
    readonly decode: (value: T) => U
    readonly is: (value: unknown) => value is U
  },
): Schema<U> {
  return {
    toWire: (value) =>
      inner.toWire(both.is(value) ? both.encode(value) : refuse(`unexpected ${kindOf(value)}`)),
    fromWire: (wire) => both.decode(inner.fromWire(wire)),
  }
}

/** The same schema, for values that are written more than once: what a deeply frozen one becomes is kept with it. */
export function kept<T extends object>(inner: Schema<T>): Schema<T> {
  const wires = new WeakMap<object, Wire>()
  return {
    toWire: (value) => {
      if (typeof value !== 'object' || value === null || !Object.isFrozen(value)) return inner.toWire(value)
      const known = wires.get(value)
      if (known !== undefined) return known
      const wire = inner.toWire(value)
      wires.set(value, wire)
      return wire
    },
    fromWire: inner.fromWire,
  }
}

/** A schema that takes only some of the values of another one. */
export function refined<T, U extends T>(
  inner: Schema<T>,
  is: (value: T) => value is U,
  expected: string,
): Schema<U> {
  const check = (value: T): U => (is(value) ? value : refuse(`${expected} expected`))
  return {
    toWire: (value) => {
      const wire = inner.toWire(value)
      check(value as T) // the inner schema has just found it to be one
      return wire
    },
    fromWire: (wire) => check(inner.fromWire(wire)),
  }
}

/** Writes an object's fields behind `head`; refuses fields that it does not know. */
export function objectWriter(
  fields: Fields,
  extra?: string,
): (value: unknown, head: readonly Wire[]) => readonly Wire[] {
  const entries = entriesOf(fields)
  const known = new Set(extra === undefined ? Object.keys(fields) : [...Object.keys(fields), extra])
  return (value, head) => {
    if (!isRecord(value)) return refuse(`object expected, got ${kindOf(value)}`)
    for (const name in value) if (!known.has(name)) return within(name, () => refuse('unknown field'))
    const out: Wire[] = [...head]
    let at = ''
    try {
      for (const [name, schema] of entries) {
        at = name
        out.push(schema.toWire(value[name]))
      }
    } catch (error) {
      throw inside(at, error)
    }
    return out
  }
}

/** Reads an object's fields into `out` from an array whose first `skip` items are somebody else's. */
export function objectReader(
  fields: Fields,
): (wire: unknown, skip: number, out: Record<string, unknown>) => void {
  const entries = entriesOf(fields)
  return (wire, skip, out) => {
    if (!Array.isArray(wire)) return refuse(`fields expected, got ${kindOf(wire)}`)
    if (wire.length !== skip + entries.length) {
      const missing = entries[wire.length - skip]
      return refuse(
        missing === undefined
          ? `${wire.length - skip - entries.length} unknown fields`
          : `field ${missing[0]} is missing`,
      )
    }
    let at = ''
    try {
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i]
        if (entry === undefined) break
        at = entry[0]
        const value = entry[1].fromWire(wire[skip + i])
        if (value !== undefined) out[at] = value
      }
    } catch (error) {
      throw inside(at, error)
    }
  }
}

/** Ends a check. @throws PerkunasError INVALID_MESSAGE with an empty path, which enclosing objects fill in */
export function refuse(reason: string): never {
  throw new PerkunasError('INVALID_MESSAGE', reason, { path: '', reason })
}

function tooLarge(limit: number, actual: number): never {
  throw new PerkunasError('TOO_LARGE', `at most ${limit} expected, got ${actual}`, { limit, actual })
}

/** The same failure, seen from one level further out. */
function inside(segment: string, error: unknown): unknown {
  if (!(error instanceof PerkunasError)) return error
  const { facts } = error
  if ('path' in facts) {
    const path = facts.path === '' ? segment : `${segment}.${facts.path}`
    return new PerkunasError('INVALID_MESSAGE', `${path}: ${facts.reason}`, { path, reason: facts.reason })
  }
  if ('actual' in facts && 'limit' in facts)
    return new PerkunasError('TOO_LARGE', `${segment}: ${error.message}`, facts)
  return new PerkunasError(
    'INVALID_MESSAGE',
    `${segment}: ${error.message}`,
    { path: segment, reason: error.message },
    { cause: error },
  )
}

function within(segment: string, check: () => never): never {
  try {
    return check()
  } catch (error) {
    throw inside(segment, error)
  }
}

function each<A, B>(items: readonly A[], convert: (item: A) => B): readonly B[] {
  const out: B[] = []
  try {
    for (const item of items) out.push(convert(item))
  } catch (error) {
    throw inside(String(out.length), error)
  }
  return out
}

function symmetric<T extends Wire>(check: (value: unknown) => T): Schema<T> {
  return { toWire: check, fromWire: check }
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

function entriesOf(fields: Fields): readonly (readonly [string, Schema<unknown>])[] {
  if (Object.hasOwn(fields, '__proto__')) mistake('a field may not be named __proto__')
  return Object.entries(fields)
}

/** nil already means something to these schemas, so that a second meaning would make two values one. */
function mustNotBeNil(inner: Schema<unknown>): void {
  let takes = true
  try {
    inner.fromWire(null)
  } catch {
    takes = false
  }
  if (takes) mistake('nullable and optional can not hold a schema that takes nil')
}

function mistake(message: string): never {
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'schema' })
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** What something is, for messages to people; never its content, which may be long or secret. */
function kindOf(value: unknown): string {
  if (value === null) return 'nil'
  if (Array.isArray(value)) return 'list'
  return value instanceof Uint8Array ? 'binary' : typeof value
}
