// BOLT 1, "Type-Length-Value Format": streams of records in the order of their types. What a reader does not know is
// refused if its type is even; if it is odd it is kept as it came, so that a stream can be written again unchanged.
import type { Field } from './fields.js'
import { Reader } from './reader.js'
import { Writer } from './writer.js'

/** A record that its reader does not know. */
export interface UnknownRecord {
  readonly type: bigint
  readonly value: Uint8Array
}

/** Known records by the name of their value: type and field. */
export type Records = Readonly<Record<string, TlvRecord<unknown>>>

/** A known record: its number, and what it holds. */
export interface TlvRecord<T> {
  readonly type: bigint
  readonly field: Field<T>
}

/** The TypeScript type of a stream's values: all records may be absent. */
export type StreamOf<R> = {
  readonly [K in keyof R]?: R[K] extends TlvRecord<infer T> ? T : never
} & {
  /** Unknown odd records, by type; absent if there are none. */
  readonly unknown?: readonly UnknownRecord[]
}

/** Reads and writes streams of certain records. */
export interface Stream<R extends Records> {
  readonly records: R
  /** Reads records into `out` up to the reader's end. */
  readonly read: (from: Reader, out: Record<string, unknown>) => void
  readonly write: (to: Writer, value: Readonly<Record<string, unknown>>) => void
}

/** A known record. @param type its number, under which no other record of the stream goes */
export function record<T>(type: number | bigint, field: Field<T>): TlvRecord<T> {
  return { type: BigInt(type), field }
}

/** States which records a stream knows, in any order. */
export function stream<R extends Records>(records: R): Stream<R> {
  const ordered = Object.entries(records)
    .map(([name, { type, field }]) => ({ name, type, field }))
    .sort((a, b) => (a.type < b.type ? -1 : 1))
  const known = new Map(ordered.map((one) => [one.type, one]))
  if (known.size < ordered.length) throw new RangeError('two records of one type')
  if ('unknown' in records) throw new RangeError('a record may not be called unknown')

  return {
    records,
    read: (from, out) => {
      const { path } = from
      let last = -1n
      let unknown: UnknownRecord[] | undefined
      while (from.left > 0) {
        from.path = path
        const type = from.bigSize('type')
        if (type <= last) from.fail(type === last ? 'duplicate type' : 'wrong order')
        last = type
        const one = known.get(type)
        from.path = one === undefined ? `${path}.${type}` : `${path}.${one.name}`
        const length = from.bigSize('length')
        if (length > BigInt(from.left)) from.fail(from.left === 0 ? 'value missing' : 'value truncated')
        if (one !== undefined) out[one.name] = from.part(Number(length), one.field.read)
        else {
          if (type % 2n === 0n) from.fail('unknown even type')
          unknown ??= []
          unknown.push({ type, value: from.bytes(Number(length)) })
        }
      }
      if (unknown !== undefined) out['unknown'] = unknown
    },
    write: (to, value) => {
      const { path } = to
      const given = value['unknown']
      const extra = given === undefined ? [] : sorted(to, given, known)
      let next = 0
      const upTo = (type: bigint | undefined) => {
        for (let one = extra[next]; one !== undefined; one = extra[++next]) {
          const { type: own, value: bytes } = one
          if (type !== undefined && own > type) return
          to.path = `${path}.${own}`
          to.bigSize(own)
          to.sized(() => to.bytes(bytes))
        }
      }
      for (const { name, type, field } of ordered) {
        const content = value[name]
        if (content === undefined) continue
        upTo(type)
        to.path = `${path}.${name}`
        to.bigSize(type)
        to.sized(() => field.write(to, content))
      }
      upTo(undefined)
    },
  }
}

/** Checks that unknown records increase and are none of the known. An even one may be written: it was agreed on. */
function sorted(to: Writer, given: unknown, known: ReadonlyMap<bigint, unknown>): readonly UnknownRecord[] {
  if (!Array.isArray(given)) return to.fail('unknown: list expected')
  let last = -1n
  return given.map((one: unknown) => {
    if (typeof one !== 'object' || one === null) return to.fail('unknown: records expected')
    const { type, value } = one as Partial<UnknownRecord>
    if (typeof type !== 'bigint' || !(value instanceof Uint8Array)) {
      return to.fail('unknown: type and bytes expected')
    }
    if (type <= last) to.fail('unknown: types must increase')
    if (known.has(type)) to.fail(`unknown: record ${type} has a name`)
    last = type
    return { type, value }
  })
}

/**
 * Reads a stream that stands alone.
 *
 * @param path what it is, for errors
 * @throws PerkunasError INVALID_MESSAGE
 */
export function decodeStream<R extends Records>(
  schema: Stream<R>,
  bytes: Uint8Array,
  path: string,
): StreamOf<R> {
  const out: Record<string, unknown> = {}
  schema.read(new Reader(bytes, path), out)
  return out as StreamOf<R>
}

/**
 * Writes a stream that stands alone.
 *
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT; TOO_LARGE beyond 65535 bytes
 */
export function encodeStream<R extends Records>(
  schema: Stream<R>,
  value: StreamOf<R>,
  path: string,
): Uint8Array {
  const to = new Writer(path)
  schema.write(to, value)
  return to.done()
}

/** Reads one value that must take all of `bytes`. @throws PerkunasError INVALID_MESSAGE */
export function decodeField<T>(field: Field<T>, bytes: Uint8Array, path: string): T {
  const from = new Reader(bytes, path)
  return from.part(bytes.length, field.read)
}

/** Writes one value. @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE */
export function encodeField<T>(field: Field<T>, value: NoInfer<T>, path: string): Uint8Array {
  const to = new Writer(path)
  field.write(to, value)
  return to.done()
}
