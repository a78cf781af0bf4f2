// What a signer refuses, whoever asks: rules over a small record of what it has signed and released.
//
//     our commitment    validated ── n+1 validated ──> secret released (revoked)
//                           └─ published: from then on nothing is released and nothing signed for the peer
//     theirs            signed ── secret received ──> revoked
//
// The record is plain data and part of the channel's; it must be durable before what a step returns leaves the process.
import { equalBytes } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Outpoint } from '../script/transaction.js'
import { type Msat, type Sat, toSat } from '../units.js'
import { revealedPoint } from './derive.js'
import {
  EMPTY_SECRETS,
  FIRST_SECRET_INDEX,
  insertSecret,
  type SecretStore,
  secretIndexOf,
} from './secrets.js'

/** What a signer must remember of one channel. */
export interface SignerState {
  /** How often something was given away that can't be taken back: each rise is one signature or one secret. */
  readonly step: bigint
  /** Our commitments below this number have been validated. */
  readonly validated: bigint
  /** Our last validated commitment, over each funding output over which it was. */
  readonly validatedLast: readonly SignedCommitment[]
  /** The funding outputs that may confirm: over each a commitment of ours was validated, and none was dropped. */
  readonly fundings: readonly Outpoint[]
  /** Secrets of our commitments below this number were released: those are revoked. */
  readonly released: bigint
  /** The commitment of ours that was signed for the chain. */
  readonly published?: bigint
  /** Of our last validated commitment. */
  readonly balance: Balance
  /** Their commitments below this number have been signed. */
  readonly signed: bigint
  /** What was signed as their last commitment: one for each funding output that may confirm. */
  readonly signedLast: readonly SignedCommitment[]
  /** The points of their commitments that are signed and not revoked, at most two. */
  readonly points: readonly { readonly number: bigint; readonly point: Uint8Array }[]
  readonly secrets: SecretStore
}

/** What is ours for certain, and how much is still open. */
export interface Balance {
  readonly ours: Msat
  readonly htlcs: number
}

/** A commitment by the output that it spends. */
export interface SignedCommitment {
  readonly funding: Outpoint
  readonly txid: Uint8Array
}

/** Nothing signed, nothing released. */
export function newSignerState(ours: Msat): SignerState {
  return {
    step: 0n,
    validated: 0n,
    validatedLast: [],
    fundings: [],
    released: 0n,
    balance: { ours, htlcs: 0 },
    signed: 0n,
    signedLast: [],
    points: [],
    secrets: EMPTY_SECRETS,
  }
}

/** How many of their commitments are revoked. */
export function revokedCount({ secrets }: SignerState): bigint {
  return FIRST_SECRET_INDEX - secrets.next
}

/**
 * A new commitment of ours is good. The number is the next, or the last again over another funding output; over the same
 * one only with the same contents, and then nothing changes.
 *
 * @throws PerkunasError INVALID_TRANSITION if it is none of them, the one before the last is not revoked yet, the number
 *   is revoked, or we published already
 */
export function validate(
  state: SignerState,
  number: bigint,
  { funding, txid, balance }: SignedCommitment & { readonly balance: Balance },
): SignerState {
  refuseIfPublished(state)
  const again = number + 1n === state.validated
  refuseUnless(again || number === state.validated, `${state.validated} is next, not ${number}`)
  refuseUnless(number >= state.released, `our commitment ${number} is revoked`)
  refuseUnless(
    number <= state.released + 1n,
    `our commitment ${state.released} must be revoked before ${number} comes`,
  )
  const last = again ? state.validatedLast : []
  const same = last.find((one) => sameOutpoint(one.funding, funding))
  if (same !== undefined) {
    refuseUnless(
      equalBytes(same.txid, txid),
      `our commitment ${number} was validated with other contents over that funding`,
    )
    return state
  }
  const known = state.fundings.some((one) => sameOutpoint(one, funding))
  return {
    ...state,
    validated: number + 1n,
    validatedLast: [...last, { funding, txid }],
    fundings: known ? state.fundings : [...state.fundings, funding],
    balance,
  }
}

/**
 * A funding output can't confirm any more, since another transaction that excludes it is buried: from now on commitments
 * over it are not asked for.
 *
 * @throws PerkunasError INVALID_TRANSITION if nothing was validated over it, or over it alone
 */
export function dropFunding(state: SignerState, funding: Outpoint): SignerState {
  const others = state.fundings.filter((one) => !sameOutpoint(one, funding))
  refuseUnless(others.length < state.fundings.length, 'a funding to drop is none of the channel')
  refuseUnless(others.length > 0, 'the only funding of a channel is not dropped')
  const elsewhere = (one: SignedCommitment) => !sameOutpoint(one.funding, funding)
  return {
    ...state,
    fundings: others,
    validatedLast: state.validatedLast.filter(elsewhere),
    signedLast: state.signedLast.filter(elsewhere),
  }
}

/**
 * The secret of a commitment of ours leaves. Again and again if need be: the peer may not have got it.
 *
 * @throws PerkunasError INVALID_TRANSITION if its successor is not validated over every funding output that may
 *   confirm, an earlier one is not released, or we published: a published commitment must stay unrevoked
 */
export function release(state: SignerState, number: bigint): SignerState {
  refuseUnless(
    number >= 0n && number <= state.released,
    `the secret of ${state.released} is next, not of ${number}`,
  )
  if (number < state.released) return state
  refuseIfPublished(state)
  refuseUnless(number + 1n < state.validated, `our commitment ${number + 1n} is not validated yet`)
  refuseUnless(
    state.fundings.every((one) => state.validatedLast.some(({ funding }) => sameOutpoint(one, funding))),
    `our commitment ${number + 1n} is not validated over every funding that may confirm`,
  )
  return { ...state, step: state.step + 1n, released: number + 1n }
}

/**
 * A commitment of ours is signed for the chain.
 *
 * @throws PerkunasError INVALID_TRANSITION if it is revoked, or was never validated, or another one was published
 */
export function publish(state: SignerState, number: bigint): SignerState {
  refuseUnless(
    number >= state.released,
    `our commitment ${number} is revoked: publishing it would lose everything`,
  )
  refuseUnless(number < state.validated, `our commitment ${number} is not validated`)
  if (state.published === number) return state
  refuseUnless(state.published === undefined, `our commitment ${state.published} is published already`)
  return { ...state, step: state.step + 1n, published: number }
}

/**
 * A commitment of theirs is signed: the next one, or exactly the last one again.
 *
 * @throws PerkunasError INVALID_TRANSITION if the number is neither, they have two that are not revoked, the last number
 *   is to be signed with other contents or another point, or we published
 */
export function sign(
  state: SignerState,
  number: bigint,
  { funding, txid, point }: SignedCommitment & { readonly point: Uint8Array },
): SignerState {
  refuseIfPublished(state)
  const again = number + 1n === state.signed
  refuseUnless(again || number === state.signed, `their commitment ${state.signed} is next, not ${number}`)
  refuseUnless(number >= revokedCount(state), `their commitment ${number} is revoked`)
  refuseUnless(
    number <= revokedCount(state) + 1n,
    `their commitment ${revokedCount(state)} is not revoked yet`,
  )
  if (!again) {
    const points = [...state.points, { number, point }]
    return { ...state, step: state.step + 1n, signed: number + 1n, signedLast: [{ funding, txid }], points }
  }
  const known = state.points.find((one) => one.number === number)
  refuseUnless(
    known !== undefined && equalBytes(known.point, point),
    `another point for commitment ${number}`,
  )
  const same = state.signedLast.find((one) => sameOutpoint(one.funding, funding))
  if (same === undefined)
    return { ...state, step: state.step + 1n, signedLast: [...state.signedLast, { funding, txid }] }
  refuseUnless(equalBytes(same.txid, txid), `their commitment ${number} was signed with other contents`)
  return state
}

/**
 * They revoke their oldest commitment.
 *
 * @throws PerkunasError INVALID_MESSAGE if the secret is not that of the commitment's point, or fits no earlier secret;
 *   INVALID_TRANSITION if its successor was not signed: they would have nothing left
 */
export function revoke(state: SignerState, number: bigint, secret: Uint8Array): SignerState {
  refuseUnless(
    number === revokedCount(state),
    `their commitment ${revokedCount(state)} is next to be revoked, not ${number}`,
  )
  refuseUnless(number + 1n < state.signed, `their commitment ${number + 1n} is not signed yet`)
  const known = state.points.find((one) => one.number === number)
  if (known === undefined || !isSecretOf(secret, known.point)) {
    const reason = `not the secret of their commitment ${number}`
    throw new PerkunasError('INVALID_MESSAGE', reason, { path: 'per_commitment_secret', reason })
  }
  return {
    ...state,
    secrets: insertSecret(state.secrets, { index: secretIndexOf(number), secret }),
    points: state.points.filter((one) => one !== known),
  }
}

/**
 * A closing transaction may be signed.
 *
 * @param share what it pays to us before our part of the fee, and the script
 * @throws PerkunasError INVALID_TRANSITION with HTLCs open, for less than our balance, or if we published
 */
export function allowClosing(state: SignerState, share: { readonly balance: Msat; readonly fee: Sat }): void {
  refuseIfPublished(state)
  const { ours, htlcs } = state.balance
  refuseUnless(htlcs === 0, `${htlcs} HTLCs are open`)
  refuseUnless(share.balance === ours, `our balance is ${ours} msat, not ${share.balance}`)
  refuseUnless(share.fee <= toSat(ours), `a fee of ${share.fee} sat exceeds our ${toSat(ours)} sat`)
}

function isSecretOf(secret: Uint8Array, point: Uint8Array): boolean {
  try {
    return equalBytes(revealedPoint(secret), point)
  } catch {
    return false
  }
}

function sameOutpoint(a: Outpoint, b: Outpoint): boolean {
  return a.index === b.index && equalBytes(a.txid, b.txid)
}

function refuseIfPublished({ published }: SignerState): void {
  refuseUnless(published === undefined, `our commitment ${published} is published`)
}

function refuseUnless(holds: boolean, rule: string): asserts holds {
  if (!holds) throw new PerkunasError('INVALID_TRANSITION', `refused to sign: ${rule}`, { rule })
}
