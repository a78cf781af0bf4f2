// A node without the world around it: what waits is handled in turns, each of which leads to one batch of writes and to
// effects that may happen once the batch is durable. Everything in it is synchronous; the machines that it drives are pure.
//
// Between a turn and its commit memory is ahead of the disk. So if the commit fails, this object must not be used again.
import type { Hex } from '../../../channel/bytes.js'
import { absurd, PerkunasError } from '../../../channel/errors.js'
import { type BlockHeight, blockHeight } from '../../../channel/units.js'
import type { PeerID } from '../../../peer/index.js'
import type { Write } from '../../../persistence/index.js'
import type { Block, BlockID } from '../chain/index.js'
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
import { FUNDING_DEADLINE } from '../channel/policy.js'
import type { FeatureName } from '../features.js'
import type { Monitor } from '../monitor/index.js'
import { monitorRemoval, monitorWrites, REVOKED_ROWS } from '../monitor/rows.js'
import { applyUpdates } from '../monitor/state.js'
import { type PayableChannel, payableChannel } from '../payments/index.js'
import type { LightningMessage, OpenChannel } from '../wire/index.js'
import { ChainWatch } from './chain-watch.js'
import type { NodeEffect, Turn } from './effects.js'
import { Entries, type Entry, type OwnFunding } from './entries.js'
import { NODE_KEYS, NODE_RECORDS } from './rows.js'
import type { Consequence, HtlcSwitch, SwitchChannels } from './switch.js'

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
  | { readonly kind: 'connected'; readonly block: Block; readonly isTip: boolean }
  | { readonly kind: 'disconnected'; readonly block: BlockID }
  | { readonly kind: 'fees'; readonly fees: FeeEstimates }
  | { readonly kind: 'tick' }
  /** To one channel, if it is still there. */
  | { readonly kind: 'channel'; readonly channel: bigint; readonly input: ChannelInput }
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
  readonly #peers = new Map<PeerID, Peer>()
  #env: ChannelEnv
  #nextKeyIndex: bigint
  // What the turn under way has come to.
  #writes: Write[] = []
  #effects: NodeEffect[] = []
  readonly #changed = new Set<Entry>()
  readonly #toFlush = new Set<Entry>()

  constructor({ env, htlcs, admission, nextKeyIndex }: CoreOptions) {
    this.#env = env
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

  /** Takes a channel that the store had. */
  restore(entry: Entry): void {
    this.entries.add(entry)
    if (isLive(entry.state)) this.chain.watch(entry, entry.state)
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
        return this.#blockConnected(input.block)
      case 'disconnected':
        return this.#blockDisconnected(input.block)
      case 'fees':
        this.#env = { ...this.#env, fees: input.fees }
        return
      case 'tick':
        for (const entry of [...this.entries.all]) this.#input(entry, { kind: 'tick' })
        return this.#follow(this.#htlcs.ticked())
      case 'channel': {
        const entry = this.entries.get(input.channel)
        if (entry !== undefined) this.#input(entry, input.input)
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
    const txid = this.chain.idOf(funding.transaction)
    this.#input(entry, { kind: 'funded', outpoint: { txid, index } })
  }

  #blockConnected(block: Block): void {
    this.#env = { ...this.#env, height: block.height }
    this.write(this.chain.connected(block))
    for (const { entry, input, writes } of this.chain.changes(block)) {
      this.write(...writes)
      this.#input(entry, input)
    }
    for (const entry of [...this.entries.all]) {
      if (isLive(entry.state) && (entry.state.book.htlcs.length > 0 || entry.state.phase === 'awaitingReady'))
        this.#input(entry, { kind: 'block' })
      if (isNeverFunded(entry, block.height)) this.#input(entry, { kind: 'resolved' })
    }
    this.#follow(this.#htlcs.reached(block.height))
  }

  #blockDisconnected(block: BlockID): void {
    this.#env = { ...this.#env, height: lower(block.height) }
    this.write(this.chain.disconnected(block))
    for (const { entry, input, writes } of this.chain.undone(block, this.entries.all)) {
      this.write(...writes)
      this.#input(entry, input)
    }
  }

  /** An input that nobody waits for. A channel at which we make a mistake stands still; the others go on. */
  #input(entry: Entry, input: ChannelInput): void {
    if (entry.stopped !== undefined) return
    let result: Step
    try {
      result = step(entry.state, input, this.#env)
    } catch (cause) {
      const where = `channel ${entry.keyIndex}`
      const reason = cause instanceof Error ? cause.message : String(cause)
      const error = new PerkunasError('INTERNAL', `${where} is stopped: ${reason}`, { where }, { cause })
      entry.stopped = error
      return this.effect({ kind: 'tell', event: { kind: 'stopped', channel: entry.keyIndex, error } })
    }
    this.#apply(entry, result)
  }

  #apply(entry: Entry, { next, monitor, handoffs, effects }: Step): void {
    const wasLive = isLive(entry.state)
    if (next !== entry.state || monitor.length > 0) this.#changed.add(entry)
    entry.state = next
    if (monitor.length > 0) {
      const applied = applyUpdates(entry.monitor?.known, monitor)
      entry.monitor = { ...(entry.monitor ?? AT_REST), known: applied.next }
      entry.revoked.push(...applied.revoked)
    }
    for (const effect of effects) this.#channelEffect(entry, effect)
    if (isLive(next) && !wasLive) this.entries.forgetTemporary(entry)
    if (isLive(next) && wantsFlush(next)) this.#toFlush.add(entry)
    for (const handoff of handoffs) {
      this.#follow(this.#htlcs.handed(entry.keyIndex, handoff, this.#env.height))
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
        if (entry.funding !== undefined) {
          const transactions = [entry.funding.transaction]
          this.effect({ kind: 'publish', what: 'funding', transactions })
        }
        return
      case 'abortFunding':
        if (entry.funding !== undefined) {
          this.effect({ kind: 'release', reservation: entry.funding.reservation })
          entry.funding = undefined
        }
        return
      case 'watch':
        if (isLive(state)) this.chain.watch(entry, state)
        return
      case 'publish':
        return this.effect({ kind: 'publish', what: effect.what, transactions: [effect.transaction] })
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
    this.chain.unwatch(entry)
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

const AT_REST = { facts: [], attempts: [], settled: [], abandoned: [], isResolved: false }
const ALL_CHANNELS: Hex = `0x${'00'.repeat(32)}`

function removalOf(monitor: Monitor | undefined): readonly Write[] {
  return monitor === undefined ? [] : monitorRemoval(monitor)
}

/** It failed before the funding that the peer promised was in a block, and that was long ago. */
function isNeverFunded({ state, place }: Entry, height: number): boolean {
  return (
    isLive(state) &&
    state.phase === 'failed' &&
    state.terms.opener === 'remote' &&
    place === undefined &&
    height >= state.ready.since + FUNDING_DEADLINE
  )
}

function lower(height: BlockHeight): BlockHeight {
  return blockHeight(Math.max(0, height - 1))
}
