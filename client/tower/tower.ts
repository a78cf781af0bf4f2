// A watchtower: keeps the newest states that its clients give it, and refutes older ones on their behalf while they
// are away. It needs a key only for what transactions cost, none of any channel.
import { demandMethods, demandNames, givenOf, type NamesOf } from '../../channel/arguments.js'
import {
  type Backend,
  type ChannelID,
  faultOfParams,
  faultOfState,
  type Index,
  PerkunasError,
  type RegisterRequest,
  type SignedState,
} from '../../channel/index.js'
import type { Bus, PeerID } from '../../peer/index.js'
import type { Store, Write } from '../../persistence/index.js'
import { type Clock, systemClock } from '../environment.js'
import { asStoreError } from '../runtime.js'
import { localWatcher } from '../watcher.js'
import { Guard, type GuardEvent, type GuardHost } from './guard.js'
import { type TowerMessage, towerMessages } from './messages.js'
import { newMetrics, type TowerMetrics } from './metrics.js'
import { putSeen, putState, removed, stored } from './records.js'
import { channelOf, covers, faultOfTree, members, treeOf, versionsOf } from './tree.js'

/** What a tower does for one client at most. */
export interface TowerLimits {
  readonly channels: number
  /** Of the states that are kept. */
  readonly bytes: number
  /** That are verified for one message, of a channel and its sub-channels; a tenth of a millisecond each. */
  readonly signatures: number
}

/** What a tower says about itself. */
export type TowerEvent =
  | (GuardEvent & { readonly channel: ChannelID; readonly client: PeerID })
  /** A client asked for something that it does not get. */
  | { readonly kind: 'refused'; readonly client: PeerID; readonly reason: string }
  /** The ledger has not answered for so many seconds: nothing can be seen or refuted. */
  | { readonly kind: 'ledgerSilent'; readonly seconds: number }
  | { readonly kind: 'error'; readonly error: PerkunasError }

/** What a tower is made of. */
export interface TowerOptions {
  /** Where clients speak to it; for nothing else. */
  readonly bus: Bus
  readonly store: Store
  /** Its rules and its Adjudicator are used. */
  readonly backend: Backend
  /** Who is served; whoever else connects is sent away. */
  readonly clients: readonly PeerID[]
  /** For each client; {@link TOWER_LIMITS} by default. */
  readonly limits?: Partial<TowerLimits>
  readonly clock?: Clock
  /** Hears what happens. Must not throw. */
  readonly onEvent?: (event: TowerEvent) => void
}

/** What each client gets unless told otherwise. */
export const TOWER_LIMITS: TowerLimits = { channels: 10_000, bytes: 64 * 1024 * 1024, signatures: 512 }

const OPTION_NAMES: NamesOf<TowerOptions> = {
  bus: true,
  store: true,
  backend: true,
  clients: true,
  limits: true,
  clock: true,
  onEvent: true,
}

/** Requests of one client that are on their way to the disk, before it has to wait. */
const MAX_IN_FLIGHT = 64
/** Milliseconds between two looks at the ledger, and its silence that is told. */
const LOOK = 10_000
const SILENCE = 60_000

/** What is kept for one client. */
interface ClientShare {
  readonly guards: Map<ChannelID, Guard>
  bytes: number
  inFlight: number
}

/** Serves clients until closed. */
export class Tower {
  readonly metrics: TowerMetrics = newMetrics()
  readonly #options: TowerOptions
  readonly #limits: TowerLimits
  readonly #clock: Clock
  readonly #clients: ReadonlyMap<PeerID, ClientShare>
  readonly #guardHost: GuardHost
  readonly #heardOf: { at: number; isTold: boolean }
  readonly #failed: (error: PerkunasError) => void
  /** Rejects when the store fails: the process must end, a restart goes on from what is on the disk. */
  readonly failure: Promise<never>
  readonly #all = new Set<Guard>()
  readonly #atRisk = new Set<Guard>()
  readonly #nearDeadline = new Set<Guard>()
  #isClosed = false
  #stop: (() => void)[] = []
  #cancelLook: () => void = () => undefined

  private constructor(options: TowerOptions) {
    const { backend, clock = systemClock } = options
    this.#options = options
    this.#clock = clock
    this.#limits = { ...TOWER_LIMITS, ...givenOf(options.limits ?? {}) }
    this.#clients = new Map(options.clients.map((id) => [id, { guards: new Map(), bytes: 0, inFlight: 0 }]))
    this.#heardOf = { at: clock.now(), isTold: false }
    let failed: (error: PerkunasError) => void = () => undefined
    this.failure = new Promise((_, reject) => {
      failed = reject
    })
    this.failure.catch(() => undefined)
    this.#failed = failed
    this.#guardHost = {
      adjudicator: backend.adjudicator,
      watcher: localWatcher(backend.adjudicator, clock, (error) => this.#tell({ kind: 'error', error })),
      clock,
      faultOf: (signed) => {
        try {
          return this.#faultOfState(signed) ?? this.#faultOfSignatures(signed)
        } catch (cause) {
          return String(cause)
        }
      },
      remember: (guard, shown) => {
        const { client, channelID, seen } = guard
        const writes = shown === undefined ? [] : [this.#accept(guard, shown)]
        const durable = this.#committed([...writes, putSeen(client, channelID, seen)])
        if (shown !== undefined) guard.durable = durable
        return durable
      },
      tell: (guard, event) => this.#guardSays(guard, event),
    }
  }

  /**
   * Reads what the store holds, goes on with it, and serves clients.
   *
   * @throws PerkunasError INVALID_RECORD if a record is damaged or of a newer version, INVALID_ARGUMENT if an option is unknown, and
   *   what the store throws
   */
  static async open(options: TowerOptions): Promise<Tower> {
    demandNames(options, OPTION_NAMES)
    demandNames(options.limits ?? {}, TOWER_LIMITS, 'options.limits')
    demandMethods(options.store, 'options.store', ['get', 'scan', 'commit'])
    const tower = new Tower(options)
    const guards: Guard[] = []
    for await (const one of stored(options.store)) {
      // Who is served no longer gives nothing new; what was taken is kept to.
      guards.push(new Guard(one, tower.#guardHost))
    }
    for (const guard of guards) {
      tower.#keep(guard)
      tower.metrics.bytes += guard.bytes
      const share = tower.#clients.get(guard.client)
      if (share !== undefined) share.bytes += guard.bytes
      guard.start()
    }
    tower.#stop = [
      options.bus.onMessage((from, payload) => tower.#received(from, payload)),
      options.bus.onPeer(({ kind, peer }) => {
        if (kind === 'connected' && !tower.#clients.has(peer)) tower.#sendAway(peer)
      }),
    ]
    void tower.#look()
    return tower
  }

  /** Ends it; what was taken is kept on the disk. The bus, the store and the backend stay open. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#cancelLook()
    for (const stop of this.#stop) stop()
    for (const guard of this.#all) guard.stop()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #received(from: PeerID, payload: Uint8Array): void | Promise<void> {
    const client = this.#clients.get(from)
    if (client === undefined) return this.#sendAway(from)
    const message = towerMessages.decode(payload) // what it throws costs the client its connection
    switch (message.kind) {
      case 'watch':
        return this.#slowly(from, client, this.#watch(from, client, message))
      case 'unwatch':
        return this.#slowly(from, client, this.#unwatch(client, message.channelID))
      default: {
        const reason = `a client says ${message.kind} to no tower`
        throw new PerkunasError('INVALID_MESSAGE', reason, { path: 'kind', reason })
      }
    }
  }

  /** A client that says more than the disk takes waits; others go on. What fails costs it its connection. */
  #slowly(from: PeerID, client: ClientShare, work: Promise<void>): void | Promise<void> {
    client.inFlight++
    const done = work
      .catch((cause: unknown) => {
        if (this.#isClosed) return // the store failed, and `failure` says why
        const error = asFailure(cause)
        this.#tell({ kind: 'error', error })
        this.#options.bus.disconnect(from, error.message)
      })
      .finally(() => {
        client.inFlight--
      })
    if (client.inFlight >= MAX_IN_FLIGHT) return done
  }

  async #watch(
    from: PeerID,
    client: ClientShare,
    { signed, subChannels, cursor }: Extract<TowerMessage, { kind: 'watch' }>,
  ): Promise<void> {
    const given: RegisterRequest = { signed, subChannels }
    const channelID = channelOf(given)
    const known = client.guards.get(channelID)
    // Of each channel the newest counts: the ledger may have shown newer ones than the client has.
    const held = known === undefined ? [] : members(known.accepted)
    const next = known === undefined ? given : treeOf(channelID, [...held, ...members(given)])
    if (next === undefined) {
      return this.#refuse(
        from,
        given,
        faultOfTree(given) ?? 'its sub-channels do not fit those that are known',
      )
    }
    if (known !== undefined && covers(versionsOf(known.accepted), versionsOf(next))) {
      // Nothing to learn from it: what we have is as good, once it is durable.
      const { accepted } = known
      await known.durable
      return this.#send(from, { kind: 'watching', channelID, ...versionsOf(accepted) })
    }
    const fault = faultOfTree(given) ?? this.#faultOf(next, new Set(held))
    if (fault !== undefined) return this.#refuse(from, given, fault)
    const write = putState(from, channelID, next)
    const lack = this.#noRoom(client, client.bytes + write.value.length - (known?.bytes ?? 0), known)
    if (lack !== undefined) return this.#refuse(from, given, lack)
    const seen = new Map([[channelID, { cursor: cursor ?? undefined, standings: [] }]])
    const guard = known ?? new Guard({ client: from, request: next, seen, bytes: 0 }, this.#guardHost)
    if (known === undefined) this.#keep(guard)
    this.#accept(guard, next, write)
    const first = known === undefined ? [putSeen(from, channelID, seen)] : []
    const durable = this.#committed([write, ...first])
    guard.durable = durable
    await durable
    this.metrics.statesTaken++
    if (known === undefined) guard.start()
    else guard.strengthen(next)
    this.#send(from, { kind: 'watching', channelID, ...versionsOf(next) })
  }

  /** Counts a tree as kept. @returns the write that makes it durable */
  #accept(guard: Guard, tree: RegisterRequest, write = putState(guard.client, guard.channelID, tree)): Write {
    const more = write.value.length - guard.bytes
    this.metrics.bytes += more
    const share = this.#clients.get(guard.client)
    if (share !== undefined) share.bytes += more
    guard.bytes = write.value.length
    guard.accepted = tree
    return write
  }

  #refuse(from: PeerID, given: RegisterRequest, reason: string): void {
    this.metrics.requestsRefused++
    this.#tell({ kind: 'refused', client: from, reason })
    this.#send(from, { kind: 'notWatching', channelID: channelOf(given), ...versionsOf(given), reason })
  }

  async #unwatch(client: ClientShare, channelID: ChannelID): Promise<void> {
    const guard = client.guards.get(channelID)
    // While something is registered the ledger decides when it is over.
    if (guard === undefined || guard.isDisputed) return
    await this.#forget(guard)
  }

  async #forget(guard: Guard): Promise<void> {
    const { client, channelID, bytes } = guard
    guard.stop()
    for (const guards of [this.#all, this.#atRisk, this.#nearDeadline]) guards.delete(guard)
    this.#countRisks()
    const share = this.#clients.get(client)
    if (share?.guards.get(channelID) === guard) {
      share.guards.delete(channelID)
      share.bytes -= bytes
    }
    this.metrics.channels = this.#all.size
    this.metrics.bytes -= bytes
    await this.#committed(removed(client, channelID))
  }

  #keep(guard: Guard): void {
    this.#all.add(guard)
    this.metrics.channels = this.#all.size
    this.#clients.get(guard.client)?.guards.set(guard.channelID, guard)
  }

  /** What speaks against a tree, whoever gives it. What is held was verified before. */
  #faultOf(tree: RegisterRequest, held: ReadonlySet<SignedState>): string | undefined {
    const { signatures } = this.#limits
    const fresh = members(tree).filter((one) => !held.has(one))
    const count = fresh.reduce((sum, { params }) => sum + params.participants.length, 0)
    if (count > signatures) return `at most ${signatures} signatures are verified at once, it has ${count}`
    return (
      firstOf(fresh, (one) => this.#faultOfState(one)) ??
      faultOfTree(tree) ??
      firstOf(fresh, (one) => this.#faultOfSignatures(one))
    )
  }

  #faultOfState({ params, state, signatures }: SignedState): string | undefined {
    const { rules } = this.#options.backend
    const fault =
      faultOfParams(params) ??
      rules.faultOfParams(params) ??
      faultOfState(params, state) ??
      rules.faultOfState(params, state)
    if (fault) return fault.message
    if (rules.channelID(params) !== state.channelID) return 'the state is of another channel than the params'
    if (signatures.length !== params.participants.length)
      return `${params.participants.length} signatures expected`
    return undefined
  }

  #faultOfSignatures({ params, state, signatures }: SignedState): string | undefined {
    const { rules } = this.#options.backend
    const message = rules.message(params, state)
    const wrong = params.participants.findIndex((participant, i: Index) => {
      const signature = signatures[i]
      return signature === undefined || !rules.verify(message, signature, participant)
    })
    return wrong < 0 ? undefined : `the signature of participant ${wrong} is not valid`
  }

  #noRoom(client: ClientShare, bytes: number, known: Guard | undefined): string | undefined {
    if (bytes > this.#limits.bytes)
      return `at most ${this.#limits.bytes} bytes of states are kept for a client`
    if (known === undefined && client.guards.size >= this.#limits.channels)
      return `at most ${this.#limits.channels} channels are watched for a client`
    return undefined
  }

  #guardSays(guard: Guard, event: GuardEvent): void {
    const { metrics } = this
    if (event.kind === 'refuted') metrics.refutations++
    if (event.kind === 'refutationFailed') metrics.refutationFailures++
    if (event.kind === 'ended') {
      if (event.isLost) metrics.channelsLost++
      this.#forget(guard).catch(() => undefined)
    }
    const { risk } = guard
    const isWatched = this.#all.has(guard)
    toggle(this.#atRisk, guard, isWatched && risk !== undefined)
    toggle(this.#nearDeadline, guard, isWatched && risk?.isNear === true)
    this.#countRisks()
    this.#tell({ ...event, channel: guard.channelID, client: guard.client })
  }

  #countRisks(): void {
    this.metrics.channelsAtRisk = this.#atRisk.size
    this.metrics.channelsNearDeadline = this.#nearDeadline.size
  }

  /** Looks whether the ledger answers. */
  async #look(): Promise<void> {
    const heardOf = this.#heardOf
    this.#cancelLook = this.#clock.after(LOOK, () => void this.#look())
    const silence = this.#clock.now() - heardOf.at
    this.metrics.ledgerSilence = Math.floor(silence / 1000)
    if (silence >= SILENCE && !heardOf.isTold) {
      heardOf.isTold = true
      this.#tell({ kind: 'ledgerSilent', seconds: this.metrics.ledgerSilence })
    }
    try {
      await this.#options.backend.adjudicator.now()
      heardOf.at = this.#clock.now()
      heardOf.isTold = false
      this.metrics.ledgerSilence = 0
    } catch {
      // Its silence grows.
    }
  }

  async #committed(batch: readonly Write[]): Promise<void> {
    try {
      await this.#options.store.commit(batch)
    } catch (cause) {
      const error = asStoreError(cause)
      this.close()
      this.#failed(error)
      throw error
    }
  }

  #send(to: PeerID, message: TowerMessage): void {
    // Who is gone asks again when it is back.
    this.#options.bus.send(to, towerMessages.encode(message)).catch(() => undefined)
  }

  #sendAway(peer: PeerID): void {
    this.metrics.requestsRefused++
    this.#tell({ kind: 'refused', client: peer, reason: 'no client of this tower' })
    this.#options.bus.disconnect(peer, 'you are no client of this tower')
  }

  #tell(event: TowerEvent): void {
    this.#options.onEvent?.(event)
  }
}

function toggle<T>(all: Set<T>, one: T, isIn: boolean): void {
  if (isIn) all.add(one)
  else all.delete(one)
}

/** The first fault that is found. */
function firstOf<T>(all: readonly T[], faultOf: (one: T) => string | undefined): string | undefined {
  for (const one of all) {
    const fault = faultOf(one)
    if (fault !== undefined) return fault
  }
  return undefined
}

function asFailure(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const where = 'tower'
  return new PerkunasError('INTERNAL', `a request could not be handled: ${reason}`, { where }, { cause })
}
