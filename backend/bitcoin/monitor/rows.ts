// A monitor on disk, in rows that change at different times:
//
//     lightning-monitor/<key index>/terms                     once
//     lightning-monitor/<key index>/released                  with each revocation of ours
//     lightning-monitor/<key index>/failure                   once
//     lightning-monitor/<key index>/secrets                   with each revocation of the peer
//     lightning-monitor/<key index>/holder/<number>           until it is released
//     lightning-monitor/<key index>/counterparty/<number>     until it is revoked
//     lightning-monitor/<key index>/preimage/<offerer>/<id>   as long as the HTLC is in a commitment
//     lightning-monitor/<key index>/closing/<txid>            once
//     lightning-monitor/<key index>/fact/<txid>               when it is in a block, until it is undone
//     lightning-monitor/<key index>/attempt/<id>              with each new price or transaction
//     lightning-monitor/<key index>/orphan                    when the funding output's spend is undone
//     lightning-monitor/<key index>/pending                   with each block, while the peer's commitment waits for one
//     lightning-monitor/<key index>/shown                     once, if a revoked commitment is on chain
//     lightning-monitor/<key index>/ends                      with each HTLC that is settled on chain, and at the end
//     lightning-revoked/<key index>/<number>                  once, if it has HTLC outputs; read when it is on chain
//
// What a step writes is the difference between two states, as for the channel; that of updates in the commit of the
// channel's step.
import { toHex } from '../../../channel/bytes.js'
import {
  bool,
  bytes,
  hex,
  list,
  object,
  oneOf,
  optional,
  type Schema,
  text,
  u64,
  uint,
} from '../../../peer/index.js'
import type { RecordType, Write } from '../../../persistence/index.js'
import {
  basepoints,
  commitmentSignatures,
  failureCause,
  feerate,
  hash,
  msats,
  outpoint,
  pointSchema,
  sats,
  secretStore,
  side,
  transaction,
  transactionUpTo,
} from '../channel/schemas.js'
import type { CommitmentState } from '../keys/index.js'
import type { Attempt } from '../resolver/attempt.js'
import { invalidRow, keyIndexIn, readable, rowType } from '../rows.js'
import { type Outpoint, transactionID } from '../script/index.js'
import { MAX_TRANSACTION_BYTES } from '../script/transaction.js'
import { type Fact, isSame, withFact } from './facts.js'
import type { Monitor, MonitorStep } from './machine.js'
import type { MonitorTerms } from './record.js'
import {
  type CounterpartyCommitment,
  faultOfMonitor,
  type HolderCommitment,
  type MonitorFailure,
  type MonitorState,
  type RevokedCommitment,
  type RevokedHtlc,
} from './state.js'

/** All keys of monitors start so. */
export const MONITOR_ROWS = 'lightning-monitor/'
/** All keys of revoked commitments start so. */
export const REVOKED_ROWS = 'lightning-revoked/'

/** In one commitment, by the protocol. */
const MAX_HTLCS = 966
/** Of one attempt. */
const MAX_COINS = 1000
const MAX_SCRIPT = 10_000
const MAX_NAME = 200

const funding = object({ outpoint, amount: sats })
const delays = uint(0xffff)
const height = uint(0xffff_ffff)
const terms: Schema<MonitorTerms> = object({
  channelID: hex(32),
  keyIndex: u64(),
  setup: object({
    format: oneOf('static_remotekey', 'anchors_zero_fee_htlc', 'zero_fee'),
    opener: side,
    remote: basepoints,
    toSelfDelay: object({ local: delays, remote: delays }),
    dustLimit: object({ local: sats, remote: sats }),
  }),
  basepoints,
  funding,
})
const commitment: Schema<CommitmentState> = object({
  number: u64(),
  funding,
  feerate,
  toLocal: msats,
  toRemote: msats,
  htlcs: list(
    object({
      direction: oneOf('offered', 'received'),
      id: u64(),
      amount: msats,
      paymentHash: hash,
      cltvExpiry: height,
    }),
    { max: MAX_HTLCS },
  ),
})
const holder: Schema<HolderCommitment> = object({ state: commitment, signatures: commitmentSignatures })
const counterparty: Schema<CounterpartyCommitment> = object({ state: commitment, point: pointSchema })
const revoked: Schema<readonly RevokedHtlc[]> = list(object({ paymentHash: hash, cltvExpiry: height }), {
  max: MAX_HTLCS,
})
const shown: Schema<RevokedCommitment> = object({ number: u64(), htlcs: revoked })
const fact: Schema<Fact> = object({
  height,
  blockHash: hex(32),
  position: height,
  txid: hash,
  transaction: transactionUpTo(MAX_TRANSACTION_BYTES),
})
const script = bytes({ max: MAX_SCRIPT })
const price = object({ since: height, start: feerate, feerate, at: height })
const attempt: Schema<Attempt> = object({
  id: text(MAX_NAME),
  kind: oneOf('claim', 'htlc', 'anchor'),
  members: list(outpoint, { max: MAX_HTLCS }),
  due: optional(height),
  price: optional(price),
  isRefused: bool,
  refusals: height,
  asked: optional(height),
  coins: list(object({ outpoint, amount: sats, script, weight: height }), { max: MAX_COINS }),
  change: optional(script),
  last: optional(object({ transaction, fee: sats, feerate })),
})
const key = object({ offerer: side, id: u64() })
const ends: Schema<Pick<Monitor, 'settled' | 'abandoned' | 'isResolved'>> = object({
  settled: list(key, { max: 2 * MAX_HTLCS }),
  abandoned: list(outpoint, { max: 4 * MAX_HTLCS }),
  isResolved: bool,
})

const ROWS = {
  terms: rowType('lightning-monitor-terms', terms),
  released: rowType('lightning-monitor-released', object({ released: u64() })),
  failure: rowType(
    'lightning-monitor-failure',
    object({ cause: failureCause, publish: optional(object({ number: u64(), transaction })) }),
  ),
  secrets: rowType('lightning-monitor-secrets', secretStore),
  holder: rowType('lightning-monitor-holder', holder),
  counterparty: rowType('lightning-monitor-counterparty', counterparty),
  preimage: rowType(
    'lightning-monitor-preimage',
    object({ htlc: key, paymentHash: hash, preimage: bytes(32) }),
  ),
  closing: rowType('lightning-monitor-closing', transaction),
  revoked: rowType('lightning-monitor-revoked', revoked),
  fact: rowType('lightning-monitor-fact', fact),
  attempt: rowType('lightning-monitor-attempt', attempt),
  orphan: rowType('lightning-monitor-orphan', transactionUpTo(MAX_TRANSACTION_BYTES)),
  pending: rowType(
    'lightning-monitor-pending',
    object({ transaction: transactionUpTo(MAX_TRANSACTION_BYTES), at: height }),
  ),
  shown: rowType('lightning-monitor-shown', shown),
  ends: rowType('lightning-monitor-ends', ends),
}

/**
 * What a step writes.
 *
 * @param before undefined for the first
 */
export function monitorWrites(
  before: Monitor | undefined,
  { next, revoked }: Pick<MonitorStep, 'next' | 'revoked'>,
): readonly Write[] {
  const old = before === undefined ? new Map<string, Part>() : partsOf(before)
  const fresh = partsOf(next)
  const writes: Write[] = revoked.map(({ number, htlcs }) =>
    ROWS.revoked.put(revokedKey(next.known.terms.keyIndex, number), htlcs),
  )
  for (const [key, part] of fresh) if (old.get(key)?.value !== part.value) writes.push(part.put(key))
  for (const key of old.keys()) if (!fresh.has(key)) writes.push({ kind: 'delete', key })
  return writes
}

/** The writes that remove a monitor for good, but for the rows of {@link REVOKED_ROWS}, whose number it does not know. */
export function monitorRemoval(monitor: Monitor): readonly Write[] {
  return [...partsOf(monitor).keys()].map((key) => ({ kind: 'delete', key }))
}

/** Where a revoked commitment's HTLCs are, if it has any. */
export function revokedKey(keyIndex: bigint, number: bigint): string {
  return `${REVOKED_ROWS}${keyIndex}/${number}`
}

/** @throws PerkunasError INVALID_RECORD if the row is damaged or of a newer version */
export function openRevoked(key: string, value: Uint8Array): readonly RevokedHtlc[] {
  return ROWS.revoked.open(key, value)
}

/**
 * The monitors of a store's rows, by key index.
 *
 * @param rows everything that begins with {@link MONITOR_ROWS}
 * @throws PerkunasError INVALID_RECORD if a row is damaged, missing or of a newer version
 */
export function restoredMonitors(
  rows: Iterable<readonly [string, Uint8Array]>,
): ReadonlyMap<bigint, Monitor> {
  const drafts = new Map<bigint, Draft>()
  for (const [key, value] of rows) {
    const [, index, part, ...rest] = key.split('/')
    const keyIndex = keyIndexIn(key, index)
    const draft = drafts.get(keyIndex) ?? newDraft()
    drafts.set(keyIndex, draft)
    read(draft, part ?? '', key, value)
    if (rest.length > 2) throw invalidRow(key, 'too many parts')
  }
  return new Map([...drafts].map(([keyIndex, draft]) => [keyIndex, restored(keyIndex, draft)]))
}

/**
 * What never changes about a channel, where the rest of its monitor may not be readable.
 *
 * @param rows that begin with {@link MONITOR_ROWS}
 * @throws PerkunasError INVALID_RECORD if it is damaged or of a newer version
 */
export function monitorTermsIn(
  keyIndex: bigint,
  rows: Iterable<readonly [string, Uint8Array]>,
): MonitorTerms | undefined {
  for (const [key, value] of rows)
    if (key === `${MONITOR_ROWS}${keyIndex}/terms`) return ROWS.terms.open(key, value)
  return undefined
}

/**
 * What spent a channel's funding output, as far as rows of its monitor say that, which may not be readable otherwise.
 *
 * @param rows that begin with {@link MONITOR_ROWS}
 * @throws PerkunasError INVALID_RECORD if one of them is of a newer version
 */
export function spenderIn(
  keyIndex: bigint,
  rows: Iterable<readonly [string, Uint8Array]>,
  funding: Outpoint,
): Fact | undefined {
  for (const [key, value] of rows) {
    if (!key.startsWith(`${MONITOR_ROWS}${keyIndex}/fact/`)) continue
    const fact = readable(() => ROWS.fact.open(key, value))
    if (fact?.transaction.inputs.some(({ outpoint }) => isSame(outpoint, funding))) return fact
  }
  return undefined
}

/** What a row says, and how it is written. The value's identity tells whether it changed. */
interface Part {
  readonly value: unknown
  put(key: string): Write
}

function partsOf({ known: state, ...chain }: Monitor): Map<string, Part> {
  const prefix = `${MONITOR_ROWS}${state.terms.keyIndex}/`
  const { released, failure } = state
  const parts = new Map<string, Part>()
  const add = <T>(type: RecordType<T>, name: string, value: T, identity: unknown = value) =>
    parts.set(`${prefix}${name}`, { value: identity, put: (key) => type.put(key, value) })
  add(ROWS.terms, 'terms', state.terms)
  add(ROWS.released, 'released', { released }, released)
  if (failure !== undefined) add(ROWS.failure, 'failure', failure)
  add(ROWS.secrets, 'secrets', state.secrets)
  for (const one of state.holder) add(ROWS.holder, `holder/${one.state.number}`, one)
  for (const one of state.counterparty) add(ROWS.counterparty, `counterparty/${one.state.number}`, one)
  for (const one of state.preimages) add(ROWS.preimage, `preimage/${one.htlc.offerer}/${one.htlc.id}`, one)
  for (const one of state.closings) add(ROWS.closing, `closing/${toHex(transactionID(one))}`, one)
  for (const one of chain.facts) add(ROWS.fact, `fact/${toHex(one.txid)}`, one)
  for (const one of chain.attempts) add(ROWS.attempt, `attempt/${one.id}`, one)
  if (chain.orphan !== undefined) add(ROWS.orphan, 'orphan', chain.orphan)
  if (chain.pending !== undefined) add(ROWS.pending, 'pending', chain.pending)
  if (chain.revoked !== undefined) add(ROWS.shown, 'shown', chain.revoked)
  const { settled, abandoned, isResolved } = chain
  // Each of them changes with one of the others, or alone: together they are one row, whose identity is theirs.
  const ends = { settled, abandoned, isResolved }
  if (settled.length + abandoned.length > 0 || isResolved) {
    add(ROWS.ends, 'ends', ends, `${identityOf(settled)} ${identityOf(abandoned)} ${isResolved}`)
  }
  return parts
}

const identities = new WeakMap<object, number>()
let identityCount = 0

/** Of an object that is not changed in place. */
function identityOf(value: object): number {
  const known = identities.get(value)
  if (known !== undefined) return known
  identityCount += 1
  identities.set(value, identityCount)
  return identityCount
}

interface Draft {
  terms?: MonitorTerms
  released?: bigint
  failure?: MonitorFailure
  secrets?: MonitorState['secrets']
  readonly holder: HolderCommitment[]
  readonly counterparty: CounterpartyCommitment[]
  readonly preimages: MonitorState['preimages'][number][]
  readonly closings: MonitorState['closings'][number][]
  readonly facts: Fact[]
  readonly attempts: Attempt[]
  orphan?: Monitor['orphan']
  pending?: Monitor['pending']
  shown?: RevokedCommitment
  ends?: Pick<Monitor, 'settled' | 'abandoned' | 'isResolved'>
}

function newDraft(): Draft {
  return { holder: [], counterparty: [], preimages: [], closings: [], facts: [], attempts: [] }
}

/** Takes each part out of its row. */
const READERS: Readonly<Record<string, (draft: Draft, ...row: readonly [string, Uint8Array]) => void>> = {
  terms: (draft, ...row) => {
    draft.terms = ROWS.terms.open(...row)
  },
  released: (draft, ...row) => {
    draft.released = ROWS.released.open(...row).released
  },
  failure: (draft, ...row) => {
    draft.failure = ROWS.failure.open(...row)
  },
  secrets: (draft, ...row) => {
    draft.secrets = ROWS.secrets.open(...row)
  },
  holder: (draft, ...row) => void draft.holder.push(ROWS.holder.open(...row)),
  counterparty: (draft, ...row) => void draft.counterparty.push(ROWS.counterparty.open(...row)),
  preimage: (draft, ...row) => void draft.preimages.push(ROWS.preimage.open(...row)),
  closing: (draft, ...row) => void draft.closings.push(ROWS.closing.open(...row)),
  fact: (draft, ...row) => void draft.facts.push(ROWS.fact.open(...row)),
  attempt: (draft, ...row) => void draft.attempts.push(ROWS.attempt.open(...row)),
  orphan: (draft, ...row) => {
    draft.orphan = ROWS.orphan.open(...row)
  },
  pending: (draft, ...row) => {
    draft.pending = ROWS.pending.open(...row)
  },
  shown: (draft, ...row) => {
    draft.shown = ROWS.shown.open(...row)
  },
  ends: (draft, ...row) => {
    draft.ends = ROWS.ends.open(...row)
  },
}

function read(draft: Draft, part: string, key: string, value: Uint8Array): void {
  const reader = Object.hasOwn(READERS, part) ? READERS[part] : undefined
  if (reader === undefined) throw invalidRow(key, 'no part of a monitor')
  reader(draft, key, value)
}

function restored(keyIndex: bigint, draft: Draft): Monitor {
  const { terms, released, secrets, failure, preimages, closings } = draft
  const prefix = `${MONITOR_ROWS}${keyIndex}/`
  if (terms === undefined) throw invalidRow(`${prefix}terms`, 'it is missing')
  if (released === undefined) throw invalidRow(`${prefix}released`, 'it is missing')
  if (secrets === undefined) throw invalidRow(`${prefix}secrets`, 'it is missing')
  const known: MonitorState = {
    terms,
    released,
    secrets,
    preimages,
    closings,
    holder: byNumber(draft.holder),
    counterparty: byNumber(draft.counterparty),
    ...(failure === undefined ? {} : { failure }),
  }
  const fault = faultOfMonitor(known)
  if (fault !== undefined || terms.keyIndex !== keyIndex)
    throw invalidRow(`${prefix}terms`, fault ?? 'misplaced')
  const { facts, attempts, orphan, pending, shown, ends } = draft
  return {
    known,
    facts: facts.reduce<readonly Fact[]>(withFact, []),
    attempts,
    settled: ends?.settled ?? [],
    abandoned: ends?.abandoned ?? [],
    isResolved: ends?.isResolved ?? false,
    ...(orphan === undefined ? {} : { orphan }),
    ...(pending === undefined ? {} : { pending }),
    ...(shown === undefined ? {} : { revoked: shown }),
  }
}

function byNumber<T extends { readonly state: CommitmentState }>(list: readonly T[]): readonly T[] {
  return [...list].sort((a, b) => (a.state.number < b.state.number ? -1 : 1))
}
