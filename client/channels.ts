// All channels of a client: who is concerned by what a peer or the ledger says, and how many of them run.
import {
  type AppID,
  type ChannelID,
  type LedgerEvent,
  PerkunasError,
  type SignedState,
  type State,
} from '../channel/index.js'
import type { Bus, PeerID } from '../peer/index.js'
import type { Account } from '../wallet/index.js'
import type { Channel } from './channel.js'
import type { ChannelTimeouts } from './controller.js'
import { allSignatures, type ChannelContext, type ChannelRecord } from './conversation.js'
import { type ChannelMessage, channelOf } from './messages.js'
import { Resync } from './resync.js'
import type { Shelf } from './shelf.js'
import { type AtRest, Slot, type SlotHost } from './slot.js'
import { Warm } from './warm.js'
import type { WatchedChannel, Watcher } from './watcher.js'
import type { World } from './world.js'

/** Inputs that one channel may have waiting before its peers are slowed down. */
const MAX_BACKLOG = 64

/** Channels that are over which are remembered, so as to tell late words from nonsense. */
const MAX_GONE = 1024

/** What channels need of their client. */
export interface ChannelsHost {
  readonly bus: Bus
  readonly watcher: Watcher
  readonly world: World
  readonly timeouts: ChannelTimeouts
  readonly shelf: Shelf
  /** Channels without anything to do that are kept running. */
  readonly warm: number
  context(app: AppID): ChannelContext
  /** Whether a channel is being agreed on, opened or brought back: others may speak of it already. */
  isComing(id: ChannelID): boolean
}

/** A channel that comes to a client. */
export interface Arrival {
  readonly id: ChannelID
  /** By participant index, ourselves among them. */
  readonly peers: readonly PeerID[]
  /** Up to where the ledger's events were handled. */
  readonly cursor: string | undefined
  readonly account: Account
  /** What it runs with, or what is left of it if it is at rest. */
  readonly record: ChannelRecord | AtRest
  /** The channels that it locks funds for. */
  readonly locks?: readonly ChannelID[]
}

/** The channels of one client. */
export class Channels {
  readonly #host: ChannelsHost
  readonly #slotHost: SlotHost
  readonly #slots = new Map<ChannelID, Slot>()
  readonly #byPeer = new Map<PeerID, Set<Slot>>()
  /** By sub-channel: who locks funds for it. */
  readonly #parents = new Map<ChannelID, ChannelID>()
  /** Channels that were here, the newest few, oldest first. */
  readonly #gone = new Set<ChannelID>()
  readonly #warm: Warm
  readonly #resync: Resync
  /** One for all channels: an event names its channel. */
  readonly #onEvent = (event: LedgerEvent) =>
    this.#slots.get(event.channelID)?.runtime.dispatch({ kind: 'ledger', event })

  constructor(host: ChannelsHost) {
    this.#host = host
    this.#warm = new Warm(host.warm)
    this.#resync = new Resync(host.world.clock)
    this.#slotHost = {
      world: host.world,
      timeouts: host.timeouts,
      shelf: host.shelf,
      context: (app) => host.context(app),
      woke: (slot) => this.#warm.add(slot),
      rested: () => this.#warm.trim(),
      close: ({ id }) =>
        this.remove(id, new PerkunasError('CLOSED', `channel ${id} is closed`, { what: 'channel' })),
    }
  }

  get(id: ChannelID): Slot | undefined {
    return this.#slots.get(id)
  }

  has(id: ChannelID): boolean {
    return this.#slots.has(id)
  }

  /** Whether there is a channel with that peer. */
  hasPeer(peer: PeerID): boolean {
    return this.#byPeer.has(peer)
  }

  /** With whom there are channels. */
  peers(): readonly PeerID[] {
    return [...this.#byPeer.keys()]
  }

  /** What users call, of all channels. */
  all(): readonly Channel[] {
    return Array.from(this.#slots.values(), ({ channel }) => channel)
  }

  /** Takes a channel in, watches it on its ledger, and wants connections with its peers. */
  add({ id, peers, cursor, account, record, locks = [] }: Arrival): Slot {
    const { bus, watcher } = this.#host
    for (const child of locks) this.#parents.set(child, id)
    const slot = new Slot(id, account, this.#slotHost, record)
    this.#slots.set(id, slot)
    slot.watching = watcher.watch(id, cursor, this.#onEvent, watcher.enabled && this.#watched(slot))
    for (const peer of peers) {
      if (peer === bus.id) continue
      const ofPeer = this.#byPeer.get(peer)
      if (ofPeer !== undefined) ofPeer.add(slot)
      else {
        this.#byPeer.set(peer, new Set([slot]))
        bus.connect(peer)
      }
    }
    return slot
  }

  /** Forgets a channel; its calls end with the error. */
  remove(id: ChannelID, error: PerkunasError): void {
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#slots.delete(id)
    this.#parents.delete(id)
    this.#gone.add(id)
    const [oldest = id] = this.#gone
    if (this.#gone.size > MAX_GONE) this.#gone.delete(oldest)
    for (const peer of slot.runtime.state.record.peers) {
      const ofPeer = this.#byPeer.get(peer)
      ofPeer?.delete(slot)
      if (ofPeer?.size !== 0) continue
      this.#byPeer.delete(peer)
      this.#resync.end(peer)
      this.#host.bus.release(peer)
    }
    slot.end(error)
    this.#warm.delete(slot)
  }

  /** Forgets all. */
  end(error: PerkunasError): void {
    const slots = [...this.#slots.values()]
    this.#slots.clear()
    this.#resync.close()
    for (const slot of slots) {
      slot.end(error)
      this.#warm.delete(slot)
    }
    for (const peer of this.#byPeer.keys()) this.#host.bus.release(peer)
    this.#byPeer.clear()
  }

  /** A peer speaks. A promise slows it down. */
  received(from: PeerID, message: ChannelMessage): void | Promise<void> {
    const channelID = channelOf(message)
    const slot = this.#slots.get(channelID)
    // Nobody who has no part in a channel wakes it.
    if (slot === undefined || this.#byPeer.get(from)?.has(slot) !== true) {
      // Of a channel that is only coming others speak again: see `resume`. Of one that is over they may still speak.
      if (slot === undefined && (this.#gone.has(channelID) || this.#host.isComing(channelID))) return
      const text = `${from} speaks of channel ${channelID}, which we do not share`
      return this.#host.world.report(new PerkunasError('UNKNOWN_CHANNEL', text, { channel: channelID }))
    }
    if (message.kind === 'channelSync') this.#resync.heard(from)
    if (slot.isEcho(message)) return
    const { runtime } = slot
    runtime.dispatch({ kind: 'received', from: runtime.state.record.peers.indexOf(from), message })
    // A peer that says more than we handle waits; other peers go on.
    if (runtime.backlog > MAX_BACKLOG)
      return runtime.until(() => runtime.backlog < MAX_BACKLOG / 2).catch(() => undefined)
  }

  /** A connection stands. */
  connected(peer: PeerID): void {
    const slots = this.#byPeer.get(peer)
    if (slots !== undefined) this.#resync.begin(peer, slots)
  }

  /** A connection was lost. */
  disconnected(peer: PeerID): void {
    this.#resync.end(peer)
  }

  /** As if the connections that stand had just been made: what was lost before we had the channel is repaired. */
  resume(slot: Slot): void {
    for (const [index, peer] of slot.runtime.state.record.peers.entries()) {
      if (this.#host.bus.isConnected(peer)) slot.runtime.dispatch({ kind: 'connected', peer: index })
    }
  }

  /** The same of all channels. */
  resumeAll(): void {
    for (const peer of this.#byPeer.keys()) if (this.#host.bus.isConnected(peer)) this.connected(peer)
  }

  /**
   * The newest states of the channels that a state locks funds for, and of those below them, parents before children:
   * what a ledger needs beside it. Channels that we do not have are left out; one that the ledger enforced comes without
   * signatures.
   */
  below(state: State): readonly SignedState[] {
    const states: SignedState[] = []
    const known = new Set([state.channelID])
    const descend = ({ allocation }: State) => {
      for (const { channelID } of allocation.locked) {
        const machine = this.#slots.get(channelID)?.runtime.state.record.machine
        if (machine?.current === undefined || known.has(channelID)) continue
        known.add(channelID)
        const { params, current } = machine
        states.push({ params, state: current.state, signatures: allSignatures(current) ?? [] })
        descend(current.state)
      }
    }
    descend(state)
    return states
  }

  /** The newest state of the channel that a sub-channel is registered with: its parent, or that one's, and so on. */
  rootOf(id: ChannelID): SignedState | undefined {
    const above = new Set<ChannelID>()
    let at: ChannelID | undefined = this.#parents.get(id)
    for (; at !== undefined && !above.has(at); at = this.#parents.get(at)) above.add(at)
    const root = this.#slots.get([...above].at(-1) ?? '0x')?.channel
    return root?.params.ledgerChannel === true ? root.signedState : undefined
  }

  /** A channel, for a watcher that hands its states on. */
  #watched(slot: Slot): WatchedChannel {
    return {
      newest: () =>
        slot.runtime.state.record.machine.current === undefined ? undefined : slot.channel.signedState,
      subChannels: () => this.below(slot.channel.state),
      atRisk: (risk) => slot.streams.events$.next({ kind: 'atRisk', ...risk }),
    }
  }
}
