// Makes a channel's effects real, in one order: write the record, then send (when a watchtower has it, if so asked), then
// talk to the ledger, then tell our user. Only a proposal of a reserved version is sent first (reservation.ts). One input
// at a time for a channel; channels run side by side, and the store groups their commits.
import type { Subject } from 'rxjs'
import { type Hex, type Index, PerkunasError, type State } from '../channel/index.js'
import type { PeerID } from '../peer/index.js'
import type { Account } from '../wallet/index.js'
import {
  type ChannelContext,
  type ChannelEffect,
  type ChannelInput,
  type ChannelRecord,
  type ChannelState,
  type CommandID,
  channelState,
  type LedgerEffect,
} from './conversation.js'
import { LedgerWork } from './ledger-work.js'
import type { ChannelUpdate } from './messages.js'
import { isQuiet } from './pursue.js'
import { progressed, removed } from './records.js'
import { isReserved } from './reservation.js'
import { step } from './step.js'
import type { Streams } from './streams.js'
import type { Decision, World } from './world.js'

/** Questions about one channel that our user may have before him; a peer that asks more is refused unasked. */
const MAX_QUESTIONS = 16

/** Who keeps a running channel. */
export interface RuntimeKeeper {
  /** What our user listens to, if to anything. */
  streams(): Streams | undefined
  /** Nothing is under way any more, as it seems. */
  rested(): void
}

/** One running channel. */
export class ChannelRuntime {
  readonly #keeper: RuntimeKeeper
  readonly #first: ChannelRecord
  readonly #queue: ChannelInput[] = []
  readonly #commands = new Map<CommandID, (result: State | PerkunasError) => void>()
  readonly #waiters = new Set<Waiter>()
  readonly #ledger: LedgerWork
  readonly #failures = new Map<LedgerEffect['kind'], PerkunasError>()
  readonly #expected = new Map<LedgerEffect['kind'], () => boolean>()
  #state: ChannelState
  #lastCommand: CommandID = 0
  #working = false
  #stopped: PerkunasError | undefined
  #holds = 0
  /** Proposed states that our user has not answered, some of them given up by their proposers. */
  #questions = 0
  #isFresh = true
  readonly #ended = new AbortController()
  /** What is durable: the record of the state, or the one before a proposal of ours that it reserves. */
  #written: ChannelRecord

  constructor(
    record: ChannelRecord,
    readonly world: World,
    readonly context: ChannelContext,
    readonly account: Account,
    keeper: RuntimeKeeper,
  ) {
    this.#first = record
    this.#written = record
    this.#keeper = keeper
    this.#state = channelState(record)
    this.#ledger = new LedgerWork({
      world,
      channelID: record.machine.channelID,
      record: () => this.#state.record,
      dispatch: (input) => this.dispatch(input),
      failed: (kind, error) => {
        this.#failures.set(kind, error)
        if (!this.#expected.get(kind)?.()) this.#report(error)
      },
    })
  }

  /** The newest state; durable but for a proposal of ours whose version is reserved. */
  get state(): ChannelState {
    return this.#state
  }

  /** Inputs that wait; a peer's are slowed down by it. */
  get backlog(): number {
    return this.#queue.length
  }

  /** Whether its record is the one that it began with. */
  get isUnchanged(): boolean {
    return this.#state.record === this.#first
  }

  /** Whether nothing would be lost if it were made anew from its record. */
  get isAtRest(): boolean {
    return (
      this.#holds === 0 &&
      !this.#working &&
      this.#stopped === undefined &&
      this.#commands.size === 0 &&
      this.#waiters.size === 0 &&
      !this.#ledger.isBusy &&
      this.#state.record === this.#written &&
      isQuiet(this.#state, this.context)
    )
  }

  /** Whether something has happened to it since this was asked last. */
  takeFresh(): boolean {
    const wasFresh = this.#isFresh
    this.#isFresh = false
    return wasFresh
  }

  /** Keeps this object in use until the result is called, for calls that come back to it. */
  hold(): () => void {
    this.#holds++
    let isHeld = true
    return () => {
      if (!isHeld) return
      isHeld = false
      if (--this.#holds === 0) this.#keeper.rested()
    }
  }

  /** Aborts, with the reason, when this object's life ends: nothing that waits may outlive it. */
  get ended(): AbortSignal {
    return this.#ended.signal
  }

  /** Why the last work of that kind on the ledger failed, if any did. */
  failure(kind: LedgerEffect['kind']): PerkunasError | undefined {
    return this.#failures.get(kind)
  }

  /** While `isWaiting`, a call of our user ends with what such work fails with, which is told nowhere else then. */
  expect(kind: LedgerEffect['kind'], isWaiting: () => boolean): void {
    this.#expected.set(kind, isWaiting)
  }

  /** @throws PerkunasError why this object's life ended, if it has: nothing can be asked of the channel any more */
  mustGoOn(): void {
    if (this.#stopped !== undefined) throw this.#stopped
  }

  /** Asks the ledger for what the record says is to be done; after creation or restoration. */
  start(effects: readonly ChannelEffect[]): void {
    this.#perform(effects)
    if (effects.some((effect) => effect.kind === 'over')) void this.#forget()
  }

  /** Hands in what happened. Handled in order. */
  dispatch(input: ChannelInput): void {
    if (this.#stopped !== undefined) return
    this.#isFresh = true
    this.#queue.push(input)
    if (!this.#working) void this.#work()
  }

  /** Hands in a proposal of our user; resolves or rejects with what becomes of it. */
  command(state: State, signature: Hex, onStart: (command: CommandID) => void): Promise<State> {
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(this.#stopped)
      const command = ++this.#lastCommand
      this.#commands.set(command, (result) =>
        result instanceof PerkunasError ? reject(result) : resolve(result),
      )
      onStart(command)
      this.dispatch({ kind: 'propose', command, state, signature })
    })
  }

  /** Resolves as soon as the channel is as wanted. @throws what `signal` says, or why the channel stopped */
  until(wanted: (state: ChannelState) => boolean, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason)
    if (wanted(this.#state)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      if (this.#stopped) return reject(this.#stopped)
      const abort = () => finish(() => reject(signal?.reason))
      const finish = (then: () => void) => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
        then()
      }
      const waiter: Waiter = {
        check: () => wanted(this.#state) && finish(resolve),
        stop: (error) => finish(() => reject(error)),
      }
      this.#waiters.add(waiter)
      signal?.addEventListener('abort', abort)
    })
  }

  /** Ends this object's life, not the channel's: nothing is sent, the record stays. */
  stop(error: PerkunasError): void {
    if (this.#stopped !== undefined) return
    this.#stopped = error
    this.#ended.abort(error)
    this.#queue.length = 0
    this.#ledger.stop()
    for (const resolve of this.#commands.values()) resolve(error)
    this.#commands.clear()
    for (const waiter of [...this.#waiters]) waiter.stop(error)
    this.#keeper.streams()?.complete()
  }

  /** Ends this object's life while it is at rest: another one goes on with its record. */
  release(): void {
    const where = `channel ${this.#state.record.machine.channelID}`
    this.#stopped = new PerkunasError('INTERNAL', `${where} goes on in another object`, { where })
  }

  async #work(): Promise<void> {
    this.#working = true
    try {
      for (let input = this.#queue.shift(); input !== undefined; input = this.#queue.shift()) {
        const isOver = await this.#handle(input)
        if (this.#stopped !== undefined) return
        if (isOver) return await this.#forget()
      }
    } catch (cause) {
      this.#breakDown(cause)
    }
    this.#working = false
    this.#keeper.rested()
  }

  /**
   * One input: write, send, ask the ledger, tell our user. A proposal of a reserved version is written with the next input,
   * whatever that is. Returns whether the channel is over.
   */
  async #handle(input: ChannelInput): Promise<boolean> {
    const before = this.#state
    const { next, effects } = step(before, input, this.context)
    const mayWait = input.kind === 'propose' && isReserved(this.#written, next.record)
    if (next.record !== this.#written && !mayWait) {
      try {
        await this.world.store.commit([progressed(next.record)])
      } catch (cause) {
        this.world.fail(asStoreError(cause))
      }
      if (this.#stopped !== undefined) return false
      this.#written = next.record
    } else if (effects.length > 0) {
      const confirmed = this.world.confirm()
      if (confirmed !== undefined) await confirmed.catch((cause) => this.world.fail(asStoreError(cause)))
      if (this.#stopped !== undefined) return false
    }
    this.#state = next
    const { current, channelID } = next.record.machine
    if (current !== before.record.machine.current) {
      const enabled = this.world.enabled(channelID)
      if (enabled !== undefined) await enabled
      if (this.#stopped !== undefined) return false
    }
    this.#perform(effects)
    const streams = this.#keeper.streams()
    if (input.kind === 'ledger') tell(streams?.events$, { kind: 'ledger', event: input.event })
    const { phase } = next.record.machine
    if (phase !== before.record.machine.phase) tell(streams?.phases$, phase)
    if (this.#waiters.size > 0) for (const waiter of [...this.#waiters]) waiter.check()
    return effects.some((effect) => effect.kind === 'over')
  }

  /** A mistake of ours. The channel stands still until a restart; the ledger is not asked to make up for it. */
  #breakDown(cause: unknown): void {
    const { channelID } = this.#state.record.machine
    const where = `channel ${channelID}`
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new PerkunasError('INTERNAL', `${where} is stopped: ${reason}`, { where }, { cause })
    this.#report(error)
    this.stop(error)
  }

  #perform(effects: readonly ChannelEffect[]): void {
    const { peers } = this.#state.record
    for (const effect of effects) {
      if (effect.kind === 'send') this.world.send(peerAt(peers, effect.to), effect.message)
    }
    for (const effect of effects) this.#ledger.perform(effect)
    for (const effect of effects) this.#tellUser(effect)
  }

  #tellUser(effect: ChannelEffect): void {
    switch (effect.kind) {
      case 'updated':
        return tell(this.#keeper.streams()?.updates$, { from: effect.from, to: effect.to })
      case 'atRisk':
        return tell(this.#keeper.streams()?.events$, { ...effect, reason: 'olderState' })
      case 'resolve': {
        const resolve = this.#commands.get(effect.command)
        this.#commands.delete(effect.command)
        return resolve?.(effect.result)
      }
      case 'refuse':
        this.#report(effect.error)
        if (effect.cost === 'connection') {
          this.world.disconnect(peerAt(this.#state.record.peers, effect.from), effect.error.message)
        }
        return
      case 'ask':
        return void this.#ask(effect.update, effect.current)
      case 'acceptByRule':
        return void this.#decide(effect.update, () => ({ accept: true }))
      default:
        return
    }
  }

  /** Asks our user, unless a peer that gives up its own proposals one after another has asked too much already. */
  async #ask(update: ChannelUpdate, current: State): Promise<void> {
    if (this.#questions >= MAX_QUESTIONS) {
      return this.dispatch({ kind: 'reject', update, reason: 'this participant has yet to decide on others' })
    }
    this.#questions++
    await this.#decide(update, () => this.world.decide(update, current))
    this.#questions--
  }

  /** Our user's answer to a proposed state, as an input. Signs what was checked, nothing else. */
  async #decide(update: ChannelUpdate, ask: () => Promise<Decision> | Decision): Promise<void> {
    try {
      const asked = ask()
      const decision = asked instanceof Promise ? await asked : asked
      if (!decision.accept) return this.dispatch({ kind: 'reject', update, reason: decision.reason })
      const signed = this.sign(update.state)
      const signature = typeof signed === 'string' ? signed : await signed
      this.dispatch({ kind: 'accept', update, signature })
    } catch (cause) {
      this.#report(asError(cause, 'signing'))
      this.dispatch({ kind: 'reject', update, reason: 'this participant can not sign now' })
    }
  }

  /** Our signature over a state. */
  sign(state: State): Hex | Promise<Hex> {
    return this.account.sign(this.context.rules.ledger.message(this.#state.record.machine.params, state))
  }

  /** Removes what is written of a channel that is over; nothing is handled any more, so nothing is written again. */
  async #forget(): Promise<void> {
    this.#working = true
    const { channelID } = this.#state.record.machine
    try {
      await this.world.store.commit(removed(channelID))
    } catch (cause) {
      return this.world.fail(asStoreError(cause))
    }
    this.world.over(channelID)
  }

  #report(error: PerkunasError): void {
    tell(this.#keeper.streams()?.events$, { kind: 'error', error })
    this.world.report(error)
  }
}

/** A user's subscriber that throws is the user's error, not the channel's end: rxjs reports it by itself. */
function tell<T>(subject: Subject<T> | undefined, value: T): void {
  if (subject !== undefined && !subject.closed) subject.next(value)
}

interface Waiter {
  check(): void
  stop(error: PerkunasError): void
}

/** Wraps what is not ours. */
export function asError(cause: unknown, what: string): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new PerkunasError('HANDLER_FAILED', `${what} failed: ${reason}`, { handler: what }, { cause })
}

/** A handler's decision, as it was given. @throws PerkunasError HANDLER_FAILED if it is none */
export function decided<D extends Decision>(decision: D, handler: string): D {
  const given: unknown = decision
  if (typeof given === 'object' && given !== null && 'accept' in given) {
    // What is no text might throw when it is made one, and that would be our mistake then.
    if (
      given.accept === true ||
      (given.accept === false && 'reason' in given && typeof given.reason === 'string')
    )
      return decision
  }
  const message = `the ${handler} gave ${JSON.stringify(given)}; accept() or reject(reason) expected`
  throw new PerkunasError('HANDLER_FAILED', message, { handler })
}

/** Whether a handler's answer comes later; promises of any make count. */
export function isLater<D extends Decision>(given: Promise<D> | D): given is Promise<D> {
  return 'then' in Object(given)
}

/** Wraps what a store threw that is not ours. */
export function asStoreError(cause: unknown): PerkunasError {
  if (cause instanceof PerkunasError) return cause
  return new PerkunasError('STORE_FAILED', 'a commit failed', { operation: 'commit' }, { cause })
}

function peerAt(peers: readonly PeerID[], index: Index): PeerID {
  const peer = peers[index]
  if (peer === undefined) throw new Error(`no participant ${index}`)
  return peer
}
