// A Lightning node: its parts put together, and what its user calls. The order of what happens is in `turns.ts`.
import { type Observable, Subject } from 'rxjs'
import {
  demandFunction,
  demandNames,
  demandObject,
  invalidArgument,
  type NamesOf,
  SIGNAL,
} from '../../../channel/arguments.js'
import { toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { faultOfIntent, faultOfRequest } from '../channel/checks.js'
import type { ChannelInput } from '../channel/index.js'
import type { ClaimableBalance, MonitorEvent } from '../monitor/index.js'
import { msat, type Sat } from '../units.js'
import {
  type ChannelObligation,
  claimableOf,
  obligationsOfAll,
  obligationsOfOne,
  spentIn,
} from './chain-view.js'
import type { NodeEvent } from './effects.js'
import type { Entry } from './entries.js'
import { asHandlerError, demandChannel, demandPeer, unknownChannel } from './faults.js'
import {
  demandOptions,
  type LightningNodeOptions,
  NODE_NAMES,
  OPEN_NAMES,
  type OpenHandler,
  type OpenOptions,
} from './options.js'
import { type NodeParts, nodeParts } from './parts.js'
import type { NodePayments } from './payments.js'
import type { QuarantinedChannel } from './quarantine.js'
import { writeRecovered } from './recover.js'
import { keepUnseen, rescan } from './rescan.js'
import type { AnchorReserve } from './reserve.js'
import { type Restored, restored } from './restore.js'
import { retrieved } from './retrieve.js'
import { type ChannelView, viewOfEntry } from './views.js'

/** Between ticks, in milliseconds. */
const TICK = 60_000
const PEER_NAMES: NamesOf<{ readonly peer: PeerID; readonly address?: string }> = {
  peer: true,
  address: true,
}
const CLOSE_NAMES: NamesOf<{ readonly script?: Uint8Array; readonly isIdle?: boolean }> = {
  script: true,
  isIdle: true,
}

/** See above. All methods may be called at any time; each takes effect in the turn that it gets into. */
export class LightningNode implements AsyncDisposable {
  readonly #options: LightningNodeOptions
  readonly #parts: NodeParts
  readonly #events = new Subject<NodeEvent>()
  readonly #changes = new Subject<bigint>()
  readonly #errors = new Subject<PerkunasError>()
  readonly #endings: (() => void)[] = []
  #stopTicks: () => void = () => {}

  private constructor(options: LightningNodeOptions, found: Restored & { readonly destination: Uint8Array }) {
    this.#options = options
    this.#parts = nodeParts(options, found, {
      event: (event) => this.#events.next(event),
      changed: (changed) => this.#changed(changed),
      report: (error) => this.#errors.next(error),
      failed: (error) => {
        if (this.stopped !== undefined) return
        this.#errors.next(error)
        this.#end(error)
      },
      backUp: () => this.#backUp(),
    })
  }

  /**
   * Brings a node back, or begins a new one: reads the store, goes through the blocks that were missed, says again what may
   * not have been said, and only then looks at its peers.
   *
   * @throws PerkunasError INVALID_ARGUMENT for choices that can't be meant; INVALID_RECORD for what is of no channel in
   *   particular or of a newer release, STORE_FAILED; what the chain and the wallet throw
   */
  static async start(options: LightningNodeOptions): Promise<LightningNode> {
    demandOptions(options)
    const found = await restored(options.store)
    await keepUnseen(options.store, found)
    const destination = found.defended.length === 0 ? new Uint8Array() : await options.wallet.changeScript()
    const node = new LightningNode(options, { ...found, destination })
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
    demandOptions(options)
    await writeRecovered(options, backup)
    return LightningNode.start(options)
  }

  /**
   * Gets a backup from a peer that keeps it for us, for {@link LightningNode.recover}: the one that it was given last. Any peer
   * with a channel may have one, if it offers `option_provide_storage`.
   *
   * @param options of a node that does not run
   * @param peer `address`: if the bus does not know it
   * @throws PerkunasError INVALID_ARGUMENT if an option is unknown; ABORTED if none came, or none that was made with this seed
   */
  static async retrieve(
    options: Pick<LightningNodeOptions, 'bus' | 'seed'>,
    peer: { readonly peer: PeerID; readonly address?: string },
    callOptions: { readonly signal?: AbortSignal } = {},
  ): Promise<Uint8Array> {
    demandNames(options, NODE_NAMES)
    demandNames(peer, PEER_NAMES, 'peer')
    demandNames(callOptions, SIGNAL, 'callOptions')
    return retrieved(options, peer, callOptions.signal)
  }

  /** Payments over its channels. */
  get payments(): NodePayments {
    return this.#parts.payments
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
    return this.#parts.core.height
  }

  /** Whether a peer is connected and speaks Lightning. */
  isConnected(peer: PeerID): boolean {
    return this.#parts.core.featuresOf(peer) !== undefined
  }

  /** What went wrong beside any call; after the last one the node has stopped. */
  get errors$(): Observable<PerkunasError> {
    return this.#errors.asObservable()
  }

  /** Why it stopped, if it has. */
  get stopped(): PerkunasError | undefined {
    return this.#parts.turns.stopped
  }

  /** Decides about channels that peers open, in place of whoever did before. @throws PerkunasError INVALID_ARGUMENT */
  handleChannels(handler: OpenHandler): void {
    demandFunction(handler, 'handler')
    this.#parts.inbound.handle = handler
  }

  /**
   * Wants a connection with a peer, now and whenever it is lost.
   *
   * @param address if the bus does not know it; remembered, also after a restart, as long as there is a channel with the peer
   * @throws PerkunasError INVALID_ARGUMENT, CLOSED
   */
  connect(peer: PeerID, address?: string): void {
    demandPeer(peer, address)
    this.#parts.turns.mustGoOn()
    this.#parts.connections.connect(peer, address)
    if (address !== undefined)
      this.#parts.turns.command((commands) => commands.moved(peer)).catch(() => undefined)
  }

  /**
   * What the wallet should have for channels with anchors, if all of them had to be closed at once, and what it has. Told by
   * `events$` as `reserve`, too, when there is too little, and when there is enough again.
   *
   * @throws PerkunasError what the wallet throws
   */
  async anchorReserve(): Promise<AnchorReserve> {
    const { reserve } = this.#parts
    return reserve.stand(await reserve.available())
  }

  /**
   * Channels whose records can't be read. Nothing is said to their peers and no commitment of ours is published; what a peer
   * publishes is punished and claimed if the channel's monitor can be read (`isDefended`). As long as there is one, no channel
   * begins, and no backup is made: it would take the place of one that has them all. Told by `events$` and `errors$` at the
   * start, too; so is by when HTLCs ask for it (`mustMend`, and `mend` among {@link obligations}), and that one is closed on chain
   * that has no monitor (`undefended`).
   *
   * What helps are the rows that are damaged or missing, and only those, as they were after the last step of that channel: the
   * error names one. **Never an older copy of the whole store**: in it all other channels are as they were then, and what this
   * node publishes for them may be revoked, which loses all of their money. With a durable counter of steps (`steps`) such a
   * store is refused by the signer, without one by nothing. If the rows are nowhere: an empty store and
   * {@link LightningNode.recover} with the last backup, for which the peers close all channels. What came meanwhile is read
   * from the chain when the rows are there again.
   */
  quarantined(): readonly QuarantinedChannel[] {
    return this.#parts.quarantine.all
  }

  /** All channels that are not over and can be read. What is known of the others on chain {@link claimable} and the like say. */
  channels(): readonly ChannelView[] {
    return [...this.#parts.core.entries.all].map((entry) => viewOfEntry(entry, this.#parts.core.env))
  }

  /** A channel that is not over. */
  channel(channel: bigint): ChannelView | undefined {
    const entry = this.#parts.core.entries.get(channel)
    return entry === undefined ? undefined : viewOfEntry(entry, this.#parts.core.env)
  }

  /** What of a channel's money is ours, or may become it: on its way through the chain, or if it were closed now. */
  claimable(channel: bigint): readonly ClaimableBalance[] {
    return claimableOf(this.#parts.core, channel)
  }

  /**
   * By when this node must be there, or something is lost; the soonest first. What has no height comes before.
   *
   * @param channel only of that one
   */
  obligations(channel?: bigint): readonly ChannelObligation[] {
    const { core, lookout } = this.#parts
    return channel === undefined ? obligationsOfAll(core, lookout) : obligationsOfOne(core, lookout, channel)
  }

  /** What the chain shows to have spent a channel's funding output: as it was, or would have been, told by `events$`. */
  spent(channel: bigint): (MonitorEvent & { readonly kind: 'spent' }) | undefined {
    return spentIn(this.#parts.core, channel)
  }

  /**
   * Opens a channel.
   *
   * @returns once both sides have their first commitments and the funding may be published; see {@link until} for more
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_PARAMS, PEER_UNREACHABLE, PEER_REJECTED, FUNDING_FAILED, ABORTED, and what
   *   the wallet throws; LEDGER_UNREACHABLE while the chain is not known up to now and will not be in half a minute. Aborted, it
   *   goes on if it was too late.
   */
  async open(
    options: OpenOptions,
    callOptions: { readonly signal?: AbortSignal } = {},
  ): Promise<ChannelView> {
    demandNames(options, OPEN_NAMES)
    demandNames(callOptions, SIGNAL, 'callOptions')
    const { signal } = callOptions
    const { peer, address, capacity, push = msat(0n), shutdownScript, ...others } = options
    demandPeer(peer, address)
    const unmeant = faultOfRequest({ ...options, shutdownScript: shutdownScript ?? new Uint8Array() })
    if (unmeant !== undefined) throw new PerkunasError('INVALID_PARAMS', unmeant, { rule: unmeant })
    this.connect(peer, address)
    await this.eventually(() => this.#parts.core.featuresOf(peer), signal)
    const script = shutdownScript ?? (await this.#options.wallet.changeScript())
    this.#parts.scripts.add(script)
    const request = {
      ...others,
      temporaryID: toHex(this.#parts.random(32)),
      capacity,
      push,
      shutdownScript: script,
    }
    const { alias, sight, turns } = this.#parts
    const begin = () => turns.command((core) => core.open(peer, { ...request, alias: alias() }))
    const channel = await sight.whenSynced(begin, signal)
    try {
      return await this.until(
        channel,
        (view) => view.live !== undefined && !this.#parts.hold.has(channel),
        signal,
      )
    } catch (cause) {
      if (signal?.aborted) this.#parts.turns.push({ kind: 'channel', channel, input: { kind: 'shutdown' } })
      throw cause
    }
  }

  /**
   * Waits until a channel is as wanted.
   *
   * @throws PerkunasError PEER_REJECTED with the reason if it is over before, UNKNOWN_CHANNEL, ABORTED, CLOSED; INTERNAL if a
   *   mistake of ours has stopped it
   */
  until(
    channel: bigint,
    isWanted: (view: ChannelView) => boolean,
    signal?: AbortSignal,
  ): Promise<ChannelView> {
    return this.eventually(() => {
      demandChannel(channel)
      const view = this.channel(channel)
      this.#parts.quarantine.demandNot(channel)
      if (view === undefined) throw this.#parts.ends.get(channel) ?? unknownChannel(channel)
      if (isWanted(view)) return view
      if (view.stopped !== undefined) throw view.stopped
      return undefined
    }, signal)
  }

  /**
   * Closes a channel in agreement with its peer, which must be there. HTLCs may go on; no new ones begin.
   *
   * @param options `script`: where we are paid to, if it was not fixed before; `isIdle`: only if no HTLC is open in that moment
   * @returns when the peer was told; the channel is gone from {@link channels} once it is final on chain
   * @throws PerkunasError PHASE_MISMATCH, also while the peer is away, INVALID_ARGUMENT, INVALID_TRANSITION if it is not idle and
   *   should be, INVALID_PARAMS for a script of no standard form or
   *   another one than was said upfront, UNKNOWN_CHANNEL
   */
  async close(
    channel: bigint,
    options: { readonly script?: Uint8Array; readonly isIdle?: boolean } = {},
  ): Promise<void> {
    demandNames(options, CLOSE_NAMES)
    const { script, isIdle = false } = options
    if (script !== undefined && !(script instanceof Uint8Array)) throw invalidArgument('script', 'bytes')
    if (script !== undefined) this.#parts.scripts.add(script)
    await this.#input(channel, { kind: 'shutdown', isIdle, ...(script === undefined ? {} : { script }) })
  }

  /**
   * Closes a channel alone, by publishing our newest commitment, also where both have signed a closing that no block takes.
   *
   * @throws PerkunasError PHASE_MISMATCH, UNKNOWN_CHANNEL
   */
  async forceClose(channel: bigint): Promise<void> {
    await this.#input(channel, { kind: 'forceClose' })
  }

  /**
   * Replaces our transaction of a closing in agreement by one that pays more, as long as no block has one. The peer must be
   * there and sign it: `events$` tells `closing` once it has.
   *
   * @param fee in all, of our share; what a closing weighs follows from the last one
   * @throws PerkunasError PHASE_MISMATCH, also while the peer owes an answer to the one before; INVALID_AMOUNT if it is below
   *   what is relayed or above our share; UNSUPPORTED if the peer does not know option_simple_close; UNKNOWN_CHANNEL
   */
  async bumpClosing(channel: bigint, fee: Sat): Promise<void> {
    if (typeof fee !== 'bigint') throw invalidArgument('fee', 'an amount in satoshis')
    await this.#input(channel, { kind: 'bumpClosing', fee })
  }

  /**
   * Wants something of a channel, by the hand of whoever decides about HTLCs.
   *
   * @throws PerkunasError UNKNOWN_CHANNEL, INVALID_ARGUMENT for what has no encoding, and why it can't be
   */
  async want(channel: bigint, input: ChannelInput & { kind: 'want' | 'unwant' }): Promise<void> {
    demandObject(input, 'input')
    if (input.kind !== 'want' && input.kind !== 'unwant')
      throw invalidArgument('input.kind', 'want or unwant')
    if (input.kind === 'want') demandObject(input.intent, 'input.intent')
    const unmeant = input.kind === 'want' ? faultOfIntent(input.intent) : undefined
    if (unmeant !== undefined) throw invalidArgument(`intent.${unmeant}`, 'of its kind and within its bounds')
    await this.#input(channel, input)
  }

  /**
   * Waits until something that follows from the node's channels is there: looks now and after every turn.
   *
   * @throws what `look` throws; PerkunasError ABORTED, CLOSED
   */
  eventually<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T> {
    return this.#parts.turns.waiters.until(look, signal)
  }

  /** A backup of now: see {@link LightningNode.recover}. @throws PerkunasError INVALID_RECORD while it would lack a channel */
  backup(): Uint8Array {
    this.#parts.quarantine.demandNone()
    const { entries, nextKeyIndex } = this.#parts.core
    return this.#parts.backups.make({
      entries: entries.all,
      nextKeyIndex,
      cursor: this.#parts.following.cursor,
    })
  }

  /** Lets what is under way come to its end, and does nothing more. Peers are not told. Can be called again. */
  async stop(): Promise<void> {
    this.#end(new PerkunasError('CLOSED', 'the node was stopped', { what: 'node' }))
    await this.#parts.following.end()
    await this.#parts.turns.idle()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #begin(found: Restored): Promise<void> {
    const { entries, addresses, brokenPayments, damages } = found
    const { htlcs = this.payments.desk } = this.#options
    await this.#parts.turns.command((core) => core.follow(htlcs.resumed()))
    const { turns } = this.#parts
    await rescan(this.#options, found, { turns, report: (error) => this.#errors.next(error) })
    await this.#parts.following.begin()
    this.#parts.turns.mustGoOn()
    await this.#parts.coins.releaseForgotten(this.#parts.core.entries.all)
    await this.#parts.turns.command((core) => core.resume())
    // Who starts on an empty store by mistake must not write over the backup of what was in the other one.
    // Soon: then our user listens to what goes wrong.
    if (entries.length > 0) this.#parts.schedule(() => this.#parts.hold.outdated([]))
    this.#endings.push(...this.#parts.connections.listen(), () => this.#parts.mempool.end())
    this.#parts.mempool.begin()
    this.#parts.schedule(() => {
      this.#parts.reserve.begin()
      for (const error of damages) this.#errors.next(error)
      for (const error of brokenPayments.values()) {
        this.#events.next({ kind: 'payments', error })
        this.#errors.next(error)
      }
      for (const { channel, error } of this.quarantined()) {
        this.#events.next({ kind: 'quarantined', channel, error })
        this.#errors.next(error)
      }
      for (const event of this.#parts.lookout.begin(this.height)) {
        this.#events.next(event)
        if ('error' in event) this.#errors.next(event.error)
      }
    })
    this.#tickLater()
    // What the bus was told now is newer than what the store has.
    const { bus } = this.#options
    for (const peer of new Set(entries.map((entry) => entry.peer)))
      this.#parts.connections.connect(
        peer,
        bus.addressOf?.(peer) === undefined ? addresses.get(peer) : undefined,
      )
  }

  #tickLater(): void {
    this.#stopTicks = this.#parts.clock.after(TICK, () => {
      if (this.stopped !== undefined) return
      this.#parts.turns.push({ kind: 'tick' })
      this.#tickLater()
    })
  }

  async #input(channel: bigint, input: ChannelInput): Promise<void> {
    demandChannel(channel)
    await this.#parts.turns.command((core) => core.command(channel, input))
  }

  async #backUp(): Promise<void> {
    const { onBackup } = this.#options
    if (!this.#parts.quarantine.isEmpty) return
    try {
      if (onBackup !== undefined && this.stopped === undefined) await onBackup(this.backup())
    } catch (cause) {
      this.#errors.next(asHandlerError(cause, 'onBackup'))
    }
    if (this.stopped !== undefined) return
    const peers = new Set([...this.#parts.core.entries.all].map(({ peer }) => peer))
    for (const peer of peers) this.#parts.entrust(peer)
  }

  /** Whoever waits for a channel that is over is told why it ended. */
  #changed(changed: readonly Entry[]): void {
    for (const { keyIndex } of changed) this.#changes.next(keyIndex)
    for (const entry of changed) {
      const { state, peer } = entry
      if (state.phase !== 'closed') continue
      this.#parts.ends.add(entry, { reason: state.reason, isConnected: this.#parts.connections.has(peer) })
    }
  }

  #end(error: PerkunasError): void {
    if (!this.#parts.turns.end(error)) return
    this.#stopTicks()
    for (const ending of this.#endings) ending()
    this.#events.complete()
    this.#changes.complete()
    this.payments.end()
    this.#errors.complete()
  }
}
