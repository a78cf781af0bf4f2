// What a program holds: one client, whatever protocol its ledger's channels speak.
import { type Observable, Subject } from 'rxjs'
import { demandMethods, demandNames, demandObject, givenOf } from '../channel/arguments.js'
import { type ChannelID, PerkunasError } from '../channel/index.js'
import type { Bus, PeerID } from '../peer/index.js'
import type { Channel } from './channel.js'
import { systemClock, systemEntropy } from './environment.js'
import {
  ALLOCATION_NAMES,
  CLIENT_NAMES,
  type ClientOptions,
  defaultTimeouts,
  PROPOSAL_NAMES,
  type ProposalHandler,
  type ProposalOptions,
  reject,
  type UpdateHandler,
} from './options.js'
import { PROTOCOL_NAMES, type ProtocolHost, type ProtocolOptions, type RunningProtocol } from './protocol.js'
import { Unanimous } from './unanimous.js'

/** Negotiates channels, keeps them, and lets nothing get lost. */
export class Client {
  readonly #bus: Bus
  readonly #protocol: RunningProtocol
  readonly #newChannels = new Subject<Channel>()
  readonly #errors = new Subject<PerkunasError>()
  #handleProposal: ProposalHandler = () => reject('this participant takes no proposals')
  #handleUpdate: UpdateHandler = () => reject('this participant takes no updates')

  /** @throws PerkunasError INVALID_ARGUMENT for means that are missing, unknown, or that the ledger's protocol can't use */
  constructor(options: ClientOptions | ProtocolOptions) {
    checkMeans(options)
    const { bus, store, clock = systemClock, entropy = systemEntropy } = options
    this.#bus = bus
    const host: ProtocolHost = {
      bus,
      store,
      clock,
      entropy,
      timeouts: { ...defaultTimeouts, ...givenOf(options.timeouts ?? {}) },
      decideProposal: (proposal) => this.#handleProposal(proposal),
      decideUpdate: (update) => this.#handleUpdate(update),
      opened: (channel) => this.#newChannels.next(channel),
      report: (error) => this.#errors.next(error),
      ended: () => {
        this.#newChannels.complete()
        this.#errors.complete()
      },
    }
    this.#protocol = isUnanimous(options)
      ? new Unanimous(options, host)
      : options.backend.protocol.start(host)
  }

  /** Our network identity. */
  get id(): PeerID {
    return this.#bus.id
  }

  /** Channels as they open or are restored. */
  get newChannels$(): Observable<Channel> {
    return this.#newChannels.asObservable()
  }

  /**
   * What went wrong without ending a call of ours: peers' nonsense, failing handlers, a struggling ledger. STORE_FAILED
   * is the last of them: nothing is sent any more, every call is answered with it, this completes, and until `close`
   * whoever is connected or calls is hung up on. End the process then, and start it again when the disk is mended.
   */
  get errors$(): Observable<PerkunasError> {
    return this.#errors.asObservable()
  }

  /** Answers peers' proposals from now on; without a handler all are refused. A handler that throws refuses. */
  handleProposals(handler: ProposalHandler): void {
    checkHandler(handler)
    this.#handleProposal = handler
  }

  /**
   * Answers proposed states from now on; without a handler all are refused, but for the mere end of a channel
   * (the same balances, final), which the ledger would grant anyhow. A handler that throws refuses.
   */
  handleUpdates(handler: UpdateHandler): void {
    checkHandler(handler)
    this.#handleUpdate = handler
  }

  /** The channel with that ID, if there is one. */
  channel(id: ChannelID): Channel | undefined {
    return this.#protocol.channel(id)
  }

  /**
   * All channels that are not over. However many: a `Channel` is a light handle, and one that nothing concerns takes
   * half a kilobyte beside it (a whole one where the store can't answer at once, see `Store.peek`).
   */
  channels(): readonly Channel[] {
    return this.#protocol.channels()
  }

  /**
   * Proposes a channel to all peers, and opens it when all have accepted, signed and funded.
   *
   * @returns the channel, acting
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_PARAMS, INVALID_STATE, INVALID_AMOUNT, APP_REFUSED, UNSUPPORTED,
   *   UNKNOWN_ACCOUNT before anything is sent; PEER_REJECTED, PEER_UNREACHABLE, PROPOSAL_TIMEOUT: nobody has funded;
   *   FUNDING_TIMEOUT, FUNDING_FAILED (its cause is what the funder threw): what we deposited is on its way back,
   *   `channel(facts.channel)` shows how it goes on; ABORTED
   */
  async proposeChannel(options: ProposalOptions): Promise<Channel> {
    if (typeof options !== 'object' || options === null) {
      const message = 'options: an object with peers, allocation and challengeDuration expected'
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'options' })
    }
    demandNames(options, PROPOSAL_NAMES)
    if (options.allocation !== undefined)
      demandNames(options.allocation, ALLOCATION_NAMES, 'options.allocation')
    return this.#protocol.propose(options)
  }

  /**
   * Brings back every channel of the store, and goes on with what was under way. Call it once, before anything
   * else; channels that are there already stay. Where several processes share the store, those channels that no other
   * process serves.
   *
   * The store is read by one scan and every record is checked, before anything is started. Channels for which there
   * is nothing to do are not made running: that happens when something concerns one of them.
   *
   * @returns the channels that were brought back
   * @throws PerkunasError INVALID_RECORD if a record is damaged or of a newer version; UNKNOWN_ACCOUNT if the wallet
   *   lacks a channel's account; nothing is started then
   */
  restore(): Promise<readonly Channel[]> {
    return this.#protocol.restore()
  }

  /**
   * Ends this object's life: no channel is settled, nothing is lost. The store, the bus and the backend stay open;
   * once the store is closed too, the state of a channel that was at rest can't be read any more.
   * The wallet is locked: whoever goes on with another client opens it anew. Leases are given up, after which the shared
   * store takes no more commits either.
   */
  close(): Promise<void> {
    return this.#protocol.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

function isUnanimous(options: ClientOptions | ProtocolOptions): options is ClientOptions {
  return !('protocol' in options.backend)
}

function checkMeans(options: ClientOptions | ProtocolOptions): void {
  demandObject(options, 'options')
  const { bus, store, backend, wallet } = options
  const missing = (name: string) =>
    new PerkunasError('INVALID_ARGUMENT', `a client needs a ${name}`, { argument: name })
  for (const [name, means] of Object.entries({ bus, store, backend })) {
    if (means === undefined) throw missing(name)
  }
  demandObject(backend, 'options.backend')
  demandMethods(store, 'options.store', ['get', 'scan', 'commit'])
  if (!('protocol' in backend) && wallet === undefined) throw missing('wallet')
  demandNames(options, 'protocol' in backend ? PROTOCOL_NAMES : CLIENT_NAMES)
  demandNames(options.timeouts ?? {}, defaultTimeouts, 'options.timeouts')
}

function checkHandler(handler: unknown): void {
  if (typeof handler === 'function') return
  throw new PerkunasError('INVALID_ARGUMENT', 'a function expected as handler', { argument: 'handler' })
}
