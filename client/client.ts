// One client: it negotiates channels with its peers, keeps them, and brings them back after a restart.
import { type Observable, Subject } from 'rxjs'
import {
  type AddressMap,
  type AppID,
  type AppResolver,
  appResolver,
  type Backend,
  type ChannelID,
  EMPTY,
  faultOfParams,
  type Hex,
  isError,
  type Machine,
  NO_APP,
  NO_AUX,
  PerkunasError,
  type State,
  toHex,
} from '../channel/index.js'
import type { Bus, PeerID } from '../peer/index.js'
import { asAborted, Channel } from './channel.js'
import { type ChannelContext, type ChannelRecord, channelRecord } from './conversation.js'
import { pursue, rewound } from './dispute.js'
import { systemClock, systemEntropy } from './environment.js'
import {
  type ChannelMessage,
  type ChannelProposal,
  type ChannelUpdate,
  channelOf,
  type Message,
  messages,
} from './messages.js'
import {
  type ClientOptions,
  defaultTimeouts,
  type ProposalHandler,
  type ProposalOptions,
  reject,
  type Timeouts,
  type UpdateHandler,
} from './options.js'
import { sessionID } from './proposal.js'
import { CHANNELS, created, restored } from './records.js'
import { asError, asStoreError, ChannelRuntime } from './runtime.js'
import { type OpenCommand, type Opened, Sessions } from './sessions.js'
import { localWatcher, type Watcher } from './watcher.js'
import type { Decision, World } from './world.js'

interface Entry {
  readonly channel: Channel
  readonly runtime: ChannelRuntime
  readonly stopWatching: () => void
}

/** Negotiates channels, keeps them, and lets nothing get lost. */
export class Client {
  readonly #options: ClientOptions
  readonly #bus: Bus
  readonly #backend: Backend
  readonly #timeouts: Timeouts
  readonly #apps: AppResolver
  readonly #world: World
  readonly #watcher: Watcher
  readonly #sessions: Sessions
  readonly #channels = new Map<ChannelID, Entry>()
  readonly #byPeer = new Map<PeerID, Set<ChannelID>>()
  readonly #newChannels = new Subject<Channel>()
  readonly #errors = new Subject<PerkunasError>()
  readonly #unsubscribe: (() => void)[]
  #handleProposal: ProposalHandler = () => reject('this participant takes no proposals')
  #handleUpdate: UpdateHandler = () => reject('this participant takes no updates')
  #closed: PerkunasError | undefined

  constructor(options: ClientOptions) {
    const { bus, backend, store, wallet } = options
    const clock = options.clock ?? systemClock
    this.#options = options
    this.#bus = bus
    this.#backend = backend
    this.#timeouts = { ...defaultTimeouts, ...options.timeouts }
    this.#apps = options.apps ?? appResolver()
    this.#watcher =
      options.watcher ?? localWatcher(backend.adjudicator, clock, (error) => this.#report(error))
    this.#world = {
      store,
      backend,
      clock,
      patience: this.#timeouts.settlement,
      send: (to, message) => void this.#send(to, message).catch((cause) => this.#unsent(to, cause)),
      disconnect: (peer, reason) => bus.disconnect(peer, reason),
      decide: (update, current) => this.#decideUpdate(update, current),
      report: (error) => this.#report(error),
      fail: (error) => this.#fail(error),
      over: (channelID) => this.#over(channelID),
    }
    this.#sessions = new Sessions({
      self: bus.id,
      backend,
      wallet,
      clock,
      entropy: options.entropy ?? systemEntropy,
      apps: this.#apps,
      timeout: this.#timeouts.proposal,
      send: (to, message) => this.#send(to, message),
      isConnected: (peer) => bus.isConnected(peer),
      decide: (proposal) => this.#handleProposal(proposal),
      participant: () => this.#participant(),
      context: (app) => this.#context(app),
      open: (opened) => this.#open(opened),
      report: (error) => this.#report(error),
    })
    this.#unsubscribe = [
      bus.onMessage((from, payload) => this.#received(from, payload)),
      bus.onPeer(({ kind, peer }) =>
        kind === 'connected' ? this.#connected(peer) : this.#sessions.disconnected(peer),
      ),
    ]
  }

  /** Our network identity. */
  get id(): PeerID {
    return this.#bus.id
  }

  /** Channels as they open or are restored. */
  get newChannels$(): Observable<Channel> {
    return this.#newChannels.asObservable()
  }

  /** What went wrong without ending a call of ours: peers' nonsense, failing handlers, a struggling ledger. */
  get errors$(): Observable<PerkunasError> {
    return this.#errors.asObservable()
  }

  /** Answers peers' proposals from now on; without a handler all are refused. A handler that throws refuses. */
  handleProposals(handler: ProposalHandler): void {
    this.#handleProposal = handler
  }

  /**
   * Answers proposed states from now on; without a handler all are refused, but for the mere end of a channel
   * (the same balances, final), which the ledger would grant anyhow. A handler that throws refuses.
   */
  handleUpdates(handler: UpdateHandler): void {
    this.#handleUpdate = handler
  }

  /** The channel with that ID, if there is one. */
  channel(id: ChannelID): Channel | undefined {
    return this.#channels.get(id)?.channel
  }

  /** All channels that are not over. */
  channels(): readonly Channel[] {
    return [...this.#channels.values()].map(({ channel }) => channel)
  }

  /**
   * Proposes a channel to all peers, and opens it when all have accepted, signed and funded.
   *
   * @returns the channel, acting
   * @throws PerkunasError INVALID_PARAMS, INVALID_STATE, INVALID_AMOUNT before anything is sent; PEER_REJECTED,
   *   PEER_UNREACHABLE, PROPOSAL_TIMEOUT, APP_REFUSED (the app's rule for first states, which is asked when all have
   *   accepted): nobody has funded; FUNDING_TIMEOUT, FUNDING_FAILED (then `channel(facts.channel)` shows how it goes
   *   on) and others of the funder: what we deposited is on its way back; ABORTED
   */
  async proposeChannel(options: ProposalOptions): Promise<Channel> {
    this.#check()
    const { signal } = options
    const participant = options.participant ?? (await this.#participant())
    const { assets, balances } = options.allocation
    const terms = {
      challengeDuration: options.challengeDuration,
      nonceShare: toHex((this.#options.entropy ?? systemEntropy)(32)),
      app: options.app ?? NO_APP,
      data: options.data ?? EMPTY,
      assets,
      balances,
      agreement: options.agreement ?? balances,
      participant,
      peers: [this.id, ...options.peers],
      aux: options.aux ?? NO_AUX,
    }
    this.#checkTerms(terms)
    const proposal: ChannelProposal = { kind: 'channelProposal', session: sessionID(terms), ...terms }
    if (signal?.aborted) throw asAborted(signal.reason, 'proposeChannel')
    let abort: () => void = () => undefined
    try {
      return await new Promise<Channel>((resolve, reject) => {
        const command: PendingOpen = { resolve, reject }
        const session = this.#sessions.begin(proposal, command)
        abort = () => {
          const error = asAborted(signal?.reason, 'proposeChannel')
          this.#sessions.abort(session, error)
          reject(error)
        }
        signal?.addEventListener('abort', abort)
      })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /**
   * Brings back every channel of the store, and goes on with what was under way. Call it once, before anything
   * else; channels that are there already stay.
   *
   * @throws PerkunasError INVALID_RECORD if a record is damaged or of a newer version; nothing is started then
   */
  async restore(): Promise<readonly Channel[]> {
    this.#check()
    const parts = new Map<string, Map<string, Uint8Array>>()
    for await (const [key, value] of this.#options.store.scan(CHANNELS)) {
      const [id = '', part = ''] = key.slice(CHANNELS.length).split('/')
      const known = parts.get(id) ?? new Map<string, Uint8Array>()
      parts.set(id, known.set(part, value))
    }
    const records = [...parts].map(([id, values]) => rewound(restored(id, values)))
    const accounts = await Promise.all(records.map((record) => this.#account(record.machine)))
    const channels: Channel[] = []
    for (const [i, record] of records.entries()) {
      this.#check()
      const account = accounts[i]
      if (account === undefined || this.#channels.has(record.machine.channelID)) continue
      const { channel, runtime } = this.#add(record, account)
      await this.#options.wallet.incrementUsage(account.address)
      // What peers and the ledger say may have come in between.
      runtime.start(pursue(runtime.state.record, runtime.context))
      // Connections that stood before say nothing more: what they lost while we were away is repaired now.
      this.#resume(runtime)
      channels.push(channel)
      this.#newChannels.next(channel)
      const settling = record.wanted === 'settlement' && record.machine.phase === 'acting'
      if (settling) runtime.dispatch({ kind: 'dispute', wanted: 'settlement' })
    }
    return channels
  }

  /**
   * Ends this object's life: no channel is settled, nothing is lost. The store, the bus and the backend stay open.
   * The wallet is locked: whoever goes on with another client opens it anew.
   */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#end(new PerkunasError('CLOSED', 'the client is closed', { what: 'client' }))
    await this.#options.wallet.lock()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
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
    const account = await this.#account(machine)
    // On disk before a single coin moves: a restart finds the channel and either opens it or gets the deposit back.
    try {
      await this.#options.store.commit(created(record))
    } catch (cause) {
      const error = asStoreError(cause)
      this.#fail(error)
      throw error
    }
    this.#check()
    const { channel, runtime } = this.#add(record, account)
    await this.#options.wallet.incrementUsage(account.address)
    this.#check()
    runtime.start([{ kind: 'fund' }])
    const isDecided = () => runtime.failure('fund') !== undefined
    await runtime.until(
      ({ record: { machine: now } }) => now.isFunded || now.phase === 'withdrawn' || isDecided(),
    )
    if (!runtime.state.record.machine.isFunded) {
      const message = `channel ${channelID} was given up by another participant before all had funded`
      const givenUp = new PerkunasError('FUNDING_FAILED', message, { channel: channelID })
      return command?.reject(runtime.failure('fund') ?? givenUp)
    }
    // Others have not waited for a deposit of ours, and may have said something before we had the channel.
    const { index } = machine
    if (proposal.agreement.every((row) => row[index] === 0n)) this.#resume(runtime)
    if (isPending(command)) command.resolve(channel)
    this.#newChannels.next(channel)
  }

  /** As if all connections that stand had just been made: what was lost before is repaired. */
  #resume(runtime: ChannelRuntime): void {
    for (const [index, peer] of runtime.state.record.peers.entries()) {
      if (this.#bus.isConnected(peer)) runtime.dispatch({ kind: 'connected', peer: index })
    }
  }

  #add(record: ChannelRecord, account: ConstructorParameters<typeof ChannelRuntime>[3]): Entry {
    const { channelID, params } = record.machine
    const runtime = new ChannelRuntime(record, this.#world, this.#context(params.app), account)
    const channel = new Channel(runtime, this.#timeouts, () =>
      this.#remove(
        channelID,
        new PerkunasError('CLOSED', `channel ${channelID} is closed`, { what: 'channel' }),
      ),
    )
    const stopWatching = this.#watcher.watch(channelID, record.cursor, (event) =>
      runtime.dispatch({ kind: 'ledger', event }),
    )
    const entry = { channel, runtime, stopWatching }
    this.#channels.set(channelID, entry)
    for (const peer of record.peers) {
      if (peer === this.id) continue
      const ofPeer = this.#byPeer.get(peer) ?? new Set()
      this.#byPeer.set(peer, ofPeer.add(channelID))
      this.#bus.connect(peer)
    }
    return entry
  }

  #remove(channelID: ChannelID, error: PerkunasError): void {
    const entry = this.#channels.get(channelID)
    if (entry === undefined) return
    this.#channels.delete(channelID)
    entry.stopWatching()
    const { peers } = entry.channel
    entry.runtime.stop(error)
    for (const peer of peers) {
      const ofPeer = this.#byPeer.get(peer)
      ofPeer?.delete(channelID)
      if (ofPeer?.size !== 0) continue
      this.#byPeer.delete(peer)
      this.#bus.release(peer)
    }
  }

  // Messages

  #received(from: PeerID, payload: Uint8Array): void | Promise<void> {
    const message = messages.decode(payload) // what it throws costs the peer its connection
    switch (message.kind) {
      case 'channelProposal':
      case 'channelProposalAcc':
      case 'channelProposalRej':
      case 'initialSignature':
        return this.#sessions.received(from, message)
      default:
        return this.#receivedByChannel(from, message)
    }
  }

  #receivedByChannel(from: PeerID, message: ChannelMessage): void | Promise<void> {
    const channelID = channelOf(message)
    const runtime = this.#channels.get(channelID)?.runtime
    const index = runtime?.state.record.peers.indexOf(from) ?? -1
    if (runtime === undefined || index < 0) {
      return this.#report(
        new PerkunasError(
          'UNKNOWN_CHANNEL',
          `${from} speaks of channel ${channelID}, which we do not share`,
          { channel: channelID },
        ),
      )
    }
    runtime.dispatch({ kind: 'received', from: index, message })
    // A peer that says more than we handle waits; other peers go on.
    if (runtime.backlog > MAX_BACKLOG)
      return runtime.until(() => runtime.backlog < MAX_BACKLOG / 2).catch(() => undefined)
  }

  #connected(peer: PeerID): void {
    this.#sessions.connected(peer)
    for (const channelID of this.#byPeer.get(peer) ?? []) {
      const runtime = this.#channels.get(channelID)?.runtime
      const index = runtime?.state.record.peers.indexOf(peer) ?? -1
      if (index >= 0) runtime?.dispatch({ kind: 'connected', peer: index })
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

  #decideUpdate(update: ChannelUpdate, current: State): Decision | Promise<Decision> {
    const channel = this.channel(update.state.channelID)
    if (channel === undefined) return reject('the channel is closed')
    const failed = (cause: unknown): Decision => {
      this.#report(asError(cause, 'update handler'))
      return reject('this participant can not decide now')
    }
    try {
      const { state: proposed, actor } = update
      const decision = this.#handleUpdate({ channel, current, proposed, actor })
      return decision instanceof Promise ? decision.catch(failed) : decision
    } catch (cause) {
      return failed(cause)
    }
  }

  async #participant(): Promise<AddressMap> {
    const { wallet, address } = this.#options
    const own = address ?? (await wallet.addresses())[0] ?? (await wallet.newAccount()).address
    return { [this.#backend.rules.backend]: own }
  }

  async #account(machine: Machine) {
    const address = machine.params.participants[machine.index]?.[this.#backend.rules.backend]
    if (address === undefined) {
      const message = `channel ${machine.channelID} has no address of ours on this ledger`
      throw new PerkunasError('UNKNOWN_ACCOUNT', message, { address: '' })
    }
    return await this.#options.wallet.account(address)
  }

  #context(app: AppID): ChannelContext {
    const { rules, capabilities, adjudicator } = this.#backend
    const known = this.#apps(app)
    if (known === undefined)
      throw new PerkunasError('INVALID_PARAMS', `unknown app ${app}`, { rule: 'a known app' })
    return {
      rules: { ledger: rules, app: known },
      capabilities,
      verifyCloseAuthorization: (request) => adjudicator.verifyCloseAuthorization(request),
    }
  }

  /** Params are complete only with the others' answers; what is wrong already is refused before anything is sent. */
  #checkTerms(terms: Omit<ChannelProposal, 'kind' | 'session'>): void {
    const stand = terms.peers.map((_, i) =>
      i === 0 ? terms.participant : { [this.#backend.rules.backend]: placeholder(i) },
    )
    const { challengeDuration, app, aux } = terms
    const fault = faultOfParams({
      challengeDuration,
      app,
      aux,
      participants: stand,
      nonce: 0n,
      ledgerChannel: true,
      virtualChannel: false,
    })
    if (fault) throw fault
    for (const peer of terms.peers.slice(1)) {
      if (peer === this.id)
        throw new PerkunasError('INVALID_ARGUMENT', 'we are not our own peer', { argument: 'peers' })
    }
  }

  // Ends

  #check(): void {
    if (this.#closed) throw this.#closed
  }

  #report(error: PerkunasError): void {
    if (!this.#errors.closed) this.#errors.next(error)
  }

  #fail(error: PerkunasError): void {
    this.#report(error)
    this.#end(error)
  }

  #end(error: PerkunasError): void {
    if (this.#closed) return
    this.#closed = error
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    this.#sessions.close(error)
    for (const channelID of [...this.#channels.keys()]) this.#remove(channelID, error)
    this.#newChannels.complete()
    this.#errors.complete()
  }

  #over(channelID: ChannelID): void {
    const address = this.#channels.get(channelID)?.runtime.account.address
    this.#remove(
      channelID,
      new PerkunasError('CLOSED', `channel ${channelID} is settled`, { what: 'channel' }),
    )
    if (address === undefined) return
    this.#options.wallet.decrementUsage(address).catch((cause) => this.#report(asError(cause, 'wallet')))
  }
}

interface PendingOpen extends OpenCommand {
  resolve(channel: Channel): void
}

function isPending(command: OpenCommand | undefined): command is PendingOpen {
  return command !== undefined && 'resolve' in command
}

/** Inputs that one channel may have waiting before its peers are slowed down. */
const MAX_BACKLOG = 64

function placeholder(index: number): Hex {
  return `0x${(index + 1).toString(16).padStart(40, '0')}`
}
