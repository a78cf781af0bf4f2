// The controller of one Lightning channel: what `Channel` promises, by the commands of a node. No protocol here.
import { concat, defer, from, type Observable, Subject, startWith } from 'rxjs'
import { demandNames, type NamesOf, SIGNAL } from '../../../channel/arguments.js'
import { equalBytes } from '../../../channel/bytes.js'
import {
  type ChannelID,
  type Draft,
  fromHex,
  type HashTimeLock,
  type Hex,
  type Index,
  isHex,
  type Liquidity,
  type LockRequest,
  type Obligation,
  type Params,
  PerkunasError,
  type Phase,
  type State,
  toHex,
} from '../../../channel/index.js'
import {
  CALL_NAMES,
  type Channel,
  type ChannelCallOptions,
  type ChannelEvent,
  type Clock,
  type Entropy,
  SETTLE_NAMES,
  type SettleOptions,
} from '../../../client/index.js'
import type { PeerID } from '../../../peer/index.js'
import type { MonitorEvent } from '../monitor/index.js'
import { type ChannelView, channelName, type LightningNode } from '../node/index.js'
import type { OutgoingPayment, PayRequest } from '../payments/index.js'
import { MIN_FINAL_CLTV_EXPIRY_DELTA, TRANSIT_BLOCKS } from '../payments/index.js'
import { sha256 } from '../script/index.js'
import { blockDelta, type Msat, msat } from '../units.js'
import { ChainSide } from './chain-side.js'
import { type Closing, closeAlone, closeTogether } from './closing.js'
import { paidBy } from './edit.js'
import { Lanes } from './lanes.js'
import type { Told } from './ledger.js'
import { isFunded, liquidityOf } from './liquidity.js'
import { isOpen, type OpenView } from './phase.js'
import { BITCOIN, paramsOf } from './proposal.js'
import {
  aborted,
  dataLoss,
  invalid,
  lockedUp,
  neverFunded,
  notTaken,
  unsupported,
  updateTimeout,
} from './refusals.js'
import { Unheard } from './unheard.js'
import { locksOf, type Seen, sidesOf, stateOf } from './view.js'

/** A lock may be made of another one. */
const LOCK_NAMES: NamesOf<HashTimeLock> = {
  kind: true,
  id: true,
  from: true,
  asset: true,
  amount: true,
  hash: true,
  deadline: true,
}

/** What a channel needs of the protocol that it belongs to. */
export interface LightningChannelHost {
  readonly node: LightningNode
  readonly chainHash: Hex
  readonly clock: Clock
  readonly entropy: Entropy
  /** Milliseconds. */
  readonly timeouts: { readonly update: number; readonly settlement: number }
  /** Why no call goes on, if that is so. */
  readonly ended: PerkunasError | undefined
  /** Forgets the object. */
  forget(channel: LightningChannel): void
}

/** A channel that both sides hold a commitment of. */
export class LightningChannel implements Channel {
  readonly id: ChannelID
  readonly index: Index
  readonly params: Params
  readonly peers: readonly PeerID[]
  /** Its name in the node. */
  readonly key: bigint
  readonly #host: LightningChannelHost
  readonly #streams = {
    updates$: new Subject<{ readonly from: State; readonly to: State }>(),
    phases$: new Subject<Phase>(),
    events$: new Subject<ChannelEvent>(),
  }
  readonly #lanes = new Lanes()
  readonly #chain: ChainSide
  readonly #unheard = new Unheard<ChannelEvent>()
  #view: OpenView
  #state: State
  #phase: Phase

  constructor(host: LightningChannelHost, view: OpenView) {
    this.#host = host
    this.key = view.channel
    this.#chain = new ChainSide(host.node, view.channel)
    this.id = channelIDOf(host.node.id, view.channel)
    const opener = view.opener ?? 'local'
    this.index = opener === 'local' ? 0 : 1
    const self = host.node.id
    this.peers = this.index === 0 ? [self, view.peer] : [view.peer, self]
    const { local, remote } = view.live.delay
    this.params = paramsOf(this.peers, Math.max(local, remote), view.temporaryID ?? '0x00')
    this.#view = view
    this.#state = this.#stateOf(view)
    this.#phase = this.#chain.phaseOf(view)
  }

  get state(): State {
    return this.#state
  }

  get phase(): Phase {
    return this.#phase
  }

  /** What is signed is never shown: an old commitment in anybody's hands would cost us everything. */
  get signedState(): undefined {
    return undefined
  }

  get locks(): readonly HashTimeLock[] {
    return this.#phase === 'withdrawn' ? [] : locksOf(this.#seen(this.#view))
  }

  liquidity(asset = 0): Liquidity {
    if (asset !== 0) throw invalid('asset', '0, the only asset')
    const isActing = this.#phase === 'acting' && this.#host.ended === undefined
    return liquidityOf(this.#view, { isActing, isOver: this.#phase === 'withdrawn' })
  }

  get obligations(): readonly Obligation[] {
    if (this.#phase === 'withdrawn') return []
    // From then on the chain says what there is to do.
    if (this.#view.phase === 'failed') return this.#chain.obligations(this.#view)
    const { locks } = this
    return this.#view.live.obligations.map(({ height, htlc }) => {
      const lock = locks.find(
        ({ hash, from }) => hash === toHex(htlc.paymentHash) && from === this.#from(htlc.offerer),
      )
      return { action: 'goOnChain', deadline: BigInt(height), ...(lock && { lock: lock.id }) }
    })
  }

  get updates$(): Observable<{ readonly from: State; readonly to: State }> {
    return this.#streams.updates$.asObservable()
  }

  get phases$(): Observable<Phase> {
    return defer(() => this.#streams.phases$.pipe(startWith(this.phase)))
  }

  get events$(): Observable<ChannelEvent> {
    return defer(() => concat(from([...this.#standing(), ...this.#unheard.take()]), this.#streams.events$))
  }

  /** The node's view, undefined once the channel is over. */
  changed(view: ChannelView | undefined): void {
    const before = this.#state
    const was = { isUsed: isUsed(this.#phase), isFunded: isFunded(this.#view.live) }
    if (view !== undefined && isOpen(view)) this.#view = view
    const isOver = view === undefined || !isOpen(view)
    this.#state = this.#stateOf(this.#view)
    const phase = isOver ? 'withdrawn' : this.#chain.phaseOf(this.#view)
    if (this.#state.version !== before.version) this.#streams.updates$.next({ from: before, to: this.#state })
    if (phase !== this.#phase) {
      this.#phase = phase
      this.#streams.phases$.next(phase)
    }
    const isNow = isFunded(this.#view.live)
    if (was.isUsed && isUsed(phase) && was.isFunded !== isNow)
      this.tell({ kind: 'fundingChanged', isFunded: isNow })
    if (isOver) this.complete()
    else this.#lanes.check()
  }

  /** Tells our user. */
  tell(event: ChannelEvent): void {
    this.#streams.events$.next(event)
  }

  /** Tells our user what the chain shows. */
  tellChain(event: MonitorEvent): void {
    const events = this.#chain.events(event, this.#told())
    // The event may be ahead of the change.
    const view = this.#host.node.channel(this.key)
    if (view !== undefined && isOpen(view)) this.changed(view)
    for (const one of events) this.tell(one)
  }

  /** Tells our user what became of a lock of ours, now or when somebody listens. @param heard called when that was */
  tellUnlocked(event: ChannelEvent, heard: () => void): void {
    if (!this.#streams.events$.observed) return this.#unheard.add(event, heard)
    this.tell(event)
    heard()
  }

  /** Tells our user what commitments cost from now on. */
  tellFee(): void {
    // The event may be ahead of the change.
    const view = this.#host.node.channel(this.key)
    if (view === undefined || !isOpen(view)) return
    this.changed(view)
    this.tell({ kind: 'feeChanged', fee: this.liquidity().settlement.fee })
  }

  /** Tells our user that only the peer may end the channel. */
  tellDataLoss(): void {
    this.tell({ kind: 'error', error: dataLoss(this.id) })
  }

  /** Nothing more is to come. */
  complete(): void {
    this.#lanes.check()
    for (const stream of Object.values(this.#streams)) stream.complete()
  }

  /** As many as the channel carries HTLCs go on side by side. */
  async update(edit: (draft: Draft) => void, options: ChannelCallOptions = {}): Promise<State> {
    demandNames(options, CALL_NAMES)
    if (this.#host.ended !== undefined) throw this.#host.ended
    if (options.signal?.aborted) throw aborted('update', options.signal.reason)
    this.#demandActing()
    if (paidBy(edit, this.#state, this.index) === 0n) return this.#state
    return this.#call('update', options, this.#host.timeouts.update, async (signal) => {
      await this.#takeLane(signal)
      try {
        // What happened meanwhile may have changed what there is, and so what the edit comes to.
        const amount = paidBy(edit, this.#state, this.index)
        if (amount === 0n) return this.#state
        this.#demandSpendable(amount)
        return await this.#transfer(amount, signal)
      } finally {
        this.#lanes.leave()
      }
    })
  }

  async forceUpdate(): Promise<never> {
    throw unsupported('forced progression')
  }

  async lock(request: LockRequest, options: ChannelCallOptions = {}): Promise<HashTimeLock> {
    demandNames(request, LOCK_NAMES, 'request')
    demandNames(options, CALL_NAMES)
    const { hash, amount, deadline, asset = 0 } = request
    if (!isHex(hash, 32)) throw invalid('hash', 'a SHA-256 of 32 bytes')
    if (asset !== 0) throw invalid('asset', '0, the only asset')
    if (typeof deadline !== 'bigint') throw invalid('deadline', 'a block height')
    this.#demandActing()
    const delta = Number(deadline) - this.#host.node.height - TRANSIT_BLOCKS
    if (!(delta >= MIN_FINAL_CLTV_EXPIRY_DELTA && delta <= MAX_DELTA)) {
      throw invalid('deadline', `${MIN_FINAL_CLTV_EXPIRY_DELTA} to ${MAX_DELTA} blocks from now`)
    }
    const before = new Set(this.locks.map(({ id }) => id))
    const find = () =>
      this.locks.find((lock) => lock.hash === hash && lock.from === this.index && !before.has(lock.id))
    const found = await this.#call('lock', options, this.#host.timeouts.update, async (signal) => {
      await this.#waitReady(signal)
      this.#demandSpendable(amount)
      const giveUp = new AbortController()
      const abort = () => giveUp.abort(signal.reason)
      signal.addEventListener('abort', abort)
      const search = new AbortController()
      const paid = this.#pay(
        {
          kind: 'hash',
          peer: this.#view.peer,
          channel: channelName(this.key),
          paymentHash: hash,
          amount: msat(amount),
          finalCltvExpiryDelta: blockDelta(delta),
        },
        giveUp.signal,
        false,
      )
      const locked = this.#until(find, AbortSignal.any([signal, search.signal]))
      // A lock lives on; that it ends otherwise before it stands is what we must hear of.
      const refused = paid.then((payment) => {
        if (payment.status.kind === 'failed') throw this.#refusal(payment)
        return locked
      })
      try {
        return await Promise.race([locked, refused])
      } finally {
        // What stands is not given up any more, whatever becomes of the caller's signal.
        signal.removeEventListener('abort', abort)
        search.abort()
      }
    })
    return found
  }

  async release(lock: Hex, preimage: Hex, options: ChannelCallOptions = {}): Promise<State> {
    const held = this.#heldLock(lock)
    if (!isHex(preimage, 32)) throw invalid('preimage', '32 bytes')
    if (toHex(sha256(fromHex(preimage))) !== held.hash)
      throw invalid('preimage', `what hashes to ${held.hash}`)
    demandNames(options, CALL_NAMES)
    return this.#call('release', options, undefined, async (signal) => {
      await this.#host.node.payments.release(held.hash, fromHex(preimage))
      return this.#gone(lock, signal)
    })
  }

  async cancel(lock: Hex, _reason: string, options: ChannelCallOptions = {}): Promise<State> {
    const held = this.#heldLock(lock)
    demandNames(options, CALL_NAMES)
    return this.#call('cancel', options, undefined, async (signal) => {
      await this.#host.node.payments.cancel(held.hash)
      return this.#gone(lock, signal)
    })
  }

  async watch(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    demandNames(options, SIGNAL)
    await this.#call('watch', options, undefined, (signal) => this.#over(signal))
  }

  async settle(options: SettleOptions = {}): Promise<void> {
    demandNames(options, SETTLE_NAMES)
    const { locks = 'wait', timeout = this.#host.timeouts.settlement } = options
    if (!['wait', 'refuse', 'dispute'].includes(locks)) throw invalid('locks', 'wait, refuse or dispute')
    await this.#call('settle', options, undefined, async (signal) => {
      if (locks === 'refuse' && this.#phase === 'acting' && this.locks.length > 0)
        throw lockedUp(this.id, this.locks.length)
      // Who does not come for its opening won't come for its end.
      const isHopeless = this.#phase === 'funding'
      if (isHopeless || !(await closeTogether(this.#closing(), { timeout, locks, signal }))) {
        if (locks === 'refuse' && this.#phase === 'acting' && this.locks.length > 0)
          throw lockedUp(this.id, this.locks.length)
        await closeAlone(this.#host.node, this.key)
      }
      await this.#over(signal)
      if (this.#view.live.confirmations === 0) throw neverFunded(this.id)
    })
  }

  close(): void {
    this.complete()
    this.#host.forget(this)
  }

  /** What stands on the chain, for who begins to listen: also what happened before this process began. */
  #standing(): readonly ChannelEvent[] {
    if (this.#phase === 'withdrawn') return []
    const isLess = isUsed(this.#phase) && !isFunded(this.#view.live)
    const funding: readonly ChannelEvent[] = isLess ? [{ kind: 'fundingChanged', isFunded: false }] : []
    return [...this.#chain.standing(this.#told()), ...funding]
  }

  #told(): Told {
    const { delay } = this.#view.live
    const { id: channelID, index, state } = this
    return { channelID, index, version: state.version, delay, height: this.#host.node.height }
  }

  #closing(): Closing {
    const { node, clock } = this.#host
    return { node, clock, channel: this.key, look: () => ({ phase: this.#phase, live: this.#view.live }) }
  }

  /** Waits until one more payment may be under way. */
  #takeLane(signal: AbortSignal): Promise<true> {
    return this.#lanes.take(() => {
      this.#demandActing()
      const { isConnected, maxInFlight } = this.#view.live
      return isConnected ? maxInFlight : 0
    }, signal)
  }

  async #transfer(amount: Msat, signal: AbortSignal): Promise<State> {
    const { peer } = this.#view
    const payment = await this.#pay(
      { kind: 'spontaneous', peer, channel: channelName(this.key), amount },
      signal,
    )
    if (payment.status.kind === 'failed') throw this.#refusal(payment)
    const hash = fromHex(payment.paymentHash)
    const isThere = () => this.#view.live.htlcs.some((one) => equalBytes(one.paymentHash, hash))
    await this.#until(() => !isThere() || undefined, signal)
    return this.#state
  }

  #demandSpendable(amount: bigint): void {
    const { spendable } = this.#view.live
    if (msat(amount) <= spendable) return
    const message = `${amount} msat can't be sent: ${spendable} can, reserve and fees aside`
    throw new PerkunasError('INVALID_AMOUNT', message, { actual: amount })
  }

  #demandActing(): void {
    if (this.#host.ended !== undefined) throw this.#host.ended
    if (this.#phase === 'acting') return
    if (this.#view.live.failure?.cause === 'dataLoss') throw dataLoss(this.id)
    const expected = ['acting']
    const message = `channel ${this.id} is ${this.#phase}, acting expected`
    throw new PerkunasError('PHASE_MISMATCH', message, { channel: this.id, expected, actual: this.#phase })
  }

  #heldLock(id: Hex): HashTimeLock {
    const lock = this.locks.find((one) => one.id === id && one.from !== this.index)
    if (lock === undefined) throw invalid('lock', 'the ID of a lock that the other side has made')
    return lock
  }

  #pay(request: PayRequest, signal: AbortSignal, isSettled = true): Promise<OutgoingPayment> {
    const id = toHex(this.#host.entropy(32))
    return this.#host.node.payments.pay({ id, request }, { signal, isSettled })
  }

  #refusal({ status }: OutgoingPayment): PerkunasError {
    const failure = status.kind === 'failed' ? status.failure : undefined
    if (failure?.kind === 'timedOut' || failure?.kind === 'abandoned') return this.#timedOut('update')
    return notTaken(failure, { peer: this.#view.peer, participant: 1 - this.index })
  }

  #timedOut(call: string): PerkunasError<'UPDATE_TIMEOUT'> {
    return updateTimeout(call, {
      channel: this.id,
      version: this.#state.version,
      participant: 1 - this.index,
      isConnected: this.#view.live?.isConnected === true,
    })
  }

  #waitReady(signal: AbortSignal): Promise<true> {
    return this.#until(() => {
      this.#demandActing()
      return this.#view.live.isConnected || undefined
    }, signal)
  }

  async #gone(lock: Hex, signal: AbortSignal): Promise<State> {
    await this.#until(() => this.locks.every(({ id }) => id !== lock) || undefined, signal)
    return this.#state
  }

  async #over(signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#phase === 'withdrawn' || undefined, signal)
  }

  #until<T>(look: () => T | undefined, signal: AbortSignal): Promise<T> {
    return this.#host.node.eventually(look, signal)
  }

  /** Runs a call that ends with its caller's signal and its time. */
  async #call<T>(
    name: string,
    { signal, timeout }: ChannelCallOptions,
    patience: number | undefined,
    run: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#host.ended !== undefined) throw this.#host.ended
    if (signal?.aborted) throw aborted(name, signal.reason)
    const expiry = new AbortController()
    const ms = patience === undefined ? undefined : (timeout ?? patience)
    const stop = ms === undefined ? undefined : this.#host.clock.after(ms, () => expiry.abort())
    try {
      return await run(signal ? AbortSignal.any([signal, expiry.signal]) : expiry.signal)
    } catch (error) {
      if (this.#host.ended !== undefined) throw this.#host.ended
      if (signal?.aborted) throw aborted(name, signal.reason)
      throw expiry.signal.aborted ? this.#timedOut(name) : error
    } finally {
      stop?.()
    }
  }

  #stateOf(view: OpenView): State {
    return stateOf(this.id, { backend: BITCOIN, id: this.#host.chainHash }, this.#seen(view))
  }

  #seen({ opener = 'local', phase, live }: OpenView): Seen {
    const { balances, htlcs, offered } = live
    return { opener, balances, htlcs, offered, isFinal: phase === 'shuttingDown' || phase === 'negotiating' }
  }

  #from(side: 'local' | 'remote'): Index {
    return sidesOf(this.#view.opener ?? 'local').indexOf(side)
  }
}

/** Whether something may depend on its funding that the chain does not show yet. */
function isUsed(phase: Phase): boolean {
  return phase === 'acting' || phase === 'final'
}

/** The most blocks that a lock may last: two weeks, as nodes of the network hold it. */
const MAX_DELTA = 2016

/** A channel's ID: ours alone, since Lightning's own change while a channel opens. */
export function channelIDOf(self: PeerID, key: bigint): ChannelID {
  return toHex(sha256(new TextEncoder().encode(`perkunas channel ${self} ${key}`)))
}
