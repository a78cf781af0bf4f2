// Watches over one channel and its sub-channels for one client: whatever older state is registered is refuted with the
// newest tree known, again if a reorg takes the refutation away. Nothing that fails here touches another channel.
import {
  type Adjudicator,
  type ChannelID,
  isError,
  type LedgerEvent,
  PerkunasError,
  type RegisterRequest,
  type SignedState,
  type Subscription,
} from '../../channel/index.js'
import type { PeerID } from '../../peer/index.js'
import type { Clock } from '../environment.js'
import type { Watcher } from '../watcher.js'
import type { Stored } from './records.js'
import { after, isLost, type Risk, registrable, riskOf, type SeenOf, type Standing } from './standing.js'
import { channelOf, covers, faultOfTree, members, treeOf, versionsOf } from './tree.js'

/** Which older state is registered, and by when it must be refuted. */
interface AtRisk {
  readonly registered: bigint
  readonly newest: bigint
  readonly deadline: bigint
  /** The sub-channel whose state it is; absent if it is the channel's own. */
  readonly subChannel?: ChannelID
}

/** What happens to a channel that is watched. */
export type GuardEvent =
  /** An older state is registered than the newest known; it is being refuted. */
  | ({ readonly kind: 'atRisk' } & AtRisk)
  /** It still is, and only a quarter of the challenge duration is left. */
  | ({ readonly kind: 'deadlineNears' } & AtRisk)
  /** It is no longer. */
  | { readonly kind: 'safe'; readonly newest: bigint }
  /** An attempt to refute it failed, and will be made again. */
  | { readonly kind: 'refutationFailed'; readonly error: PerkunasError }
  | { readonly kind: 'refuted'; readonly newest: bigint }
  /** It ended, finally; `isLost` with an older state than the newest known, of itself or of a sub-channel. */
  | { readonly kind: 'ended'; readonly version: bigint; readonly isLost: boolean }

/** What a guard needs. */
export interface GuardHost {
  readonly adjudicator: Adjudicator
  readonly watcher: Watcher
  readonly clock: Clock
  /** What speaks against a signed state by itself, if anything does. */
  faultOf(signed: SignedState): string | undefined
  /** Writes what was seen, and a newer tree that the ledger has shown; resolves when it is durable. */
  remember(guard: Guard, shown: RegisterRequest | undefined): Promise<void>
  tell(guard: Guard, event: GuardEvent): void
}

/** Milliseconds before a refutation is tried again: doubling from the first to the last. */
const RETRY = { first: 500, last: 15_000 }

/** One channel of one client. */
export class Guard {
  readonly client: PeerID
  readonly channelID: ChannelID
  readonly #host: GuardHost
  readonly #ending = new AbortController()
  #newest: RegisterRequest
  /** Of each channel of the newest tree. */
  readonly #seenOf: Map<ChannelID, SeenOf>
  /** States that were registered last, as the ledger has shown them since we began. */
  readonly #shown = new Map<ChannelID, SignedState>()
  readonly #watching = new Map<ChannelID, Pick<Subscription, 'close'>>()
  /** Events one after another. */
  #turn: Promise<void> = Promise.resolve()
  #isRefuting = false
  #risk: { of: Risk; isNear: boolean } | undefined
  /** Bytes of its state's record. */
  bytes: number
  /** The newest tree that was accepted, if not durable yet then when `durable` resolves. */
  accepted: RegisterRequest
  durable: Promise<void> = Promise.resolve()

  constructor({ client, request, seen, bytes }: Stored, host: GuardHost) {
    this.client = client
    this.channelID = channelOf(request)
    this.#host = host
    this.#newest = request
    this.#seenOf = new Map(seen)
    this.bytes = bytes
    this.accepted = request
  }

  /** What was seen of it and of its sub-channels. */
  get seen(): ReadonlyMap<ChannelID, SeenOf> {
    return this.#seenOf
  }

  /** Whether the ledger knows of it. */
  get isDisputed(): boolean {
    return [...this.#seenOf.values()].some(({ standings }) => standings.length > 0)
  }

  /** What puts the channel at risk, if anything does. */
  get risk(): (Risk & { readonly isNear: boolean }) | undefined {
    return this.#risk && { ...this.#risk.of, isNear: this.#risk.isNear }
  }

  /** Begins to read the ledger where it was left, and goes on with what was under way. */
  start(): void {
    // Forgotten before its state was durable.
    if (this.#ending.signal.aborted) return
    this.#follow()
    this.#look()
  }

  /** A newer tree is durable. */
  strengthen(request: RegisterRequest): void {
    if (this.#ending.signal.aborted || covers(versionsOf(this.#newest), versionsOf(request))) return
    this.#newest = request
    this.#follow()
    this.#look()
  }

  /** Ends this object's life. What was sent to the ledger stays sent. */
  stop(): void {
    for (const subscription of this.#watching.values()) subscription.close()
    this.#ending.abort()
  }

  /** Version of the newest state that is durable, of the channel itself. */
  get #version(): bigint {
    return this.#newest.signed.state.version
  }

  readonly #standingsOf = (channelID: ChannelID): readonly Standing[] =>
    this.#seenOf.get(channelID)?.standings ?? []

  /**
   * Reads the ledger for each channel of the newest tree, and for no other: what is locked no more is settled. For a
   * sub-channel that is new here it is read from its beginning, since another channel may have brought it there.
   */
  #follow(): void {
    const wanted = new Set(members(this.#newest).map(({ state }) => state.channelID))
    for (const [channelID, subscription] of this.#watching) {
      if (wanted.has(channelID)) continue
      subscription.close()
      this.#watching.delete(channelID)
      this.#seenOf.delete(channelID)
      this.#shown.delete(channelID)
    }
    for (const channelID of wanted) {
      if (this.#watching.has(channelID)) continue
      const known = this.#seenOf.get(channelID) ?? { cursor: undefined, standings: [] }
      this.#seenOf.set(channelID, known)
      this.#watching.set(channelID, this.#listen(channelID, known.cursor))
    }
  }

  #listen(channelID: ChannelID, cursor: string | undefined): Pick<Subscription, 'close'> {
    const { watcher } = this.#host
    const onEvent = (event: LedgerEvent) => {
      this.#turn = this.#turn.then(() => this.#seen(event))
    }
    try {
      return watcher.watch(channelID, cursor, onEvent)
    } catch (error) {
      // A cursor that is none of this ledger's: from the beginning, then.
      if (!isError(error, 'INVALID_ARGUMENT')) throw error
      return watcher.watch(channelID, undefined, onEvent)
    }
  }

  async #seen(event: LedgerEvent): Promise<void> {
    const { channelID, cursor } = event
    // Of a sub-channel that is settled, it came too late.
    if (this.#ending.signal.aborted || !this.#watching.has(channelID)) return
    this.#seenOf.set(channelID, { cursor, standings: after(this.#standingsOf(channelID), event) })
    const shown = this.#shownBy(event)
    // Before a restart forgets it: the cursor says that it was told.
    try {
      await this.#host.remember(this, shown)
    } catch {
      return // the tower ends, and says why
    }
    if (this.#ending.signal.aborted) return
    if (shown !== undefined) this.strengthen(shown)
    if (channelID === this.channelID && event.kind === 'concluded' && event.status === 'final') {
      this.stop()
      const { version } = event
      const lost = isLost(this.#newest, version, this.#standingsOf)
      return this.#host.tell(this, { kind: 'ended', version, isLost: lost })
    }
    this.#look()
  }

  /**
   * The tree with a newer state that the ledger shows, if it fits. The others may register what our client had no time
   * to publish: of a sub-channel no older state can be registered then, and without it its parent could not be either.
   */
  #shownBy(event: LedgerEvent): RegisterRequest | undefined {
    if (event.status === 'reorged' || (event.kind !== 'registered' && event.kind !== 'cleared')) return
    const { state, signatures } = event
    const known = members(this.accepted)
    const ours = known.find((one) => one.state.channelID === event.channelID)
    if (state === undefined || signatures === undefined || ours === undefined) return
    const shown = { params: ours.params, state, signatures }
    this.#shown.set(event.channelID, shown)
    if (state.version <= ours.state.version) return
    if (this.#host.faultOf(shown) !== undefined) return
    const tree = treeOf(this.channelID, [...known, shown])
    return tree !== undefined && faultOfTree(tree) === undefined ? tree : undefined
  }

  /** Compares what stands with what we have, and does what is to be done. */
  #look(): void {
    const risk = riskOf(this.#newest, this.#standingsOf)
    if (risk === undefined) {
      if (this.#risk === undefined) return
      this.#risk = undefined
      return this.#host.tell(this, { kind: 'safe', newest: this.#version })
    }
    const known = this.#risk?.of
    const isKnown =
      known?.channelID === risk.channelID &&
      known.registered === risk.registered &&
      known.deadline === risk.deadline
    if (isKnown && this.#risk !== undefined) this.#risk.of = risk
    else {
      this.#risk = { of: risk, isNear: false }
      this.#host.tell(this, { kind: 'atRisk', ...this.#told(risk) })
      void this.#warn(this.#risk)
    }
    if (!this.#isRefuting) void this.#refute()
  }

  /** Refutes until nothing is left to refute. */
  async #refute(): Promise<void> {
    const { adjudicator } = this.#host
    const { signal } = this.#ending
    this.#isRefuting = true
    let pause = RETRY.first
    while (!signal.aborted) {
      const risk = riskOf(this.#newest, this.#standingsOf)
      if (risk === undefined) break
      const newest = this.#version
      try {
        const tree = registrable(this.#newest, this.#standingsOf, this.#shown, await adjudicator.now())
        await adjudicator.register(tree, { signal, deadline: risk.deadline })
        this.#host.tell(this, { kind: 'refuted', newest })
        pause = RETRY.first
      } catch (cause) {
        if (signal.aborted) return
        this.#host.tell(this, { kind: 'refutationFailed', error: asError(cause) })
      }
      // Its event comes in a moment; if not, the ledger is asked again.
      await this.#pause(pause)
      pause = Math.min(2 * pause, RETRY.last)
    }
    this.#isRefuting = false
  }

  /** Says so if the risk is still there when little time is left. */
  async #warn(risk: { readonly of: Risk; isNear: boolean }): Promise<void> {
    const { deadline, channelID } = risk.of
    const { params } =
      members(this.#newest).find(({ state }) => state.channelID === channelID) ?? this.#newest.signed
    const { signal } = this.#ending
    while (this.#risk === risk && !signal.aborted) {
      try {
        await this.#host.adjudicator.waitUntil(deadline - params.challengeDuration / 4n, { signal })
        break
      } catch {
        // The ledger is silent, which is told elsewhere; when it speaks again little time may be left.
        await this.#pause(RETRY.last)
      }
    }
    if (this.#risk !== risk || signal.aborted) return
    risk.isNear = true
    this.#host.tell(this, { kind: 'deadlineNears', ...this.#told(risk.of) })
  }

  #told({ channelID, registered, newest, deadline }: Risk): AtRisk {
    const subChannel = channelID === this.channelID ? {} : { subChannel: channelID }
    return { registered, newest, deadline, ...subChannel }
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#ending
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const over = () => {
        cancel()
        signal.removeEventListener('abort', over)
        resolve()
      }
      const cancel = this.#host.clock.after(ms, over)
      signal.addEventListener('abort', over)
    })
  }
}

function asError(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError(
    'TRANSACTION_FAILED',
    `refuting failed: ${reason}`,
    { kind: 'register', reason },
    { cause },
  )
}
