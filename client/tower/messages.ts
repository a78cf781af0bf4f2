// What a client and its watchtower say to each other. They speak over a bus of their own, so that none of it gets in
// between what participants say.
//
//   client → tower   watch(state with all signatures, cursor)   the newest state of a channel, and of its sub-channels
//   tower → client   watching(channelID, versions)              those states, or newer ones, are on the tower's disk
//                    notWatching(channelID, versions, reason)   it won't be refuted with those states
//   client → tower   unwatch(channelID)                         the channel is over
import {
  AUX_LENGTH,
  MAX_ID_LENGTH,
  MAX_PARTICIPANTS,
  MAX_SUB_ALLOCATIONS,
  type Params,
} from '../../channel/index.js'
import {
  bool,
  type Codec,
  converted,
  defineMessage,
  hex,
  list,
  type MessageOf,
  messageCodec,
  nullable,
  object,
  type Schema,
  text,
  u64,
} from '../../peer/index.js'
import { addressMapSchema, signatureSchema, stateSchema } from '../messages.js'

/** Characters of a cursor, and of a reason. */
const MAX_CURSOR_BYTES = 4_096
const MAX_REASON_BYTES = 1_024

const id = hex(32)

/** What never changes of a channel. */
export const paramsSchema: Schema<Params> = converted(
  object({
    challengeDuration: u64(),
    participants: list(addressMapSchema, { max: MAX_PARTICIPANTS }),
    app: hex({ max: MAX_ID_LENGTH }),
    nonce: hex(32),
    ledgerChannel: bool,
    virtualChannel: bool,
    aux: hex(AUX_LENGTH),
  }),
  {
    is: (value): value is Params => typeof value === 'object' && value !== null,
    encode: (params: Params) => ({ ...params, nonce: nonceHex(params.nonce) }),
    decode: (fields) => ({ ...fields, nonce: BigInt(fields.nonce) }),
  },
)

const signed = object({
  params: paramsSchema,
  state: stateSchema,
  signatures: list(signatureSchema, { max: MAX_PARTICIPANTS }),
})

/** A state to register, with all that its locked funds need. */
export const watchedFields = { signed, subChannels: list(signed, { max: MAX_SUB_ALLOCATIONS }) }
/** Where a reader of the ledger stands. */
export const cursorSchema = nullable(text(MAX_CURSOR_BYTES))

const watch = defineMessage({ name: 'watch', version: 1, fields: { ...watchedFields, cursor: cursorSchema } })

/** Of a channel and its sub-channels. */
const versions = {
  channelID: id,
  version: u64(),
  subChannels: list(object({ channelID: id, version: u64() }), { max: MAX_SUB_ALLOCATIONS }),
}
const watching = defineMessage({ name: 'watching', version: 2, fields: versions })
const notWatching = defineMessage({
  name: 'notWatching',
  version: 2,
  fields: { ...versions, reason: text(MAX_REASON_BYTES) },
})
const unwatch = defineMessage({ name: 'unwatch', version: 1, fields: { channelID: id } })

const definitions = [watch, watching, notWatching, unwatch] as const

/** Everything that clients and towers say to each other. */
export type TowerMessage = MessageOf<(typeof definitions)[number]>

/** Bytes to messages and back. Decoding throws INVALID_MESSAGE or TOO_LARGE, whatever came. */
export const towerMessages: Codec<TowerMessage> = messageCodec(definitions)

function nonceHex(nonce: bigint): `0x${string}` {
  return `0x${nonce.toString(16).padStart(64, '0')}`
}
