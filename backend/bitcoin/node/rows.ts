// A node's own records, beside those of its channels and their monitors:
//
//     lightning-node/next                   the key index of the next channel
//     lightning-node/channel/<key index>    whose channel it is
//     lightning-node/funding/<key index>    the block of its funding, once it is in one
//     lightning-node/own-funding/<key index> the transaction that funds it, until it is deep, if it is ours
//     lightning-node/peer/<id>              where a peer with channels was reached
//     lightning-node/cursor                 the newest block that was dealt with, and some before it
import type { Hex } from '../../../channel/bytes.js'
import {
  bool,
  hex,
  object,
  optional,
  type Schema,
  schemaCodec,
  text,
  u64,
  uint,
} from '../../../peer/index.js'
import { defineRecord, type RecordType } from '../../../persistence/index.js'
import { transaction } from '../channel/schemas.js'

/** All of them. */
export const NODE_ROWS = 'lightning-node/'

const height = uint(0xffff_ffff)

/** Where a funding transaction is on the chain. */
export interface FundingPlace {
  readonly height: number
  readonly hash: Hex
  /** In its block. */
  readonly position: number
  readonly isCoinbase: boolean
}

/** The records. */
export const NODE_RECORDS = {
  next: row('lightning-node-next', object({ keyIndex: u64() })),
  channel: row('lightning-node-channel', object({ peer: hex(33) })),
  funding: row(
    'lightning-node-funding',
    object({ height, hash: hex(32), position: uint(0xff_ffff), isCoinbase: bool }),
  ),
  ownFunding: row('lightning-node-own-funding', object({ reservation: hex(16), transaction })),
  peer: row('lightning-node-peer', object({ address: optional(text(1000)) })),
}

/** Their keys. */
export const NODE_KEYS = {
  next: `${NODE_ROWS}next`,
  cursor: `${NODE_ROWS}cursor`,
  channel: (keyIndex: bigint) => `${NODE_ROWS}channel/${keyIndex}`,
  funding: (keyIndex: bigint) => `${NODE_ROWS}funding/${keyIndex}`,
  ownFunding: (keyIndex: bigint) => `${NODE_ROWS}own-funding/${keyIndex}`,
  peer: (id: string) => `${NODE_ROWS}peer/${id}`,
}

function row<T>(name: string, schema: Schema<T>): RecordType<T> {
  return defineRecord({ name, version: 1, ...schemaCodec(schema, { maxBytes: 16 * 1024 * 1024 }) })
}
