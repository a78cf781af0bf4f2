// A client's side of a watchtower: publishes the newest state of each channel, one after another, and again whatever
// was not acknowledged when a connection is lost.
//
// What waits is not states but channels: the state is looked up when it is its channel's turn, so that a thousand
// updates while the tower is away cost one message, and no memory.
import {
  type Adjudicator,
  type ChannelID,
  PerkunasError,
  type SignedState,
  type Subscription,
} from '../../channel/index.js'
import type { Bus, PeerID } from '../../peer/index.js'
import { type Clock, systemClock } from '../environment.js'
import { localWatcher, type WatchedChannel, type Watcher } from '../watcher.js'
import { type TowerMessage, towerMessages } from './messages.js'

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

/** States on their way to the tower at once. */
const MAX_IN_FLIGHT = 32
const PATIENCE = 30_000

interface Entry {
  readonly channel: WatchedChannel
  readonly cursor: string | undefined
  /** The newest version on the tower's disk, and the newest that it has refused. */
  held: bigint | undefined
  refused: bigint | undefined
  /** On its way. */
  sent: bigint | undefined
  isAtRisk: boolean
  readonly waiting: Set<{ readonly version: bigint; readonly resolve: () => void }>
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

  constructor(options: RemoteWatcherOptions) {
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
    const version = entry.channel.newest()?.state.version
    if (wait <= 0 || version === undefined) return
    return this.#acknowledged(entry, version, wait)
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

  /** Resolves when the tower has that version or has refused it, or when the time is over. */
  #acknowledged(entry: Entry, version: bigint, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter = {
        version,
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
      if ((entry.held ?? -1n) >= version) return waiter.resolve()
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
      const signed = entry?.channel.newest()
      if (entry === undefined || signed === undefined || !isBehind(entry, signed)) continue
      entry.sent = signed.state.version
      this.#inFlight++
      this.#send({ kind: 'watch', signed, subChannels: [], cursor: entry.cursor ?? null })
    }
  }

  #received(message: TowerMessage): void {
    if (message.kind !== 'watching' && message.kind !== 'notWatching') return
    const { channelID, version } = message
    const entry = this.#entries.get(channelID)
    if (entry === undefined) return
    if (entry.sent !== undefined) this.#inFlight--
    entry.sent = undefined
    if (message.kind === 'watching') {
      if (entry.held === undefined || version > entry.held) entry.held = version
    } else {
      entry.refused = version
      const text = `the tower does not watch version ${version} of channel ${channelID}: ${message.reason}`
      const facts = { channel: channelID, version, reason: message.reason }
      this.#options.onError?.(new PerkunasError('NOT_WATCHED', text, facts))
      this.#alarm(entry)
    }
    for (const waiter of [...entry.waiting]) if (waiter.version <= version) waiter.resolve()
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
    entry.channel.atRisk({ reason: 'unwatched', newest: newest.state.version, held: entry.held })
  }

  #send(message: TowerMessage): void {
    const { bus, tower } = this.#options
    bus.send(tower, towerMessages.encode(message)).catch(() => {
      // A connection that takes no more must end: what it lacks is sent again over the next one.
      bus.disconnect(tower, 'it takes no more')
    })
  }
}

/** Whether the tower lacks a state that it might take. */
function isBehind(
  { channel, held, refused }: Entry,
  signed: SignedState | undefined = channel.newest(),
): boolean {
  const version = signed?.state.version
  return version !== undefined && version > (held ?? -1n) && version !== refused
}
