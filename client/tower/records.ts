// What a watchtower writes: each channel's newest state when a client gives it, and what the ledger says of it.
import type { ChannelID, RegisterRequest } from '../../channel/index.js'
import type { PeerID } from '../../peer/index.js'
import { type Infer, list, object, oneOf, schemaCodec, u64 } from '../../peer/index.js'
import { defineRecord, type RecordType, type Store, type Write } from '../../persistence/index.js'
import { cursorSchema, watchedFields } from './messages.js'
import { MAX_STANDINGS, type Standing } from './standing.js'

const STATES = 'tower/state/'
const SEEN = 'tower/seen/'

const seenSchema = object({
  cursor: cursorSchema,
  standings: list(
    object({
      kind: oneOf('registered', 'progressed', 'cleared', 'concluded'),
      version: u64(),
      deadline: u64(),
    }),
    { max: MAX_STANDINGS },
  ),
})

/** What was seen on the ledger, and up to where it was read. */
export type Seen = Infer<typeof seenSchema>

/** Records of newest states. */
export const states: RecordType<RegisterRequest> = defineRecord({
  name: 'tower/state',
  version: 1,
  ...schemaCodec(object(watchedFields)),
})
/** Records of what was seen. */
export const seen: RecordType<Seen> = defineRecord({
  name: 'tower/seen',
  version: 1,
  ...schemaCodec(seenSchema),
})

/** A channel as it is stored: for whom, the newest state, and what was seen. */
export interface Stored {
  readonly client: PeerID
  readonly request: RegisterRequest
  readonly cursor: string | undefined
  readonly standings: readonly Standing[]
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

/** The write that stores what was seen of a channel. */
export function putSeen(
  client: PeerID,
  channelID: ChannelID,
  cursor: string | undefined,
  standings: readonly Standing[],
): Write {
  return seen.put(`${SEEN}${client}/${channelID}`, { cursor: cursor ?? null, standings: [...standings] })
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
    yield {
      client: `0x${client.slice(2)}`,
      request,
      cursor: known?.cursor ?? undefined,
      standings: known?.standings ?? [],
      bytes: value.length,
    }
  }
}
