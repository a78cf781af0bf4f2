// What is wanted and what was signed, on disk. The onion is most of an HTLC to add: it is written once, with its HTLC, in a
// row that `wants` and then `signed` point to, however often these change.
//
// At first `batch` and `intents` held each HTLC to add whole: such rows are read, and replaced with the first change.
import { toHex } from '../../../channel/bytes.js'
import type { Infer } from '../../../peer/index.js'
import type { RecordType, Write } from '../../../persistence/index.js'
import { invalidRow, rowType } from '../rows.js'
import { sha256 } from '../script/index.js'
import type { Book } from './book.js'
import type { Intent, UpdateMessage } from './input.js'
import { addMessage } from './intents.js'
import { addition, batch, batchMessages, wants, wholeIntents } from './schemas.js'
import type { Batch, Live } from './state.js'

const ROWS = {
  signed: rowType('lightning-signed', batch),
  wants: rowType('lightning-wants', wants),
  add: rowType('lightning-add', addition),
  // Of the first form:
  batch: rowType('lightning-batch', batchMessages),
  intents: rowType('lightning-intents', wholeIntents),
}

/** In place of what was wanted when rows of the first form were read: these are to be replaced. */
const FORMER: readonly Intent[] = []

/** What differs between two states. @param prefix of the channel's rows */
export function batchWrites(prefix: string, before: Live | undefined, after: Live): readonly Write[] {
  const writes: Write[] = []
  if (before?.batch !== after.batch) {
    const key = `${prefix}signed`
    if (after.batch !== undefined) writes.push(ROWS.signed.put(key, batchRow(after.batch, after.book)))
    else if (before !== undefined) writes.push({ kind: 'delete', key })
  }
  if (before?.intents !== after.intents) {
    const key = `${prefix}wants`
    if (after.intents.length > 0) writes.push(ROWS.wants.put(key, after.intents.map(named)))
    else if (before !== undefined && before.intents.length > 0) writes.push({ kind: 'delete', key })
    if (before?.intents === FORMER) {
      for (const part of ['batch', 'intents']) writes.push({ kind: 'delete', key: `${prefix}${part}` })
    }
  }
  if (before?.batch !== after.batch || before?.intents !== after.intents) {
    writes.push(...additionWrites(prefix, before, after))
  }
  return writes
}

/** All rows that a state may have: what their keys end with. */
export function batchParts(live: Live): readonly string[] {
  return ['signed', 'wants', 'batch', 'intents', ...[...additionsOf(live).keys()].map(additionPart)]
}

/**
 * A channel as {@link channelWrites} must see it before: without what is in rows of the first form.
 *
 * @param rows it was restored from
 */
export function asWritten(state: Live, rows: Iterable<readonly [string, Uint8Array]>): Live {
  const isFormer = [...rows].some(([key]) => /\/(?:batch|intents)$/.test(key))
  if (!isFormer) return state
  const { batch: _, ...rest } = state
  return { ...rest, intents: FORMER }
}

/** Reads one of a channel's rows. @throws PerkunasError INVALID_RECORD if it is damaged or of a newer version */
export type ReadPart = <T>(type: RecordType<T>, part: string) => T | undefined

/** @throws PerkunasError INVALID_RECORD if a row is damaged, missing or of a newer version */
export function restoredBatch(
  read: ReadPart,
  { prefix, terms, book }: { readonly prefix: string } & Pick<Live, 'terms' | 'book'>,
): Pick<Live, 'batch' | 'intents'> {
  const additionAt = (reference: string) => {
    const part = additionPart(reference)
    const found = read(ROWS.add, part)
    if (found === undefined) throw invalidRow(`${prefix}${part}`, 'it is missing')
    return found
  }
  const signed = read(ROWS.signed, 'signed')
  const former = read(ROWS.batch, 'batch')
  const batch =
    signed !== undefined
      ? batchOf(signed, { terms, book, additionAt }, `${prefix}signed`)
      : former && checkedBatch(former, `${prefix}batch`)
  const wanted = read(ROWS.wants, 'wants')?.map(
    (one): Intent => (one.kind === 'add' ? { kind: 'add', ...additionAt(one.reference) } : one),
  )
  return {
    intents: wanted ?? read(ROWS.intents, 'intents') ?? [],
    ...(batch === undefined ? {} : { batch }),
  }
}

type Addition = Infer<typeof addition>

/** An intent without what has a row. */
function named(intent: Intent): Infer<typeof wants>[number] {
  return intent.kind === 'add' ? { kind: 'add', reference: intent.reference } : intent
}

function additionWrites(prefix: string, before: Live | undefined, after: Live): readonly Write[] {
  const old = additionsOf(before)
  const fresh = additionsOf(after)
  const keyOf = (reference: string) => `${prefix}${additionPart(reference)}`
  return [
    ...[...fresh].flatMap(([reference, one]) =>
      isSame(old.get(reference), one) ? [] : [ROWS.add.put(keyOf(reference), one)],
    ),
    ...[...old.keys()].flatMap((reference) =>
      fresh.has(reference) ? [] : [{ kind: 'delete', key: keyOf(reference) } as const],
    ),
  ]
}

/** Whether it is that HTLC still: between two writes one may be taken back, and another one wanted by its name. */
function isSame(one: Addition | undefined, other: Addition): boolean {
  return (
    one !== undefined &&
    one.amount === other.amount &&
    one.paymentHash === other.paymentHash &&
    one.cltvExpiry === other.cltvExpiry &&
    one.onion === other.onion &&
    one.blindedPath === other.blindedPath
  )
}

/** What has a row: HTLCs that are wanted, and those of the batch. */
function additionsOf(live: Live | undefined): ReadonlyMap<string, Addition> {
  const found = new Map<string, Addition>()
  if (live === undefined) return found
  for (const intent of live.intents) {
    if (intent.kind !== 'add') continue
    const { kind: _, ...one } = intent
    found.set(one.reference, one)
  }
  if (live.batch === undefined) return found
  const references = referencesIn(live.book)
  for (const update of live.batch.updates) {
    const reference = update.kind === 'update_add_htlc' ? references.get(update.id) : undefined
    if (update.kind !== 'update_add_htlc' || reference === undefined) continue
    const { amountMsat: amount, paymentHash, cltvExpiry, onionRoutingPacket: onion, blindedPath } = update
    const one = { reference, amount, paymentHash, cltvExpiry, onion }
    found.set(reference, { ...one, ...(blindedPath === undefined ? {} : { blindedPath }) })
  }
  return found
}

/** By which name HTLCs that we offer were wanted. */
function referencesIn({ htlcs }: Book): ReadonlyMap<bigint, string> {
  const found = new Map<bigint, string>()
  for (const { offerer, id, reference } of htlcs) {
    if (offerer === 'local' && reference !== undefined) found.set(id, reference)
  }
  return found
}

/** Names may be longer than keys, though ours are not. */
function additionPart(reference: string): string {
  const isShort = reference.length <= 100
  return `add/${isShort ? `=${reference}` : `#${toHex(sha256(new TextEncoder().encode(reference)))}`}`
}

function batchRow({ updates, signed }: Batch, book: Book) {
  const references = referencesIn(book)
  return {
    updates: updates.map((message) =>
      message.kind === 'update_add_htlc' && references.has(message.id)
        ? { kind: 'add' as const, id: message.id }
        : { kind: 'message' as const, message },
    ),
    signed,
  }
}

interface Reading extends Pick<Live, 'terms' | 'book'> {
  /** @throws PerkunasError INVALID_RECORD if its row is missing or damaged */
  readonly additionAt: (reference: string) => Addition
}

function batchOf(row: Infer<typeof batch>, { terms, book, additionAt }: Reading, key: string): Batch {
  const references = referencesIn(book)
  const updates = row.updates.map((one) => {
    if (one.kind === 'message') return one.message
    const reference = references.get(one.id)
    if (reference === undefined) throw invalidRow(key, `it adds HTLC ${one.id}, which there is not`)
    return addMessage(terms, additionAt(reference), one.id)
  })
  return checkedBatch([...updates, row.signed], key)
}

function checkedBatch(messages: readonly { readonly kind: string }[], key: string): Batch {
  const signed = messages.at(-1)
  const updates = messages.slice(0, -1)
  if (!isSigned(signed) || !updates.every(isUpdate)) throw invalidRow(key, 'it is no batch')
  return { updates, signed }
}

function isSigned(message: { readonly kind: string } | undefined): message is Batch['signed'] {
  return message?.kind === 'commitment_signed'
}

function isUpdate(message: { readonly kind: string }): message is UpdateMessage {
  return message.kind.startsWith('update_')
}
