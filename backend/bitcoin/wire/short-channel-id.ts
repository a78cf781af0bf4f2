// BOLT 7, "Definition of short_channel_id": where on the chain a channel's funding output is. 3 bytes of block height, 3 of
// the transaction's index in the block, 2 of the output's.
import { PerkunasError } from '../../../channel/errors.js'

declare const brand: unique symbol

/** The 8 bytes as one integer, which orders as the chain does. An alias is one that names no output. */
export type ShortChannelID = bigint & { readonly [brand]: 'short channel id' }

/** What a short channel ID is made of. */
export interface ShortChannelIDParts {
  /** Height of the block, below 2^24. */
  readonly block: number
  /** Index of the transaction in the block, below 2^24. */
  readonly transaction: number
  /** Index of the output, below 2^16. */
  readonly output: number
}

/** Brands 64 bits. @throws PerkunasError INVALID_ARGUMENT outside 0 … 2^64 - 1 */
export function shortChannelID(value: bigint): ShortChannelID {
  if (typeof value !== 'bigint' || value < 0n || value >= 1n << 64n) throw invalid(String(value))
  return value as ShortChannelID
}

/** @throws PerkunasError INVALID_ARGUMENT if a part is out of range */
export function joinShortChannelID({ block, transaction, output }: ShortChannelIDParts): ShortChannelID {
  const text = `${block}x${transaction}x${output}`
  if (!isBelow(block, 24) || !isBelow(transaction, 24) || !isBelow(output, 16)) throw invalid(text)
  return ((BigInt(block) << 40n) | (BigInt(transaction) << 16n) | BigInt(output)) as ShortChannelID
}

/** The parts of a short channel ID. */
export function splitShortChannelID(id: ShortChannelID): ShortChannelIDParts {
  return {
    block: Number(id >> 40n),
    transaction: Number((id >> 16n) & 0xff_ffffn),
    output: Number(id & 0xffffn),
  }
}

/** As people write it: `539268x845x1`. */
export function formatShortChannelID(id: ShortChannelID): string {
  const { block, transaction, output } = splitShortChannelID(id)
  return `${block}x${transaction}x${output}`
}

/** Reads what {@link formatShortChannelID} writes. @throws PerkunasError INVALID_ARGUMENT */
export function parseShortChannelID(text: string): ShortChannelID {
  const match = /^(\d{1,8})x(\d{1,8})x(\d{1,5})$/.exec(text)
  if (match === null) throw invalid(text)
  return joinShortChannelID({
    block: Number(match[1]),
    transaction: Number(match[2]),
    output: Number(match[3]),
  })
}

function isBelow(value: number, bits: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits
}

function invalid(text: string): PerkunasError<'INVALID_ARGUMENT'> {
  return new PerkunasError(
    'INVALID_ARGUMENT',
    `short channel ID: block x transaction x output expected, got ${text.slice(0, 40)}`,
    { argument: 'short channel ID' },
  )
}
