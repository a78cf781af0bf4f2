// A node: what happens is put in a queue; turns of the core take from it what is there; each turn's writes become durable in
// one commit, and only then its effects happen, in their order. What comes meanwhile is the next turn's, and shares its
// commit.
import { type Observable, Subject } from 'rxjs'
import { toHex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { blockHeight, msat } from '../../../channel/units.js'
import { type Clock, MESSAGE_TYPE, type PeerEvent, type PeerID, systemClock } from '../../../peer/index.js'
import { nextTurn } from '../../../peer/turn.js'
import type { Store } from '../../../persistence/index.js'
import { type ChainCursor, FeeEstimator, type TrackedEvent } from '../chain/index.js'
import {
  ADMISSION_LIMITS,
  CHANNEL_POLICY,
  type ChannelInput,
  type ChannelState,
  isChannelMessage,
  isLive,
} from '../channel/index.js'
import { memoryCounter } from '../keys/index.js'
import {
  balancesOf,
  type ChainObligation,
  type ClaimableBalance,
  obligationsOf,
  openRevoked,
  RESOLVER_POLICY,
  revokedKey,
} from '../monitor/index.js'
import { lightningMessages, type ShortChannelID, shortChannelID } from '../wire/index.js'
import { Backups } from './backups.js'
import { Core, type NodeInput } from './core.js'
import type { NodeEffect, NodeEvent } from './effects.js'
import type { Entry } from './entries.js'
import { Inbox } from './inbox.js'
import { negotiated } from './init.js'
import { channelKeys } from './keys.js'
import type {
  InboundChannel,
  LightningNodeOptions,
  OpenDecision,
  OpenHandler,
  OpenOptions,
} from './options.js'
import { NodePayments } from './payments.js'
import { RandomPool } from './random-pool.js'
import { writeRecovered } from './recover.js'
import { type Restored, restored } from './restore.js'
import { type ChannelView, viewOfEntry } from './views.js'
import { Waiters } from './waiters.js'

/** Inputs that one turn takes at most, and the time after which it takes no more, in milliseconds. */
const TURN = { inputs: 256, milliseconds: 4 }
/** Messages of one peer that wait; one that sends more is not read. */
const MAX_WAITING = 512
/** Channels that are over of which is remembered why. */
const MAX_ENDS = 1000
/** Between ticks, in milliseconds. */
const TICK = 60_000
/** Where waiting inputs come from that are no peer's. */
const OWN = ''

/** What must be done for a channel. */
export type ChannelObligation = ChainObligation & { readonly channel: bigint }

/** See above. All methods may be called at any time; each takes effect in the turn that it gets into. */
export class LightningNode implements AsyncDisposable {
  readonly #options: LightningNodeOptions
  readonly #core: Core
  /** Payments over its channels. */
  readonly payments: NodePayments
  /** In hex: where closings may pay us. */
  readonly #scripts = new Set<string>()
  readonly #clock: Clock
  readonly #fees: FeeEstimator
  readonly #schedule: (task: () => void) => void
  readonly #inbox = new Inbox<PeerID | typeof OWN, NodeInput>()
  /** Peers that are not read, since too much of theirs waits. */
  readonly #held = new Map<PeerID, () => void>()
  /** Counts the connections of each peer; absent while there is none. */
  readonly #connections = new Map<PeerID, number>()
  readonly #waiters = new Waiters()
  readonly #entropy = new RandomPool()
  readonly #backups: Backups
  /** Durable. */
  #cursor: ChainCursor | undefined
  /** What the wallet is asked for, by purpose. */
  readonly #reserving = new Set<string>()
  /** Why the last channels came to their end, for whoever waits for something else of them. */
  readonly #ends = new Map<bigint, PerkunasError>()
  readonly #events = new Subject<NodeEvent>()
  readonly #changes = new Subject<bigint>()
  readonly #errors = new Subject<PerkunasError>()
  readonly #endings: (() => void)[] = []
  #connectionCount = 0
  #handleOpen: OpenHandler = () => ({ accept: false, reason: 'this node takes no channels' })
  #isWorking = false
  #stopped: PerkunasError | undefined
  #stopChain: (() => Promise<void>) | undefined
  #idle: (() => void) | undefined

  private constructor(options: LightningNodeOptions, found: Restored) {
    const { chain, seed, policy, resolver, admission, steps = memoryCounter() } = options
    this.#options = options
    this.payments = new NodePayments(options, found.payments, {
      order: (run) => this.#command(run),
      eventually: (look, signal) => this.eventually(look, signal),
      random: (bytes) => this.#random(bytes),
    })
    this.#clock = options.clock ?? systemClock
    this.#schedule = options.schedule ?? nextTurn
    const keys = channelKeys({
      seed,
      ownsScript: (script) => this.#scripts.has(toHex(script)),
      counter: steps,
    })
    this.#backups = new Backups({
      chainHash: chain.chainHash,
      node: options.bus.id,
      seed,
      addressOf: (peer) => options.bus.addressOf?.(peer),
      random: (bytes) => this.#random(bytes),
      known: found.entries,
    })
    this.#cursor = found.cursor
    this.#fees = new FeeEstimator(chain)
    this.#core = new Core({
      env: {
        chainHash: chain.chainHash,
        height: found.cursor?.height ?? blockHeight(0),
        fees: this.#fees.channelFees(),
        policy: { ...CHANNEL_POLICY, ...policy },
        keys,
      },
      fees: this.#fees.table,
      resolver: { ...RESOLVER_POLICY, ...resolver },
      htlcs: options.htlcs ?? this.payments.desk,
      admission: { ...ADMISSION_LIMITS, ...admission },
      nextKeyIndex: found.nextKeyIndex,
    })
    for (const entry of found.entries) {
      this.#core.restore(entry)
      for (const script of scriptsOf(entry.state)) this.#scripts.add(toHex(script))
    }
  }

  /**
   * Brings a node back, or begins a new one: reads the store, goes through the blocks that were missed, says again what may
   * not have been said, and only then looks at its peers.
   *
   * @throws PerkunasError INVALID_RECORD, STORE_FAILED; what the chain and the wallet throw
   */
  static async start(options: LightningNodeOptions): Promise<LightningNode> {
    const found = await restored(options.store)
    const node = new LightningNode(options, found)
    try {
      await node.#begin(found)
    } catch (cause) {
      await node.stop()
      throw cause
    }
    return node
  }

  /**
   * Begins a node whose store was lost, from a backup and the same seed and identity: its channels are there as such that
   * lost their data. Nothing of ours is ever published for them. Their peers are asked to close them, and what a closing
   * pays to us goes to the wallet. HTLCs that were under way are lost to who can claim them. From then on it is started as
   * any other.
   *
   * @param options with an empty store
   * @param backup as `onBackup` got it, not necessarily the last one
   * @throws PerkunasError INVALID_RECORD if it is damaged or of a newer version, INVALID_KEY_MATERIAL if it was made with
   *   another seed, INVALID_ARGUMENT if the store has channels or the backup is of another identity or chain: nothing
   *   was written or sent then. Whatever {@link LightningNode.start} throws
   */
  static async recover(options: LightningNodeOptions, backup: Uint8Array): Promise<LightningNode> {
    const { channels } = await writeRecovered(options, backup)
    for (const { peer, address } of channels) {
      if (address !== undefined) options.bus.connect(peer, address)
    }
    return LightningNode.start(options)
  }

  /** Node ID. */
  get id(): PeerID {
    return this.#options.bus.id
  }

  /** What happens, when it is durable. */
  get events$(): Observable<NodeEvent> {
    return this.#events.asObservable()
  }

  /** Channels whose view has changed, by their names here. */
  get changes$(): Observable<bigint> {
    return this.#changes.asObservable()
  }

  /** The height of the newest block that the node knows. */
  get height(): number {
    return this.#core.height
  }

  /** Whether a peer is connected and speaks Lightning. */
  isConnected(peer: PeerID): boolean {
    return this.#core.featuresOf(peer) !== undefined
  }

  /** What went wrong beside any call; after the last one the node has stopped. */
  get errors$(): Observable<PerkunasError> {
    return this.#errors.asObservable()
  }

  /** Why it stopped, if it has. */
  get stopped(): PerkunasError | undefined {
    return this.#stopped
  }

  /** Decides about channels that peers open, in place of whoever did before. */
  handleChannels(handler: OpenHandler): void {
    this.#handleOpen = handler
  }

  /** Wants a connection with a peer, now and whenever it is lost. @param address if the bus does not know it */
  connect(peer: PeerID, address?: string): void {
    this.#mustGoOn()
    this.#options.bus.connect(peer, address)
    this.#meet(peer)
  }

  /** All channels that are not over. */
  channels(): readonly ChannelView[] {
    return [...this.#core.entries.all].map((entry) => viewOfEntry(entry, this.#core.env))
  }

  /** A channel that is not over. */
  channel(channel: bigint): ChannelView | undefined {
    const entry = this.#core.entries.get(channel)
    return entry === undefined ? undefined : viewOfEntry(entry, this.#core.env)
  }

  /** What of a channel's money is ours, or may become it: on its way through the chain, or if it were closed now. */
  claimable(channel: bigint): readonly ClaimableBalance[] {
    const entry = this.#core.entries.get(channel)
    if (entry?.monitor === undefined) return []
    return balancesOf(entry.monitor, this.#core.monitorEnv(entry))
  }

  /** By when this node must be there, or something is lost; the soonest first. What has no height comes before. */
  obligations(): readonly ChannelObligation[] {
    const all = [...this.#core.entries.all].flatMap(({ keyIndex, monitor, ...entry }) => {
      if (monitor === undefined) return []
      const env = this.#core.monitorEnv({ keyIndex, monitor, ...entry })
      return obligationsOf(monitor, env).map((one) => ({ ...one, channel: keyIndex }))
    })
    const heightOf = (one: ChannelObligation) => (one.kind === 'watch' ? 0 : one.height)
    return all.sort((a, b) => heightOf(a) - heightOf(b))
  }

  /**
   * Opens a channel.
   *
   * @returns once both sides have their first commitments and the funding may be published; see {@link until} for more
   * @throws PerkunasError INVALID_PARAMS, PEER_UNREACHABLE, PEER_REJECTED, FUNDING_FAILED, ABORTED, and what the wallet
   *   throws. Aborted, it goes on if it was too late.
   */
  async open(options: OpenOptions, { signal }: { signal?: AbortSignal } = {}): Promise<ChannelView> {
    const { peer, address, capacity, push = msat(0n), shutdownScript, ...others } = options
    this.connect(peer, address)
    await this.#waiters.until(() => this.#core.featuresOf(peer), signal)
    const script = shutdownScript ?? (await this.#options.wallet.changeScript())
    this.#scripts.add(toHex(script))
    const request = {
      ...others,
      temporaryID: toHex(this.#random(32)),
      capacity,
      push,
      shutdownScript: script,
    }
    const keyIndex = await this.#command((core) => core.open(peer, { ...request, alias: this.#alias() }))
    try {
      return await this.until(keyIndex, (view) => view.live !== undefined, signal)
    } catch (cause) {
      if (signal?.aborted)
        this.#push(OWN, { kind: 'channel', channel: keyIndex, input: { kind: 'shutdown' } })
      throw cause
    }
  }

  /**
   * Waits until a channel is as wanted.
   *
   * @throws PerkunasError PEER_REJECTED with the reason if it is over before, UNKNOWN_CHANNEL, ABORTED, CLOSED
   */
  until(
    channel: bigint,
    isWanted: (view: ChannelView) => boolean,
    signal?: AbortSignal,
  ): Promise<ChannelView> {
    return this.#waiters.until(() => {
      const view = this.channel(channel)
      if (view === undefined) throw this.#ends.get(channel) ?? unknownChannel(channel)
      return isWanted(view) ? view : undefined
    }, signal)
  }

  /**
   * Closes a channel in agreement with its peer, which must be there. HTLCs may go on; no new ones begin.
   *
   * @param options `script`: where we are paid to, if it was not fixed before
   * @returns when the peer was told; the channel is gone from {@link channels} once it is final on chain
   * @throws PerkunasError PHASE_MISMATCH, UNKNOWN_CHANNEL
   */
  async close(channel: bigint, { script }: { readonly script?: Uint8Array } = {}): Promise<void> {
    if (script !== undefined) this.#scripts.add(toHex(script))
    await this.#input(channel, { kind: 'shutdown', ...(script === undefined ? {} : { script }) })
  }

  /**
   * Closes a channel alone, by publishing our newest commitment.
   *
   * @throws PerkunasError PHASE_MISMATCH, UNKNOWN_CHANNEL
   */
  async forceClose(channel: bigint): Promise<void> {
    await this.#input(channel, { kind: 'forceClose' })
  }

  /**
   * Wants something of a channel, by the hand of whoever decides about HTLCs.
   *
   * @throws PerkunasError UNKNOWN_CHANNEL, and why it can't be
   */
  async want(channel: bigint, input: ChannelInput & { kind: 'want' | 'unwant' }): Promise<void> {
    await this.#input(channel, input)
  }

  /**
   * Waits until something that follows from the node's channels is there: looks now and after every turn.
   *
   * @throws what `look` throws; PerkunasError ABORTED, CLOSED
   */
  eventually<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T> {
    return this.#waiters.until(look, signal)
  }

  /** A backup of now: see {@link LightningNode.recover}. */
  backup(): Uint8Array {
    return this.#backups.make({
      entries: this.#core.entries.all,
      nextKeyIndex: this.#core.nextKeyIndex,
      cursor: this.#cursor,
    })
  }

  /** Lets what is under way come to its end, and does nothing more. Peers are not told. Can be called again. */
  async stop(): Promise<void> {
    this.#end(new PerkunasError('CLOSED', 'the node was stopped', { what: 'node' }))
    await this.#stopChain?.()
    if (this.#isWorking) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #begin({ entries, cursor }: Restored): Promise<void> {
    const { bus, chain, htlcs = this.payments.desk } = this.#options
    await this.#command((core) => core.follow(htlcs.resumed()))
    await this.#refreshFees()
    const following = await chain.follow(cursor, (event) => this.#chainEvent(event))
    this.#stopChain = () => following.stop()
    this.#mustGoOn()
    await this.#releaseForgotten()
    await this.#command((core) => core.resume())
    // Who starts on an empty store by mistake must not write over the backup of what was in the other one.
    // Soon: then our user listens to what goes wrong.
    if (entries.length > 0) this.#schedule(() => void this.#backUp())
    this.#endings.push(
      bus.onPeer((event) => this.#onPeer(event)),
      bus.onRaw(LIGHTNING_TYPES, (from, type, payload) => this.#received(from, type, payload)),
    )
    this.#tickLater()
    for (const peer of new Set(entries.map((entry) => entry.peer))) {
      bus.connect(peer)
      this.#meet(peer)
    }
  }

  /** Coins that are kept for nothing any more: the record of what they were for was never written, or is gone. */
  async #releaseForgotten(): Promise<void> {
    const { wallet } = this.#options
    const inUse = new Set<string>()
    for (const { keyIndex, monitor } of this.#core.entries.all) {
      inUse.add(this.#purpose(keyIndex))
      for (const { id } of monitor?.attempts ?? []) inUse.add(this.#purpose(keyIndex, id))
    }
    for (const { id, purpose } of await wallet.reservations()) {
      if (purpose.startsWith(`${this.id} channel `) && !inUse.has(purpose)) await wallet.release(id)
    }
  }

  /** For which the wallet keeps coins: a channel's funding, or an attempt of its monitor. */
  #purpose(channel: bigint, attempt?: string): string {
    return `${this.id} channel ${channel}${attempt === undefined ? '' : ` ${attempt}`}`
  }

  /** A peer that was connected before the bus told us of any is met when it matters. */
  #meet(peer: PeerID): void {
    if (!this.#connections.has(peer) && this.#options.bus.isConnected(peer))
      this.#onPeer({ kind: 'connected', peer })
  }

  #onPeer({ kind, peer }: PeerEvent): void {
    if (kind === 'disconnected') {
      if (!this.#connections.delete(peer)) return
      return this.#push(peer, { kind: 'peerDown', peer })
    }
    const inits = this.#options.bus.initsOf(peer)
    if (inits === undefined) return
    const { features, fault } = negotiated(inits)
    if (fault !== undefined) return this.#options.bus.disconnect(peer, fault)
    const connection = ++this.#connectionCount
    this.#connections.set(peer, connection)
    this.#push(peer, { kind: 'peerUp', peer, connection, features })
  }

  /** @throws PerkunasError INVALID_MESSAGE, which costs the connection */
  #received(peer: PeerID, type: number, payload: Uint8Array): void | Promise<void> {
    if (this.#stopped !== undefined) return
    this.#meet(peer)
    const bytes = new Uint8Array(2 + payload.length)
    bytes[0] = type >> 8
    bytes[1] = type & 0xff
    bytes.set(payload, 2)
    const message = lightningMessages.decode(bytes)
    if (message.kind === 'unknown' || !isChannelMessage(message)) return
    this.#meet(peer)
    this.#push(peer, { kind: 'message', peer, message })
    if (this.#inbox.waiting(peer) < MAX_WAITING) return
    return this.#hold(peer)
  }

  /** The bus hands out a peer's next message only then. */
  #hold(peer: PeerID): Promise<void> {
    return new Promise((resolve) => {
      const before = this.#held.get(peer)
      this.#held.set(peer, () => {
        before?.()
        resolve()
      })
    })
  }

  async #chainEvent(event: TrackedEvent): Promise<void> {
    if (event.kind === 'connected' && event.isTip) await this.#refreshFees()
    await this.#done(event)
    this.#cursor = event.cursor
  }

  /** Where there is no new answer, the last one holds. */
  async #refreshFees(): Promise<void> {
    const failure = await this.#fees.refresh()
    if (failure !== undefined) this.#report(failure)
    this.#push(OWN, { kind: 'fees', table: this.#fees.table, channels: this.#fees.channelFees() })
  }

  #tickLater(): void {
    const cancel = this.#clock.after(TICK, () => {
      if (this.#stopped !== undefined) return
      this.#push(OWN, { kind: 'tick' })
      this.#tickLater()
    })
    this.#endings[2] = cancel
  }

  #input(channel: bigint, input: ChannelInput): Promise<void> {
    return this.#command((core) => core.command(channel, input))
  }

  /** Runs something in a turn; resolves when that is durable. */
  #command<T>(run: (core: Core) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped)
      const ended = this.#waiters.onEnd(reject)
      this.#push(OWN, {
        kind: 'command',
        run: (core) => {
          const answer = (call: () => void) =>
            core.effect({
              kind: 'call',
              call: () => {
                ended()
                call()
              },
            })
          try {
            const result = run(core)
            answer(() => resolve(result))
          } catch (cause) {
            answer(() => reject(cause))
          }
        },
      })
    })
  }

  /** Resolves when what follows from an input is durable. */
  async #done(input: NodeInput): Promise<void> {
    if (this.#stopped !== undefined) throw this.#stopped
    this.#push(OWN, input)
    await this.#command(() => undefined)
  }

  #push(source: PeerID | typeof OWN, input: NodeInput): void {
    if (this.#stopped !== undefined) return
    this.#inbox.push(source, input)
    if (this.#isWorking) return
    this.#isWorking = true
    this.#schedule(() => void this.#work())
  }

  /** Turn after turn until nothing waits. */
  async #work(): Promise<void> {
    try {
      while (this.#stopped === undefined && !this.#inbox.isEmpty) {
        await this.#turn()
        // Sockets have their chance.
        if (!this.#inbox.isEmpty) await new Promise<void>((resolve) => this.#schedule(resolve))
      }
    } catch (cause) {
      this.#fail(asError(cause, 'node'))
    }
    this.#isWorking = false
    this.#idle?.()
  }

  async #turn(): Promise<void> {
    const { writes, effects } = this.#core.turn(this.#taken())
    if (writes.length > 0) {
      try {
        await this.#options.store.commit(writes)
      } catch (cause) {
        return this.#fail(asStoreError(cause))
      }
      if (this.#stopped !== undefined) return
    }
    const changed = this.#core.committed()
    if (this.#backups.isOutdated(changed)) {
      await this.#backUp()
      if (this.#stopped !== undefined) return
    }
    for (const effect of effects) this.#perform(effect)
    for (const { keyIndex } of changed) this.#changes.next(keyIndex)
    for (const entry of changed) if (entry.state.phase === 'closed') this.#over(entry, entry.state.reason)
    this.#waiters.check()
    this.#goOnReading()
  }

  async #backUp(): Promise<void> {
    const { onBackup } = this.#options
    try {
      if (onBackup !== undefined && this.#stopped === undefined) await onBackup(this.backup())
    } catch (cause) {
      this.#report(asHandlerError(cause, 'onBackup'))
    }
  }

  *#taken(): Generator<NodeInput> {
    const end = this.#clock.now() + TURN.milliseconds
    for (let count = 0; count < TURN.inputs && (count === 0 || this.#clock.now() < end); count++) {
      const input = this.#inbox.next()
      if (input === undefined) return
      yield input
    }
  }

  #goOnReading(): void {
    for (const [peer, go] of this.#held) {
      if (this.#inbox.waiting(peer) > MAX_WAITING / 2) continue
      this.#held.delete(peer)
      go()
    }
  }

  #perform(effect: NodeEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#send(effect)
      case 'disconnect':
        if (this.#connections.get(effect.peer) !== effect.connection) return
        return this.#options.bus.disconnect(effect.peer, effect.reason)
      case 'ask':
        return void this.#ask(effect.channel)
      case 'fund':
        return void this.#fund(effect)
      case 'release':
        return this.#background('wallet', this.#options.wallet.release(effect.reservation))
      case 'publish':
        return this.#background('chain', this.#publish(effect))
      case 'lookup':
        return this.#background('store', this.#lookUp(effect))
      case 'reserve':
        return this.#background('wallet', this.#reserve(effect))
      case 'releaseCoins':
        return this.#background('wallet', this.#releaseCoins(effect))
      case 'sweepRows':
        return this.#background('store', sweepRows(this.#options.store, effect.prefix))
      case 'tell':
        if (effect.event.kind === 'stopped') this.#report(effect.event.error)
        return this.#events.next(effect.event)
      case 'call':
        return effect.call()
    }
  }

  #send({ peer, connection, message }: NodeEffect & { kind: 'send' }): void {
    // What was made for a connection that is lost would confuse the next one.
    if (this.#connections.get(peer) !== connection) return
    const bytes = lightningMessages.encode(message)
    try {
      this.#options.bus.sendRaw(peer, ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0), bytes.subarray(2))
    } catch (cause) {
      // One lost message is as bad as a lost connection: after the next one it is said again.
      if (!isError(cause, 'PEER_UNREACHABLE'))
        this.#options.bus.disconnect(peer, 'it takes less than it is sent')
    }
  }

  async #ask(channel: bigint): Promise<void> {
    const entry = this.#core.entries.get(channel)
    if (entry?.state.phase !== 'asked') return
    const { terms } = entry.state
    const { toSelfDelay } = entry.state.remote
    const request: InboundChannel = { ...terms, channel, peer: entry.peer, toSelfDelay }
    let input: ChannelInput
    try {
      input = await this.#decided(await this.#handleOpen(request))
    } catch (cause) {
      this.#report(asHandlerError(cause, 'handleChannels'))
      input = { kind: 'reject', reason: 'this node can not decide now' }
    }
    try {
      await this.#input(channel, input)
    } catch (cause) {
      if (isError(cause, 'UNKNOWN_CHANNEL') || isError(cause, 'PHASE_MISMATCH')) return // it was given up meanwhile
      this.#report(asError(cause, 'channels'))
      this.#push(OWN, {
        kind: 'channel',
        channel,
        input: { kind: 'reject', reason: 'this node can not take it' },
      })
    }
  }

  async #decided(decision: OpenDecision): Promise<ChannelInput> {
    if (!decision.accept) return { kind: 'reject', reason: decision.reason }
    const { isUpfront = false, isZeroConf = false } = decision
    const shutdownScript = decision.shutdownScript ?? (await this.#options.wallet.changeScript())
    this.#scripts.add(toHex(shutdownScript))
    return { kind: 'accept', shutdownScript, isUpfront, isZeroConf, alias: this.#alias() }
  }

  async #fund({ channel, amount, script, feerate }: NodeEffect & { kind: 'fund' }): Promise<void> {
    const { wallet } = this.#options
    try {
      const outputs = [{ amount, script }]
      const funded = await wallet.fund({ purpose: this.#purpose(channel), outputs, feerate })
      const transaction = await wallet.sign(funded.transaction, funded.coins)
      const reservation = funded.reservation.id
      this.#push(OWN, { kind: 'funded', channel, funding: { reservation, transaction }, index: 0 })
    } catch (cause) {
      const error = asError(cause, 'funding')
      this.#ends.set(channel, error)
      const input: ChannelInput = { kind: 'fundingFailed', reason: 'the opener can not fund it' }
      this.#push(OWN, { kind: 'channel', channel, input })
    }
  }

  async #publish(effect: NodeEffect & { kind: 'publish' }): Promise<void> {
    const { what, channel, attempt, transactions, spent } = effect
    const { chain, wallet } = this.#options
    const last = transactions.at(-1)
    if (last === undefined) return
    const signed = spent === undefined ? last : await wallet.sign(last, spent)
    const result = await chain.broadcast([...transactions.slice(0, -1), signed])
    const isRefused =
      result.kind === 'feeTooLow' || result.kind === 'missingInputs' || result.kind === 'rejected'
    if (!isRefused && (what === 'funding' || spent !== undefined)) await wallet.published(signed)
    if (!isRefused || attempt === undefined) return
    this.#push(OWN, { kind: 'monitor', channel, input: { kind: 'refused', attempt, why: result.kind } })
  }

  async #lookUp({ channel, number }: NodeEffect & { kind: 'lookup' }): Promise<void> {
    const key = revokedKey(channel, number)
    const row = await this.#options.store.get(key)
    const htlcs = row === undefined ? [] : openRevoked(key, row)
    this.#push(OWN, { kind: 'monitor', channel, input: { kind: 'revokedHtlcs', number, htlcs } })
  }

  /** What it can't have now it asks for again. */
  async #reserve({ channel, attempt, amount, feerate }: NodeEffect & { kind: 'reserve' }): Promise<void> {
    const purpose = this.#purpose(channel, attempt)
    if (this.#reserving.has(purpose)) return
    this.#reserving.add(purpose)
    try {
      const found = await this.#options.wallet.reserveInputs({ purpose, amount, feerate })
      const coins = found.coins.map(({ outpoint, amount, script }, i) => {
        return { outpoint, amount, script, weight: found.weights[i] ?? 0 }
      })
      const change = found.changeScript
      this.#push(OWN, { kind: 'monitor', channel, input: { kind: 'coins', attempt, coins, change } })
    } finally {
      this.#reserving.delete(purpose)
    }
  }

  async #releaseCoins({ channel, attempt }: NodeEffect & { kind: 'releaseCoins' }): Promise<void> {
    const { wallet } = this.#options
    for (const { id, purpose } of await wallet.reservations()) {
      if (purpose === this.#purpose(channel, attempt)) await wallet.release(id)
    }
  }

  /** What may fail without harm: it is done again. */
  #background(what: string, work: Promise<unknown>): void {
    work.catch((cause: unknown) => {
      if (this.#stopped === undefined) this.#report(asError(cause, what))
    })
  }

  /** Whoever waits for it is told why it ended. */
  #over({ keyIndex, peer }: Entry, reason: string): void {
    if (this.#ends.has(keyIndex)) return
    this.#ends.set(
      keyIndex,
      this.#connections.has(peer)
        ? new PerkunasError('PEER_REJECTED', `channel ${keyIndex} is over: ${reason}`, {
            peer,
            participant: 1,
            reason,
          })
        : new PerkunasError('PEER_UNREACHABLE', `channel ${keyIndex} is over: ${reason}`, {
            peer,
            reason: 'lost',
          }),
    )
    const [oldest] = this.#ends.keys()
    if (this.#ends.size > MAX_ENDS && oldest !== undefined) this.#ends.delete(oldest)
  }

  #report(error: PerkunasError): void {
    this.#errors.next(error)
  }

  #mustGoOn(): void {
    if (this.#stopped !== undefined) throw this.#stopped
  }

  #random(bytes: number): Uint8Array {
    return this.#options.entropy?.(bytes) ?? this.#entropy.take(bytes)
  }

  /** One that names no output: of a block that is a century away. */
  #alias(): ShortChannelID {
    const [...bytes] = this.#random(8)
    const random = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
    return shortChannelID((1n << 63n) | random)
  }

  #fail(error: PerkunasError): void {
    this.#report(error)
    this.#end(error)
  }

  #end(error: PerkunasError): void {
    if (this.#stopped !== undefined) return
    this.#stopped = error
    for (const ending of this.#endings) ending()
    this.#inbox.clear()
    for (const go of this.#held.values()) go()
    this.#held.clear()
    this.#waiters.end(error)
    this.#events.complete()
    this.#changes.complete()
    this.payments.end()
    this.#errors.complete()
  }
}

/** All that a Lightning node may say: gossip is taken and not looked at, since its types are even. */
export const LIGHTNING_TYPES: readonly number[] = lightningMessages.schemas
  .map(({ type }) => type)
  .filter((type) => ![MESSAGE_TYPE.init, MESSAGE_TYPE.ping, MESSAGE_TYPE.pong].includes(type))

/** Where a restored channel may be paid to when it closes. */
function scriptsOf(state: ChannelState): readonly Uint8Array[] {
  if (!isLive(state)) return []
  const { terms, shutdown } = state
  return [terms.shutdownScript, terms.local.upfrontShutdown, shutdown.local].filter(
    (one) => one !== undefined,
  )
}

/** In pages, since nobody counted them. */
async function sweepRows(store: Store, prefix: string): Promise<void> {
  const keys: string[] = []
  for await (const [key] of store.scan(prefix, { limit: 1000 })) keys.push(key)
  if (keys.length === 0) return
  await store.commit(keys.map((key) => ({ kind: 'delete', key })))
  await sweepRows(store, prefix)
}

function unknownChannel(channel: bigint): PerkunasError<'UNKNOWN_CHANNEL'> {
  const message = `there is no channel ${channel}`
  return new PerkunasError('UNKNOWN_CHANNEL', message, { channel: `0x${channel.toString(16)}` })
}

function asError(cause: unknown, what: string): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('INTERNAL', `${what}: ${reason}`, { where: what }, { cause })
}

function asHandlerError(cause: unknown, handler: string): PerkunasError {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('HANDLER_FAILED', `${handler} failed: ${reason}`, { handler }, { cause })
}

function asStoreError(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  return new PerkunasError('STORE_FAILED', 'a commit failed', { operation: 'commit' }, { cause })
}
