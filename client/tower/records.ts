// What a watchtower writes: each channel's newest state when a client gives it, and what the ledger says of it.
import { type ChannelID, MAX_SUB_ALLOCATIONS, type RegisterRequest } from '../../channel/index.js'
import type { PeerID } from '../../peer/index.js'
import { hex, type Infer, list, object, oneOf, schemaCodec, u64 } from '../../peer/index.js'
import { defineRecord, type RecordType, type Store, type Write } from '../../persistence/index.js'
import { cursorSchema, watchedFields } from './messages.js'
import { MAX_STANDINGS, type SeenOf } from './standing.js'
import { channelOf } from './tree.js'

const STATES = 'tower/state/'
const SEEN = 'tower/seen/'

const seenFields = {
  cursor: cursorSchema,
  standings: list(
    object({
      kind: oneOf('registered', 'progressed', 'cleared', 'concluded'),
      version: u64(),
      deadline: u64(),
    }),
    { max: MAX_STANDINGS },
  ),
}
const seenSchema = object({
  ...seenFields,
  subChannels: list(object({ channelID: hex(32), ...seenFields }), { max: MAX_SUB_ALLOCATIONS }),
})
/** More than any message: a tree is made of several. */
const limits = { maxBytes: 64 * 1024 * 1024 }
const seenCodec = schemaCodec(seenSchema, limits)
/** Before there were sub-channels. */
const first = schemaCodec(object(seenFields))

/** What was seen on the ledger of a channel and of its sub-channels, and up to where it was read for each. */
export type Seen = Infer<typeof seenSchema>

/** Records of newest states. */
export const states: RecordType<RegisterRequest> = defineRecord({
  name: 'tower/state',
  version: 1,
  ...schemaCodec(object(watchedFields), limits),
})
/** Records of what was seen. */
export const seen: RecordType<Seen> = defineRecord({
  name: 'tower/seen',
  version: 2,
  ...seenCodec,
  migrations: { 1: (payload) => seenCodec.encode({ ...first.decode(payload), subChannels: [] }) },
})

/** A channel as it is stored: for whom, the newest state, and what was seen. */
export interface Stored {
  readonly client: PeerID
  readonly request: RegisterRequest
  /** By channel: itself, and those sub-channels of which anything was seen. */
  readonly seen: ReadonlyMap<ChannelID, SeenOf>
  /** Of the state's record. */
  readonly bytes: number
}

/** The write that stores a client's newest state of a channel. */
export function putState(
  client: PeerID,
  channelID: ChannelID,
  request: RegisterRequest,
): Write & { kind: 'put' } {
  const write = states.put(`${STATES}${client}/${channelID}`, request)
  if (write.kind !== 'put') throw new Error('a put is a put')
  return { ...write, kind: 'put' }
}

/** The write that stores what was seen of a channel and its sub-channels. */
export function putSeen(client: PeerID, channelID: ChannelID, known: ReadonlyMap<ChannelID, SeenOf>): Write {
  const subChannels = [...known].flatMap(([id, of]) =>
    id === channelID ? [] : [{ channelID: id, ...written(of) }],
  )
  return seen.put(`${SEEN}${client}/${channelID}`, { ...written(known.get(channelID)), subChannels })
}

/** The writes that forget a channel. */
export function removed(client: PeerID, channelID: ChannelID): Write[] {
  return [STATES, SEEN].map((prefix) => ({ kind: 'delete', key: `${prefix}${client}/${channelID}` }))
}

/** All channels of a store. @throws PerkunasError INVALID_RECORD if one is damaged or of a newer version */
export async function* stored(store: Store): AsyncGenerator<Stored> {
  for await (const [key, value] of store.scan(STATES)) {
    const request = states.open(key, value)
    const [client = '', channelID = ''] = key.slice(STATES.length).split('/')
    const known = await seen.get(store, `${SEEN}${client}/${channelID}`)
    const all = known === undefined ? [] : [{ channelID: channelOf(request), ...known }, ...known.subChannels]
    yield {
      client: `0x${client.slice(2)}`,
      request,
      seen: new Map(
        all.map(({ channelID: id, cursor, standings }) => [id, { cursor: cursor ?? undefined, standings }]),
      ),
      bytes: value.length,
    }
  }
}

function written(of: SeenOf | undefined) {
  return { cursor: of?.cursor ?? null, standings: [...(of?.standings ?? [])] }
}
