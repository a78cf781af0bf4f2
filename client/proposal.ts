// The multi-party channel proposal protocol (Perun core protocol, "Proposal protocol", for 2 to N participants).
//
//   proposer 0     proposal(session, terms, share, address)  → all
//   all others     acc(session, share, address) → all        each asks its user first
//                  nonce = hash of all shares, so everybody knows the channel ID
//   everybody      initialSignature(session, sig) → all      whoever has all of them funds
//
// The session ID is a hash of the proposal: a proposer that tells different peers different things speaks of
// different sessions, which nobody completes. Until all signatures are there nobody has money at stake, so a
// refusal, a silence or a participant who is gone simply ends it, and whoever ends it tells all others.
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import {
  type AddressMap,
  type AppResolver,
  apply,
  concat,
  faultByAppAtInit,
  faultOfAgreement,
  faultOfParams,
  faultOfState,
  fromHex,
  type Hex,
  type Index,
  initialState,
  type LedgerRules,
  type Machine,
  MIN_PARTICIPANTS,
  newMachine,
  type Params,
  PerkunasError,
  type SessionID,
  type State,
  toHex,
  width,
} from '../channel/index.js'
import { object, type PeerID, schemaCodec } from '../peer/index.js'
import type { ChannelContext } from './conversation.js'
import { type ChannelProposal, proposalFields, reasonOf, type SessionMessage } from './messages.js'

/** What a participant brings to the channel's making. */
export interface Contribution {
  readonly nonceShare: Hex
  readonly participant: AddressMap
}

/** A proposal's conversation as one participant sees it. Plain data. */
export type Session =
  | (SessionBase & { readonly phase: 'deciding' })
  | (SessionBase & { readonly phase: 'answering' })
  | (SessionBase & { readonly phase: 'preparing' | 'signing'; readonly machine: Machine })
  | (SessionBase & { readonly phase: 'over' })

interface SessionBase {
  readonly proposal: ChannelProposal
  readonly index: Index
  /** By participant; the proposer's from the start. */
  readonly contributions: readonly (Contribution | undefined)[]
  /** By participant, as they came; checked when the channel ID is known. */
  readonly signatures: readonly (Hex | undefined)[]
}

/** What can happen to a session. */
export type SessionInput =
  | { readonly kind: 'begin' }
  | { readonly kind: 'received'; readonly from: Index; readonly message: SessionMessage }
  | { readonly kind: 'accept'; readonly contribution: Contribution }
  | { readonly kind: 'reject'; readonly reason: string }
  /** The initial state may be signed, and this is our signature. */
  | { readonly kind: 'signed'; readonly signature: Hex }
  /** A participant is gone, and has not come back soon. */
  | { readonly kind: 'disconnected'; readonly from: Index }
  /** A connection to a participant stands again; what was on its way may be lost. */
  | { readonly kind: 'connected'; readonly peer: Index }
  /** The time is over, the caller gave up, or we can't go on; `error` says it. */
  | { readonly kind: 'failed'; readonly error: PerkunasError }

/** What a session asks of the world. */
export type SessionEffect =
  | { readonly kind: 'send'; readonly to: Index; readonly message: SessionMessage }
  | { readonly kind: 'ask'; readonly proposal: ChannelProposal }
  /** Prepare the funding and sign the initial state, then `signed`. */
  | { readonly kind: 'sign'; readonly machine: Machine; readonly state: State }
  /** Everybody has signed: fund it. */
  | { readonly kind: 'opened'; readonly machine: Machine }
  /** It came to nothing. */
  | { readonly kind: 'ended'; readonly error: PerkunasError }

/** The next state of a session and what is to be done. */
export interface SessionStep {
  readonly next: Session
  readonly effects: readonly SessionEffect[]
}

const terms = schemaCodec(object(proposalFields))

/** The session ID of a proposal: SHA-256 of its canonical encoding. It is fresh because the nonce share is. */
export function sessionID(proposal: Omit<ChannelProposal, 'kind' | 'session'>): SessionID {
  return toHex(sha256(terms.encode(proposal)))
}

/** The nonce that all shares make: SHA3-256 of them in participant order, as an integer. */
export function nonceOf(shares: readonly Hex[]): bigint {
  return BigInt(toHex(sha3_256(concat(...shares.map((share) => fromHex(share, 32))))))
}

/** A session of our own making, or one that a peer has asked for. */
export function newSession(proposal: ChannelProposal, index: Index): Session {
  const { nonceShare, participant } = proposal
  return {
    phase: index === 0 ? 'answering' : 'deciding',
    proposal,
    index,
    contributions: proposal.peers.map((_, i) => (i === 0 ? { nonceShare, participant } : undefined)),
    signatures: proposal.peers.map(() => undefined),
  }
}

/**
 * The rule that a proposal breaks, whoever made it, or undefined; what is wrong already is not sent, and nobody's
 * user is asked about it. The app and the ledger are asked about the first state as far as it is known: see
 * `StateApp.faultOfInit`.
 */
export function faultOfProposal(
  proposal: ChannelProposal,
  context: Pick<ChannelContext, 'capabilities'> & {
    readonly apps: AppResolver
    readonly ledger: LedgerRules
  },
): PerkunasError | undefined {
  const { peers, balances, agreement, assets } = proposal
  const { participants, maxAssets } = context.capabilities
  const fault = (rule: string, got: unknown) =>
    new PerkunasError('INVALID_PARAMS', `invalid proposal: ${rule} expected, got ${String(got)}`, { rule })
  const { kind: _, session, ...rest } = proposal
  if (session !== sessionID(rest)) return fault('the session ID to be the hash of the proposal', session)
  if (peers.length < Math.max(MIN_PARTICIPANTS, participants.min) || peers.length > participants.max) {
    return fault(`${participants.min} to ${participants.max} participants`, peers.length)
  }
  if (new Set(peers).size !== peers.length) return fault('distinct peers', 'a repeated one')
  if (assets.length > maxAssets) return fault(`at most ${maxAssets} assets`, assets.length)
  if (proposal.app !== '0x' && !context.capabilities.apps) return fault('no app on this ledger', proposal.app)
  const app = context.apps(proposal.app)
  if (app === undefined || app.kind !== 'state') return fault('an app that is known', proposal.app)
  const allocation = { assets, balances, locked: [] }
  if (width(allocation) !== peers.length)
    return fault(`balances for ${peers.length} participants`, width(allocation))
  const { challengeDuration, app: appID, aux, data, participant } = proposal
  const { min, max } = context.capabilities.challengeDuration
  if (challengeDuration < min || challengeDuration > max) {
    const unit = context.capabilities.clock
    return fault(`a challenge duration from ${min} to ${max} ${unit}`, challengeDuration)
  }
  const params: Params = {
    challengeDuration,
    participants: peers.map((_, i) => (i === 0 ? participant : {})),
    app: appID,
    nonce: 0n,
    ledgerChannel: true,
    virtualChannel: false,
    aux,
  }
  const state = initialState(session, params, allocation, data)
  return (
    faultOfState(params, state) ??
    faultOfAgreement(state, agreement) ??
    context.ledger.faultOfState(params, state) ??
    faultByAppAtInit(app, params, state)
  )
}

/** What an input does to a session. Pure and total. */
export function stepSession(session: Session, input: SessionInput, context: ChannelContext): SessionStep {
  if (session.phase === 'over') return { next: session, effects: [] }
  switch (input.kind) {
    case 'begin':
      return session.phase === 'deciding'
        ? { next: session, effects: [{ kind: 'ask', proposal: session.proposal }] }
        : { next: session, effects: tell(session, session.proposal) }
    case 'accept':
      return whenAccepted(session, input.contribution, context)
    case 'reject': {
      const { session: id } = session.proposal
      const reason = reasonOf(input.reason)
      return {
        next: over(session),
        effects: tell(session, { kind: 'channelProposalRej', session: id, reason }),
      }
    }
    case 'signed':
      return whenSigned(session, input.signature, context)
    case 'connected':
      return { next: session, effects: said(session, input.peer) }
    case 'disconnected': {
      const peer = peerOf(session, input.from)
      const error = new PerkunasError(
        'PEER_UNREACHABLE',
        `the connection to participant ${input.from} was lost`,
        { peer, reason: 'lost' },
      )
      return end(session, error, `participant ${input.from} is gone`)
    }
    case 'failed':
      return end(session, input.error, input.error.message)
    case 'received':
      return whenReceived(session, input.from, input.message, context)
  }
}

/** Who has not done its part yet. */
export function waitingFor(session: Session): Index[] {
  const list = session.phase === 'answering' ? session.contributions : session.signatures
  return list.flatMap((entry, i) => (entry === undefined && i !== session.index ? [i] : []))
}

function whenAccepted(session: Session, contribution: Contribution, context: ChannelContext): SessionStep {
  if (session.phase !== 'deciding') return { next: session, effects: [] }
  const { session: id } = session.proposal
  const told = tell(session, { kind: 'channelProposalAcc', session: id, ...contribution })
  const answering = contribute({ ...session, phase: 'answering' }, session.index, contribution)
  const step = whenContributed(answering, context)
  return { next: step.next, effects: [...told, ...step.effects] }
}

function whenReceived(
  session: Session,
  from: Index,
  message: SessionMessage,
  context: ChannelContext,
): SessionStep {
  switch (message.kind) {
    case 'channelProposal':
      return { next: session, effects: [] } // said again
    case 'channelProposalRej':
      return end(session, rejected(session, from, message.reason))
    case 'channelProposalAcc': {
      if (from === 0 || session.contributions[from] !== undefined) return { next: session, effects: [] }
      const { nonceShare, participant } = message
      const next = contribute(session, from, { nonceShare, participant })
      return next.phase === 'answering' ? whenContributed(next, context) : { next, effects: [] }
    }
    case 'initialSignature': {
      if (session.signatures[from] !== undefined) return { next: session, effects: [] }
      const next = { ...session, signatures: replaced(session.signatures, from, message.signature) }
      return next.phase === 'signing' ? whenComplete(next, context) : { next, effects: [] }
    }
  }
}

/** When the last contribution is there, everybody knows the params. */
function whenContributed(session: Session, context: ChannelContext): SessionStep {
  const contributions = session.contributions.filter((c): c is Contribution => c !== undefined)
  if (contributions.length < session.contributions.length) return { next: session, effects: [] }
  const { proposal, index } = session
  const params: Params = {
    challengeDuration: proposal.challengeDuration,
    participants: contributions.map(({ participant }) => participant),
    app: proposal.app,
    nonce: nonceOf(contributions.map(({ nonceShare }) => nonceShare)),
    ledgerChannel: true,
    virtualChannel: false,
    aux: proposal.aux,
  }
  const { ledger } = context.rules
  const fault = faultOfParams(params) ?? ledger.faultOfParams(params)
  if (fault) return end(session, fault, fault.message)
  const channelID = ledger.channelID(params)
  const { assets, balances, data } = proposal
  const state = initialState(channelID, params, { assets, balances, locked: [] }, data)
  const machine = apply(newMachine(channelID, params, index), { kind: 'init', state }, context.rules)
  if (machine instanceof PerkunasError) return end(session, machine, machine.message)
  return { next: { ...session, phase: 'preparing', machine }, effects: [{ kind: 'sign', machine, state }] }
}

function whenSigned(session: Session, signature: Hex, context: ChannelContext): SessionStep {
  if (session.phase !== 'preparing') return { next: session, effects: [] }
  const next: Session = {
    ...session,
    phase: 'signing',
    signatures: replaced(session.signatures, session.index, signature),
  }
  const told = tell(session, { kind: 'initialSignature', session: session.proposal.session, signature })
  const step = whenComplete(next, context)
  return { next: step.next, effects: [...told, ...step.effects] }
}

function whenComplete(session: Session, context: ChannelContext): SessionStep {
  if (session.phase !== 'signing') return { next: session, effects: [] }
  let { machine } = session
  for (const [participant, signature] of session.signatures.entries()) {
    if (signature === undefined) continue
    const signed = apply(machine, { kind: 'addSignature', participant, signature }, context.rules)
    if (signed instanceof PerkunasError) return end(session, signed, signed.message)
    machine = signed
  }
  if (session.signatures.includes(undefined)) return { next: { ...session, machine }, effects: [] }
  const funding = apply(machine, { kind: 'enable' }, context.rules)
  if (funding instanceof PerkunasError) return end(session, funding, funding.message)
  return { next: { ...over(session) }, effects: [{ kind: 'opened', machine: funding }] }
}

function end(session: Session, error: PerkunasError, reason?: string): SessionStep {
  const ended: SessionEffect = { kind: 'ended', error }
  const { session: id } = session.proposal
  const told =
    reason === undefined
      ? []
      : tell(session, { kind: 'channelProposalRej', session: id, reason: reasonOf(reason) })
  return { next: over(session), effects: [...told, ended] }
}

function over(session: Session): Session {
  const { proposal, index, contributions, signatures } = session
  return { phase: 'over', proposal, index, contributions, signatures }
}

function rejected(session: Session, participant: Index, reason: string): PerkunasError<'PEER_REJECTED'> {
  return new PerkunasError('PEER_REJECTED', `participant ${participant} rejects the channel: ${reason}`, {
    peer: peerOf(session, participant),
    participant,
    reason,
  })
}

function contribute(session: Session, from: Index, contribution: Contribution): Session {
  return { ...session, contributions: replaced(session.contributions, from, contribution) }
}

function replaced<T>(items: readonly T[], at: Index, item: T): T[] {
  return items.map((known, i) => (i === at ? item : known))
}

function peerOf(session: Session, participant: Index): PeerID {
  return session.proposal.peers[participant] ?? '0x'
}

/** All that we have said in a session, for a participant who may have missed it. Hearing it twice changes nothing. */
export function said(session: Session, to: Index): SessionEffect[] {
  const { proposal, index } = session
  const contribution = session.contributions[index]
  const signature = session.signatures[index]
  const effects: SessionEffect[] = []
  if (index === 0) effects.push({ kind: 'send', to, message: proposal })
  else if (contribution !== undefined) {
    effects.push({
      kind: 'send',
      to,
      message: { kind: 'channelProposalAcc', session: proposal.session, ...contribution },
    })
  }
  if (signature !== undefined) {
    effects.push({
      kind: 'send',
      to,
      message: { kind: 'initialSignature', session: proposal.session, signature },
    })
  }
  return effects
}

function tell(session: Session, message: SessionMessage): SessionEffect[] {
  return session.proposal.peers.flatMap((_, to): SessionEffect[] =>
    to === session.index ? [] : [{ kind: 'send', to, message }],
  )
}
