// Watches over one channel for one client: whatever older state is registered is refuted with the newest one known,
// again if a reorg takes the refutation away. Nothing that fails here touches another channel.
import {
  type Adjudicator,
  type ChannelID,
  isError,
  type LedgerEvent,
  PerkunasError,
  type RegisterRequest,
  type Subscription,
} from '../../channel/index.js'
import type { PeerID } from '../../peer/index.js'
import type { Clock } from '../environment.js'
import type { Watcher } from '../watcher.js'
import { channelOf } from './messages.js'
import type { Stored } from './records.js'
import { after, refutable, type Standing } from './standing.js'

/** What happens to a channel that is watched. */
export type GuardEvent =
  /** An older state is registered than the newest known; it is being refuted. */
  | {
      readonly kind: 'atRisk'
      readonly registered: bigint
      readonly newest: bigint
      readonly deadline: bigint
    }
  /** It still is, and only a quarter of the challenge duration is left. */
  | {
      readonly kind: 'deadlineNears'
      readonly registered: bigint
      readonly newest: bigint
      readonly deadline: bigint
    }
  /** It is no longer. */
  | { readonly kind: 'safe'; readonly newest: bigint }
  /** An attempt to refute it failed, and will be made again. */
  | { readonly kind: 'refutationFailed'; readonly error: PerkunasError }
  | { readonly kind: 'refuted'; readonly newest: bigint }
  /** It ended, finally; `isLost` with an older state than the newest known. */
  | { readonly kind: 'ended'; readonly version: bigint; readonly isLost: boolean }

/** What a guard needs. */
export interface GuardHost {
  readonly adjudicator: Adjudicator
  readonly watcher: Watcher
  readonly clock: Clock
  /** Writes what was seen; resolves when it is durable. */
  remember(guard: Guard): Promise<void>
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
  #standings: readonly Standing[]
  #cursor: string | undefined
  /** Events one after another. */
  #turn: Promise<void> = Promise.resolve()
  #isRefuting = false
  #risk: { readonly standing: Standing; isNear: boolean } | undefined
  #watching: Pick<Subscription, 'close'> | undefined
  /** Bytes of its state's record. */
  bytes: number
  /** Version of the newest state that was accepted, if not durable yet then when `durable` resolves. */
  accepted: bigint
  durable: Promise<void> = Promise.resolve()

  constructor({ client, request, cursor, standings, bytes }: Stored, host: GuardHost) {
    this.client = client
    this.channelID = channelOf(request)
    this.#host = host
    this.#newest = request
    this.#standings = standings
    this.#cursor = cursor
    this.bytes = bytes
    this.accepted = this.version
  }

  /** Of the newest state that is durable. */
  get version(): bigint {
    return this.#newest.signed.state.version
  }

  get cursor(): string | undefined {
    return this.#cursor
  }

  get standings(): readonly Standing[] {
    return this.#standings
  }

  /** What puts the channel at risk, if anything does. */
  get risk(): (Standing & { readonly isNear: boolean }) | undefined {
    return this.#risk && { ...this.#risk.standing, isNear: this.#risk.isNear }
  }

  /** Begins to read the ledger where it was left, and goes on with what was under way. */
  start(): void {
    // Forgotten before its state was durable.
    if (this.#ending.signal.aborted) return
    const { watcher } = this.#host
    const onEvent = (event: LedgerEvent) => {
      this.#turn = this.#turn.then(() => this.#seen(event))
    }
    try {
      this.#watching = watcher.watch(this.channelID, this.#cursor, onEvent)
    } catch (error) {
      // A cursor that is none of this ledger's: from the beginning, then.
      if (!isError(error, 'INVALID_ARGUMENT')) throw error
      this.#watching = watcher.watch(this.channelID, undefined, onEvent)
    }
    this.#look()
  }

  /** A newer state is durable. */
  strengthen(request: RegisterRequest): void {
    if (request.signed.state.version <= this.version) return
    this.#newest = request
    this.#look()
  }

  /** Ends this object's life. What was sent to the ledger stays sent. */
  stop(): void {
    this.#watching?.close()
    this.#ending.abort()
  }

  async #seen(event: LedgerEvent): Promise<void> {
    if (this.#ending.signal.aborted) return
    this.#standings = after(this.#standings, event)
    this.#cursor = event.cursor
    // Before a restart forgets it: the cursor says that it was told.
    try {
      await this.#host.remember(this)
    } catch {
      return // the tower ends, and says why
    }
    if (this.#ending.signal.aborted) return
    if (event.kind === 'concluded' && event.status === 'final') {
      this.stop()
      const { version } = event
      return this.#host.tell(this, { kind: 'ended', version, isLost: version < this.version })
    }
    this.#look()
  }

  /** Compares what stands with what we have, and does what is to be done. */
  #look(): void {
    const standing = refutable(this.#standings, this.version)
    const newest = this.version
    if (standing === undefined) {
      if (this.#risk === undefined) return
      this.#risk = undefined
      return this.#host.tell(this, { kind: 'safe', newest })
    }
    const { version: registered, deadline } = standing
    if (this.#risk?.standing.version !== registered || this.#risk.standing.deadline !== deadline) {
      this.#risk = { standing, isNear: false }
      this.#host.tell(this, { kind: 'atRisk', registered, newest, deadline })
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
      const standing = refutable(this.#standings, this.version)
      if (standing === undefined) break
      const newest = this.version
      try {
        await adjudicator.register(this.#newest, { signal, deadline: standing.deadline })
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
  async #warn(risk: { readonly standing: Standing; isNear: boolean }): Promise<void> {
    const { deadline, version: registered } = risk.standing
    const quarter = this.#newest.signed.params.challengeDuration / 4n
    try {
      await this.#host.adjudicator.waitUntil(deadline - quarter, { signal: this.#ending.signal })
    } catch {
      return // the ledger is silent, which is told elsewhere
    }
    if (this.#risk !== risk) return
    risk.isNear = true
    this.#host.tell(this, { kind: 'deadlineNears', registered, newest: this.version, deadline })
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
