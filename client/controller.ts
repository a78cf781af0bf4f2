// The controller of one channel: it feeds the channel's conversation and reflects it. No protocol here.
import { defer, type Observable, startWith } from 'rxjs'
import { demandNames, SIGNAL } from '../channel/arguments.js'
import {
  type Amount,
  apply,
  type ChannelID,
  type Draft,
  draftOf,
  faultOfUpdate,
  type HashTimeLock,
  type Index,
  isError,
  type Liquidity,
  nextVersion,
  type Obligation,
  type Params,
  PerkunasError,
  type Phase,
  type SignedState,
  type State,
  sameState,
  stateOf,
} from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import {
  asAborted,
  CALL_NAMES,
  type Channel,
  type ChannelCallOptions,
  SETTLE_NAMES,
  type SettleOptions,
  unsupported,
} from './channel.js'
import { allSignatures, type ChannelState, currentOf, newestOf } from './conversation.js'
import type { ChannelRuntime } from './runtime.js'
import type { Streams } from './streams.js'
import { faultOfEnding, isIdle } from './update.js'
import type { ChannelEvent } from './world.js'

/** How long others get, in milliseconds. */
export interface ChannelTimeouts {
  readonly update: number
  readonly settlement: number
}

/** An update under way: what ends it early. */
interface Call {
  readonly signal: AbortSignal | undefined
  /** Milliseconds. */
  left(): number
  timedOut(): PerkunasError
}

/** What a call has proposed so far, and what of it was agreed on. */
interface Attempts {
  readonly tried: State[]
  readonly agreed: readonly State[]
}

/** Where a channel is kept. */
export interface ChannelHost {
  /** The running channel, woken if it was at rest. */
  readonly runtime: ChannelRuntime
  readonly streams: Streams
  readonly timeouts: ChannelTimeouts
  /** Forgets the channel. */
  close(): void
}

/** A channel whose states everybody signs. */
export class UnanimousChannel implements Channel {
  readonly #host: ChannelHost
  /** Our user's updates, one after another. */
  #updates: Promise<unknown> = READY

  /** Channels come from a `Client`. */
  constructor(host: ChannelHost) {
    this.#host = host
  }

  get id(): ChannelID {
    return this.#runtime.state.record.machine.channelID
  }

  get index(): Index {
    return this.#runtime.state.record.machine.index
  }

  get params(): Params {
    return this.#runtime.state.record.machine.params
  }

  get peers(): readonly PeerID[] {
    return this.#runtime.state.record.peers
  }

  get state(): State {
    return currentOf(this.#runtime.state.record).state
  }

  get phase(): Phase {
    return this.#runtime.state.record.machine.phase
  }

  get signedState(): SignedState | undefined {
    const current = currentOf(this.#runtime.state.record)
    const signatures = allSignatures(current)
    return signatures && { params: this.params, state: current.state, signatures }
  }

  get locks(): readonly HashTimeLock[] {
    return []
  }

  liquidity(asset = 0): Liquidity {
    const { phase, index } = this
    const row = this.state.allocation.balances[asset]
    if (row === undefined) {
      throw new PerkunasError('INVALID_ARGUMENT', `there is no asset ${asset}`, { argument: 'asset' })
    }
    const { updatesInFlight: most } = this.#runtime.context.capabilities
    const mayMove = phase === 'acting' || phase === 'signing'
    const sum = (amounts: readonly Amount[]) => amounts.reduce((all, amount) => all + amount, 0n)
    return {
      spendable: mayMove ? (row[index] ?? 0n) : 0n,
      receivable: mayMove ? sum(row.filter((_, i) => i !== index)) : 0n,
      minimum: 0n,
      reserve: row.map(() => 0n),
      sent: { count: phase === 'signing' ? 1 : 0, most },
      received: { count: 0, most },
      settlement: { fee: 0n, lost: 0n },
      isFunded: !UNFUNDED.includes(phase),
    }
  }

  get obligations(): readonly Obligation[] {
    const { record } = this.#runtime.state
    const { registered } = record
    if (registered === undefined || registered.version >= newestOf(record).state.version) return []
    return record.machine.phase === 'registered' || record.machine.phase === 'registering'
      ? [{ action: 'refute', deadline: registered.deadline }]
      : []
  }

  get updates$(): Observable<{ readonly from: State; readonly to: State }> {
    return defer(() => this.#host.streams.updates$)
  }

  get phases$(): Observable<Phase> {
    return defer(() => this.#host.streams.phases$.pipe(startWith(this.phase)))
  }

  get events$(): Observable<ChannelEvent> {
    return defer(() => this.#host.streams.events$)
  }

  update(edit: (draft: Draft) => void, options: ChannelCallOptions = {}): Promise<State> {
    const letGo = this.#runtime.hold()
    const turn = this.#updates.then(() => this.#update(edit, options))
    this.#updates = turn.then(letGo, letGo)
    return unlessAborted(turn, options.signal, 'update')
  }

  async forceUpdate(edit: (draft: Draft) => void, options: ChannelCallOptions = {}): Promise<State> {
    demandNames(options, CALL_NAMES)
    const letGo = this.#runtime.hold()
    try {
      return await this.#force(edit, options)
    } finally {
      letGo()
    }
  }

  async lock(): Promise<never> {
    throw unsupported('a lock')
  }

  async release(): Promise<never> {
    throw unsupported('a lock')
  }

  async cancel(): Promise<never> {
    throw unsupported('a lock')
  }

  async watch(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    demandNames(options, SIGNAL)
    await this.#until(({ record }) => record.machine.phase === 'withdrawn', options.signal)
  }

  async settle(options: SettleOptions = {}): Promise<void> {
    demandNames(options, SETTLE_NAMES)
    const { signal } = options
    const { phase } = this
    if (phase === 'acting' || phase === 'signing') {
      try {
        await this.#finalize(options.timeout ?? this.#host.timeouts.settlement, signal)
      } catch (error) {
        if (signal?.aborted) throw error
        // Refused, too late, or a dispute began meanwhile: the ledger decides.
      }
    }
    if (this.phase === 'final') this.#runtime.dispatch({ kind: 'settle' })
    else this.#runtime.dispatch({ kind: 'dispute', wanted: 'settlement' })
    await this.#until(({ record }) => record.machine.phase === 'withdrawn', signal)
  }

  close(): void {
    this.#host.close()
  }

  get #runtime(): ChannelRuntime {
    return this.#host.runtime
  }

  async #force(edit: (draft: Draft) => void, options: ChannelCallOptions): Promise<State> {
    const { context } = this.#runtime
    if (!context.capabilities.apps || this.params.app === '0x') {
      throw new PerkunasError('UNSUPPORTED', 'forceUpdate needs an app channel on a ledger that runs apps', {
        what: 'forced progression',
      })
    }
    const { signal } = options
    if (signal?.aborted) throw asAborted(signal.reason, 'forceUpdate')
    if (!FORCIBLE.includes(this.phase)) throw this.#mismatch(FORCIBLE)
    this.#runtime.mustGoOn()
    this.#step(edit)
    this.#runtime.dispatch({ kind: 'dispute', wanted: 'progress' })
    await this.#untilEnforceable(signal)
    const next = this.#step(edit)
    const { machine: now } = this.#runtime.state.record
    const checked = apply(now, { kind: 'progressing', state: next }, context.rules)
    if (checked instanceof PerkunasError) throw checked
    const signature = await this.#runtime.sign(next)
    const before = this.#runtime.failure('progress')
    let isWaiting = true
    this.#runtime.expect('progress', () => isWaiting)
    this.#runtime.dispatch({ kind: 'force', state: next, signature })
    const failed = () => this.#runtime.failure('progress') !== before
    try {
      await this.#until(
        ({ record }) => failed() || currentOf(record).state.version >= next.version || isOver({ record }),
        signal,
      )
    } finally {
      isWaiting = false
    }
    const failure = this.#runtime.failure('progress')
    if (failed() && failure !== undefined) throw failure
    if (this.state.version < next.version) throw this.#mismatch(['registered', 'progressed'])
    return this.state
  }

  /** Until the newest state stands registered and can't be refuted any more, or steps are being enforced. */
  async #untilEnforceable(signal: AbortSignal | undefined): Promise<void> {
    for (let past = -1n; ; ) {
      await this.#until((state) => isEnforceable(state) || isOver(state), signal)
      const { machine, registered } = this.#runtime.state.record
      if (isOver(this.#runtime.state)) throw this.#mismatch(['registered', 'progressed'])
      // While we wait for its time, it may be refuted, or go away with its block.
      if (machine.phase !== 'registered' || registered === undefined || registered.deadline <= past) return
      await this.#waitUntil(registered.deadline, signal)
      past = registered.deadline
    }
  }

  /** The newest state after a step that we could enforce. @throws PerkunasError the rule that speaks against it */
  #step(edit: (draft: Draft) => void): State {
    const { params, index } = this
    const { ledger, app } = this.#runtime.context.rules
    const { state: from } = currentOf(this.#runtime.state.record)
    const draft = edited(from, edit)
    const to = stateOf(from, draft, from.version + 1n)
    const fault =
      faultOfUpdate({ params, from, to, actor: index, version: to.version }, app) ??
      ledger.faultOfState(params, to)
    if (fault) throw fault
    return to
  }

  /** The mere end, after our user's earlier updates; but no longer than the others go on answering those. */
  async #finalize(timeout: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#runtime.world
    const silence = new AbortController()
    const wait = () => clock.after(timeout, () => silence.abort(this.#timedOut(timeout)))
    let cancel = wait()
    const progress = this.#host.streams.updates$.subscribe(() => {
      cancel()
      cancel = wait()
    })
    try {
      const both = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal
      await this.update(
        (draft) => {
          draft.isFinal = true
        },
        { timeout, signal: both },
      )
    } finally {
      progress.unsubscribe()
      cancel()
    }
  }

  async #update(edit: (draft: Draft) => void, options: ChannelCallOptions): Promise<State> {
    demandNames(options, CALL_NAMES)
    const { clock } = this.#runtime.world
    const { signal, timeout = this.#host.timeouts.update } = options
    const deadline = clock.now() + timeout
    const call: Call = {
      signal,
      left: () => Math.max(0, deadline - clock.now()),
      timedOut: () => this.#timedOut(timeout),
    }
    const tried: State[] = []
    const agreed: State[] = []
    // What this call has proposed may be agreed on after its attempt has ended. It must not be done twice then.
    const news = this.updates$.subscribe(({ to }) =>
      agreed.push(...tried.filter((one) => sameState(one, to))),
    )
    try {
      return await this.#attempts(edit, call, { tried, agreed })
    } finally {
      news.unsubscribe()
    }
  }

  async #attempts(edit: (draft: Draft) => void, call: Call, { tried, agreed }: Attempts): Promise<State> {
    for (let attempt = 0; ; attempt++) {
      const isReady = (state: ChannelState) => isIdle(state) || !mayAct(state)
      // Asked first, since a channel is hardly ever busy, and a signal that expires costs 10 us.
      if (!isReady(this.#runtime.state)) {
        if (this.#runtime.state.record.forgotten !== undefined) this.#runtime.dispatch({ kind: 'recall' })
        await this.#within(call, (expiry) => this.#until(isReady, expiry))
      }
      const { current } = this.#runtime.state.record.machine
      const done = agreed[0] ?? tried.find((one) => current !== undefined && sameState(one, current.state))
      if (done !== undefined) return done
      try {
        return await this.#propose(edit, call, tried)
      } catch (error) {
        if (!isError(error, 'UPDATE_CROSSED')) throw error
      }
      // Two proposals of one version cancel out. The lower index tries again at once, the others after the
      // time that its proposal needs to reach them.
      const pause = this.index * 20 * 2 ** Math.min(attempt, 6)
      if (pause > 0) await this.#within(call, (expiry) => this.#pause(pause, expiry))
    }
  }

  async #propose(
    edit: (draft: Draft) => void,
    { signal, left, timedOut }: Call,
    tried: State[],
  ): Promise<State> {
    if (signal?.aborted) throw asAborted(signal.reason, 'update')
    const { machine } = this.#runtime.state.record
    if (machine.phase !== 'acting') throw this.#mismatch(['acting'])
    this.#runtime.mustGoOn()
    const { state } = currentOf(this.#runtime.state.record)
    const draft = edited(state, edit)
    const next = stateOf(state, draft, nextVersion(machine))
    const checked = apply(
      machine,
      { kind: 'update', state: next, actor: this.index },
      this.#runtime.context.rules,
    )
    if (checked instanceof PerkunasError) throw checked
    const ending = faultOfEnding(this.#runtime.state.record, next)
    if (ending) throw ending
    const signed = this.#runtime.sign(next)
    const signature = typeof signed === 'string' ? signed : await signed
    if (signal?.aborted) throw asAborted(signal.reason, 'update')
    tried.push(next)
    let command = 0
    const expire = (error: PerkunasError) => this.#runtime.dispatch({ kind: 'expired', command, error })
    const abort = () => expire(asAborted(signal?.reason, 'update'))
    const cancel = this.#runtime.world.clock.after(left(), () => expire(timedOut()))
    try {
      return await this.#runtime.command(next, signature, (id) => {
        command = id
        signal?.addEventListener('abort', abort)
      })
    } finally {
      cancel()
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Waits with a signal that is aborted with the caller's, when the call's time is over, or with the channel's end. */
  async #within(call: Call, wait: (expiry: AbortSignal) => Promise<void>): Promise<void> {
    const expiry = new AbortController()
    const cancel = this.#runtime.world.clock.after(call.left(), () => expiry.abort(call.timedOut()))
    try {
      const { ended } = this.#runtime
      await wait(AbortSignal.any([ended, expiry.signal, ...(call.signal ? [call.signal] : [])]))
    } finally {
      cancel()
    }
  }

  async #until(wanted: (state: ChannelState) => boolean, signal?: AbortSignal): Promise<void> {
    try {
      await this.#runtime.until(wanted, signal)
    } catch (error) {
      throw signal?.aborted ? asAborted(signal.reason, 'channel') : error
    }
  }

  /** Until the ledger's time has come, the caller gives up, or the channel is closed. */
  async #waitUntil(deadline: bigint, given: AbortSignal | undefined): Promise<void> {
    const { ended, world } = this.#runtime
    const signal = given ? AbortSignal.any([given, ended]) : ended
    try {
      await world.backend.adjudicator.waitUntil(deadline, { signal })
    } catch (error) {
      throw signal.aborted ? asAborted(signal.reason, 'forceUpdate') : error
    }
  }

  #pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(asAborted(signal.reason, 'update'))
      const abort = () => {
        cancel()
        reject(asAborted(signal.reason, 'update'))
      }
      const cancel = this.#runtime.world.clock.after(ms, () => {
        signal.removeEventListener('abort', abort)
        resolve()
      })
      signal.addEventListener('abort', abort, { once: true })
    })
  }

  #timedOut(timeout: number): PerkunasError<'UPDATE_TIMEOUT'> {
    const { machine, peers, forgotten } = this.#runtime.state.record
    const { staging, channelID, index } = machine
    const answers = staging?.signatures ?? (forgotten === undefined ? [] : peers.map(() => undefined))
    const waitingFor = answers.flatMap((s, i) => (s === undefined && i !== index ? [i] : []))
    const version = staging?.state.version ?? this.state.version
    const where = `version ${version} of channel ${channelID}`
    return new PerkunasError(
      'UPDATE_TIMEOUT',
      waitingFor.length === 0 && staging !== undefined
        ? `${where} came into a dispute, and the ledger has not taken it in ${timeout} ms`
        : `participants ${waitingFor.join(', ')} have not answered ${where} in ${timeout} ms`,
      { channel: channelID, version, waitingFor },
    )
  }

  #mismatch(expected: readonly Phase[]): PerkunasError<'PHASE_MISMATCH'> {
    const message = `channel ${this.id} is ${this.phase}, ${expected.join(' or ')} expected`
    return new PerkunasError('PHASE_MISMATCH', message, { channel: this.id, expected, actual: this.phase })
  }
}

const READY: Promise<unknown> = Promise.resolve()

/** What a caller's function makes of a state. */
function edited(state: State, edit: (draft: Draft) => void): Draft {
  if (typeof edit !== 'function')
    throw new PerkunasError('INVALID_ARGUMENT', 'a function that edits the draft expected', {
      argument: 'edit',
    })
  const draft = draftOf(state)
  const result: unknown = edit(draft)
  // What it does after an `await` would be lost without a word.
  if (result instanceof Promise) {
    result.catch(() => undefined)
    const message = 'a function that edits the draft at once expected, got one that returns a promise'
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'edit' })
  }
  // The types have no such edits, but whoever makes them expects that something comes of it.
  if (draft.assets !== state.allocation.assets) throw unsupported('an edit of the assets')
  if ('locked' in draft) throw unsupported('an edit of what is locked')
  return draft
}

/** In which phases money is not there yet, or not all of it. */
const UNFUNDED: readonly Phase[] = ['initActing', 'initSigning', 'funding']

/** In which phases a step can be enforced, or the dispute before it begun. */
const FORCIBLE: readonly Phase[] = ['acting', 'signing', 'registering', 'registered', 'progressed']

/** What a promise comes to, unless the caller gives up first; the promise itself goes on. */
async function unlessAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  call: string,
): Promise<T> {
  if (signal === undefined) return await promise
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(asAborted(signal.reason, call))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort)
  })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Whether a step can be enforced on what the ledger has, if its time is over. */
function isEnforceable({ record }: ChannelState): boolean {
  const { phase } = record.machine
  if (phase !== 'registered') return phase === 'progressed'
  return record.registered?.version === currentOf(record).state.version
}

/** Whether updates are possible now or soon. */
function mayAct({ record }: ChannelState): boolean {
  const { phase } = record.machine
  return phase === 'funding' || phase === 'acting' || phase === 'signing'
}

function isOver({ record }: Pick<ChannelState, 'record'>): boolean {
  return record.machine.phase === 'withdrawing' || record.machine.phase === 'withdrawn'
}
