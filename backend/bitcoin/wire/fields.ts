// The types of BOLTs 2 and 7 that stand on those of BOLT 1: amounts with their units, blocks, transaction IDs.
import { fromHex, type Hex, toHex } from '../../../channel/bytes.js'
import { type Field, u16, u32, u64 } from '../../../peer/wire/fields.js'
import {
  type BlockDelta,
  type BlockHeight,
  blockDelta,
  blockHeight,
  type FeeratePerKw,
  feeratePerKw,
  type Msat,
  type Sat,
  type UnitAmount,
  wireAmount,
} from '../units.js'
import { type ShortChannelID, shortChannelID } from './short-channel-id.js'

declare const brand: unique symbol

/** A transaction's ID, 32 bytes, in the order in which people and nodes show it: the reverse of its hash. */
export type TxID = Hex & { readonly [brand]: 'txid' }

/** A transaction's ID from its hash as it stands in transactions and in messages. */
export function txIDOfHash(hash: Uint8Array): TxID {
  return toHex(Uint8Array.from(hash).reverse()) as TxID
}

/** Satoshis, 8 bytes. */
export const sats: Field<Sat> = amount<Sat>('u64')
/** Thousandths of a satoshi, 8 bytes. */
export const msats: Field<Msat> = amount<Msat>('u64')
/** Thousandths of a satoshi, 4 bytes: a fee. */
export const msats32: Field<Msat> = {
  format: 'u32',
  least: 4,
  read: (from) => wireAmount<Msat>(BigInt(from.u32())),
  write: (to, value) => {
    if (typeof value !== 'bigint' || value > 0xffff_ffffn) to.fail('amount of 32 bits expected')
    to.u32(Number(value))
  },
}
/** Satoshis or their thousandths, without leading zeros; the last field of a record. */
export function truncatedAmount<A extends UnitAmount>(): Field<A> {
  return {
    format: 'tu64',
    least: 0,
    read: (from) => wireAmount<A>(from.truncated(8)),
    write: (to, value) => to.truncated(8, value),
  }
}

function amount<A extends UnitAmount>(format: 'u64'): Field<A> {
  return { format, least: 8, read: (from) => wireAmount<A>(from.u64()), write: u64.write }
}

/** An absolute height, 4 bytes. */
export const height: Field<BlockHeight> = {
  format: 'u32',
  least: 4,
  read: (from) => blockHeight(from.u32()),
  write: u32.write,
}
/** A number of blocks, 2 bytes. */
export const blocks16: Field<BlockDelta> = {
  format: 'u16',
  least: 2,
  read: (from) => blockDelta(from.u16()),
  write: u16.write,
}
/** A number of blocks, 4 bytes. */
export const blocks32: Field<BlockDelta> = {
  format: 'u32',
  least: 4,
  read: (from) => blockDelta(from.u32()),
  write: u32.write,
}
/** Satoshis for 1000 units of weight, 4 bytes. */
export const feerate: Field<FeeratePerKw> = {
  format: 'u32',
  least: 4,
  read: (from) => feeratePerKw(from.u32()),
  write: u32.write,
}

/** 8 bytes. */
export const shortID: Field<ShortChannelID> = {
  format: 'short_channel_id',
  least: 8,
  read: (from) => shortChannelID(from.u64()),
  write: u64.write,
}

/** 32 bytes, reversed between the wire and {@link TxID}. */
export const txID: Field<TxID> = {
  format: 'sha256',
  least: 32,
  read: (from) => toHex(from.bytes(32).reverse()) as TxID,
  write: (to, value) => {
    if (typeof value !== 'string' || value.length !== 66) to.fail('32 bytes as hex expected')
    to.bytes(fromHex(value, 32).reverse())
  },
}
