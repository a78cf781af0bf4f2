// Compares decoded values with the files, which have the specification's names, hex without prefix, and 64-bit integers
// as decimal strings.

import { lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import { formatShortChannelID, shortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { toHex } from '../../channel/bytes.js'
import { isError } from '../../channel/errors.js'
import type { Fields } from '../../peer/wire/fields.js'

/** A name of the specification as ours: `short_channel_id` as `shortChannelID`. */
export function camel(name: string): string {
  return name.replace(/_tlv$/, '').replace(/_([a-z0-9]+)/g, (_, word: string) => {
    if (word === 'id' || word === 'ids') return word.replace('id', 'ID')
    return word === 'txid' ? 'TxID' : `${word.charAt(0).toUpperCase()}${word.slice(1)}`
  })
}

/** A value as the files have it, with our names and every number as text. */
export function plain(value: unknown, format = ''): unknown {
  if (value instanceof Uint8Array) return toHex(value).slice(2)
  if (typeof value === 'bigint' && format === 'short_channel_id') {
    return formatShortChannelID(shortChannelID(value))
  }
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'string') return value.replace(/^0x/, '')
  if (Array.isArray(value)) return value.map((item) => plain(item, format))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, isTxID(name) ? hashOf(plain(item)) : plain(item)]),
  )
}

/** Fields that the files have in the order of the wire, and we in that of people. */
function isTxID(name: string): boolean {
  return /TxID$|^txid$/.test(name)
}

function hashOf(digits: unknown): string {
  return (String(digits).match(/../g) ?? []).reverse().join('')
}

/** What a file has, with our names and every number as text. */
export function named(value: unknown): unknown {
  if (typeof value === 'number') return String(value)
  if (Array.isArray(value)) return value.map(named)
  if (typeof value !== 'object' || value === null) return value
  // A witness is bytes with their length before them, for which we need no object.
  if ('witness_data' in value) return value.witness_data
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [camel(name), named(item)]))
}

/** A decoded message as the files have it. */
export function plainMessage(message: { readonly kind: string }): unknown {
  const schema = lightningMessages.schemas.find(({ kind }) => kind === message.kind)
  const formats = new Map(Object.entries(schema?.fields ?? {}).map(([name, { format }]) => [name, format]))
  for (const [name, { field }] of Object.entries(schema?.extension?.records ?? {})) {
    formats.set(name, field.format)
  }
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      const shown = plain(value, formats.get(name))
      return [name, isTxID(name) ? hashOf(shown) : shown]
    }),
  )
}

/** The reason for which an INVALID_MESSAGE was thrown; fails if another error or none was. */
export function reasonOf(run: () => unknown): string {
  let value: unknown
  try {
    value = run()
  } catch (error) {
    if (isError(error, 'INVALID_MESSAGE')) return error.facts.reason
    throw error
  }
  throw new Error(`refused expected, got ${JSON.stringify(plain(value))}`)
}

/** The formats of an object's fields by name, as {@link formatsOf} has them for the files. */
export function ownFormats(fields: Fields): unknown {
  return Object.entries(fields).map(([name, { format }]) => [name, canonical(format)])
}

/** A field of a format block. */
export interface FormatField {
  readonly name: string
  readonly type: string
  readonly count?: string | number
}

/** Subtypes that are lists of bytes with their length, and stand for themselves nowhere. */
const PLAIN_SUBTYPES: Readonly<Record<string, string>> = { witness: 'u16*byte' }

/** The fields of a format block with our names, each length field joined with what it counts. */
export function formatsOf(fields: readonly FormatField[]): readonly [string, string][] {
  const counters = new Map(fields.map(({ name, type }) => [name, type]))
  const counts = new Set(fields.map(({ count }) => count))
  return fields
    .filter(({ name }) => !counts.has(name))
    .map(({ name, type, count }) => {
      const item = PLAIN_SUBTYPES[type] ?? type
      const times = typeof count === 'string' ? (counters.get(count) ?? count) : count
      return [camel(name), canonical(times === undefined ? item : `${times}*${item}`)]
    })
}

/** Types of one size and no meaning of their own are written in several ways. */
function canonical(format: string): string {
  if (['channel_id', 'chain_hash', 'sha256'].includes(format)) return '32*byte'
  if (format.startsWith('tlv_')) return '...*byte'
  return format === 'byte' ? 'u8' : format
}
