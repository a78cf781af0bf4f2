// Brings channels back: reads them by one scan, and goes on with what was under way.
import type { AppID, ChannelID } from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Store } from '../persistence/index.js'
import { type ChannelContext, type ChannelRecord, channelState } from './conversation.js'
import type { Clock } from './environment.js'
import { rewound } from './ledger-event.js'
import { isQuiet, pursue } from './pursue.js'
import { CHANNELS, restored } from './records.js'
import { afterRestart } from './reservation.js'
import type { ChannelRuntime } from './runtime.js'
import type { Shelf } from './shelf.js'
import { type AtRest, atRestAs } from './slot.js'

/** Channels that are read before others have their turn. */
const TURN = 512

/** A channel of a store. */
export interface Found {
  readonly record: ChannelRecord
  /** What to keep of it, if it is at rest until something concerns it. */
  readonly atRest: AtRest | undefined
}

/**
 * Reads all channels, each checked: damage anywhere must be known before anything is started.
 *
 * Parents come before their children: channels of a ledger as they are read, then the others, each after all that lock
 * funds for it. One that no channel of this store locks funds for comes without a parent, in the order of keys, as do
 * those that lock funds for each other, which no ledger takes.
 *
 * @param clock lets others have their turn now and then
 * @throws PerkunasError INVALID_RECORD if a record is damaged or of a newer version; what the store throws
 */
export async function* storedChannels(
  store: Store,
  shelf: Shelf,
  context: (app: AppID) => ChannelContext,
  clock: Clock,
): AsyncGenerator<Found, void, undefined> {
  let id = ''
  let parts = new Map<string, Uint8Array>()
  let read = 0
  // Many channels have the same peers and were last heard of at the same place of the ledger.
  const [peerOnce, cursorOnce] = [once<PeerID>(), once<string>()]
  const below: Found[] = []
  const found = (): Found => {
    const written = afterRestart(restored(id, parts))
    const record = rewound(written)
    const isAtRest = record === written && isQuiet(channelState(record), context(record.machine.params.app))
    const { peers, cursor } = record
    return {
      record: { ...record, peers: peers.map(peerOnce), cursor: cursor && cursorOnce(cursor) },
      atRest: isAtRest ? atRestAs(written, shelf.layRead(parts)) : undefined,
    }
  }
  function* take() {
    if (parts.size === 0) return
    const one = found()
    if (one.record.machine.params.ledgerChannel) yield one
    else below.push(one)
  }
  // The records of a channel are neighbours.
  for await (const [key, value] of store.scan(CHANNELS)) {
    const [channelID = '', part = ''] = key.slice(CHANNELS.length).split('/')
    if (channelID !== id) {
      yield* take()
      // A string of its own: what is cut out of a key keeps the whole of it in memory.
      id = ['0x', channelID.slice(2)].join('')
      parts = new Map()
      if (++read % TURN === 0) await new Promise<void>((resolve) => clock.after(0, resolve))
    }
    parts.set(part, value)
  }
  yield* take()
  yield* parentsFirst(below)
}

/** The channels that a channel's funds are locked for, by its newest state and by one that is being signed. */
export function lockedFor({ machine: { current, staging } }: ChannelRecord): readonly ChannelID[] {
  const locked = [current, staging].flatMap((transaction) => transaction?.state.allocation.locked ?? [])
  return locked.length === 0 ? [] : [...new Set(locked.map(({ channelID }) => channelID))]
}

/** Each after all of them that lock funds for it. */
function* parentsFirst(all: readonly Found[]): Generator<Found, void, undefined> {
  const rest = new Map(all.map((one) => [one.record.machine.channelID, one]))
  const awaited = new Map<ChannelID, number>()
  const count = ({ record }: Found, by: number) => {
    for (const id of lockedFor(record)) awaited.set(id, (awaited.get(id) ?? 0) + by)
  }
  for (const one of all) count(one, 1)
  for (let before = -1; before !== rest.size; ) {
    before = rest.size
    for (const [id, one] of rest) {
      if ((awaited.get(id) ?? 0) > 0) continue
      rest.delete(id)
      count(one, -1)
      yield one
    }
  }
  yield* rest.values()
}

/** Gives the first one of equal strings. */
function once<T extends string>(): (text: T) => T {
  const known = new Map<T, T>()
  return (text) => {
    const first = known.get(text) ?? text
    known.set(first, first)
    return first
  }
}

/** Goes on with what was under way. What peers and the ledger say may have come in between. */
export function restart(runtime: ChannelRuntime): void {
  const { record } = runtime.state
  runtime.start(pursue(record, runtime.context))
  if (record.wanted === 'settlement' && record.machine.phase === 'acting') {
    runtime.dispatch({ kind: 'dispute', wanted: 'settlement' })
  }
}
