// A node without the world around it: what waits is handled in turns, each of which leads to one batch of writes and to
// effects that may happen once the batch is durable. Everything in it is synchronous; the machines that it drives are pure.
//
// Between a turn and its commit memory is ahead of the disk. So if the commit fails, this object must not be used again.
import type { Hex } from '../../../channel/bytes.js'
import { absurd, PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { shownText } from '../channel/failure.js'
import {
  type AdmissionLimits,
  type ChannelEnv,
  type ChannelInput,
  type ChannelMessageKind,
  isChannelMessage,
  isLive,
  type OpenRequest,
  prepare,
} from '../channel/index.js'
import type { FeatureName } from '../features.js'
import { type MonitorEnv, step as monitorStep } from '../monitor/index.js'
import { isReliableChannel, type PayableChannel, payableChannel } from '../payments/index.js'
import type { LightningMessage, OpenChannel } from '../wire/index.js'
import { Addresses } from './addresses.js'
import { blockConnected, blockDisconnected, blockRescanned, feesChanged } from './blocks.js'
import type { NodeEffect, Turn } from './effects.js'
import type { Entries, Entry } from './entries.js'
import { notSynced, unknownChannel } from './faults.js'
import type { Commands, NodeInput } from './input.js'
import type { Looked, Lookout } from './lookout.js'
import { Machines, type MachinesOptions } from './machines.js'
import { Openings } from './openings.js'
import { PeerStorage } from './peer-storage.js'
import type { Quarantine } from './quarantine.js'
import type { Consequence, SwitchChannels } from './switch.js'
import { WaitingOpens } from './waiting-opens.js'

/** What a node is made of. */
export interface CoreOptions extends MachinesOptions {
  readonly admission: AdmissionLimits
  readonly quarantine: Quarantine
  readonly lookout: Lookout
  /** The first key index that was never used. */
  readonly nextKeyIndex: bigint
  /** For which peers something is kept; see `PeerStorage`. */
  readonly kept: ReadonlyMap<PeerID, number | undefined>
  /** Of peers with channels, as the store has them. */
  readonly addresses: ReadonlyMap<PeerID, string>
  /** What the bus knows now. */
  readonly addressOf: (peer: PeerID) => string | undefined
}

const ALL_CHANNELS: Hex = `0x${'00'.repeat(32)}`

/** See above. */
export class Core implements SwitchChannels, Commands {
  readonly #machines: Machines
  readonly #openings: Openings
  readonly #storage: PeerStorage
  readonly #addresses: Addresses
  readonly #quarantine: Quarantine
  readonly #lookout: Lookout
  #isSynced = true
  #isCatchingUp = false
  readonly #waitingOpens = new WaitingOpens()
  /** A peer had a backup with channels that we know nothing of. */
  #isBehind = false
  /** Over which connection a peer has given something back. */
  readonly #heard = new Map<PeerID, number>()

  constructor({
    admission,
    nextKeyIndex,
    quarantine,
    lookout,
    kept,
    addresses,
    addressOf,
    ...surroundings
  }: CoreOptions) {
    this.#machines = new Machines(surroundings)
    this.#quarantine = quarantine
    this.#lookout = lookout
    this.#addresses = new Addresses(this.#machines, addresses, addressOf)
    this.#storage = new PeerStorage(this.#machines, kept)
    this.#openings = new Openings(this.#machines, admission, nextKeyIndex)
    surroundings.htlcs.attach(this)
  }

  get entries(): Entries {
    return this.#machines.entries
  }

  /** Whose monitor goes by that name, also if nothing else of it can be read. */
  watchedBy(keyIndex: bigint): Entry | undefined {
    return this.#machines.watchedBy(keyIndex)
  }

  /** All that has a monitor, or may get one. */
  get watching(): readonly Entry[] {
    return this.#machines.watching
  }

  get env(): ChannelEnv {
    return this.#machines.env
  }

  get height(): number {
    return this.env.height
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  /** Whether it is not synced for a few blocks only, which are on their way. */
  get isCatchingUp(): boolean {
    return this.#isCatchingUp
  }

  /** The first key index that was never used. */
  get nextKeyIndex(): bigint {
    return this.#openings.nextKeyIndex
  }

  payable(peer: PeerID): readonly (readonly [bigint, PayableChannel])[] {
    return this.entries.of(peer).flatMap(({ keyIndex, state, stopped }) => {
      const channel = stopped === undefined ? payableChannel(state, this.env) : undefined
      return channel === undefined ? [] : [[keyIndex, channel] as const]
    })
  }

  isReliable(channel: bigint): boolean {
    return isReliableChannel(this.entries.get(channel)?.state)
  }

  /** Whether messages would reach the peer now; its features if so. */
  featuresOf(peer: PeerID): readonly FeatureName[] | undefined {
    return this.#machines.peers.get(peer)?.features
  }

  /** Whether something of a peer's is kept: see `PeerStorage`. */
  keepsFor(peer: PeerID): boolean {
    return this.#storage.has(peer)
  }

  /** Whether the store is known not to have all channels. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** Whether a peer that is there keeps things for those with channels, and we have one. */
  offersStorage(peer: PeerID): boolean {
    const isOffered = this.featuresOf(peer)?.includes('option_provide_storage') === true
    return isOffered && this.entries.of(peer).some(({ shown }) => isLive(shown))
  }

  /** What a channel's monitor knows of the world. */
  monitorEnv(entry: Entry): MonitorEnv {
    return this.#machines.monitorEnv(entry)
  }

  /** Takes a channel that the store had, and hears of all that concerns it in the blocks that come. */
  restore(entry: Entry): void {
    const { chain } = this.#machines
    this.entries.add(entry)
    const { state, monitor } = entry
    if (!isLive(state) || monitor === undefined) return
    chain.awaitFunding(entry, state)
    // Only what it watches is of use now: it is asked again when the blocks that were missed are through.
    for (const effect of monitorStep(monitor, { kind: 'resume' }, this.monitorEnv(entry)).effects) {
      if (effect.kind === 'watch') chain.watch(entry, effect.outpoint)
    }
  }

  /** Takes the monitor of a channel that can't be read otherwise: what the peer publishes is answered, and nothing else. */
  defend(entry: Entry): void {
    const { chain, defended } = this.#machines
    const { monitor } = entry
    if (monitor === undefined) return
    defended.set(entry.keyIndex, entry)
    for (const effect of monitorStep(monitor, { kind: 'resume' }, this.monitorEnv(entry)).effects) {
      if (effect.kind === 'watch') chain.watch(entry, effect.outpoint)
    }
  }

  resume(): void {
    for (const entry of this.#machines.defended.values())
      this.#machines.monitorInput(entry, { kind: 'resume' })
    for (const entry of [...this.entries.all]) {
      this.#machines.monitorInput(entry, { kind: 'resume' })
      this.#machines.publishFunding(entry)
    }
  }

  /**
   * Handles what waits, as far as the caller gives it. What the result says must be durable and done before the next turn.
   *
   * @throws what a mistake of ours threw: nothing of the turn may leave then
   */
  turn(inputs: Iterable<NodeInput>): Turn {
    const { draft, htlcs } = this.#machines
    draft.begin()
    for (const input of inputs) this.#handle(input)
    const isUnfinished = this.#machines.flush()
    for (const { peer, state, written } of draft.changed) {
      if (isLive(state) === (written !== undefined)) continue
      this.#storage.changed(peer)
      this.#addresses.look(peer)
    }
    const fail: Parameters<typeof draft.finish>[1] = (entry, cause, heard) =>
      this.#machines.recover(entry, cause, heard)
    return { ...draft.finish(htlcs.takeWrites(), fail), isUnfinished }
  }

  /** The last turn is durable: what changed is what our user sees from now on. */
  committed(): readonly Entry[] {
    const { chain, defended, draft, htlcs } = this.#machines
    htlcs.committed?.()
    const changed = draft.takeChanged().filter(({ keyIndex }) => !defended.has(keyIndex))
    for (const entry of changed) {
      if (entry.state.phase === 'closed') {
        chain.forget(entry)
        this.entries.remove(entry)
      }
      entry.shown = entry.state
    }
    return changed
  }

  /**
   * Makes ahead a part of what a channel's next steps need. What is wrong with that shows when it is needed.
   *
   * @returns whether there is more to be made
   */
  prepare({ state, stopped, peer }: Entry): boolean {
    if (stopped !== undefined || !isLive(state)) return false
    try {
      return prepare(state, this.env) || (this.#machines.htlcs.prepare?.(peer, state.book.htlcs) ?? false)
    } catch {
      return false
    }
  }

  open(peer: PeerID, request: Omit<OpenRequest, 'keyIndex' | 'features'>): bigint {
    if (!this.#isSynced) throw notSynced('no channel is opened')
    // No backup would have it.
    this.#quarantine.demandNone()
    return this.#openings.open(peer, request)
  }

  command(keyIndex: bigint, input: ChannelInput): void {
    this.#quarantine.demandNot(keyIndex)
    const entry = this.entries.get(keyIndex)
    if (entry === undefined || entry.state.phase === 'closed') throw unknownChannel(keyIndex)
    this.#machines.command(entry, input)
  }

  moved(peer: PeerID): void {
    this.#addresses.look(peer)
  }

  follow(consequence: Consequence): void {
    this.#machines.follow(consequence)
  }

  effect(effect: NodeEffect): void {
    this.#machines.draft.effect(effect)
  }

  #handle(input: NodeInput): void {
    const machines = this.#machines
    switch (input.kind) {
      case 'peerUp': {
        const { peer, connection, features, stored } = input
        machines.peers.set(peer, { connection, features })
        this.#storage.met(peer, stored)
        if (this.offersStorage(peer)) machines.draft.effect({ kind: 'entrust', peer })
        for (const entry of this.entries.of(peer)) machines.input(entry, { kind: 'connected', features })
        return
      }
      case 'peerDown':
        machines.peers.delete(input.peer)
        this.#heard.delete(input.peer)
        this.#waitingOpens.forget(input.peer)
        for (const entry of this.entries.of(input.peer)) machines.input(entry, { kind: 'disconnected' })
        return
      case 'message':
        return this.#received(input.peer, input.message)
      case 'unsaid': {
        const { peer, message, cause } = input
        const entry = isChannelMessage(message) ? this.entries.named(peer, nameIn(message)) : undefined
        if (entry !== undefined) machines.stop(entry, cause)
        return
      }
      case 'connected':
        blockConnected(machines, input)
        this.#looked(this.#lookout.connected(input))
        return this.#storage.reached(this.height)
      case 'disconnected':
        blockDisconnected(machines, input)
        return this.#looked(this.#lookout.disconnected(input))
      case 'rescanned': {
        const entry = this.entries.get(input.channel)
        if (entry !== undefined) blockRescanned(machines, entry, input.event)
        return
      }
      case 'fees':
        return feesChanged(machines, input)
      case 'chain': {
        const isAgain = input.isSynced && !this.#isSynced
        this.#isSynced = input.isSynced
        this.#isCatchingUp = !input.isSynced && input.isCatchingUp
        if (this.#isCatchingUp) return
        for (const { peer, message } of this.#waitingOpens.takeAll()) this.#received(peer, message)
        // What came meanwhile.
        if (isAgain) machines.consult(() => machines.htlcs.reached(this.height))
        return
      }
      case 'behind':
        return this.#isBehindBy(input)
      case 'tick':
        this.#storage.ticked()
        for (const { peer, message } of this.#waitingOpens.ticked()) this.#refuseBlind(peer, message)
        for (const entry of [...this.entries.all]) machines.input(entry, { kind: 'tick' })
        return machines.consult(() => machines.htlcs.ticked())
      case 'channel': {
        const entry = this.entries.get(input.channel)
        if (entry !== undefined) machines.input(entry, input.input)
        return
      }
      case 'monitor': {
        const entry = machines.watchedBy(input.channel)
        if (entry !== undefined) machines.monitorInput(entry, input.input)
        return
      }
      case 'funded':
        return this.#openings.funded(input)
      case 'fundingChild':
        return this.#openings.bumped(input)
      case 'command':
        return input.run(this)
      default:
        return absurd(input)
    }
  }

  #looked({ writes, events }: Looked): void {
    const { draft } = this.#machines
    draft.write(...writes)
    for (const event of events) draft.effect({ kind: 'tell', event })
  }

  /** The first of a connection, which is all that a peer has to give back. */
  #returned(peer: PeerID, blob: Uint8Array): void {
    const connection = this.#machines.peers.get(peer)?.connection
    if (connection === undefined || this.#heard.get(peer) === connection) return
    this.#heard.set(peer, connection)
    this.effect({ kind: 'returned', peer, connection, blob })
  }

  /** What is on its way to us may prove that one channel or the other is not behind. */
  #isBehindBy({ peer, connection, missing, backup }: NodeInput & { kind: 'behind' }): void {
    const machines = this.#machines
    if (!this.#isBehind) machines.doubt()
    this.#isBehind = true
    const text = `${peer} keeps a backup with channels that are not in the store: it is an older copy, or another one`
    const error = new PerkunasError('DATA_LOSS', text, { channel: `0x${(missing[0] ?? 0n).toString(16)}` })
    this.effect({ kind: 'tell', event: { kind: 'behind', peer, missing, backup, error } })
    // It may have been given ours by now.
    this.effect({ kind: 'send', peer, connection, message: { kind: 'peer_storage', blob: backup } })
  }

  #refuseBlind(peer: PeerID, { temporaryChannelID }: OpenChannel): void {
    this.#openings.refuse(peer, temporaryChannelID, 'this node does not see the chain now')
  }

  #received(peer: PeerID, message: LightningMessage): void {
    const machines = this.#machines
    // It came before the connection was lost, and is handled after: nothing that we say would arrive.
    if (!machines.peers.has(peer)) return
    if (message.kind === 'peer_storage') return this.#storage.received(peer, message.blob)
    if (message.kind === 'peer_storage_retrieval') return this.#returned(peer, message.blob)
    if (!isChannelMessage(message)) return
    const id = nameIn(message)
    const entry = this.entries.named(peer, id)
    if (entry !== undefined) {
      const refusal = message.kind === 'funding_created' ? this.#openings.refusal(entry, message) : undefined
      return machines.input(entry, refusal ?? { kind: 'received', message })
    }
    switch (message.kind) {
      case 'open_channel':
        // Nobody could tell when its funding is there.
        if (!this.#isSynced) {
          if (this.#isCatchingUp && this.#waitingOpens.add(peer, message)) return
          return this.#refuseBlind(peer, message)
        }
        if (!this.#quarantine.isEmpty)
          return this.#openings.refuse(peer, id, 'this node takes no channels now')
        return this.#openings.received(peer, message)
      case 'error':
        // For none in particular: for all of them (BOLT 1).
        if (id !== ALL_CHANNELS) return
        for (const one of this.entries.of(peer)) machines.input(one, { kind: 'received', message })
        return
      case 'warning':
        return this.effect({ kind: 'tell', event: { kind: 'warning', peer, text: shownText(message.data) } })
      default:
        if (this.#quarantine.mayBeOf(peer)) return
        return this.#openings.refuse(peer, id, 'unknown channel')
    }
  }
}

/** By which a message names its channel. */
function nameIn(message: LightningMessage & { readonly kind: ChannelMessageKind }): Hex {
  return 'channelID' in message ? message.channelID : message.temporaryChannelID
}
