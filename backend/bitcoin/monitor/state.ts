// A monitor's record, and how what the channel tells changes it: the smallest that can defend the channel alone.
//
//     M1  each commitment of the peer is known before its signature leaves
//     M2  the preimage of each HTLC that was fulfilled is known as long as a commitment that may confirm contains it
//     M3  of a revoked commitment of ours nothing is kept that could be published
//     M4  no fact is withdrawn: one goes only with the commitments to which it mattered
//
// The peer's revoked commitments are not in it. Those with HTLCs come out of it one by one, for a table that only grows and
// in which one number is looked up once one of them is on chain; see rows.ts.
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { revealedPoint } from '../keys/derive.js'
import {
  type CommitmentState,
  EMPTY_SECRETS,
  FIRST_SECRET_INDEX,
  insertSecret,
  type SecretStore,
  secretIndexOf,
} from '../keys/index.js'
import {
  type CommitmentSignatures,
  type Htlc,
  isTrimmed,
  sha256,
  type Transaction,
  transactionID,
  trimThreshold,
} from '../script/index.js'
import type { FailureCause, HtlcKey, MonitorTerms, MonitorUpdate, Side } from './record.js'

/** A commitment of ours that we may publish. */
export interface HolderCommitment {
  readonly state: CommitmentState
  /** The peer's. */
  readonly signatures: CommitmentSignatures
}

/** A commitment that the peer may publish. "Local" is the peer. */
export interface CounterpartyCommitment {
  readonly state: CommitmentState
  /** The peer's, of that number. */
  readonly point: Uint8Array
}

/** What must be known of an HTLC to recognize its output in a revoked commitment. */
export interface RevokedHtlc {
  readonly paymentHash: Uint8Array
  readonly cltvExpiry: number
}

/** The HTLC outputs of a revoked commitment of the peer, of which there is at least one. */
export interface RevokedCommitment {
  readonly number: bigint
  readonly htlcs: readonly RevokedHtlc[]
}

/** A preimage by the HTLC that it fulfils: equal hashes are no reason to give it away for another one. */
export interface KnownPreimage {
  readonly htlc: HtlcKey
  readonly paymentHash: Uint8Array
  readonly preimage: Uint8Array
}

/** How the channel failed. */
export interface MonitorFailure {
  readonly cause: FailureCause
  /** Our newest commitment, complete. */
  readonly publish?: { readonly number: bigint; readonly transaction: Transaction }
}

/** See above. Plain data. */
export interface MonitorState {
  readonly terms: MonitorTerms
  /** Newest last; two only until the older one is released. Empty until the peer signed the first. */
  readonly holder: readonly HolderCommitment[]
  /** The secrets of our commitments below this number were released. */
  readonly released: bigint
  /** The current one, and the next until the current is revoked. */
  readonly counterparty: readonly CounterpartyCommitment[]
  /** Of the peer's revoked commitments. */
  readonly secrets: SecretStore
  readonly preimages: readonly KnownPreimage[]
  /** Closing transactions that we signed: each may confirm. */
  readonly closings: readonly Transaction[]
  readonly failure?: MonitorFailure
}

/** What came of updates. */
export interface Applied {
  readonly next: MonitorState
  /** To be added to the table of revoked commitments, in the same commit. */
  readonly revoked: readonly RevokedCommitment[]
}

/**
 * Applies what one step of the channel tells.
 *
 * @param state undefined before `opened`
 * @throws PerkunasError INVALID_STATE if the updates break M1 or M3 or come in another order than the channel's: a fault
 *   of ours, so that the step must not be committed
 */
export function applyUpdates(state: MonitorState | undefined, updates: readonly MonitorUpdate[]): Applied {
  const revoked: RevokedCommitment[] = []
  let next = state
  for (const update of updates) {
    if (update.kind === 'opened') {
      demand(next === undefined, 'opened twice')
      next = opened(update.terms)
      continue
    }
    if (next === undefined) throw broken(`${update.kind} before opened`)
    if (update.kind === 'revoked') revoked.push(...htlcsOf(next, update.number))
    next = applied(next, update)
  }
  if (next === undefined) throw broken('nothing was opened')
  return { next, revoked }
}

/** How many of the peer's commitments are revoked: the number of its current one. */
export function revokedOf({ secrets }: Pick<MonitorState, 'secrets'>): bigint {
  return FIRST_SECRET_INDEX - secrets.next
}

/** The name of an HTLC in a commitment of `holder`. */
export function keyOf(holder: Side, htlc: Pick<Htlc, 'direction' | 'id'>): HtlcKey {
  return { offerer: offererOf(holder, htlc), id: htlc.id }
}

function offererOf(holder: Side, { direction }: Pick<Htlc, 'direction'>): Side {
  return (direction === 'offered') === (holder === 'local') ? 'local' : 'remote'
}

/** Every HTLC of the commitments that may confirm and are not revoked, each once. */
export function liveHtlcs({
  holder,
  counterparty,
}: Pick<MonitorState, 'holder' | 'counterparty'>): readonly (HtlcKey & Htlc)[] {
  const found = new Map<string, HtlcKey & Htlc>()
  const collect = (side: Side, htlcs: readonly Htlc[]) => {
    for (const htlc of htlcs) {
      const key = keyOf(side, htlc)
      const name = `${key.offerer} ${key.id}`
      if (!found.has(name)) found.set(name, { ...htlc, ...key })
    }
  }
  for (const one of holder) collect('local', one.state.htlcs)
  for (const one of counterparty) collect('remote', one.state.htlcs)
  return [...found.values()]
}

/** The preimage of exactly that HTLC. */
export function preimageOf(
  { preimages }: Pick<MonitorState, 'preimages'>,
  { offerer, id }: HtlcKey,
): Uint8Array | undefined {
  return preimages.find(({ htlc }) => htlc.id === id && htlc.offerer === offerer)?.preimage
}

/** The first of M1 to M3 that a record by itself shows to be broken, or undefined. M4 is between two records. */
export function faultOfMonitor(state: MonitorState): string | undefined {
  const { holder, counterparty, released, failure, preimages } = state
  const current = revokedOf(state)
  // Recovered from a backup: then there is nothing of either side.
  const isLost = failure?.cause === 'dataLoss' && counterparty.length === 0 && holder.length === 0
  if ((counterparty.length === 0 && !isLost) || counterparty.length > 2)
    return `M1: the peer has ${counterparty.length} commitments`
  if (counterparty.some((one, i) => one.state.number !== current + BigInt(i)))
    return "M1: the peer's commitments are not the current and the next"
  const wrong = preimages.find((one) => !equalBytes(sha256(one.preimage), one.paymentHash))
  if (wrong !== undefined) return `M2: not the preimage of HTLC ${wrong.htlc.id} of ${wrong.htlc.offerer}`
  if (holder.length > 2 || (holder.length === 0 && released > 0n))
    return `M3: we have ${holder.length} commitments`
  if (holder.some(({ state: { number } }, i) => number !== released + BigInt(i)))
    return 'M3: ours are not those that are not revoked'
  if (failure?.publish !== undefined && failure.publish.number < released)
    return 'M3: what is to be published is revoked'
  return undefined
}

function opened(terms: MonitorTerms): MonitorState {
  return {
    terms,
    holder: [],
    released: 0n,
    counterparty: [],
    secrets: EMPTY_SECRETS,
    preimages: [],
    closings: [],
  }
}

function applied(state: MonitorState, update: Exclude<MonitorUpdate, { kind: 'opened' }>): MonitorState {
  switch (update.kind) {
    case 'counterparty':
      return signed(state, { state: update.state, point: update.point })
    case 'holder':
      return held(state, { state: update.state, signatures: update.signatures })
    case 'released':
      return released(state, update.number)
    case 'revoked':
      return revoked(state, update)
    case 'preimage':
      return learned(state, { htlc: update.htlc, paymentHash: update.paymentHash, preimage: update.preimage })
    case 'closing':
      return closing(state, update.transaction)
    case 'failed':
      return failed(state, update)
  }
}

function signed(state: MonitorState, commitment: CounterpartyCommitment): MonitorState {
  const { number } = commitment.state
  const next = revokedOf(state) + BigInt(state.counterparty.length)
  demand(number === next, `their commitment ${next} is next, not ${number}`)
  demand(state.counterparty.length < 2, `their commitment ${next - 2n} is not revoked`)
  return { ...state, counterparty: [...state.counterparty, commitment] }
}

function held(state: MonitorState, commitment: HolderCommitment): MonitorState {
  const { number } = commitment.state
  const next = state.released + BigInt(state.holder.length)
  demand(number === next, `our commitment ${next} is next, not ${number}`)
  demand(state.holder.length < 2, `our commitment ${state.released} is not released`)
  return { ...state, holder: [...state.holder, commitment] }
}

function released(state: MonitorState, number: bigint): MonitorState {
  demand(number === state.released, `our commitment ${state.released} is released next, not ${number}`)
  demand(state.holder.length === 2, `our commitment ${number} has no successor`)
  demand(
    state.failure?.publish === undefined,
    `our commitment ${state.failure?.publish?.number} is published`,
  )
  return pruned({ ...state, released: number + 1n, holder: state.holder.slice(1) })
}

function revoked(
  state: MonitorState,
  { number, secret }: { readonly number: bigint; readonly secret: Uint8Array },
): MonitorState {
  const [current, next] = state.counterparty
  demand(number === revokedOf(state), `their commitment ${revokedOf(state)} is revoked next, not ${number}`)
  if (current === undefined || next === undefined) throw broken(`their commitment ${number} has no successor`)
  demand(equalBytes(revealedPoint(secret), current.point), `not the secret of their commitment ${number}`)
  const secrets = insertSecret(state.secrets, { index: secretIndexOf(number), secret })
  return pruned({ ...state, secrets, counterparty: [next] })
}

function learned(state: MonitorState, known: KnownPreimage): MonitorState {
  const { htlc, paymentHash, preimage } = known
  demand(equalBytes(sha256(preimage), paymentHash), `not the preimage of HTLC ${htlc.id} of ${htlc.offerer}`)
  return preimageOf(state, htlc) === undefined
    ? { ...state, preimages: state.preimages.concat(known) }
    : state
}

function closing(state: MonitorState, transaction: Transaction): MonitorState {
  const txid = transactionID(transaction)
  const known = state.closings.find((one) => equalBytes(transactionID(one), txid))
  // What is complete stays so.
  if (known !== undefined && (isComplete(known) || !isComplete(transaction))) return state
  const others = state.closings.filter((one) => one !== known)
  return { ...state, closings: [...others, transaction] }
}

/** Whether a closing has the signatures of both. */
export function isComplete({ inputs }: Transaction): boolean {
  return (inputs[0]?.witness.length ?? 0) > 0
}

function failed(state: MonitorState, { cause, publish }: MonitorFailure): MonitorState {
  const newest = state.holder.at(-1)?.state.number
  demand(
    publish === undefined || publish.number === newest,
    `${publish?.number} is to be published, and ${newest} is ours`,
  )
  return { ...state, failure: { cause, ...(publish === undefined ? {} : { publish }) } }
}

/** Without preimages of HTLCs that are in no commitment any more: none of them ever comes back. */
function pruned(state: MonitorState): MonitorState {
  if (state.preimages.length === 0) return state
  const live: Record<Side, Set<bigint>> = { local: new Set(), remote: new Set() }
  const collect = (holder: Side, htlcs: readonly Htlc[]) => {
    for (const htlc of htlcs) live[offererOf(holder, htlc)].add(htlc.id)
  }
  for (const one of state.holder) collect('local', one.state.htlcs)
  for (const one of state.counterparty) collect('remote', one.state.htlcs)
  const preimages = state.preimages.filter(({ htlc }) => live[htlc.offerer].has(htlc.id))
  return preimages.length === state.preimages.length ? state : { ...state, preimages }
}

/** What is remembered of the commitment that is about to be revoked: those of its HTLCs that have an output. */
function htlcsOf({ counterparty, terms }: MonitorState, number: bigint): readonly RevokedCommitment[] {
  const state = counterparty.find((one) => one.state.number === number)?.state
  if (state === undefined) return []
  const { format, dustLimit } = terms.setup
  const threshold = (direction: Htlc['direction']) =>
    trimThreshold(format, { feerate: state.feerate, dustLimit: dustLimit.remote }, direction)
  const least = { offered: threshold('offered'), received: threshold('received') }
  const htlcs = state.htlcs
    .filter(({ amount, direction }) => !isTrimmed(amount, least[direction]))
    .map(({ paymentHash, cltvExpiry }) => ({ paymentHash, cltvExpiry }))
  return htlcs.length === 0 ? [] : [{ number, htlcs }]
}

function demand(holds: boolean, rule: string): asserts holds {
  if (!holds) throw broken(rule)
}

function broken(rule: string): PerkunasError<'INVALID_STATE'> {
  return new PerkunasError('INVALID_STATE', `monitor: ${rule}`, { rule })
}
