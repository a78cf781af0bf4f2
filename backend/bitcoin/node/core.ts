// A node without the world around it: what waits is handled in turns, each of which leads to one batch of writes and to
// effects that may happen once the batch is durable. Everything in it is synchronous; the machines that it drives are pure.
//
// Between a turn and its commit memory is ahead of the disk. So if the commit fails, this object must not be used again.
import type { Hex } from '../../../channel/bytes.js'
import { absurd, PerkunasError } from '../../../channel/errors.js'
import { type BlockHeight, blockHeight } from '../../../channel/units.js'
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import { type Block, type BlockID, type ChainCursor, cursorRecord, type FeeTable } from '../chain/index.js'
import { shownText } from '../channel/failure.js'
import {
  type AdmissionLimits,
  type ChannelEnv,
  type ChannelInput,
  type ChannelState,
  channelRemoval,
  channelWrites,
  type Effect,
  type FeeEstimates,
  faultOfAdmission,
  isChannelMessage,
  isLive,
  type OpenRequest,
  openChannel,
  receivedOpen,
  type Step,
  step,
  wantsFlush,
} from '../channel/index.js'
import type { FeatureName } from '../features.js'
import {
  isAtRest,
  type Monitor,
  type MonitorEffect,
  type MonitorEnv,
  type MonitorInput,
  type MonitorStep,
  step as monitorStep,
  type ResolverPolicy,
  type SpendingTransaction,
} from '../monitor/index.js'
import { monitorRemoval, monitorWrites, REVOKED_ROWS } from '../monitor/rows.js'
import { type PayableChannel, payableChannel } from '../payments/index.js'
import { transactionID } from '../script/index.js'
import type { LightningMessage, OpenChannel } from '../wire/index.js'
import { ChainWatch } from './chain-watch.js'
import type { NodeEffect, Turn } from './effects.js'
import { Entries, type Entry, type OwnFunding } from './entries.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'
import type { Consequence, HtlcSwitch, SwitchChannels } from './switch.js'
import { isUsable } from './views.js'

/** What happens to a node. */
export type NodeInput =
  | {
      readonly kind: 'peerUp'
      readonly peer: PeerID
      /** Counts the connections: messages go over the one for which they were made. */
      readonly connection: number
      readonly features: readonly FeatureName[]
    }
  | { readonly kind: 'peerDown'; readonly peer: PeerID }
  | { readonly kind: 'message'; readonly peer: PeerID; readonly message: LightningMessage }
  | {
      readonly kind: 'connected'
      readonly block: Block
      /** No other block follows at once. */
      readonly isTip: boolean
      readonly cursor: ChainCursor
    }
  | { readonly kind: 'disconnected'; readonly block: BlockID; readonly cursor: ChainCursor }
  | { readonly kind: 'fees'; readonly table: FeeTable; readonly channels: FeeEstimates }
  | { readonly kind: 'tick' }
  /** To one channel, if it is still there. */
  | { readonly kind: 'channel'; readonly channel: bigint; readonly input: ChannelInput }
  /** To its monitor. */
  | { readonly kind: 'monitor'; readonly channel: bigint; readonly input: MonitorInput }
  | {
      readonly kind: 'funded'
      readonly channel: bigint
      readonly funding: OwnFunding
      readonly index: number
    }
  /** Our user's: runs within the turn. What it throws is its own answer. */
  | { readonly kind: 'command'; readonly run: (core: Core) => void }

/** What a node is made of. */
export interface CoreOptions {
  readonly env: ChannelEnv
  readonly fees: FeeTable
  readonly resolver: ResolverPolicy
  readonly htlcs: HtlcSwitch
  readonly admission: AdmissionLimits
  /** The first key index that was never used. */
  readonly nextKeyIndex: bigint
}

interface Peer {
  readonly connection: number
  readonly features: readonly FeatureName[]
}

/** See above. */
export class Core implements SwitchChannels {
  readonly entries = new Entries()
  readonly chain: ChainWatch
  readonly #htlcs: HtlcSwitch
  readonly #admission: AdmissionLimits
  readonly #resolver: ResolverPolicy
  readonly #peers = new Map<PeerID, Peer>()
  #env: ChannelEnv
  #fees: FeeTable
  #nextKeyIndex: bigint
  // What the turn under way has come to.
  #writes: Write[] = []
  #effects: NodeEffect[] = []
  readonly #changed = new Set<Entry>()
  readonly #toFlush = new Set<Entry>()

  constructor({ env, fees, resolver, htlcs, admission, nextKeyIndex }: CoreOptions) {
    this.#env = env
    this.#fees = fees
    this.#resolver = resolver
    this.#htlcs = htlcs
    this.#admission = admission
    this.#nextKeyIndex = nextKeyIndex
    this.chain = new ChainWatch()
    htlcs.attach(this)
  }

  get env(): ChannelEnv {
    return this.#env
  }

  get height(): number {
    return this.#env.height
  }

  /** The first key index that was never used. */
  get nextKeyIndex(): bigint {
    return this.#nextKeyIndex
  }

  payable(peer: PeerID): readonly (readonly [bigint, PayableChannel])[] {
    return this.entries.of(peer).flatMap(({ keyIndex, state, stopped }) => {
      const channel = stopped === undefined ? payableChannel(state, this.#env) : undefined
      return channel === undefined ? [] : [[keyIndex, channel] as const]
    })
  }

  /** Whether messages would reach the peer now; its features if so. */
  featuresOf(peer: PeerID): readonly FeatureName[] | undefined {
    return this.#peers.get(peer)?.features
  }

  /** Takes a channel that the store had, and hears of all that concerns it in the blocks that come. */
  restore(entry: Entry): void {
    this.entries.add(entry)
    const { state, monitor } = entry
    if (!isLive(state) || monitor === undefined) return
    this.chain.awaitFunding(entry, state)
    // Only what it watches is of use now: it is asked again when the blocks that were missed are through.
    for (const effect of monitorStep(monitor, { kind: 'resume' }, this.monitorEnv(entry)).effects) {
      if (effect.kind === 'watch') this.chain.watch(entry, effect.outpoint)
    }
  }

  /** Says everything again that may not have been said before the restart. */
  resume(): void {
    for (const entry of [...this.entries.all]) {
      this.#monitorInput(entry, { kind: 'resume' })
      this.#publishFunding(entry)
    }
  }

  /**
   * Handles what waits, as far as the caller gives it. What the result says must be durable and done before the next turn.
   *
   * @throws what a mistake of ours threw: nothing of the turn may leave then
   */
  turn(inputs: Iterable<NodeInput>): Turn {
    this.#writes = []
    this.#effects = []
    for (const input of inputs) this.#handle(input)
    this.#flush()
    return this.#finish()
  }

  /** The last turn is durable: what changed is what our user sees from now on. */
  committed(): readonly Entry[] {
    this.#htlcs.committed?.()
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const entry of changed) {
      if (entry.state.phase === 'closed') this.entries.remove(entry)
      entry.shown = entry.state
    }
    return changed
  }

  /**
   * Opens a channel to a peer that is connected.
   *
   * @returns its key index
   * @throws PerkunasError INVALID_PARAMS, PEER_UNREACHABLE
   */
  open(peer: PeerID, request: Omit<OpenRequest, 'keyIndex' | 'features'>): bigint {
    const features = this.featuresOf(peer)
    if (features === undefined) {
      const message = `${peer} is not connected`
      throw new PerkunasError('PEER_UNREACHABLE', message, { peer, reason: 'lost' })
    }
    const keyIndex = this.#nextKeyIndex
    const begun = openChannel({ ...request, keyIndex, features }, this.#env)
    this.#takeKeyIndex()
    this.#apply(this.#begin(keyIndex, peer, begun.next), begun)
    return keyIndex
  }

  /**
   * Hands a command to a channel.
   *
   * @throws PerkunasError UNKNOWN_CHANNEL, or why it can't be done
   */
  command(keyIndex: bigint, input: ChannelInput): void {
    const entry = this.entries.get(keyIndex)
    if (entry === undefined || entry.state.phase === 'closed') {
      const channel: Hex = `0x${keyIndex.toString(16)}`
      throw new PerkunasError('UNKNOWN_CHANNEL', `there is no channel ${keyIndex}`, { channel })
    }
    if (entry.stopped !== undefined) throw entry.stopped
    const result = step(entry.state, input, this.#env)
    this.#apply(entry, result)
    const refused = result.effects.find((effect) => effect.kind === 'refuse')
    if (refused !== undefined) throw refused.error
  }

  /** Follows what our user commanded of whoever decides about HTLCs. */
  follow(consequence: Consequence): void {
    this.#follow(consequence)
  }

  /** What is to happen when the turn is durable. */
  effect(effect: NodeEffect): void {
    this.#effects.push(effect)
  }

  /** What else is to be written with the turn. */
  write(...writes: readonly Write[]): void {
    this.#writes.push(...writes)
  }

  #handle(input: NodeInput): void {
    switch (input.kind) {
      case 'peerUp':
        this.#peers.set(input.peer, { connection: input.connection, features: input.features })
        for (const entry of this.entries.of(input.peer)) {
          this.#input(entry, { kind: 'connected', features: input.features })
        }
        return
      case 'peerDown':
        this.#peers.delete(input.peer)
        for (const entry of this.entries.of(input.peer)) this.#input(entry, { kind: 'disconnected' })
        return
      case 'message':
        return this.#received(input.peer, input.message)
      case 'connected':
        return this.#blockConnected(input)
      case 'disconnected':
        return this.#blockDisconnected(input)
      case 'fees':
        this.#env = { ...this.#env, fees: input.channels }
        this.#fees = input.table
        return this.#followFees()
      case 'tick':
        for (const entry of [...this.entries.all]) this.#input(entry, { kind: 'tick' })
        return this.#follow(this.#htlcs.ticked())
      case 'channel': {
        const entry = this.entries.get(input.channel)
        if (entry !== undefined) this.#input(entry, input.input)
        return
      }
      case 'monitor': {
        const entry = this.entries.get(input.channel)
        if (entry !== undefined) this.#monitorInput(entry, input.input)
        return
      }
      case 'funded':
        return this.#funded(input)
      case 'command':
        return input.run(this)
      default:
        return absurd(input)
    }
  }

  #received(peer: PeerID, message: LightningMessage): void {
    // It came before the connection was lost, and is handled after: nothing that we say would arrive.
    if (!this.#peers.has(peer) || !isChannelMessage(message)) return
    const id = 'channelID' in message ? message.channelID : message.temporaryChannelID
    const entry = this.entries.named(peer, id)
    if (entry !== undefined) return this.#input(entry, { kind: 'received', message })
    switch (message.kind) {
      case 'open_channel':
        return this.#receivedOpen(peer, message)
      case 'error':
        // For none in particular: for all of them (BOLT 1).
        if (id !== ALL_CHANNELS) return
        for (const one of this.entries.of(peer)) this.#input(one, { kind: 'received', message })
        return
      case 'warning':
        return this.effect({ kind: 'tell', event: { kind: 'warning', peer, text: shownText(message.data) } })
      default:
        return this.#answer(peer, id, 'unknown channel')
    }
  }

  #receivedOpen(peer: PeerID, message: OpenChannel): void {
    const { temporaryChannelID: temporaryID } = message
    const features = this.featuresOf(peer) ?? []
    const occupants = [...this.entries.all].map(({ peer, state }) => ({
      peer,
      temporaryID: 'terms' in state ? state.terms.temporaryID : state.channelID,
      isFunded: isLive(state) && (state.ready.depth > 0 || state.terms.opener === 'local'),
    }))
    const fault = faultOfAdmission(occupants, { peer, temporaryID }, this.#admission)
    if (fault !== undefined) return this.#answer(peer, temporaryID, fault)
    const keyIndex = this.#nextKeyIndex
    const begun = receivedOpen(message, { keyIndex, features }, this.#env)
    if (begun.next.phase === 'closed') {
      for (const effect of begun.effects) if (effect.kind === 'send') this.#send(peer, effect.message)
      return
    }
    this.#takeKeyIndex()
    this.#apply(this.#begin(keyIndex, peer, begun.next), begun)
  }

  #answer(peer: PeerID, channelID: Hex, text: string): void {
    this.#send(peer, { kind: 'error', channelID, data: new TextEncoder().encode(text) })
  }

  #takeKeyIndex(): void {
    this.#nextKeyIndex += 1n
    this.write(NODE_RECORDS.next.put(NODE_KEYS.next, { keyIndex: this.#nextKeyIndex }))
  }

  #begin(keyIndex: bigint, peer: PeerID, state: ChannelState): Entry {
    const entry: Entry = {
      keyIndex,
      peer,
      state,
      monitor: undefined,
      watched: new Set(),
      revoked: [],
      written: undefined,
      shown: state,
      funding: undefined,
      place: undefined,
      stopped: undefined,
    }
    this.entries.add(entry)
    return entry
  }

  #funded({ channel, funding, index }: NodeInput & { kind: 'funded' }): void {
    const entry = this.entries.get(channel)
    if (entry === undefined || entry.state.phase !== 'awaitingFunding') {
      return this.effect({ kind: 'release', reservation: funding.reservation })
    }
    entry.funding = funding
    const txid = transactionID(funding.transaction)
    this.#input(entry, { kind: 'funded', outpoint: { txid, index } })
  }

  #blockConnected({ block, isTip, cursor }: NodeInput & { kind: 'connected' }): void {
    const { height, hash } = block
    this.#env = { ...this.#env, height }
    this.write(cursorRecord.put(NODE_KEYS.cursor, cursor))
    for (const { entry, input, writes } of this.chain.changes(block)) {
      this.write(...writes)
      this.#input(entry, input)
    }
    const spends = this.chain.spends(block)
    for (const entry of [...this.entries.all]) {
      const { monitor, state } = entry
      const transactions = spends.get(entry) ?? []
      if (monitor !== undefined && (transactions.length > 0 || !isAtRest(monitor)))
        this.#monitorBlock(entry, { hash, isTip, block, transactions })
      if (isLive(state) && (state.book.htlcs.length > 0 || state.ready.depth === 0))
        this.#input(entry, { kind: 'block' })
    }
    if (isTip) for (const entry of this.chain.unconfirmed()) this.#publishFunding(entry)
    this.#follow(this.#htlcs.reached(height))
  }

  /** What a monitor begins to watch may be spent in the same block. */
  #monitorBlock(
    entry: Entry,
    given: {
      readonly hash: Hex
      readonly isTip: boolean
      readonly block: Block
      readonly transactions: readonly SpendingTransaction[]
    },
  ): void {
    const { hash, isTip, block } = given
    for (let { transactions } = given; ; ) {
      const { size } = entry.watched
      this.#monitorInput(entry, { kind: 'connected', hash, transactions, isTip })
      if (entry.watched.size <= size) return
      const again = this.chain.spends(block).get(entry) ?? []
      if (again.length === transactions.length) return
      transactions = again
    }
  }

  #blockDisconnected({ block, cursor }: NodeInput & { kind: 'disconnected' }): void {
    this.#env = { ...this.#env, height: lower(block.height) }
    this.write(cursorRecord.put(NODE_KEYS.cursor, cursor))
    for (const { entry, input, writes } of this.chain.undone(block, this.entries.all)) {
      this.write(...writes)
      this.#input(entry, input)
    }
    for (const entry of [...this.entries.all]) {
      if (entry.monitor !== undefined && entry.monitor.facts.length > 0)
        this.#monitorInput(entry, { kind: 'disconnected', ...block })
    }
  }

  /** Who opened a channel keeps its commitments near to what gets them into blocks. */
  #followFees(): void {
    const { commitment: feerate } = this.#env.fees
    for (const entry of this.entries.all) {
      const { state } = entry
      if (!isUsable(state) || state.terms.opener !== 'local') continue
      const now = state.book.changes.at(-1)?.feerate ?? state.book.feerate
      const isNear = Math.abs(feerate - now) * FEE_TOLERANCE < now
      if (!isNear) this.#input(entry, { kind: 'want', intent: { kind: 'fee', feerate } })
    }
  }

  #publishFunding({ keyIndex, funding, place }: Entry): void {
    if (funding === undefined || place !== undefined) return
    const transactions = [funding.transaction]
    this.effect({ kind: 'publish', what: 'funding', channel: keyIndex, transactions })
  }

  /** An input that nobody waits for. A channel at which we make a mistake stands still; the others go on. */
  #input(entry: Entry, input: ChannelInput): void {
    if (entry.stopped !== undefined) return
    let result: Step
    try {
      result = step(entry.state, input, this.#env)
    } catch (cause) {
      return this.#stop(entry, cause)
    }
    this.#apply(entry, result)
  }

  #stop(entry: Entry, cause: unknown): void {
    const where = `channel ${entry.keyIndex}`
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new PerkunasError('INTERNAL', `${where} is stopped: ${reason}`, { where }, { cause })
    entry.stopped = error
    this.effect({ kind: 'tell', event: { kind: 'stopped', channel: entry.keyIndex, error } })
  }

  #apply(entry: Entry, { next, monitor, handoffs, effects }: Step): void {
    const wasLive = isLive(entry.state)
    if (next !== entry.state || monitor.length > 0) this.#changed.add(entry)
    entry.state = next
    // What it refuses is a mistake of ours that must not be committed.
    const result =
      monitor.length === 0
        ? undefined
        : monitorStep(entry.monitor, { kind: 'updates', updates: monitor }, this.monitorEnv(entry))
    if (result !== undefined) entry.monitor = result.next
    for (const effect of effects) this.#channelEffect(entry, effect)
    if (isLive(next) && !wasLive) this.entries.forgetTemporary(entry)
    if (isLive(next) && wantsFlush(next)) this.#toFlush.add(entry)
    for (const handoff of handoffs) {
      this.#follow(this.#htlcs.handed(entry.keyIndex, handoff, this.#env.height))
    }
    if (result !== undefined) this.#applyMonitor(entry, result)
  }

  /** What happens beside the channel. A mistake of ours stops both. */
  #monitorInput(entry: Entry, input: MonitorInput): void {
    const { monitor } = entry
    if (monitor === undefined) return
    let result: MonitorStep
    try {
      result = monitorStep(monitor, input, this.monitorEnv(entry))
    } catch (cause) {
      return this.#stop(entry, cause)
    }
    if (result.next !== monitor) this.#changed.add(entry)
    entry.monitor = result.next
    this.#applyMonitor(entry, result)
  }

  #applyMonitor(entry: Entry, { revoked, handoffs, effects }: MonitorStep): void {
    entry.revoked.push(...revoked)
    for (const effect of effects) this.#monitorEffect(entry, effect)
    for (const handoff of handoffs) {
      switch (handoff.kind) {
        case 'learned':
          this.#follow(this.#htlcs.learned(entry.keyIndex, handoff.htlc, handoff.preimage))
          break
        case 'htlcResolved':
          this.#follow(this.#htlcs.resolved(entry.keyIndex, handoff.htlc, handoff.to))
          break
        case 'channelSpent':
          this.#input(entry, { kind: 'spent', by: handoff.by })
          break
        case 'channelResolved':
          this.#input(entry, { kind: 'resolved' })
          break
        default:
          return absurd(handoff)
      }
    }
  }

  #monitorEffect(entry: Entry, effect: MonitorEffect): void {
    const { keyIndex: channel, peer } = entry
    switch (effect.kind) {
      case 'watch':
        return this.chain.watch(entry, effect.outpoint)
      case 'unwatch':
        for (const outpoint of effect.outpoints) this.chain.unwatch(entry, outpoint)
        return
      case 'lookup':
        return this.effect({ kind: 'lookup', channel, number: effect.number })
      case 'broadcast': {
        const { kind: _, ...given } = effect
        return this.effect({ kind: 'publish', channel, ...given })
      }
      case 'reserve': {
        const { attempt, amount, feerate } = effect
        return this.effect({ kind: 'reserve', channel, attempt, amount, feerate })
      }
      case 'release':
        return this.effect({ kind: 'releaseCoins', channel, attempt: effect.attempt })
      case 'tell':
        return this.effect({ kind: 'tell', event: { kind: 'chain', channel, peer, event: effect.event } })
      default:
        return absurd(effect)
    }
  }

  /** What a channel's monitor knows of the world. */
  monitorEnv({ state, keyIndex }: Entry): MonitorEnv {
    if (!('signer' in state))
      throw new PerkunasError('INTERNAL', `channel ${keyIndex} has no signer`, { where: 'node' })
    const { height, keys } = this.#env
    return {
      height,
      fees: this.#fees,
      policy: this.#resolver,
      destination: state.terms.shutdownScript,
      record: state.signer,
      signer: (terms) => keys(terms.keyIndex).signer(terms.setup),
    }
  }

  #follow({ wishes, unwishes = [], effects }: Consequence): void {
    this.#effects.push(...effects)
    for (const { channel, reference } of unwishes) {
      const entry = this.entries.get(channel)
      if (entry !== undefined) this.#input(entry, { kind: 'unwant', reference })
    }
    for (const { channel, intent } of wishes) {
      const entry = this.entries.get(channel)
      if (entry !== undefined) this.#input(entry, { kind: 'want', intent })
    }
  }

  /** Signs, for each channel once, all that this turn made it want. */
  #flush(): void {
    for (const entry of this.#toFlush) {
      this.#toFlush.delete(entry)
      if (isLive(entry.state) && wantsFlush(entry.state)) this.#input(entry, { kind: 'flush' })
    }
  }

  #channelEffect(entry: Entry, effect: Effect): void {
    const { keyIndex, peer, state } = entry
    switch (effect.kind) {
      case 'send':
        return this.#send(peer, effect.message)
      case 'disconnect': {
        const connection = this.#peers.get(peer)?.connection
        const { reason } = effect
        if (connection !== undefined) this.effect({ kind: 'disconnect', peer, connection, reason })
        return
      }
      case 'ask':
        return this.effect({ kind: 'ask', channel: keyIndex })
      case 'fund': {
        const { amount, script, feerate } = effect
        return this.effect({ kind: 'fund', channel: keyIndex, amount, script, feerate })
      }
      case 'publishFunding':
        return this.#publishFunding(entry)
      case 'abortFunding':
        if (entry.funding !== undefined) {
          this.effect({ kind: 'release', reservation: entry.funding.reservation })
          entry.funding = undefined
        }
        return
      case 'watch':
        if (isLive(state)) this.chain.awaitFunding(entry, state)
        return
      case 'publish':
        return this.effect({
          kind: 'publish',
          what: effect.what,
          channel: keyIndex,
          transactions: [effect.transaction],
        })
      case 'tell':
        if (effect.event.kind === 'named') this.entries.name(entry, effect.event.channelID)
        return this.effect({
          kind: 'tell',
          event: { kind: 'channel', channel: keyIndex, peer, event: effect.event },
        })
      case 'refuse':
        // Whoever commanded it is told where the command was given.
        return
      default:
        return absurd(effect)
    }
  }

  #send(peer: PeerID, message: LightningMessage): void {
    const connection = this.#peers.get(peer)?.connection
    if (connection !== undefined) this.effect({ kind: 'send', peer, connection, message })
  }

  #finish(): Turn {
    for (const entry of this.#changed) this.#record(entry)
    const writes = [...this.#writes, ...this.#htlcs.takeWrites()]
    return { writes, effects: this.#effects }
  }

  #record(entry: Entry): void {
    const { keyIndex, peer, state, monitor, revoked, written } = entry
    if (isLive(state)) {
      if (written === undefined) {
        this.write(NODE_RECORDS.channel.put(NODE_KEYS.channel(keyIndex), { peer }))
        if (entry.funding !== undefined) {
          this.write(NODE_RECORDS.ownFunding.put(NODE_KEYS.ownFunding(keyIndex), entry.funding))
        }
      }
      this.write(...channelWrites(written?.state, state))
      if (monitor !== undefined && (monitor !== written?.monitor || revoked.length > 0)) {
        this.write(...monitorWrites(written?.monitor, { next: monitor, revoked }))
        entry.revoked = []
      }
      entry.written = { state, monitor }
    } else if (state.phase === 'closed') this.#forget(entry, written)
  }

  /** What is over leaves nothing but the key index, which is never used again. */
  #forget(entry: Entry, written: Entry['written']): void {
    const { keyIndex } = entry
    this.chain.forget(entry)
    if (written === undefined) return
    entry.written = undefined
    this.write(
      ...channelRemoval(written.state),
      ...removalOf(written.monitor),
      ...[NODE_KEYS.channel, NODE_KEYS.funding, NODE_KEYS.ownFunding].map(
        (keyOf): Write => ({ kind: 'delete', key: keyOf(keyIndex) }),
      ),
    )
    this.effect({ kind: 'sweepRows', prefix: `${REVOKED_ROWS}${keyIndex}/` })
  }
}

/** A feerate is changed if it is off by a fifth. */
const FEE_TOLERANCE = 5
const ALL_CHANNELS: Hex = `0x${'00'.repeat(32)}`

function removalOf(monitor: Monitor | undefined): readonly Write[] {
  return monitor === undefined ? [] : monitorRemoval(monitor)
}

function lower(height: BlockHeight): BlockHeight {
  return blockHeight(Math.max(0, height - 1))
}
