// What a message or a record consists of, said once: each schema gives the TypeScript type of its values,
// their one canonical encoding, and the check of what a stranger sent. Here is how schemas are put together; the
// single values are in schema-values.ts. Knows nothing of transports; whole messages are in codec.ts.
//
// Objects are arrays of their fields in the order of declaration, without names: a missing or an unknown
// field is a wrong length, and two encoders can't disagree about order. What may change between releases is
// named and versioned one level up, in `defineMessage`.
import { PerkunasError } from '../channel/errors.js'
import type { Writer } from './msgpack-writer.js'
import { inside, kindOf, refuse, tooLarge, within } from './schema-refusal.js'

/** Checks and converts values of one type. Stateless; can be shared and nested freely. */
export interface Schema<T> {
  /**
   * Checks a value and writes it as it goes on the wire.
   *
   * @throws PerkunasError INVALID_MESSAGE or TOO_LARGE if the value is not one of the type; what was written of it
   *   until then is to be dropped
   */
  readonly write: (value: unknown, out: Writer) => void
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
    write: (value, out) => {
      const items = check(value)
      out.array(items.length)
      let at = 0
      try {
        for (; at < items.length; at++) item.write(items[at], out)
      } catch (error) {
        throw inside(String(at), error)
      }
    },
    fromWire: (wire) => each(check(wire), item.fromWire),
  }
}

/** The value or `null`. */
export function nullable<T>(inner: Schema<T>): Schema<T | null> {
  mustNotBeNil(inner)
  return {
    write: (value, out) => (value === null ? out.nil() : inner.write(value, out)),
    fromWire: (wire) => (wire === null ? null : inner.fromWire(wire)),
  }
}

/** A field that an object may lack. */
export function optional<T>(inner: Schema<T>): OptionalSchema<T> {
  mustNotBeNil(inner)
  return {
    absent: true,
    write: (value, out) => (value === undefined ? out.nil() : inner.write(value, out)),
    fromWire: (wire) => (wire === null ? undefined : inner.fromWire(wire)),
  }
}

/** An object with exactly these fields. */
export function object<const F extends Fields>(fields: F): ObjectSchema<F> {
  const write = objectWriter(fields)
  const read = objectReader(fields)
  return {
    fields,
    write,
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
      { write: objectWriter(fields, { [discriminant]: name }), read: objectReader(fields) },
    ]),
  )
  const find = (name: unknown) =>
    (typeof name === 'string' ? known.get(name) : undefined) ??
    within(discriminant, () => refuse(`one of ${[...known.keys()].join(', ')} expected`))
  return {
    write: (value, out) => find(isRecord(value) ? value[discriminant] : undefined).write(value, out),
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
    write: (value, out) =>
      inner.write(both.is(value) ? both.encode(value) : refuse(`unexpected ${kindOf(value)}`), out),
    fromWire: (wire) => both.decode(inner.fromWire(wire)),
  }
}

/** The same schema, for values that are written more than once: the bytes of a deeply frozen one are kept with it. */
export function kept<T extends object>(inner: Schema<T>): Schema<T> {
  const encodings = new WeakMap<object, Uint8Array>()
  return {
    write: (value, out) => {
      if (typeof value !== 'object' || value === null || !Object.isFrozen(value))
        return inner.write(value, out)
      const known = encodings.get(value)
      if (known !== undefined) return out.raw(known)
      const start = out.at
      inner.write(value, out)
      encodings.set(value, out.since(start))
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
    write: (value, out) => {
      inner.write(value, out)
      check(value as T) // the inner schema has just found it to be one
    },
    fromWire: (wire) => check(inner.fromWire(wire)),
  }
}

/** Writes an object's fields behind `head`, whose names it may have as well; refuses fields that it does not know. */
export function objectWriter(
  fields: Fields,
  head: Readonly<Record<string, string | number>> = {},
): (value: unknown, out: Writer) => void {
  const entries = entriesOf(fields)
  const known = new Set([...Object.keys(head), ...Object.keys(fields)])
  const begin = Object.values(head)
  return (value, out) => {
    if (!isRecord(value)) return refuse(`object expected, got ${kindOf(value)}`)
    for (const name in value) if (!known.has(name)) return within(name, () => refuse('unknown field'))
    out.array(begin.length + entries.length)
    for (const each of begin) {
      if (typeof each === 'string') out.text(each)
      else out.uint(each)
    }
    let at = ''
    try {
      for (const [name, schema] of entries) {
        at = name
        schema.write(value[name], out)
      }
    } catch (error) {
      throw inside(at, error)
    }
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

function each<A, B>(items: readonly A[], convert: (item: A) => B): readonly B[] {
  const out: B[] = []
  try {
    for (const item of items) out.push(convert(item))
  } catch (error) {
    throw inside(String(out.length), error)
  }
  return out
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
