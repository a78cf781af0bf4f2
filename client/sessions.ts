// Runs proposals' conversations: routes their messages, asks our user, signs, and hands over channels to be
// opened. Until a channel is opened nothing is at stake, so nothing of this survives a restart.
import {
  type AddressMap,
  type AppResolver,
  absurd,
  type Backend,
  type ChannelID,
  type Hex,
  type Index,
  type Machine,
  PerkunasError,
  type SessionID,
  toHex,
} from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Account } from '../wallet/index.js'
import type { ChannelContext } from './conversation.js'
import type { Clock, Entropy } from './environment.js'
import { type ChannelProposal, type Message, reasonOf, type SessionMessage } from './messages.js'
import {
  faultOfProposal,
  newSession,
  type Session,
  type SessionEffect,
  type SessionInput,
  said,
  stepSession,
  waitingFor,
} from './proposal.js'
import { asError, decided } from './runtime.js'
import { Strays } from './strays.js'

/** What our user says to a proposal. */
export type ProposalDecision =
  /** `participant`: with which of our wallet's addresses; by default the client's. */
  | { readonly accept: true; readonly participant?: AddressMap }
  | { readonly accept: false; readonly reason: string }

/** What sessions need of their client. */
export interface SessionHost {
  readonly self: PeerID
  readonly backend: Backend
  readonly clock: Clock
  readonly entropy: Entropy
  readonly apps: AppResolver
  /** Milliseconds for a whole proposal, from the first message to the last signature. */
  readonly timeout: number
  send(to: PeerID, message: Message): Promise<void>
  isConnected(peer: PeerID): boolean
  decide(proposal: ChannelProposal): Promise<ProposalDecision> | ProposalDecision
  participant(): Promise<AddressMap>
  /** Our key for a participant. @throws PerkunasError UNKNOWN_ACCOUNT, INVALID_ARGUMENT if it is none of ours */
  account(participant: AddressMap | undefined): Promise<Account>
  context(app: Hex): ChannelContext
  /** Takes over a channel that everybody has signed. Rejects if it can't be written. */
  open(opened: Opened): Promise<void>
  report(error: PerkunasError): void
}

/** A channel that everybody has signed. */
export interface Opened {
  readonly machine: Machine
  readonly proposal: ChannelProposal
  /** Who waits for it here. */
  readonly command: OpenCommand | undefined
  /** Where the ledger stood before our signature went out: nothing about the channel is older. */
  readonly cursor: string | undefined
}

/** Our user's call of `proposeChannel`. What goes wrong ends it, or is reported when nobody waits any more. */
export interface OpenCommand {
  /** Whether the caller gave up. */
  readonly isOver: boolean
  reject(error: PerkunasError): void
}

/** Milliseconds that a participant may be without a connection before a proposal is given up. */
const GRACE = 2_000
/** Most sessions that one peer may have under way with us, and most of its proposals that our user has not answered. */
const MAX_SESSIONS_PER_PEER = 64
/** The same of all peers. */
const MAX_SESSIONS = 4096

/** Sessions that are over whose last words are kept: some hundred bytes each. */
const MAX_ANSWERS = 1024

interface Running {
  session: Session
  isOpened: boolean
  readonly command: OpenCommand | undefined
  cursor: string | undefined
  readonly cancelTimer: () => void
}

interface Answers {
  readonly proposer: PeerID
  readonly answers: readonly SessionEffect[]
}

/** All sessions of a client. */
export class Sessions {
  readonly #host: SessionHost
  readonly #running = new Map<SessionID, Running>()
  readonly #strays: Strays
  readonly #opening = new Map<ChannelID, readonly PeerID[]>()
  /** What we said last in sessions that are over, to their proposers, who may not have heard it; oldest first. */
  readonly #answers = new Map<SessionID, Answers>()
  /** The proposers of what our user has not answered, be its session over or not. */
  readonly #asking: PeerID[] = []
  #isClosed = false

  constructor(host: SessionHost) {
    this.#host = host
    this.#strays = new Strays(host.clock, host.timeout)
  }

  /** Starts a proposal of our own. @throws what speaks against it, before anything is sent */
  begin(proposal: ChannelProposal, command: OpenCommand): SessionID {
    const fault = this.#faultOf(proposal)
    if (fault) throw fault
    this.#start(proposal, 0, command)
    return proposal.session
  }

  /** Our user gives up. */
  abort(id: SessionID, error: PerkunasError): void {
    this.#feed(id, { kind: 'failed', error })
  }

  /** A peer speaks. */
  received(from: PeerID, message: SessionMessage): void {
    const running = this.#running.get(message.session)
    if (running !== undefined) {
      const index = running.session.proposal.peers.indexOf(from)
      if (index < 0) return this.#host.report(stranger(from, message.session))
      return this.#feed(message.session, { kind: 'received', from: index, message })
    }
    if (message.kind !== 'channelProposal') return this.#strays.keep(from, message)
    this.#proposed(from, message)
  }

  /** A connection stands, perhaps in the place of another one. */
  connected(peer: PeerID): void {
    for (const [id, index] of this.#with(peer)) this.#feed(id, { kind: 'connected', peer: index })
  }

  /** A connection was lost. When two peers dial each other at once, one is, and another one stands right after. */
  disconnected(peer: PeerID): void {
    const sessions = this.#with(peer)
    if (sessions.length === 0) return
    this.#host.clock.after(GRACE, () => {
      if (this.#host.isConnected(peer)) return
      for (const [id, from] of sessions) this.#feed(id, { kind: 'disconnected', from })
    })
  }

  #with(peer: PeerID): (readonly [SessionID, Index])[] {
    return [...this.#running].flatMap(([id, { session }]) => {
      const index = session.proposal.peers.indexOf(peer)
      return index < 0 ? [] : [[id, index] as const]
    })
  }

  /** Whether a channel is being agreed on or opened, so that others may speak of it before we have it. */
  isOpening(channelID: ChannelID): boolean {
    for (const { session } of this.#running.values()) {
      if ('machine' in session && session.machine.channelID === channelID) return true
    }
    return this.#opening.has(channelID)
  }

  /** Whether a channel with that peer is being agreed on or opened. */
  isWith(peer: PeerID): boolean {
    return this.#with(peer).length > 0 || [...this.#opening.values()].some((peers) => peers.includes(peer))
  }

  /** Ends all sessions and the calls that wait for them. */
  close(error: PerkunasError): void {
    this.#isClosed = true
    for (const id of [...this.#running.keys()]) this.#feed(id, { kind: 'failed', error })
    this.#strays.clear()
  }

  #remember(id: SessionID, answers: Answers): void {
    this.#answers.set(id, answers)
    const [oldest] = this.#answers.keys()
    if (oldest !== undefined && this.#answers.size > MAX_ANSWERS) this.#answers.delete(oldest)
  }

  #proposed(from: PeerID, proposal: ChannelProposal): void {
    // Said again, since a connection was lost: nobody is to be asked twice, and perhaps our answer was lost with it.
    const over = this.#answers.get(proposal.session)
    if (over?.proposer === from) {
      for (const effect of over.answers) if (effect.kind === 'send') void this.#send(from, effect.message)
      return
    }
    const { self } = this.#host
    const index = proposal.peers.indexOf(self)
    const fault =
      this.#faultOf(proposal) ??
      (proposal.peers[0] !== from || index < 1 ? stranger(from, proposal.session) : this.#overload(from))
    if (fault) {
      this.#host.report(fault)
      const reason = reasonOf(fault.message)
      void this.#send(from, { kind: 'channelProposalRej', session: proposal.session, reason })
      return
    }
    this.#start(proposal, index, undefined)
  }

  #overload(from: PeerID): PerkunasError | undefined {
    const ofPeer = [...this.#running.values()].filter(
      ({ session }) => session.proposal.peers[0] === from,
    ).length
    const asked = this.#asking.filter((proposer) => proposer === from).length
    if (
      Math.max(ofPeer, asked) < MAX_SESSIONS_PER_PEER &&
      Math.max(this.#running.size, this.#asking.length) < MAX_SESSIONS
    ) {
      return undefined
    }
    return new PerkunasError('PEER_OVERLOADED', 'too many proposals are under way', { peer: from })
  }

  #faultOf(proposal: ChannelProposal): PerkunasError | undefined {
    const { backend, apps } = this.#host
    return faultOfProposal(proposal, { capabilities: backend.capabilities, apps, ledger: backend.rules })
  }

  #start(proposal: ChannelProposal, index: Index, command: OpenCommand | undefined): void {
    const { clock, timeout } = this.#host
    const id = proposal.session
    const cancelTimer = clock.after(timeout, () => {
      const session = this.#running.get(id)?.session
      if (session) this.#feed(id, { kind: 'failed', error: timedOut(session, timeout) })
    })
    const session = newSession(proposal, index)
    this.#running.set(id, { session, isOpened: false, command, cursor: undefined, cancelTimer })
    this.#feed(id, { kind: 'begin' })
    // What others said before the proposal itself arrived.
    for (const { from, message } of this.#strays.take(id)) this.received(from, message)
  }

  #feed(id: SessionID, input: SessionInput): void {
    const running = this.#running.get(id)
    if (running === undefined) return
    const { proposal } = running.session
    const { next, effects } = stepSession(running.session, input, this.#host.context(proposal.app))
    running.session = next
    if (next.phase === 'over') {
      this.#running.delete(id)
      running.cancelTimer()
      const isOpened = effects.some(({ kind }) => kind === 'opened')
      const [proposer = '0x'] = proposal.peers
      const answers = isOpened ? said(next, 0) : effects.filter(toProposer)
      if (next.index !== 0) this.#remember(id, { proposer, answers })
    }
    for (const effect of effects) this.#perform(id, running, effect)
  }

  #perform(id: SessionID, running: Running, effect: SessionEffect): void {
    const { proposal } = running.session
    switch (effect.kind) {
      case 'send': {
        const to = proposal.peers[effect.to]
        if (to !== undefined) void this.#send(to, effect.message, running)
        return
      }
      case 'ask':
        return void this.#ask(id, effect.proposal)
      case 'sign':
        return void this.#sign(id, effect.machine, proposal)
      case 'opened':
        running.isOpened = true
        return void this.#open(effect.machine, running, proposal)
      case 'ended':
        return this.#failed(running, effect.error)
      default:
        return absurd(effect)
    }
  }

  /** Our user's answer; who withdraws its proposal does not take the question back. */
  async #answer(proposal: ChannelProposal): Promise<ProposalDecision> {
    const [proposer = '0x'] = proposal.peers
    this.#asking.push(proposer)
    try {
      return decided(await this.#host.decide(proposal), 'proposal handler')
    } finally {
      this.#asking.splice(this.#asking.indexOf(proposer), 1)
    }
  }

  async #ask(id: SessionID, proposal: ChannelProposal): Promise<void> {
    try {
      const decision = await this.#answer(proposal)
      if (!decision.accept) return this.#feed(id, { kind: 'reject', reason: decision.reason })
      const participant = decision.participant ?? (await this.#host.participant())
      await this.#host.account(participant)
      const nonceShare = toHex(this.#host.entropy(32))
      this.#feed(id, { kind: 'accept', contribution: { nonceShare, participant } })
    } catch (cause) {
      this.#host.report(asError(cause, 'proposal handler'))
      this.#feed(id, { kind: 'reject', reason: 'this participant can not decide now' })
    }
  }

  async #sign(id: SessionID, machine: Machine, proposal: ChannelProposal): Promise<void> {
    const { backend } = this.#host
    const { params, index, staging } = machine
    if (staging === undefined) throw new Error('an initial state is staged before it is signed')
    const { state } = staging
    try {
      await backend.funder.prepare?.({ params, state, index, agreement: proposal.agreement })
      const running = this.#running.get(id)
      if (running) running.cursor = await backend.adjudicator.cursor?.()
      const account = await this.#host.account(params.participants[index])
      const signature = await account.sign(backend.rules.message(params, state))
      this.#feed(id, { kind: 'signed', signature })
    } catch (cause) {
      this.#feed(id, { kind: 'failed', error: asError(cause, 'signing') })
    }
  }

  async #open(machine: Machine, running: Running, proposal: ChannelProposal): Promise<void> {
    try {
      const { command, cursor } = running
      this.#opening.set(machine.channelID, proposal.peers)
      await this.#host.open({ machine, proposal, command, cursor })
    } catch (cause) {
      this.#failed(running, asError(cause, 'opening'))
    } finally {
      this.#opening.delete(machine.channelID)
    }
  }

  /** Ends our user's call, or reports what went wrong without one. */
  #failed({ command }: Running, error: PerkunasError): void {
    if (command !== undefined && !command.isOver) command.reject(error)
    else if (!this.#isClosed) this.#host.report(error)
  }

  /** What ends a session ends it here in any case: whoever does not hear of it runs out of time. */
  async #send(to: PeerID, message: SessionMessage, running?: Running): Promise<void> {
    try {
      await this.#host.send(to, message)
    } catch (cause) {
      const error = asError(cause, 'sending')
      if (running === undefined || message.kind === 'channelProposalRej') return
      if (running.isOpened) return this.#host.report(error)
      this.#feed(message.session, { kind: 'failed', error })
    }
  }
}

function toProposer(effect: SessionEffect): boolean {
  return effect.kind === 'send' && effect.to === 0
}

function stranger(from: PeerID, session: SessionID): PerkunasError<'PEER_MISBEHAVED'> {
  const reason = `it has no such part in session ${session}`
  return new PerkunasError('PEER_MISBEHAVED', `peer ${from} is refused: ${reason}`, { peer: from, reason })
}

function timedOut(session: Session, timeout: number): PerkunasError<'PROPOSAL_TIMEOUT'> {
  const waiting = waitingFor(session)
  return new PerkunasError(
    'PROPOSAL_TIMEOUT',
    `participants ${waiting.join(', ')} have not done their part of the proposal in ${timeout} ms`,
    { session: session.proposal.session, waitingFor: waiting },
  )
}
