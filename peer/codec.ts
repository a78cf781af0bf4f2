// Named, versioned messages over schemas: `[name, version, ...fields]` in canonical msgpack.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import { unpack } from './msgpack.js'
import { Writer } from './msgpack-writer.js'
import { type Fields, type Flat, type ObjectOf, objectReader, objectWriter, type Schema } from './schema.js'
import { refuse } from './schema-refusal.js'

/** Turns values into bytes and back; one byte string per value. */
export interface Codec<T> {
  /**
   * @throws PerkunasError INVALID_ARGUMENT {argument: path} if the value is not one of the type, TOO_LARGE if
   * a part or the whole exceeds its limit
   */
  encode(value: T): Uint8Array
  /**
   * @throws PerkunasError INVALID_MESSAGE {path, reason} or TOO_LARGE; never another error, whatever the bytes
   */
  decode(bytes: Uint8Array): T
}

/** A kind of message: its name is what `kind` says in the model, its version tells its past forms apart. */
export interface MessageDefinition<N extends string = string, F extends Fields = Fields> {
  readonly name: N
  readonly version: number
  readonly fields: F
}

/** The TypeScript type of a defined message: its fields and `kind`. */
export type MessageOf<D> =
  D extends MessageDefinition<infer N, infer F> ? Flat<{ readonly kind: N } & ObjectOf<F>> : never

/** Limits of a codec. */
export interface CodecOptions {
  /** Longest encoding in bytes; checked before anything is read. Default {@link MAX_ENCODED_BYTES}. */
  readonly maxBytes?: number
}

const OPTION_NAMES: NamesOf<CodecOptions> = { maxBytes: true }

/** Default limit of an encoding: 4 MiB, what a connection takes as one message by default. */
export const MAX_ENCODED_BYTES = 4 * 1024 * 1024

/** Codec of bare values of a schema, for records and parts of messages. @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
export function schemaCodec<T>(schema: Schema<T>, options: CodecOptions = {}): Codec<T> {
  const { encode, decode } = briefCodec(schema, options)
  return { encode: (value) => encode(value).slice(), decode }
}

/** The same for who copies at once what is encoded: with the next value of any codec other bytes are there. */
export function briefCodec<T>(schema: Schema<T>, options: CodecOptions = {}): Codec<T> {
  demandNames(options, OPTION_NAMES)
  const { maxBytes = MAX_ENCODED_BYTES } = options
  return {
    encode: (value) => write((out) => schema.write(value, out), maxBytes),
    decode: (bytes) => schema.fromWire(read(bytes, maxBytes)),
  }
}

/** Defines a message. `fields` may not contain `kind`. */
export function defineMessage<const N extends string, const F extends Fields>(
  definition: MessageDefinition<N, F>,
): MessageDefinition<N, F> {
  const { name, version, fields } = definition
  if ('kind' in fields || !Number.isSafeInteger(version) || version < 1 || name === '') {
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      'a message has a name, a version from 1, and no field "kind"',
      {
        argument: 'definition',
      },
    )
  }
  return { name, version, fields }
}

/** Codec of a family of messages. The same name can't be there twice: old versions get a codec of their own. */
export function messageCodec<const D extends readonly MessageDefinition[]>(
  definitions: D,
  options: CodecOptions = {},
): Codec<MessageOf<D[number]>> {
  type Message = MessageOf<D[number]>
  demandNames(options, OPTION_NAMES)
  const { maxBytes = MAX_ENCODED_BYTES } = options
  const kinds = new Map(
    definitions.map(({ name, version, fields }) => [
      name,
      { version, write: objectWriter(fields, { kind: name, version }), read: objectReader(fields) },
    ]),
  )
  if (kinds.size !== definitions.length) {
    throw new PerkunasError('INVALID_ARGUMENT', 'two messages of one name', { argument: 'definitions' })
  }
  return {
    encode: (message: Message & { readonly kind?: unknown }) => {
      const kind = kinds.get(String(message.kind))
      if (kind === undefined) {
        throw new PerkunasError('INVALID_ARGUMENT', `unknown message ${String(message.kind)}`, {
          argument: 'kind',
        })
      }
      return write((out) => kind.write(message, out), maxBytes).slice()
    },
    decode: (bytes) => {
      const wire = read(bytes, maxBytes)
      const { name, version } = headerOf(wire)
      const kind = kinds.get(name)
      if (kind === undefined) return refuse(`unknown message ${JSON.stringify(name.slice(0, 64))}`)
      if (version !== kind.version) return refuse(`${name}: version ${kind.version} expected, got ${version}`)
      const out: Record<string, unknown> = { kind: name }
      kind.read(wire, 2, out)
      return out as Message
    },
  }
}

/**
 * Name and version of an encoded message, to choose the codec of a past version.
 *
 * @throws PerkunasError INVALID_MESSAGE or TOO_LARGE; INVALID_ARGUMENT if an option is unknown
 */
export function messageHeader(
  bytes: Uint8Array,
  options: CodecOptions = {},
): { readonly name: string; readonly version: number } {
  demandNames(options, OPTION_NAMES)
  return headerOf(read(bytes, options.maxBytes ?? MAX_ENCODED_BYTES))
}

function headerOf(wire: unknown): { readonly name: string; readonly version: number } {
  if (!Array.isArray(wire)) return refuse('message expected')
  const [name, version]: readonly unknown[] = wire
  if (typeof name !== 'string' || typeof version !== 'number') return refuse('name and version expected')
  return { name, version }
}

/** Of all codecs: none is left before what it writes is taken out. */
const writer = new Writer()

/** @returns a view of what was written, which holds until something else is */
function write(fill: (out: Writer) => void, maxBytes: number): Uint8Array {
  const start = writer.at
  try {
    fill(writer)
    checkSize(writer.at - start, maxBytes)
    return writer.viewSince(start)
  } catch (error) {
    if (!(error instanceof PerkunasError) || !('path' in error.facts)) throw error
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      error.message,
      { argument: error.facts.path },
      { cause: error },
    )
  } finally {
    writer.rewind(start)
  }
}

function read(bytes: Uint8Array, maxBytes: number): unknown {
  checkSize(bytes.length, maxBytes)
  return unpack(bytes)
}

function checkSize(actual: number, limit: number): void {
  if (actual > limit) {
    throw new PerkunasError('TOO_LARGE', `at most ${limit} bytes expected, got ${actual}`, { limit, actual })
  }
}
