// Values of every field, record and message, made from their schemas; edges included.
import fc from 'fast-check'
import { type ShortChannelID, shortChannelID } from '../../../backend/bitcoin/wire/short-channel-id.js'
import { toHex } from '../../../channel/bytes.js'
import type { Field } from '../../../peer/wire/fields.js'
import type { AnyMessageSchema } from '../../../peer/wire/message.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'

const points = [1, 2, 3, 254].map((n) => secp256k1.publicKey(new Uint8Array(32).fill(n)))
const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const upTo = (max: bigint) => fc.oneof(fc.bigInt({ min: 0n, max }), fc.constantFrom(0n, 1n, 0xfdn, max))
const shortIDs: fc.Arbitrary<ShortChannelID> = upTo(2n ** 64n - 1n).map(shortChannelID)

const BY_FORMAT: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  '': fc.constant(true),
  u8: fc.integer({ min: 0, max: 0xff }),
  u16: fc.integer({ min: 0, max: 0xffff }),
  u32: fc.integer({ min: 0, max: 0xffff_ffff }),
  u64: upTo(2n ** 64n - 1n),
  s64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  tu16: fc.integer({ min: 0, max: 0xffff }),
  tu32: fc.integer({ min: 0, max: 0xffff_ffff }),
  tu64: upTo(2n ** 64n - 1n),
  bigsize: upTo(2n ** 64n - 1n),
  short_channel_id: shortIDs,
  'u16*byte': fc.uint8Array({ maxLength: 300 }),
  '...*byte': fc.uint8Array({ maxLength: 300 }),
  '...*utf8': fc.string({ unit: 'grapheme', maxLength: 50 }),
  channel_update_checksums: fc.tuple(
    fc.integer({ min: 0, max: 0xffff_ffff }),
    fc.integer({ min: 0, max: 0xffff_ffff }),
  ),
}

/**
 * Any value of a field. Whether its values are bytes or hex, numbers or bigints, is asked of the field itself: it
 * reads zeros, or a point.
 */
export function valuesOf(
  field: Field<unknown>,
  sample: (field: Field<unknown>) => unknown,
): fc.Arbitrary<unknown> {
  const { format, fields, item } = field
  if (fields !== undefined) {
    return fc.record(
      Object.fromEntries(Object.entries(fields).map(([name, one]) => [name, valuesOf(one, sample)])),
    )
  }
  if (item !== undefined) {
    const fixed = /^(\d+)\*/.exec(format)?.[1]
    const size =
      fixed === undefined ? { maxLength: 5 } : { minLength: Number(fixed), maxLength: Number(fixed) }
    return fc.array(valuesOf(item, sample), size)
  }
  const example = sample(field)
  const known = BY_FORMAT[format]
  if (known !== undefined) {
    // A fee of four bytes is an amount all the same.
    return format === 'u32' && typeof example === 'bigint' ? upTo(0xffff_ffffn) : known
  }
  const bytes = format === 'point' ? fc.constantFrom(...points) : bytesOf(field.least)
  return typeof example === 'string' ? bytes.map(toHex) : bytes
}

/** Any message of a schema, with any of its records and of unknown ones. */
export function messagesOf(
  schema: AnyMessageSchema,
  sample: (field: Field<unknown>) => unknown,
): fc.Arbitrary<{ readonly kind: string }> {
  const { kind, fields, extension } = schema
  const required = Object.entries(fields).map(([name, field]) => [name, valuesOf(field, sample)] as const)
  const known = Object.entries(extension?.records ?? {}).map(
    ([name, { field }]) => [name, valuesOf(field, sample)] as const,
  )
  const types = new Set(Object.values(extension?.records ?? {}).map(({ type }) => type))
  const odd = upTo(2n ** 63n - 1n).map((n) => 2n * n + 1n)
  const unknown = fc
    .uniqueArray(fc.record({ type: odd, value: fc.uint8Array({ maxLength: 300 }) }), {
      minLength: 1,
      maxLength: 3,
      selector: ({ type }) => type,
    })
    .map((records) => records.filter(({ type }) => !types.has(type)))
    .filter((records) => records.length > 0)
    .map((records) => records.sort((a, b) => (a.type < b.type ? -1 : 1)))
  const excess = fc.uint8Array({ minLength: 1, maxLength: 40 })
  const all: Record<string, fc.Arbitrary<unknown>> = {
    ...Object.fromEntries([...required, ...known]),
    ...(extension === undefined ? { excess } : { unknown }),
  }
  return fc
    .record(all, { requiredKeys: required.map(([name]) => name) })
    .map((message) => ({ kind, ...message }))
}
