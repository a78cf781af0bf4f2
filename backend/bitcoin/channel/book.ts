// The book of a channel: settled balances, and everything that is between the two commitments. Both commitments are
// views of it, so they can't drift apart.
import { PerkunasError } from '../../../channel/errors.js'
import type { CommitmentState } from '../keys/index.js'
import type { HtlcKey, Side } from '../monitor/record.js'
import type { Funding, Htlc } from '../script/index.js'
import { add, type BlockHeight, type FeeratePerKw, type Msat, msat, sub } from '../units.js'
import {
  type Age,
  advanceStage,
  type Fact,
  isIn,
  isRemoval,
  isRemoved,
  otherSide,
  type Stage,
} from './stages.js'

/** How long hops held an HTLC, and their proofs. */
export interface Attribution {
  readonly htlcHoldTimes: readonly number[]
  readonly truncatedHmacs: Uint8Array
}

/** How an HTLC ends. */
export type Removal =
  | { readonly kind: 'fulfill'; readonly preimage: Uint8Array; readonly attribution?: Attribution }
  | { readonly kind: 'fail'; readonly reason: Uint8Array; readonly attribution?: Attribution }
  | { readonly kind: 'malformed'; readonly sha256OfOnion: Uint8Array; readonly failureCode: number }

/** An HTLC that is in a commitment, or about to be. */
export interface OpenHtlc extends HtlcKey {
  readonly amount: Msat
  /** 32 bytes. */
  readonly paymentHash: Uint8Array
  readonly cltvExpiry: BlockHeight
  /** 1366 bytes. Only of the peer's, and only until it is locked and handed on. */
  readonly onion?: Uint8Array
  readonly blindedPath?: Uint8Array
  /** What whoever had us add it calls it. */
  readonly reference?: string
  readonly stage: Stage
  /** From `resolving` on. */
  readonly removal?: Removal
  /** It outlives a removal that was taken back. */
  readonly preimage?: Uint8Array
}

/** A feerate on its way into both commitments. */
export interface FeeChange {
  readonly feerate: FeeratePerKw
  readonly stage: Stage
}

/** See above. */
export interface Book {
  /** Who opened the channel and pays for the commitments. */
  readonly opener: Side
  /** Without what is open: the amount of an open HTLC is still with who offered it. */
  readonly balances: Readonly<Record<Side, Msat>>
  /** Irrevocable. */
  readonly feerate: FeeratePerKw
  /** In the order of their messages. */
  readonly changes: readonly FeeChange[]
  readonly htlcs: readonly OpenHtlc[]
  /** How many HTLCs each side ever offered, uncommitted ones that were dropped not counted: the next one's ID. */
  readonly offered: Readonly<Record<Side, bigint>>
}

/** What a commitment says, from its holder's side. */
export type View = Omit<CommitmentState, 'number' | 'funding'>

/** A book with nothing open. */
export function newBook(given: Pick<Book, 'opener' | 'balances' | 'feerate'>): Book {
  return { ...given, changes: [], htlcs: [], offered: { local: 0n, remote: 0n } }
}

/** The HTLC of that name. */
export function findHtlc(book: Book, { offerer, id }: HtlcKey): OpenHtlc | undefined {
  return book.htlcs.find((one) => one.id === id && one.offerer === offerer)
}

/** A new HTLC, offered and in no commitment yet. */
export function addHtlc(book: Book, htlc: Omit<OpenHtlc, 'stage' | 'removal' | 'preimage'>): Book {
  if (htlc.id !== book.offered[htlc.offerer]) throw broken(`HTLC ${book.offered[htlc.offerer]} is next`)
  return {
    ...book,
    htlcs: book.htlcs.concat({ ...htlc, stage: 'offered' }),
    offered: { ...book.offered, [htlc.offerer]: htlc.id + 1n },
  }
}

/** A locked HTLC begins to go. */
export function removeHtlc(book: Book, key: HtlcKey, removal: Removal): Book {
  return change(book, key, (htlc) => {
    if (htlc.stage !== 'locked') throw broken(`HTLC ${key.id} of ${key.offerer} is ${htlc.stage}`)
    const known = removal.kind === 'fulfill' ? { preimage: removal.preimage } : {}
    return { ...htlc, stage: 'resolving', removal, ...known }
  })
}

/** What became of an HTLC whose preimage was learned before it could be removed. */
export function learnPreimage(book: Book, key: HtlcKey, preimage: Uint8Array): Book {
  return change(book, key, (htlc) => ({ ...htlc, preimage }))
}

/** A feerate that was announced and is in no commitment yet; it takes the place of one that is not in any either. */
export function changeFee(book: Book, feerate: FeeratePerKw): Book {
  const signed = book.changes.filter(({ stage }) => stage !== 'offered')
  return { ...book, changes: [...signed, { feerate, stage: 'offered' }] }
}

/** What a fact did to a book. */
export interface Advanced {
  readonly book: Book
  /** HTLCs that this made irrevocable, in the order in which they were offered. */
  readonly locked: readonly OpenHtlc[]
  /** HTLCs that are in no commitment any more. */
  readonly gone: readonly OpenHtlc[]
  /** Whether anything moved. */
  readonly hasMoved: boolean
}

/** Moves everything that a fact moves. */
export function advance(book: Book, fact: Fact): Advanced {
  const locked: OpenHtlc[] = []
  const gone: OpenHtlc[] = []
  const rest: OpenHtlc[] = []
  let { balances, feerate }: Pick<Book, 'balances' | 'feerate'> = book
  let hasMoved = false
  for (const htlc of book.htlcs) {
    const stage = advanceStage(htlc.stage, htlc.offerer, fact)
    if (stage === htlc.stage) {
      rest.push(htlc)
      continue
    }
    hasMoved = true
    const moved = { ...htlc, stage }
    if (stage === 'gone') {
      gone.push(moved)
      balances = settle(balances, moved)
      continue
    }
    if (stage !== 'locked') {
      rest.push(moved)
      continue
    }
    locked.push(moved)
    const { onion: _, ...kept } = moved
    rest.push(kept)
  }
  const changes: FeeChange[] = []
  for (const one of book.changes) {
    const stage = advanceStage(one.stage, book.opener, fact)
    if (stage !== one.stage) hasMoved = true
    if (stage === 'locked') feerate = one.feerate
    else changes.push({ ...one, stage })
  }
  return hasMoved
    ? { book: { ...book, balances, feerate, changes, htlcs: rest }, locked, gone, hasMoved }
    : { book, locked, gone, hasMoved }
}

/** Whether a signature of that side would commit to anything new. */
export function hasToSign(book: Book, by: Side): boolean {
  return moves(book, { by, what: 'signature' })
}

/** Whether anything is between the commitments: without, both say the same and need no more messages. */
export function isSettled(book: Book): boolean {
  return book.htlcs.length === 0 && book.changes.length === 0
}

/**
 * The commitment of a side: the newest that is signed, or the oldest that is not revoked, which are the same unless a
 * revocation is awaited.
 */
export function viewOf(book: Book, holder: Side, age: Age = 'newest'): View {
  const balances = { ...book.balances }
  const htlcs: Htlc[] = []
  for (const htlc of book.htlcs) {
    const { offerer, id, amount, paymentHash, cltvExpiry, stage } = htlc
    if (isIn(stage, offerer, holder, age)) {
      balances[offerer] = sub(balances[offerer], amount)
      htlcs.push({
        direction: offerer === holder ? 'offered' : 'received',
        id,
        amount,
        paymentHash,
        cltvExpiry,
      })
    } else if (isRemoved(stage, offerer, holder, age)) {
      Object.assign(balances, settle(balances, htlc))
    }
  }
  let { feerate } = book
  for (const one of book.changes) if (isIn(one.stage, book.opener, holder, age)) feerate = one.feerate
  return {
    feerate,
    toLocal: balances[holder],
    toRemote: balances[otherSide(holder)],
    htlcs,
  }
}

/** The view after the other side signed `holder`'s next commitment as things stand. */
export function nextViewOf(book: Book, holder: Side): View {
  return viewOf(advance(book, { by: otherSide(holder), what: 'signature' }).book, holder)
}

/**
 * What a commitment will say once everything that is announced is in it and everything that is being removed is out.
 *
 * Every commitment on the way there has at most its HTLCs and those that the other side is about to add.
 */
export function eventualView(book: Book, holder: Side): View {
  let balances: Record<Side, Msat> = { ...book.balances }
  const htlcs: Htlc[] = []
  for (const htlc of book.htlcs) {
    const { offerer, id, amount, paymentHash, cltvExpiry, stage } = htlc
    if (isRemoval(stage)) {
      balances = settle(balances, htlc)
      continue
    }
    balances[offerer] = sub(balances[offerer], amount)
    const direction = offerer === holder ? 'offered' : 'received'
    htlcs.push({ direction, id, amount, paymentHash, cltvExpiry })
  }
  const feerate = book.changes.at(-1)?.feerate ?? book.feerate
  return { feerate, toLocal: balances[holder], toRemote: balances[otherSide(holder)], htlcs }
}

/** A view as a commitment. */
export function commitmentOf(
  view: View,
  { number, funding }: { readonly number: bigint; readonly funding: Funding },
): CommitmentState {
  return { ...view, number, funding }
}

/**
 * What is left when a connection is lost: what the peer announced and did not sign is forgotten by both, so its IDs come
 * again. Preimages that were learned stay. Of ours nothing is unsigned, since it is signed in the step that sends it.
 *
 * @see BOLT 2, "Message Retransmission"
 */
export function dropUnsigned(book: Book): Book {
  const unsigned = book.htlcs.filter((one) => one.offerer === 'remote' && one.stage === 'offered').length
  const isDropped = (offerer: Side, stage: Stage) => offerer === 'remote' && stage === 'offered'
  const isTakenBack = (htlc: OpenHtlc) => htlc.offerer === 'local' && htlc.stage === 'resolving'
  const changes = book.changes.filter(({ stage }) => !isDropped(book.opener, stage))
  if (unsigned === 0 && changes.length === book.changes.length && !book.htlcs.some(isTakenBack)) return book
  return {
    ...book,
    changes,
    htlcs: book.htlcs
      .filter(({ offerer, stage }) => !isDropped(offerer, stage))
      .map((htlc) => {
        if (!isTakenBack(htlc)) return htlc
        const { removal: _, ...rest } = htlc
        return { ...rest, stage: 'locked' }
      }),
    offered: { ...book.offered, remote: book.offered.remote - BigInt(unsigned) },
  }
}

/** Balances as people see them: what is open counts as still with who offered it. Their sum is the capacity. */
export function capacityOf({ balances }: Book): Msat {
  return add(balances.local, balances.remote)
}

function moves(book: Book, fact: Fact): boolean {
  return (
    book.htlcs.some(({ stage, offerer }) => advanceStage(stage, offerer, fact) !== stage) ||
    book.changes.some(({ stage }) => advanceStage(stage, book.opener, fact) !== stage)
  )
}

function settle(balances: Readonly<Record<Side, Msat>>, htlc: OpenHtlc): Record<Side, Msat> {
  if (htlc.removal?.kind !== 'fulfill') return { ...balances }
  const receiver = otherSide(htlc.offerer)
  return {
    ...balances,
    [htlc.offerer]: sub(balances[htlc.offerer], htlc.amount),
    [receiver]: msat(balances[receiver] + htlc.amount),
  }
}

function change(book: Book, key: HtlcKey, edit: (htlc: OpenHtlc) => OpenHtlc): Book {
  const at = book.htlcs.findIndex(({ id, offerer }) => id === key.id && offerer === key.offerer)
  const htlc = book.htlcs[at]
  if (htlc === undefined) throw broken(`no HTLC ${key.id} of ${key.offerer}`)
  return { ...book, htlcs: book.htlcs.with(at, edit(htlc)) }
}

function broken(rule: string): PerkunasError {
  return new PerkunasError('INVALID_STATE', rule, { rule })
}
