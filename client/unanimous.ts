// The unanimous protocol: one state, signed by all, and a ledger that believes the newest one. This is where proposals,
// channels, their peers and their store come together.
import {
  type Address,
  type AppID,
  type Backend,
  type ChannelID,
  isError,
  PerkunasError,
  type State,
} from '../channel/index.js'
import type { Bus, PeerEvent, PeerID } from '../peer/index.js'
import type { Account } from '../wallet/index.js'
import { asAborted, type Channel } from './channel.js'
import { type Arrival, Channels } from './channels.js'
import { channelRecord } from './conversation.js'
import { Means } from './means.js'
import { type ChannelProposal, type ChannelUpdate, type Message, messages } from './messages.js'
import { type ClientOptions, type ProposalOptions, reject, type Timeouts } from './options.js'
import { Ownership, servedElsewhere } from './ownership.js'
import type { ProtocolHost, RunningProtocol } from './protocol.js'
import { created } from './records.js'
import { lockedFor, restart, storedChannels } from './restore.js'
import { asError, asStoreError, decided, isLater } from './runtime.js'
import { type OpenCommand, type Opened, type ProposalDecision, Sessions } from './sessions.js'
import { type Shelf, shelfOf } from './shelf.js'
import { proposalOf } from './terms.js'
import { localWatcher } from './watcher.js'
import type { Decision, World } from './world.js'

/** The unanimous protocol of one client. */
export class Unanimous implements RunningProtocol {
  readonly #options: ClientOptions
  readonly #host: ProtocolHost
  readonly #bus: Bus
  readonly #backend: Backend
  readonly #timeouts: Timeouts
  readonly #means: Means
  readonly #sessions: Sessions
  readonly #shelf: Shelf
  readonly #channels: Channels
  readonly #ownership: Ownership | undefined
  readonly #unsubscribe: (() => void)[]
  #closed: PerkunasError | undefined
  #isRestoring = false
  /** When other processes have what we served. */
  #resigned: Promise<void> | undefined

  constructor(options: ClientOptions, host: ProtocolHost) {
    const { backend } = options
    const { bus, store, clock, timeouts } = host
    this.#options = options
    this.#host = host
    this.#bus = bus
    this.#backend = backend
    this.#timeouts = timeouts
    this.#means = new Means(options)
    const watcher = options.watcher ?? localWatcher(backend.adjudicator, clock, (error) => host.report(error))
    const world: World = {
      store,
      backend,
      clock,
      patience: this.#timeouts.settlement,
      confirm: () => this.#ownership?.confirm(),
      send: (to, message) => void this.#send(to, message).catch((cause) => this.#unsent(to, cause)),
      disconnect: (peer, reason) => bus.disconnect(peer, reason),
      decide: (update, current) => this.#decideUpdate(update, current),
      report: (error) => host.report(error),
      fail: (error) => this.#fail(error),
      enabled: (channelID) => watcher.enabled?.(channelID),
      over: (channelID) => {
        watcher.over?.(channelID)
        this.#over(channelID)
      },
      below: (state) => this.#channels.below(state),
      rootOf: (channelID) => this.#channels.rootOf(channelID),
    }
    this.#shelf = shelfOf(store)
    this.#channels = new Channels({
      bus,
      world,
      timeouts: this.#timeouts,
      shelf: this.#shelf,
      warm: options.warmChannels ?? WARM_CHANNELS,
      watcher,
      context: (app) => this.#means.context(app),
      isComing: (channelID) => this.#isRestoring || this.#sessions.isOpening(channelID),
    })
    this.#sessions = new Sessions({
      self: bus.id,
      backend,
      clock,
      entropy: host.entropy,
      apps: this.#means.apps,
      timeout: this.#timeouts.proposal,
      send: (to, message) => this.#send(to, message),
      isConnected: (peer) => bus.isConnected(peer),
      decide: (proposal) => this.#decideProposal(proposal),
      participant: () => this.#means.participant(),
      account: (participant) => this.#means.account(participant),
      context: (app) => this.#means.context(app),
      open: (opened) => this.#open(opened),
      report: (error) => host.report(error),
    })
    this.#unsubscribe = [
      bus.onMessage((from, payload) => this.#received(from, payload)),
      bus.onPeer((event) => this.#onPeer(event)),
    ]
    const { leases } = options
    this.#ownership =
      leases &&
      new Ownership(leases, {
        restore: (isOurs) => this.#bringBack((peers) => isOurs(this.#others(peers))),
        isInUse: (peer) =>
          bus.isConnected(peer) || this.#channels.hasPeer(peer) || this.#sessions.isWith(peer),
        fail: (cause) => this.#fail(asStoreError(cause)),
      })
  }

  channel(id: ChannelID): Channel | undefined {
    return this.#channels.get(id)?.channel
  }

  channels(): readonly Channel[] {
    return this.#channels.all()
  }

  async propose(options: ProposalOptions): Promise<Channel> {
    this.#check()
    const { signal } = options
    const participant = options.participant ?? (await this.#means.participant())
    const { entropy } = this.#host
    const { backend } = this.#backend.rules
    const proposal = proposalOf(options, { id: this.#bus.id, participant, backend, entropy })
    await this.#means.account(participant)
    const served = this.#serves(options.peers)
    if (served !== true && !(await served)) throw servedElsewhere(options.peers)
    this.#check()
    if (signal?.aborted) throw asAborted(signal.reason, 'proposeChannel')
    let abort: () => void = () => undefined
    try {
      return await new Promise<Channel>((resolve, reject) => {
        const command: PendingOpen = { isOver: false, resolve, reject }
        const session = this.#sessions.begin(proposal, command)
        abort = () => {
          const error = asAborted(signal?.reason, 'proposeChannel')
          this.#sessions.abort(session, error)
          command.isOver = true
          reject(error)
        }
        signal?.addEventListener('abort', abort)
      })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  async restore(): Promise<readonly Channel[]> {
    this.#check()
    return this.#ownership === undefined ? this.#bringBack(() => true) : this.#ownership.begin()
  }

  async #bringBack(isOurs: (peers: readonly PeerID[]) => boolean): Promise<readonly Channel[]> {
    this.#isRestoring = true
    try {
      return await this.#restore(isOurs)
    } finally {
      this.#isRestoring = false
    }
  }

  async #restore(isOurs: (peers: readonly PeerID[]) => boolean): Promise<readonly Channel[]> {
    const { wallet } = this.#options
    const { store, clock } = this.#host
    const arrivals: Arrival[] = []
    const accounts = new Map<Address, Account>()
    const context = (app: AppID) => this.#means.context(app)
    for await (const { record, atRest } of storedChannels(store, this.#shelf, context, clock)) {
      const { machine, peers, cursor } = record
      if (!isOurs(peers)) continue
      const address = this.#means.addressIn(machine)
      const account = accounts.get(address) ?? (await wallet.account(address))
      accounts.set(address, account)
      const locks = lockedFor(record)
      arrivals.push({ id: machine.channelID, peers, cursor, account, record: atRest ?? record, locks })
    }
    const channels: Channel[] = []
    for (const arrival of arrivals) {
      this.#check()
      if (this.#channels.has(arrival.id)) continue
      const slot = this.#channels.add(arrival)
      await wallet.incrementUsage(arrival.account.address)
      if (!('kept' in arrival.record)) restart(slot.runtime)
      channels.push(slot.channel)
      this.#host.opened(slot.channel)
    }
    for (const { id, locks = [] } of arrivals) {
      const missing = locks.find((child) => !this.#channels.has(child))
      if (missing === undefined) continue
      const text = `channel ${id} locks funds for ${missing}, which is not in the store: only others can register it`
      this.#host.report(new PerkunasError('UNKNOWN_CHANNEL', text, { channel: missing }))
    }
    // Connections that stood before say nothing more: what they lost while we were away is repaired now.
    this.#channels.resumeAll()
    return channels
  }

  async close(): Promise<void> {
    this.#leaveBus()
    if (this.#closed) return
    this.#end(new PerkunasError('CLOSED', 'the client is closed', { what: 'client' }))
    await this.#resigned
    await this.#options.wallet.lock()
  }

  // Opening

  async #open({ machine, proposal, command, cursor }: Opened): Promise<void> {
    const { channelID } = machine
    if (this.#closed) throw this.#closed
    if (this.#channels.has(channelID)) {
      throw new PerkunasError('CHANNEL_EXISTS', `there is a channel ${channelID} already`, {
        channel: channelID,
      })
    }
    const record = { ...channelRecord(machine, proposal.peers, proposal.agreement), cursor }
    const account = await this.#options.wallet.account(this.#means.addressIn(machine))
    // On disk before a single coin moves: a restart finds the channel and either opens it or gets the deposit back.
    try {
      await this.#host.store.commit(created(record))
    } catch (cause) {
      const error = asStoreError(cause)
      this.#fail(error)
      throw error
    }
    this.#check()
    const { peers } = record
    const slot = this.#channels.add({ id: channelID, peers, cursor, account, record })
    const { channel, runtime } = slot
    await this.#options.wallet.incrementUsage(account.address)
    this.#check()
    runtime.expect('fund', () => command !== undefined && !command.isOver)
    runtime.start([{ kind: 'fund' }])
    const isDecided = () => runtime.failure('fund') !== undefined
    await runtime.until(
      ({ record: { machine: now } }) => now.isFunded || now.phase === 'withdrawn' || isDecided(),
    )
    if (!runtime.state.record.machine.isFunded) {
      const message = `channel ${channelID} was given up by another participant before all had funded`
      const failed = runtime.failure('fund')
      const error =
        failed === undefined
          ? new PerkunasError('FUNDING_FAILED', message, { channel: channelID })
          : fundingFailure(channelID, failed)
      if (command !== undefined && !command.isOver) command.reject(error)
      else if (failed === undefined) this.#host.report(error)
      return
    }
    // Others have not waited for a deposit of ours, and may have said something before we had the channel.
    const { index } = machine
    if (proposal.agreement.every((row) => row[index] === 0n)) this.#channels.resume(slot)
    if (isPending(command)) command.resolve(channel)
    this.#host.opened(channel)
  }

  // Peers

  #others(peers: readonly PeerID[]): readonly PeerID[] {
    return peers.filter((peer) => peer !== this.#bus.id)
  }

  /** Whether channels with these peers are, or may be, this process's. */
  #serves(peers: readonly PeerID[]): boolean | Promise<boolean> {
    return this.#ownership === undefined || this.#ownership.serves(this.#others(peers))
  }

  #onPeer({ kind, peer }: PeerEvent): void {
    const tell = () => {
      for (const concerned of [this.#sessions, this.#channels]) concerned[kind](peer)
    }
    if (kind === 'disconnected') {
      tell()
      return this.#ownership?.sweep([peer])
    }
    const served = this.#serves([peer])
    if (served === true) return tell()
    void Promise.resolve(served).then((isServed) => {
      if (this.#closed || !this.#bus.isConnected(peer)) return
      if (isServed) tell()
      else this.#bus.disconnect(peer, 'another process of this participant serves this peer; call again')
    })
  }

  // Messages

  #received(from: PeerID, payload: Uint8Array): void | Promise<void> {
    const message = messages.decode(payload) // what it throws costs the peer its connection
    const served = this.#serves([from])
    if (served === true) return this.#handle(from, message)
    // Who is served elsewhere is sent away; what was said is said again there.
    return Promise.resolve(served).then((isServed) => {
      if (isServed && !this.#closed) return this.#handle(from, message)
    })
  }

  #handle(from: PeerID, message: Message): void | Promise<void> {
    switch (message.kind) {
      case 'channelProposal':
      case 'channelProposalAcc':
      case 'channelProposalRej':
      case 'initialSignature':
        return this.#sessions.received(from, message)
      default:
        return this.#channels.received(from, message)
    }
  }

  /**
   * What can't be sent now is repeated when a connection stands again. So one that takes no more must end: a hole in
   * the conversation would never be noticed.
   */
  #unsent(to: PeerID, cause: unknown): void {
    if (isError(cause, 'PEER_OVERLOADED')) this.#bus.disconnect(to, cause.message)
  }

  #send(to: PeerID, message: Message): Promise<void> {
    return this.#bus.send(to, messages.encode(message))
  }

  // Users

  #decideProposal(proposal: ChannelProposal): ProposalDecision | Promise<ProposalDecision> {
    return this.#ownership === undefined ? this.#host.decideProposal(proposal) : this.#decideShared(proposal)
  }

  async #decideShared(proposal: ChannelProposal): Promise<ProposalDecision> {
    const decision = decided(await this.#host.decideProposal(proposal), 'proposal handler')
    // Only now: who proposes too much must not be able to bind our peers to each other.
    if (!decision.accept || (await this.#serves(proposal.peers))) return decision
    return reject('another process of this participant serves one of the peers')
  }

  #decideUpdate(update: ChannelUpdate, current: State): Decision | Promise<Decision> {
    const channel = this.channel(update.state.channelID)
    if (channel === undefined) return reject('the channel is closed')
    const failed = (cause: unknown): Decision => {
      this.#host.report(asError(cause, 'update handler'))
      return reject('this participant can not decide now')
    }
    try {
      const { state: proposed, actor } = update
      const decision = this.#host.decideUpdate({ channel, current, proposed, actor })
      return isLater(decision)
        ? Promise.resolve(decision)
            .then((late) => decided(late, 'update handler'))
            .catch(failed)
        : decided(decision, 'update handler')
    } catch (cause) {
      return failed(cause)
    }
  }

  // Ends

  #check(): void {
    if (this.#closed) throw this.#closed
  }

  #fail(error: PerkunasError): void {
    this.#host.report(error)
    if (this.#closed) return
    const peers = this.#channels.peers()
    this.#end(error)
    this.#turnAway(peers, error)
  }

  /**
   * The bus stands, and answers pings: who kept its connection would wait for us for ever. Without one it calls
   * another process of ours, or this one again when it is back.
   */
  #turnAway(peers: readonly PeerID[], { code }: PerkunasError): void {
    const bus = this.#bus
    const { clock } = this.#host
    const reason = `this participant has stopped here (${code}); call again`
    // Not while the bus still tells others of that connection.
    const hangUp = (peer: PeerID) => void clock.after(0, () => bus.disconnect(peer, reason))
    this.#unsubscribe.push(
      bus.onMessage((from) => hangUp(from)),
      bus.onPeer(({ kind, peer }) => kind === 'connected' && hangUp(peer)),
    )
    for (const peer of peers) hangUp(peer)
  }

  #end(error: PerkunasError): void {
    if (this.#closed) return
    this.#closed = error
    this.#leaveBus()
    this.#resigned = this.#ownership?.close()
    this.#sessions.close(error)
    this.#channels.end(error)
    this.#host.ended(error)
  }

  #leaveBus(): void {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
  }

  #over(channelID: ChannelID): void {
    const slot = this.#channels.get(channelID)
    const address = slot?.account.address
    const peers = this.#others(slot?.runtime.state.record.peers ?? [])
    const error = new PerkunasError('CLOSED', `channel ${channelID} is settled`, { what: 'channel' })
    this.#channels.remove(channelID, error)
    this.#ownership?.sweep(peers)
    if (address === undefined) return
    this.#options.wallet.decrementUsage(address).catch((cause) => this.#host.report(asError(cause, 'wallet')))
  }
}

/** {@link ClientOptions.warmChannels} unless told otherwise. */
const WARM_CHANNELS = 256

interface PendingOpen extends OpenCommand {
  isOver: boolean
  resolve(channel: Channel): void
}

function isPending(command: OpenCommand | undefined): command is PendingOpen {
  return command !== undefined && 'resolve' in command
}

/** What funding ended with, in a form that names the channel. */
function fundingFailure(channel: ChannelID, cause: PerkunasError): PerkunasError {
  if (isError(cause, 'FUNDING_TIMEOUT') || isError(cause, 'FUNDING_FAILED')) return cause
  // What a ledger says may name the channel already.
  const which = cause.message.includes(channel) ? 'the channel' : `channel ${channel}`
  const message = `${which} could not be funded: ${cause.message}`
  return new PerkunasError('FUNDING_FAILED', message, { channel }, { cause })
}
