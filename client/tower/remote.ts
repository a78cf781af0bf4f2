// A client's side of a watchtower: publishes the newest state of each channel, one after another, and again whatever
// was not acknowledged when a connection is lost.
//
// What waits is not states but channels: the state is looked up when it is its channel's turn, so that a thousand
// updates while the tower is away cost one message, and no memory.
import { demandNames, type NamesOf } from '../../channel/arguments.js'
import {
  type Adjudicator,
  type ChannelID,
  PerkunasError,
  type RegisterRequest,
  type Subscription,
} from '../../channel/index.js'
import type { Bus, PeerID } from '../../peer/index.js'
import { type Clock, systemClock } from '../environment.js'
import { localWatcher, type WatchedChannel, type Watcher } from '../watcher.js'
import { type TowerMessage, towerMessages } from './messages.js'
import { covers, sameVersions, type Versions, versionsOf } from './tree.js'

/** How a client uses a tower. */
export interface RemoteWatcherOptions {
  /** To the tower and to nobody else; with the identity that the tower serves. */
  readonly bus: Bus
  readonly tower: PeerID
  /** Where it is dialled, if the bus does not know. */
  readonly address?: string
  /** The backend's: the ledger is watched in this process, too. A client that is there needs nobody else. */
  readonly adjudicator: Adjudicator
  /**
   * For how many milliseconds an update waits for the tower's disk, before anything is sent that depends on it; by
   * default it does not wait. While we are not gone, nothing is lost by not waiting. Who may be gone at any moment
   * (a phone) and waits can be cheated out of no update that was reported as done; each costs a round trip, and while
   * the tower is away the whole time each, after which the channel is told at risk and goes on.
   */
  readonly wait?: number
  /** Milliseconds after which a state that the tower has not acknowledged puts its channel at risk; 30 000 by default. */
  readonly patience?: number
  readonly clock?: Clock
  /** Is told NOT_WATCHED for what the tower refuses, and when watching in this process broke; it is begun again. */
  readonly onError?: (error: PerkunasError) => void
}

const OPTION_NAMES: NamesOf<RemoteWatcherOptions> = {
  bus: true,
  tower: true,
  address: true,
  adjudicator: true,
  wait: true,
  patience: true,
  clock: true,
  onError: true,
}

/** States on their way to the tower at once. */
const MAX_IN_FLIGHT = 32
const PATIENCE = 30_000

interface Entry {
  readonly channel: WatchedChannel
  readonly cursor: string | undefined
  /** The newest versions on the tower's disk, and those that it has refused last. */
  held: Versions | undefined
  refused: Versions | undefined
  /** On its way. */
  sent: Versions | undefined
  isAtRisk: boolean
  readonly waiting: Set<{ readonly versions: Versions; readonly resolve: () => void }>
  cancelAlarm: (() => void) | undefined
}

/** A {@link Watcher} that also publishes to a tower. */
export class RemoteWatcher implements Watcher {
  readonly #options: RemoteWatcherOptions
  readonly #clock: Clock
  readonly #local: Watcher
  readonly #entries = new Map<ChannelID, Entry>()
  /** Channels whose newest state the tower may lack, in the order of their turns. */
  readonly #due = new Set<ChannelID>()
  readonly #unsubscribe: (() => void)[]
  #inFlight = 0

  /** @throws PerkunasError INVALID_ARGUMENT if an option is unknown */
  constructor(options: RemoteWatcherOptions) {
    demandNames(options, OPTION_NAMES)
    const { bus, tower, address } = options
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#local = localWatcher(options.adjudicator, this.#clock, (error) => options.onError?.(error))
    this.#unsubscribe = [
      bus.onMessage((from, payload) => {
        if (from === tower) this.#received(towerMessages.decode(payload))
      }),
      bus.onPeer(({ kind, peer }) => {
        if (peer !== tower) return
        if (kind === 'connected') this.#publish()
        else this.#lost()
      }),
    ]
    bus.connect(tower, address)
  }

  /** Channels whose newest state the tower may lack. */
  get unacknowledged(): number {
    return this.#due.size + this.#inFlight
  }

  watch(...[channelID, cursor, onEvent, channel]: Parameters<Watcher['watch']>): Pick<Subscription, 'close'> {
    const local = this.#local.watch(channelID, cursor, onEvent, channel)
    if (channel === undefined) return local
    const entry: Entry = {
      channel,
      cursor,
      held: undefined,
      refused: undefined,
      sent: undefined,
      isAtRisk: false,
      waiting: new Set(),
      cancelAlarm: undefined,
    }
    this.#entries.set(channelID, entry)
    this.#changed(channelID, entry)
    const close = () => {
      local.close()
      if (this.#entries.get(channelID) !== entry) return
      this.#entries.delete(channelID)
      this.#due.delete(channelID)
      if (entry.sent !== undefined) this.#inFlight--
      entry.cancelAlarm?.()
      for (const { resolve } of entry.waiting) resolve()
    }
    return { close }
  }

  enabled(channelID: ChannelID): void | Promise<void> {
    const entry = this.#entries.get(channelID)
    if (entry === undefined) return
    this.#changed(channelID, entry)
    const { wait = 0 } = this.#options
    const tree = wait > 0 ? treeOf(entry) : undefined
    if (tree !== undefined) return this.#acknowledged(entry, versionsOf(tree), wait)
  }

  over(channelID: ChannelID): void {
    if (this.#options.bus.isConnected(this.#options.tower)) this.#send({ kind: 'unwatch', channelID })
  }

  /** Publishes nothing any more. The bus stays open. */
  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe()
    for (const entry of this.#entries.values()) {
      entry.cancelAlarm?.()
      for (const { resolve } of entry.waiting) resolve()
    }
    this.#entries.clear()
    this.#due.clear()
    this.#options.bus.release(this.#options.tower)
  }

  /** Resolves when the tower has those versions or has refused them, or when the time is over. */
  #acknowledged(entry: Entry, versions: Versions, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = {
        versions,
        resolve: () => {
          cancel()
          entry.waiting.delete(waiter)
          resolve()
        },
      }
      const cancel = this.#clock.after(ms, () => {
        this.#alarm(entry)
        waiter.resolve()
      })
      if (entry.held !== undefined && covers(entry.held, versions)) return waiter.resolve()
      entry.waiting.add(waiter)
    })
  }

  #changed(channelID: ChannelID, entry: Entry): void {
    this.#due.add(channelID)
    entry.cancelAlarm ??= this.#clock.after(this.#options.patience ?? PATIENCE, () => {
      entry.cancelAlarm = undefined
      if (isBehind(entry)) this.#alarm(entry)
    })
    this.#publish()
  }

  /** As many channels as may be on their way. */
  #publish(): void {
    const { bus, tower } = this.#options
    for (const channelID of this.#due) {
      if (this.#inFlight >= MAX_IN_FLIGHT || !bus.isConnected(tower)) return
      const entry = this.#entries.get(channelID)
      if (entry?.sent !== undefined) continue // its turn comes when that is answered
      this.#due.delete(channelID)
      const tree = entry && treeOf(entry)
      if (entry === undefined || tree === undefined || !isBehind(entry, tree)) continue
      entry.sent = versionsOf(tree)
      this.#inFlight++
      this.#send({ kind: 'watch', ...tree, cursor: entry.cursor ?? null })
    }
  }

  #received(message: TowerMessage): void {
    if (message.kind !== 'watching' && message.kind !== 'notWatching') return
    const { channelID, version } = message
    const entry = this.#entries.get(channelID)
    if (entry === undefined) return
    if (entry.sent !== undefined) this.#inFlight--
    entry.sent = undefined
    const versions: Versions = { version, subChannels: message.subChannels }
    if (message.kind === 'watching') {
      if (entry.held === undefined || !covers(entry.held, versions)) entry.held = versions
    } else {
      entry.refused = versions
      const text = `the tower does not watch version ${version} of channel ${channelID}: ${message.reason}`
      const facts = { channel: channelID, version, reason: message.reason }
      this.#options.onError?.(new PerkunasError('NOT_WATCHED', text, facts))
      this.#alarm(entry)
    }
    for (const waiter of [...entry.waiting]) if (covers(versions, waiter.versions)) waiter.resolve()
    if (isBehind(entry)) this.#due.add(channelID)
    else {
      entry.isAtRisk = false
      entry.cancelAlarm?.()
      entry.cancelAlarm = undefined
    }
    this.#publish()
  }

  /** What was on its way may be lost. */
  #lost(): void {
    this.#inFlight = 0
    for (const [channelID, entry] of this.#entries) {
      if (entry.sent !== undefined) this.#due.add(channelID)
      entry.sent = undefined
    }
  }

  #alarm(entry: Entry): void {
    const newest = entry.channel.newest()
    if (newest === undefined || entry.isAtRisk) return
    entry.isAtRisk = true
    entry.channel.atRisk({ reason: 'unwatched', newest: newest.state.version, held: entry.held?.version })
  }

  #send(message: TowerMessage): void {
    const { bus, tower } = this.#options
    bus.send(tower, towerMessages.encode(message)).catch(() => {
      // A connection that takes no more must end: what it lacks is sent again over the next one.
      bus.disconnect(tower, 'it takes no more')
    })
  }
}

/** What the tower is to have. A channel that no ledger knows by itself comes with its parent. */
function treeOf({ channel }: Entry): RegisterRequest | undefined {
  const signed = channel.newest()
  if (signed === undefined || !signed.params.ledgerChannel) return undefined
  return { signed, subChannels: channel.subChannels?.() ?? [] }
}

/** Whether the tower lacks something that it might take. */
function isBehind(entry: Entry, tree: RegisterRequest | undefined = treeOf(entry)): boolean {
  if (tree === undefined) return false
  const { held, refused } = entry
  const versions = versionsOf(tree)
  if (held !== undefined && covers(held, versions)) return false
  return refused === undefined || !sameVersions(refused, versions)
}
