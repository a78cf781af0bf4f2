// The fundamental types of BOLT 1 as values: each field knows how its type is read and written, and the
// TypeScript type that stands for it. Byte strings that identify (channels, chains, nodes) are hex, so that they can be
// compared and be keys of maps; those that are computed with (points, signatures, secrets, scripts) are bytes.
import type { Hex } from '../../channel/bytes.js'
import { secp256k1 } from '../../wallet/secp256k1.js'
import type { PeerID } from '../identity.js'
import type { Reader } from './reader.js'
import type { Writer } from './writer.js'

/** How values of one type are read and written. Stateless; can be shared. */
export interface Field<T> {
  /** The type as the specification's format blocks write it: `u16`, `32*byte`, `u16*byte` with its length before it. */
  readonly format: string
  /** Fewest bytes that a value takes: what a count is checked with before a list of so many is begun. */
  readonly least: number
  /** What an object consists of, by name. */
  readonly fields?: Fields
  /** What a list consists of. */
  readonly item?: Field<unknown>
  /** @throws PerkunasError INVALID_MESSAGE */
  readonly read: (from: Reader) => T
  /** @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT or TOO_LARGE */
  write(to: Writer, value: T): void
}

/** Fields of an object by name, in wire order. */
export type Fields = Readonly<Record<string, Field<unknown>>>

/** The TypeScript type of a field's values. */
export type ValueOf<F> = F extends Field<infer T> ? T : never

/** The TypeScript type of an object with these fields. */
export type ObjectOf<F> = { readonly [K in keyof F]: ValueOf<F[K]> }

/** 0 to 255. */
export const u8: Field<number> = {
  format: 'u8',
  least: 1,
  read: (from) => from.u8(),
  write: (to, value) => to.u8(value),
}

/** 0 to 65535. */
export const u16: Field<number> = {
  format: 'u16',
  least: 2,
  read: (from) => from.u16(),
  write: (to, value) => to.u16(value),
}

/** 0 to 2^32 - 1. */
export const u32: Field<number> = {
  format: 'u32',
  least: 4,
  read: (from) => from.u32(),
  write: (to, value) => to.u32(value),
}

/** 0 to 2^64 - 1. */
export const u64: Field<bigint> = {
  format: 'u64',
  least: 8,
  read: (from) => from.u64(),
  write: (to, value) => to.u64(value),
}

/** -2^63 to 2^63 - 1. */
export const s64: Field<bigint> = {
  format: 's64',
  least: 8,
  read: (from) => from.s64(),
  write: (to, value) => to.s64(value),
}

/** A signed integer of one, two or four bytes. */
export function signed(size: 1 | 2 | 4): Field<number> {
  return {
    format: `s${8 * size}`,
    least: size,
    read: (from) => from.signed(size),
    write: (to, value) => to.signed(size, value),
  }
}

/** 0 to 65535 without leading zeros; the last field of a record. */
export const tu16: Field<number> = {
  format: 'tu16',
  least: 0,
  read: (from) => Number(from.truncated(2)),
  write: (to, value) => to.truncated(2, integer(to, value)),
}

/** 0 to 2^32 - 1 without leading zeros; the last field of a record. */
export const tu32: Field<number> = {
  format: 'tu32',
  least: 0,
  read: (from) => Number(from.truncated(4)),
  write: (to, value) => to.truncated(4, integer(to, value)),
}

/** 0 to 2^64 - 1 without leading zeros; the last field of a record. */
export const tu64: Field<bigint> = {
  format: 'tu64',
  least: 0,
  read: (from) => from.truncated(8),
  write: (to, value) => to.truncated(8, value),
}

function integer(to: Writer, value: number): bigint {
  return Number.isInteger(value) ? BigInt(value) : to.fail(`integer expected, got ${String(value)}`)
}

/** 0 to 2^64 - 1 in 1, 3, 5 or 9 bytes, the fewest possible. @see BOLT 1, Appendix A */
export const bigSize: Field<bigint> = {
  format: 'bigsize',
  least: 1,
  read: (from) => from.bigSize('bigsize'),
  write: (to, value) => to.bigSize(value),
}

/** Exactly so many bytes. */
export function byteArray(count: number, format = `${count}*byte`): Field<Uint8Array> {
  return {
    format,
    least: count,
    read: (from) => from.bytes(count),
    write: (to, value) => to.bytes(value, count),
  }
}

/** Exactly so many bytes, as hex. */
export function hexArray(count: number, format = `${count}*byte`): Field<Hex> {
  return {
    format,
    least: count,
    read: (from) => from.hex(count),
    write: (to, value) => to.hex(value, count),
  }
}

/** Bytes with their length in two bytes before them. */
export const sizedBytes: Field<Uint8Array> = {
  format: 'u16*byte',
  least: 2,
  read: (from) => from.bytes(from.u16()),
  write: (to, value) => {
    if (!(value instanceof Uint8Array)) to.fail('bytes expected')
    to.u16(value.length)
    to.bytes(value)
  },
}

/** All bytes up to the end; the last field of a record. */
export const restBytes: Field<Uint8Array> = {
  format: '...*byte',
  least: 0,
  read: (from) => from.bytes(from.left),
  write: (to, value) => to.bytes(value),
}

/** All bytes up to the end as UTF-8, which they must be; the last field of a record. */
export const restText: Field<string> = {
  format: '...*utf8',
  least: 0,
  read: (from) => {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(from.bytes(from.left))
    } catch {
      return from.fail('not UTF-8')
    }
  },
  write: (to, value) => {
    if (typeof value !== 'string' || /\p{Surrogate}/u.test(value)) to.fail('well-formed text expected')
    to.bytes(new TextEncoder().encode(value))
  },
}

/** Nothing: that the record is there says it all. */
export const present: Field<true> = {
  format: '',
  least: 0,
  read: () => true,
  write: (to, value) => {
    if (value !== true) to.fail('true expected, or no record at all')
  },
}

/** Items up to the end; the last field of a record. */
export function rest<T>(item: Field<T>): Field<readonly T[]> {
  if (item.least === 0) throw new RangeError('items of a list take bytes')
  return {
    format: `...*${item.format}`,
    least: 0,
    item,
    read: (from) => {
      const items: T[] = []
      while (from.left > 0) items.push(item.read(from))
      return items
    },
    write: (to, value) => {
      if (!Array.isArray(value)) to.fail('list expected')
      for (const one of value) item.write(to, one)
    },
  }
}

/** Exactly so many items, or as many as a count before them says. */
export function list<T>(count: number | Field<number>, item: Field<T>): Field<readonly T[]> {
  if (item.least === 0) throw new RangeError('items of a list take bytes')
  const fixed = typeof count === 'number' ? count : undefined
  return {
    format: `${typeof count === 'number' ? count : count.format}*${item.format}`,
    least: typeof count === 'number' ? count * item.least : count.least,
    item,
    read: (from) => {
      const length = typeof count === 'number' ? count : count.read(from)
      // Before a list of that length is begun, for the count alone costs the sender nothing.
      if (length * item.least > from.left) return from.fail('too short')
      return Array.from({ length }, () => item.read(from))
    },
    write: (to, value) => {
      if (!Array.isArray(value)) to.fail('list expected')
      if (fixed !== undefined && value.length !== fixed)
        to.fail(`${fixed} items expected, got ${value.length}`)
      if (typeof count !== 'number') count.write(to, value.length)
      for (const one of value) item.write(to, one)
    },
  }
}

/** Several fields as one object. */
export function struct<F extends Fields>(format: string, fields: F): Field<ObjectOf<F>> {
  const entries = Object.entries(fields)
  return {
    format,
    least: entries.reduce((sum, [, field]) => sum + field.least, 0),
    fields,
    read: (from) => {
      const out: Record<string, unknown> = {}
      for (const [name, field] of entries) out[name] = field.read(from)
      return out as ObjectOf<F>
    },
    write: (to, value: Readonly<Record<string, unknown>>) => {
      if (typeof value !== 'object' || value === null) to.fail('object expected')
      for (const [name, field] of entries) field.write(to, value[name])
    },
  }
}

/** 32 bytes: a chain by the hash of its first block, in the byte order of BOLT 0. */
export const chainHash = hexArray(32, 'chain_hash')
/** 32 bytes: a channel. */
export const channelID = hexArray(32, 'channel_id')
/** 32 bytes. */
export const sha256Hash = byteArray(32, 'sha256')
/** 64 bytes, r ‖ s; neither range nor key are checked here. */
export const signature = byteArray(64, 'signature')
/** 64 bytes: BIP 340. */
export const bip340Signature = byteArray(64, 'bip340sig')

/** 33 bytes: a point of the curve secp256k1, which is checked. */
export const point: Field<Uint8Array> = {
  format: 'point',
  least: 33,
  read: (from) => {
    const value = from.bytes(33)
    return secp256k1.isPoint(value) ? value : from.fail('invalid point')
  },
  write: (to, value) => to.bytes(value, 33),
}

/**
 * 33 bytes that look like a point. For keys that do nothing but check a signature of the same message: the check fails
 * if there is no such point, and the square root is not paid twice for each announcement.
 */
export const signingKey: Field<Uint8Array> = {
  format: 'point',
  least: 33,
  read: (from) => {
    const value = from.bytes(33)
    return value[0] === 2 || value[0] === 3 ? value : from.fail('invalid point')
  },
  write: (to, value) => to.bytes(value, 33),
}

/** A node by its public key, 33 bytes; checked as far as {@link signingKey} is. */
export const nodeID: Field<PeerID> = {
  format: 'point',
  least: 33,
  read: (from) => {
    const value = from.hex(33)
    return value.startsWith('0x02') || value.startsWith('0x03') ? value : from.fail('invalid point')
  },
  write: (to, value) => to.hex(value, 33),
}
