// A channel on disk, in rows that change at different times:
//
//     lightning/<key index>/terms        once
//     lightning/<key index>/state        with every step that changes it
//     lightning/<key index>/signed       the batch: when we sign, until it is revoked
//     lightning/<key index>/wants        the intents: when they change
//     lightning/<key index>/add/<name>   once, while it is wanted and then in the batch
//     lightning/<key index>/patience     when it begins, or what it is for changes
//     lightning/<key index>/onion/<id>   once, until the HTLC is locked
//
// A step's writes are the difference between two states. What lasts only as long as a connection is not in it: whoever is
// restored is not connected, and what the peer did not sign never was.
import { bytes, hex, oneOf, optional, text, u64, uint, union } from '../../../peer/index.js'
import type { RecordType, Write } from '../../../persistence/index.js'
import { invalidRow, keyIndexIn, rowType } from '../rows.js'
import { batchParts, batchWrites, restoredBatch } from './batch-rows.js'
import { type Book, dropUnsigned, type OpenHtlc } from './book.js'
import {
  askedTerms,
  book,
  closing,
  commitmentSignatures,
  failure,
  features,
  patience,
  pointSchema,
  proposedTerms,
  readiness,
  shutdowns,
  sideTerms,
  signerState,
  terms,
} from './schemas.js'
import { type ChannelState, isLive, type Live } from './state.js'

/** All keys of channels start so. */
export const CHANNEL_ROWS = 'lightning/'

const young = { features, age: uint() }
const answered = {
  ...young,
  terms: proposedTerms,
  remote: sideTerms,
  remotePoint: pointSchema,
  minimumDepth: uint(0xffff_ffff),
}

/** All but what has rows of its own. */
const STATE = union('phase', {
  closed: { channelID: hex(32), keyIndex: u64(), reason: text(10_000) },
  opening: { ...young, terms: proposedTerms },
  asked: { ...young, terms: askedTerms, remote: sideTerms, remotePoint: pointSchema },
  accepted: answered,
  awaitingFunding: answered,
  awaitingFundingSigned: { ...young, terms, signer: signerState, book },
  live: {
    stands: oneOf('awaitingReady', 'normal', 'shuttingDown', 'negotiating', 'failed'),
    features,
    signer: signerState,
    book,
    signatures: commitmentSignatures,
    remoteNextPoint: optional(pointSchema),
    lastSent: oneOf('signature', 'revocation'),
    ready: readiness,
    shutdown: shutdowns,
    closing,
    failure: optional(failure),
  },
})

const ROWS = {
  state: rowType('lightning-channel', STATE),
  terms: rowType('lightning-terms', terms),
  onion: rowType('lightning-onion', bytes(1366)),
  patience: rowType('lightning-patience', patience),
}

/**
 * What a step writes: the difference to what is on disk; nothing if the record is the same, as after an update of the peer
 * that is not signed yet.
 *
 * @param before the state of the last write, undefined for the first
 */
export function channelWrites(before: ChannelState | undefined, after: ChannelState): readonly Write[] {
  const prefix = `${CHANNEL_ROWS}${keyIndexOf(after)}/`
  if (before === undefined || !isLive(before)) {
    if (before === after) return []
    if (!isLive(after)) return [ROWS.state.put(`${prefix}state`, after)]
    return [
      ROWS.terms.put(`${prefix}terms`, after.terms),
      ROWS.state.put(`${prefix}state`, packed(after)),
      ...partWrites(prefix, undefined, after),
    ]
  }
  if (!isLive(after)) return [...removals(prefix, before), ROWS.state.put(`${prefix}state`, after)]
  const state = isSameState(before, after) ? [] : [ROWS.state.put(`${prefix}state`, packed(after))]
  return [...state, ...partWrites(prefix, before, after)]
}

/** The writes that remove a channel for good. Its key index must then be known to be used by other means. */
export function channelRemoval(state: ChannelState): readonly Write[] {
  const prefix = `${CHANNEL_ROWS}${keyIndexOf(state)}/`
  const live = isLive(state) ? removals(prefix, state) : []
  return [...live, { kind: 'delete', key: `${prefix}state` }]
}

/**
 * The channels of a store's rows, by key index.
 *
 * @param rows everything that begins with {@link CHANNEL_ROWS}
 * @throws PerkunasError INVALID_RECORD if a row is damaged, missing or of a newer version
 */
export function restoredChannels(
  rows: Iterable<readonly [string, Uint8Array]>,
): ReadonlyMap<bigint, ChannelState> {
  const byChannel = new Map<bigint, Map<string, Uint8Array>>()
  for (const [key, value] of rows) {
    const [, index, ...rest] = key.split('/')
    const keyIndex = keyIndexIn(key, index)
    const parts = byChannel.get(keyIndex) ?? new Map<string, Uint8Array>()
    byChannel.set(keyIndex, parts.set(rest.join('/'), value))
  }
  return new Map([...byChannel].map(([index, parts]) => [index, restored(index, parts)]))
}

/**
 * What never changes about a channel, where the rest may not be readable.
 *
 * @param rows that begin with {@link CHANNEL_ROWS}
 * @throws PerkunasError INVALID_RECORD if it is damaged or of a newer version
 */
export function termsIn(
  keyIndex: bigint,
  rows: Iterable<readonly [string, Uint8Array]>,
): Live['terms'] | undefined {
  for (const [key, value] of rows)
    if (key === `${CHANNEL_ROWS}${keyIndex}/terms`) return ROWS.terms.open(key, value)
  return undefined
}

function restored(keyIndex: bigint, parts: ReadonlyMap<string, Uint8Array>): ChannelState {
  const prefix = `${CHANNEL_ROWS}${keyIndex}/`
  const read = <T>(type: RecordType<T>, part: string): T | undefined => {
    const value = parts.get(part)
    return value === undefined ? undefined : type.open(`${prefix}${part}`, value)
  }
  const state = read(ROWS.state, 'state')
  if (state === undefined) throw invalidRow(`${prefix}state`, 'it is missing')
  if (state.phase !== 'live') return state
  const fixed = read(ROWS.terms, 'terms')
  if (fixed === undefined) throw invalidRow(`${prefix}terms`, 'it is missing')
  const { stands, phase: _, ...rest } = state
  const waits = read(ROWS.patience, 'patience')
  const live: Live = {
    ...rest,
    phase: stands,
    terms: fixed,
    ...restoredBatch(read, { prefix, terms: fixed, book: rest.book }),
    link: { kind: 'down' },
    book: {
      ...rest.book,
      htlcs: rest.book.htlcs.map((htlc) => {
        const onion = read(ROWS.onion, `onion/${htlc.id}`)
        return onion === undefined || !hasOnion(htlc) ? htlc : { ...htlc, onion }
      }),
    },
    ...(waits === undefined ? {} : { patience: waits }),
  }
  return live
}

function packed(live: Live) {
  const { phase, terms: _, batch: __, intents: ___, link: ____, patience: _____, ...rest } = live
  const { signed, complete } = live.closing
  const { htlcs, ...kept } = dropUnsigned(live.book)
  return {
    ...rest,
    phase: 'live' as const,
    stands: phase,
    closing: { signed, ...(complete === undefined ? {} : { complete }) },
    book: { ...kept, htlcs: htlcs.map(withoutOnion) },
  }
}

/** Most have none any more, and need no copy. */
function withoutOnion(htlc: OpenHtlc): Omit<OpenHtlc, 'onion'> {
  if (htlc.onion === undefined) return htlc
  const { onion: _, ...rest } = htlc
  return rest
}

function partWrites(prefix: string, before: Live | undefined, after: Live): readonly Write[] {
  const writes: Write[] = [...batchWrites(prefix, before, after)]
  if (before?.patience !== after.patience) {
    const key = `${prefix}patience`
    if (after.patience !== undefined) writes.push(ROWS.patience.put(key, after.patience))
    else if (before !== undefined) writes.push({ kind: 'delete', key })
  }
  if (before?.book !== after.book) writes.push(...onionWrites(prefix, before?.book, after.book))
  return writes
}

function onionWrites(prefix: string, before: Book | undefined, after: Book): readonly Write[] {
  const old = onionsOf(before)
  const fresh = onionsOf(after)
  return [
    ...[...fresh].flatMap(([id, onion]) =>
      old.has(id) ? [] : [ROWS.onion.put(`${prefix}onion/${id}`, onion)],
    ),
    ...[...old.keys()].flatMap((id) =>
      fresh.has(id) ? [] : [{ kind: 'delete', key: `${prefix}onion/${id}` } as const],
    ),
  ]
}

/** Onions that are on disk while a book is. */
function onionsOf(book: Book | undefined): ReadonlyMap<bigint, Uint8Array> {
  const found = new Map<bigint, Uint8Array>()
  for (const htlc of book?.htlcs ?? []) {
    if (hasOnion(htlc) && htlc.stage !== 'offered' && htlc.onion !== undefined) found.set(htlc.id, htlc.onion)
  }
  return found
}

function hasOnion({ offerer, stage }: OpenHtlc): boolean {
  return offerer === 'remote' && ['offered', 'signed', 'acked', 'countersigned'].includes(stage)
}

function removals(prefix: string, live: Live): readonly Write[] {
  const onions = [...onionsOf(live.book).keys()].map((id) => `onion/${id}`)
  return ['terms', 'patience', ...batchParts(live), ...onions].map((part) => ({
    kind: 'delete',
    key: `${prefix}${part}`,
  }))
}

/** Whether two states have the same row: what the peer did not sign makes no difference. */
function isSameState(before: Live, after: Live): boolean {
  const names = Object.keys({ ...before, ...after }) as (keyof Live)[]
  const own = names.filter(
    (name) => !['book', 'link', 'batch', 'intents', 'patience', 'terms'].includes(name),
  )
  if (own.some((name) => before[name] !== after[name])) return false
  if (before.book === after.book) return true
  const a = dropUnsigned(before.book)
  const b = dropUnsigned(after.book)
  return (
    a.balances === b.balances &&
    a.feerate === b.feerate &&
    a.offered.local === b.offered.local &&
    a.offered.remote === b.offered.remote &&
    a.changes.length === b.changes.length &&
    a.changes.every((one, i) => one === b.changes[i]) &&
    a.htlcs.length === b.htlcs.length &&
    a.htlcs.every((one, i) => one === b.htlcs[i])
  )
}

function keyIndexOf(state: ChannelState): bigint {
  return state.phase === 'closed' ? state.keyIndex : state.terms.keyIndex
}
