// BOLT 1, "Lightning Message Format": two bytes of type, fields, and an extension of TLV records. A message is stated once,
// by its fields and records; encoder, decoder and the TypeScript type follow.
import type { Flat } from '../schema.js'
import type { Fields, ObjectOf } from './fields.js'
import { Reader } from './reader.js'
import { type Records, type Stream, type StreamOf, stream } from './tlv.js'
import { Writer } from './writer.js'

/** A message as the specification states it. */
export interface MessageSchema<K extends string, F extends Fields, R extends Records> {
  /** Its name in the specification, such as `channel_ready`. */
  readonly kind: K
  /** Its number in the specification. */
  readonly type: number
  readonly fields: F
  /** The records of its extension; undefined if what follows the fields is kept as bytes. */
  readonly extension: Stream<R> | undefined
}

/** Any message's schema. */
export type AnyMessageSchema = MessageSchema<string, Fields, Records>

/** The TypeScript type of a message: `kind`, its fields, and the records of its extension, which may be absent. */
export type MessageOf<S> =
  S extends MessageSchema<infer K, infer F, infer R>
    ? Flat<{ readonly kind: K } & ObjectOf<F> & ExtensionOf<R>>
    : never

/** No record's number: what stands for the extension of a message that keeps it as bytes. */
export interface Excess extends Records {
  readonly excess: never
}

type ExtensionOf<R extends Records> = R extends Excess ? { readonly excess?: Uint8Array } : StreamOf<R>

/** No records. */
export type NoRecords = Readonly<Record<never, never>>

/** States a message. @param records what may follow its fields; none are defined if not given */
export function message<const K extends string, F extends Fields, R extends Records = NoRecords>(
  kind: K,
  type: number,
  fields: F,
  records?: R,
): MessageSchema<K, F, R> {
  for (const name of ['kind', 'unknown', 'excess', ...Object.keys(records ?? {})]) {
    if (name in fields) throw new RangeError(`${kind}: two things called ${name}`)
  }
  return { kind, type, fields, extension: stream(records ?? ({} as R)) }
}

/**
 * States a message that is signed with whatever follows its fields (BOLT 7), which is kept as it came, in `excess`, and
 * not looked at: its signature holds for those bytes and no others.
 */
export function announcement<const K extends string, F extends Fields>(
  kind: K,
  type: number,
  fields: F,
): MessageSchema<K, F, Excess> {
  return { kind, type, fields, extension: undefined }
}

/** A message of a type that a set does not know. */
export interface UnknownMessage {
  readonly kind: 'unknown'
  readonly type: number
  readonly payload: Uint8Array
}

/** Reads and writes the messages of a set. */
export interface MessageSet<M extends { readonly kind: string }> {
  readonly schemas: readonly AnyMessageSchema[]
  /**
   * Reads a message with its type. An unknown odd one is for the caller to ignore.
   *
   * @throws PerkunasError INVALID_MESSAGE if it breaks its type's rules, or its type is unknown and even: the connection
   * is to be closed; never another error, whatever came
   */
  readonly decode: (bytes: Uint8Array) => M | UnknownMessage
  /**
   * Writes a message with its type.
   *
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT; TOO_LARGE beyond 65535 bytes
   */
  readonly encode: (value: M) => Uint8Array
}

/** Makes a set of messages, of different kinds and types. */
export function messageSet<const S extends readonly AnyMessageSchema[]>(
  ...schemas: S
): MessageSet<MessageOf<S[number]>> {
  type M = MessageOf<S[number]>
  const plans = schemas.map(planOf)
  const byType = new Map(plans.map((plan) => [plan.type, plan]))
  const byKind = new Map(plans.map((plan) => [plan.kind, plan]))
  if (byType.size < schemas.length || byKind.size < schemas.length) throw new RangeError('a message twice')
  return {
    schemas,
    decode: (bytes) => {
      const from = new Reader(bytes, 'type')
      const type = from.u16()
      const plan = byType.get(type)
      if (plan !== undefined) return plan.read(from) as M
      from.path = `message ${type}`
      if (type % 2 === 0) from.fail('unknown even type')
      return { kind: 'unknown', type, payload: from.bytes(from.left) }
    },
    encode: (value) => {
      const to = new Writer('message')
      const plan = byKind.get(value.kind)
      if (plan === undefined) return to.fail(`unknown kind ${String(value.kind).slice(0, 40)}`)
      to.u16(plan.type)
      plan.write(to, value)
      return to.done()
    },
  }
}

/** A schema with the paths of its fields spelled out beforehand. */
interface Plan {
  readonly kind: string
  readonly type: number
  readonly read: (from: Reader) => object
  readonly write: (to: Writer, value: Readonly<Record<string, unknown>>) => void
}

function planOf({ kind, type, fields, extension }: AnyMessageSchema): Plan {
  const entries = Object.entries(fields).map(([name, field]) => ({ name, field, path: `${kind}.${name}` }))
  return {
    kind,
    type,
    read: (from) => {
      const out: Record<string, unknown> = { kind }
      for (const { name, field, path } of entries) {
        from.path = path
        out[name] = field.read(from)
      }
      if (from.left > 0) {
        from.path = kind
        if (extension === undefined) out['excess'] = from.bytes(from.left)
        else extension.read(from, out)
      }
      return out
    },
    write: (to, value) => {
      for (const { name, field, path } of entries) {
        to.path = path
        field.write(to, value[name])
      }
      to.path = kind
      const { excess } = value
      if (extension !== undefined) extension.write(to, value)
      else if (excess instanceof Uint8Array) to.bytes(excess)
      else if (excess !== undefined) to.fail('excess: bytes expected')
    },
  }
}
