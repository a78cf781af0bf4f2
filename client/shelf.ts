// Where the records of channels lie that are at rest: in the store, if that answers at once, since a user's
// `channel.state` does. Otherwise their bytes are kept in memory.
import type { Store } from '../persistence/index.js'
import type { ChannelRecord } from './conversation.js'
import { rewound } from './ledger-event.js'
import { created, keyOf, PARTS, restored } from './records.js'

/** What must be kept in memory of a record that was laid away. */
export type Kept = string & { readonly kept: true }

/** Lays records away and takes them out again. */
export interface Shelf {
  /** @param record as it is durable in the store */
  lay(record: ChannelRecord): Kept
  /** The same of what a scan of the store gave, by part. */
  layRead(parts: ReadonlyMap<string, Uint8Array>): Kept
  /** @throws PerkunasError INVALID_RECORD if it is damaged; what the store throws */
  take(channelID: string, kept: Kept): ChannelRecord
}

/** The shelf that goes with a store. */
export function shelfOf(store: Store): Shelf {
  return store.peek === undefined ? memory : storeShelf((key) => store.peek?.(key))
}

function storeShelf(peek: (key: string) => Uint8Array | undefined): Shelf {
  const nothing = '' as Kept
  return {
    lay: () => nothing,
    layRead: () => nothing,
    take: (channelID) => {
      const parts = new Map<string, Uint8Array>()
      for (const part of PARTS) {
        const value = peek(keyOf(channelID, part))
        if (value !== undefined) parts.set(part, value)
      }
      // What a restart had to take back is still written.
      return rewound(restored(channelID, parts))
    },
  }
}

/** Keeps the bytes as a string of one character each: a byte array of its own would take 300 more. */
const memory: Shelf = {
  lay(record) {
    const parts = new Map<string, Uint8Array>()
    for (const [i, write] of created(record).entries()) {
      if (write.kind === 'put') parts.set(PARTS[i] ?? '', write.value)
    }
    return memory.layRead(parts)
  },
  layRead(parts) {
    const [fixed = EMPTY, moving = EMPTY] = PARTS.map((part) => parts.get(part))
    const bytes = new Uint8Array(4 + fixed.length + moving.length)
    new DataView(bytes.buffer).setUint32(0, fixed.length)
    bytes.set(fixed, 4)
    bytes.set(moving, 4 + fixed.length)
    let text = ''
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
    return text as Kept
  },
  take(channelID, kept) {
    const bytes = Uint8Array.from({ length: kept.length }, (_, i) => kept.charCodeAt(i))
    const end = 4 + new DataView(bytes.buffer).getUint32(0)
    const parts = new Map([
      [PARTS[0], bytes.subarray(4, end)],
      [PARTS[1], bytes.subarray(end)],
    ])
    return restored(channelID, parts)
  },
}

const EMPTY = new Uint8Array()
