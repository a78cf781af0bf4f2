// BOLT 7: queries with timestamps, checksums and flags. Lists in the compressed form are refused: it must not be used.
import { expect } from 'chai'
import { blockHeight } from '../../backend/bitcoin/units.js'
import { type LightningMessage, lightningMessages } from '../../backend/bitcoin/wire/messages.js'
import {
  decodeQueryFlags,
  decodeShortIDs,
  decodeTimestamps,
  encodeQueryFlags,
  encodeShortIDs,
  encodeTimestamps,
} from '../../backend/bitcoin/wire/queries.js'
import { formatShortChannelID, parseShortChannelID } from '../../backend/bitcoin/wire/short-channel-id.js'
import { bytes, type Case, digits, load } from './cases.js'
import { reasonOf } from './wire.js'

interface List<T> {
  readonly encoding: 'uncompressed' | 'zlib'
  readonly array: readonly T[]
}

interface Vector {
  readonly message: string
  readonly hex: string
  readonly chain_hash: string
  readonly first_blocknum?: number
  readonly number_of_blocks?: number
  readonly sync_complete?: number
  readonly query_option_flags?: number
  readonly short_channel_ids?: List<string>
  readonly query_flags?: List<number>
  readonly timestamps?: List<readonly [number, number]>
  readonly checksums?: readonly (readonly [number, number])[]
  readonly uses_zlib: boolean
}

/** Each vector is read, its lists too, and put together again from its values. */
export function cases(): readonly Case[] {
  return load<{ readonly vectors: readonly Vector[] }>('bolt07-extended-queries').vectors.map(
    (vector, i) => ({
      name: `${vector.message} ${i}${vector.uses_zlib ? ' -> its compressed lists are refused' : ''}`,
      run: () => check(vector),
    }),
  )
}

function check(vector: Vector): void {
  const decoded = lightningMessages.decode(bytes(vector.hex))
  if (decoded.kind === 'unknown') throw new Error('known message expected')
  expect(decoded.kind).to.equal(vector.message)
  expect(digits(lightningMessages.encode(decoded))).to.equal(vector.hex)
  const lists = listsOf(decoded)
  let compressed = 0
  for (const name of ['short_channel_ids', 'query_flags', 'timestamps'] as const) {
    const expected = vector[name]
    const read = lists[name]
    if (expected?.encoding === 'zlib') {
      compressed++
      expect(reasonOf(() => read?.())).to.equal('unknown encoding')
    } else expect(read?.()).to.deep.equal(expected?.array)
  }
  expect(compressed > 0).to.equal(vector.uses_zlib)
  if (!vector.uses_zlib) expect(digits(lightningMessages.encode(rebuilt(vector)))).to.equal(vector.hex)
  else expect(withoutCompressed(decoded, vector)).to.deep.equal(withoutCompressed(rebuilt(vector), vector))
}

const FIELDS = {
  short_channel_ids: 'encodedShortIDs',
  query_flags: 'queryFlags',
  timestamps: 'timestamps',
} as const

/** All figures of a message but the lists that can't be read. */
function withoutCompressed(message: LightningMessage, vector: Vector): Readonly<Record<string, unknown>> {
  const names = (['short_channel_ids', 'query_flags', 'timestamps'] as const).filter(
    (name) => vector[name]?.encoding === 'zlib',
  )
  const hidden: readonly string[] = names.map((name) => FIELDS[name])
  return Object.fromEntries(Object.entries(message).filter(([name]) => !hidden.includes(name)))
}

type Lists = Partial<Record<'short_channel_ids' | 'query_flags' | 'timestamps', () => unknown>>

function listsOf(message: LightningMessage): Lists {
  if (message.kind === 'query_short_channel_ids') {
    const { encodedShortIDs, queryFlags } = message
    return {
      short_channel_ids: () => decodeShortIDs(encodedShortIDs).map(formatShortChannelID),
      ...(queryFlags === undefined ? {} : { query_flags: () => decodeQueryFlags(queryFlags).map(Number) }),
    }
  }
  if (message.kind === 'reply_channel_range') {
    const { encodedShortIDs, timestamps } = message
    return {
      short_channel_ids: () => decodeShortIDs(encodedShortIDs).map(formatShortChannelID),
      ...(timestamps === undefined ? {} : { timestamps: () => decodeTimestamps(timestamps) }),
    }
  }
  return {}
}

/** The message of a vector's values. */
function rebuilt(vector: Vector): LightningMessage {
  const chainHash = `0x${vector.chain_hash}` as const
  const range = {
    chainHash,
    firstBlocknum: blockHeight(vector.first_blocknum ?? 0),
    numberOfBlocks: vector.number_of_blocks ?? 0,
  }
  const encodedShortIDs = encodeShortIDs((vector.short_channel_ids?.array ?? []).map(parseShortChannelID))
  if (vector.message === 'query_channel_range') {
    const flags = vector.query_option_flags
    return {
      kind: 'query_channel_range',
      ...range,
      ...(flags === undefined ? {} : { queryOption: BigInt(flags) }),
    }
  }
  if (vector.message === 'query_short_channel_ids') {
    const flags = vector.query_flags?.array.map(BigInt)
    return {
      kind: 'query_short_channel_ids',
      chainHash,
      encodedShortIDs,
      ...(flags === undefined ? {} : { queryFlags: encodeQueryFlags(flags) }),
    }
  }
  const { timestamps, checksums } = vector
  return {
    kind: 'reply_channel_range',
    ...range,
    syncComplete: vector.sync_complete ?? 0,
    encodedShortIDs,
    ...(timestamps === undefined ? {} : { timestamps: encodeTimestamps(timestamps.array) }),
    ...(checksums === undefined ? {} : { checksums }),
  }
}
