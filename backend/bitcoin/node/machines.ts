// The machines of a node's channels and of their monitors, and how one's step leads to another's within a turn: a channel
// tells its monitor, both hand HTLCs to whoever decides about them, and that wants something of channels.
import { absurd, PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { FeeTable } from '../chain/index.js'
import { signerOf } from '../channel/commitments.js'
import {
  type ChannelEnv,
  type ChannelInput,
  type Effect,
  isFlushUrgent,
  isLive,
  type Step,
  step,
  wantsFlush,
} from '../channel/index.js'
import { FUNDING_DEADLINE } from '../channel/policy.js'
import { disconnected } from '../channel/reestablish.js'
import type { FeatureName } from '../features.js'
import {
  type MonitorEnv,
  type MonitorInput,
  type MonitorStep,
  step as monitorStep,
  type ResolverPolicy,
} from '../monitor/index.js'
import type { LightningMessage } from '../wire/index.js'
import { ChainWatch } from './chain-watch.js'
import { Draft, type Heard } from './draft.js'
import { Entries, type Entry } from './entries.js'
import { entryWrites } from './entry-rows.js'
import { asError } from './faults.js'
import { wantedChild } from './funding-child.js'
import { type AroundMachines, channelEffect, monitorEffect } from './machine-effects.js'
import type { Consequence, HtlcSwitch } from './switch.js'

/** A peer that messages would reach now. */
export interface ConnectedPeer {
  readonly connection: number
  readonly features: readonly FeatureName[]
}

/** What surrounds the machines of a node. */
export interface MachinesOptions {
  readonly env: ChannelEnv
  readonly fees: FeeTable
  readonly resolver: ResolverPolicy
  readonly htlcs: HtlcSwitch
}

/** See above. */
export class Machines implements AroundMachines {
  readonly entries = new Entries()
  /** Channels whose records can't be read but for their monitors: see `defence.ts`. */
  readonly defended = new Map<bigint, Entry>()
  readonly chain = new ChainWatch()
  readonly peers = new Map<PeerID, ConnectedPeer>()
  readonly draft = new Draft()
  readonly htlcs: HtlcSwitch
  /** What channels know of the world now. */
  env: ChannelEnv
  /** What monitors know of fees now. */
  fees: FeeTable
  readonly #resolver: ResolverPolicy
  /** Channels of which nobody has shown yet that we are not behind, although there is reason to think so. */
  #doubted = new Set<bigint>()
  readonly #toFlush = new Set<Entry>()
  /** Of the turn before: nobody waits for it, but it waits no longer. */
  #deferred: ReadonlySet<Entry> = new Set()

  constructor({ env, fees, resolver, htlcs }: MachinesOptions) {
    this.env = env
    this.fees = fees
    this.htlcs = htlcs
    this.#resolver = resolver
  }

  /** All that has a monitor, or may get one. */
  get watching(): readonly Entry[] {
    return [...this.entries.all, ...this.defended.values()]
  }

  /** Whose monitor goes by that name. */
  watchedBy(keyIndex: bigint): Entry | undefined {
    return this.entries.get(keyIndex) ?? this.defended.get(keyIndex)
  }

  /** All channels may be behind, but those that are up; each until it is. */
  doubt(): void {
    const doubted = new Set<bigint>()
    for (const { keyIndex, state } of this.entries.all)
      if (isLive(state) && state.link.kind !== 'up') doubted.add(keyIndex)
    this.#doubted = doubted
    this.env = { ...this.env, isDoubted: (keyIndex) => doubted.has(keyIndex) }
  }

  /**
   * An input that nobody waits for. A channel at which we make a mistake stands still but for what it must do, and the others
   * go on.
   */
  input(entry: Entry, input: ChannelInput): void {
    if (!this.#hears(entry, input)) return
    if (LASTING.has(input.kind)) this.draft.hears(entry, { by: 'channel', input, env: this.env })
    try {
      this.apply(entry, step(entry.state, input, this.env))
    } catch (cause) {
      if (entry.stopped !== undefined && input.kind === 'block') this.#tellStopped(entry, cause)
      this.stop(entry, cause)
    }
  }

  /**
   * An input that our user waits for.
   *
   * @throws why it can't be done
   */
  command(entry: Entry, input: ChannelInput): void {
    if (!this.#hears(entry, input)) throw entry.stopped
    const result = step(entry.state, input, this.env)
    this.apply(entry, result)
    const refused = result.effects.find((effect) => effect.kind === 'refuse')
    if (refused !== undefined) throw refused.error
  }

  /** Takes a step of a channel for what is true now, and does what follows from it. */
  apply(entry: Entry, { next, monitor, handoffs, effects }: Step): void {
    const wasLive = isLive(entry.state)
    // What it refuses is a mistake of ours that must not be committed.
    const before = entry.state
    entry.state = next
    let result: MonitorStep | undefined
    try {
      if (monitor.length > 0)
        result = monitorStep(entry.monitor, { kind: 'updates', updates: monitor }, this.monitorEnv(entry))
    } catch (cause) {
      entry.state = before
      throw cause
    }
    if (next !== before || monitor.length > 0) this.draft.change(entry)
    if (isLive(next) && next.link.kind === 'up') this.#doubted.delete(entry.keyIndex)
    if (result !== undefined) {
      entry.monitor = result.next
      entry.revoked.push(...result.revoked)
    }
    if (handoffs.length > 0 || handsOn(result)) this.draft.handsOn(entry)
    for (const effect of effects) if (mayLeave(entry, effect)) channelEffect(this, entry, effect)
    if (isLive(next) && !wasLive) this.entries.forgetTemporary(entry)
    if (isLive(next) && wantsFlush(next)) this.#toFlush.add(entry)
    for (const handoff of handoffs)
      this.#ask(entry, () => this.htlcs.handed(entry.keyIndex, handoff, this.env.height))
    if (result !== undefined) this.#applyMonitor(entry, result)
  }

  /** What happens beside the channel. A mistake of ours stops both. */
  monitorInput(entry: Entry, input: MonitorInput): void {
    const { monitor } = entry
    if (monitor === undefined) return
    let result: MonitorStep
    try {
      const env = this.monitorEnv(entry)
      this.draft.hears(entry, { by: 'monitor', input, env })
      result = monitorStep(monitor, input, env)
    } catch (cause) {
      return this.stop(entry, cause)
    }
    if (result.next !== monitor) this.draft.change(entry)
    entry.monitor = result.next
    entry.revoked.push(...result.revoked)
    if (handsOn(result)) this.draft.handsOn(entry)
    this.#applyMonitor(entry, result)
  }

  /** What a channel's monitor knows of the world. */
  monitorEnv({ state, keyIndex }: Entry): MonitorEnv {
    if (!('signer' in state))
      throw new PerkunasError('INTERNAL', `channel ${keyIndex} has no signer`, { where: 'node' })
    const { height, keys } = this.env
    return {
      height,
      fees: this.fees,
      policy: this.#resolver,
      destination: state.terms.shutdownScript,
      record: state.signer,
      incomingExpiry: (htlc) => this.htlcs.incomingExpiry?.(keyIndex, htlc),
      signer: (terms) => keys(terms.keyIndex).signer(terms.setup),
    }
  }

  /** Does what whoever decides about HTLCs wants. */
  follow({ wishes, unwishes = [], effects }: Consequence): void {
    this.draft.effect(...effects)
    for (const { channel, reference } of unwishes) {
      const entry = this.entries.get(channel)
      if (entry !== undefined) this.input(entry, { kind: 'unwant', reference })
    }
    for (const { channel, intent } of wishes) {
      const entry = this.entries.get(channel)
      if (entry === undefined) continue
      this.input(entry, { kind: 'want', intent })
    }
  }

  /**
   * Signs, for each channel once, all that this turn made it want. What nobody waits for is left to the next turn: whoever
   * is told in this one that a payment is over may want another one, and both go into one commitment.
   *
   * @returns whether something is left
   */
  flush(): boolean {
    const deferred = new Set<Entry>()
    for (const entry of this.#deferred) this.#toFlush.add(entry)
    for (const entry of this.#toFlush) {
      this.#toFlush.delete(entry)
      if (!isLive(entry.state) || !wantsFlush(entry.state)) continue
      if (this.#deferred.has(entry) || isFlushUrgent(entry.state)) this.input(entry, { kind: 'flush' })
      else deferred.add(entry)
    }
    this.#deferred = deferred
    return deferred.size > 0
  }

  /** A message to a peer, if it is there. */
  send(peer: PeerID, message: LightningMessage): void {
    const connection = this.peers.get(peer)?.connection
    if (connection !== undefined) this.draft.effect({ kind: 'send', peer, connection, message })
  }

  /** Publishes the funding transaction, if it is ours and in no block. */
  publishFunding({ keyIndex, funding, place }: Entry): void {
    if (funding === undefined || place !== undefined) return
    const { transaction, child } = funding
    const transactions = child === undefined ? [transaction] : [transaction, child.transaction]
    this.draft.effect({ kind: 'publish', what: 'funding', channel: keyIndex, transactions })
  }

  /** Pays for it by a child, if no block took it for a while. */
  bumpFunding({ keyIndex: channel, funding, place, state }: Entry): void {
    if (funding === undefined || place !== undefined || !isLive(state)) return
    const { height, fees } = this.env
    const waited = height - state.ready.since
    const { capacity } = state.terms
    const wish = wantedChild({ funding, capacity, waited, left: FUNDING_DEADLINE - waited, fees })
    if (wish !== undefined) this.draft.effect({ kind: 'bumpFunding', channel, wish })
  }

  #applyMonitor(entry: Entry, { handoffs, effects }: MonitorStep): void {
    for (const effect of effects) monitorEffect(this, entry, effect)
    for (const handoff of handoffs) {
      switch (handoff.kind) {
        case 'learned':
          this.#ask(entry, () => this.htlcs.learned(entry.keyIndex, handoff.htlc, handoff.preimage))
          break
        case 'htlcResolved':
          this.#ask(entry, () => this.htlcs.resolved(entry.keyIndex, handoff.htlc, handoff.to))
          break
        case 'channelSpent':
          this.input(entry, { kind: 'spent', by: handoff.by })
          break
        case 'channelResolved':
          this.input(entry, { kind: 'resolved' })
          break
        default:
          return absurd(handoff)
      }
    }
  }

  /**
   * A step of this turn has no encoding, and all of it was undone. What the channel heard since is heard again, as far as
   * nothing follows but what can be written.
   *
   * @param cause why it has none
   */
  recover(entry: Entry, cause: unknown, heard: readonly Heard[]): void {
    this.#takeBack(entry)
    for (const one of heard) {
      const { state, monitor, revoked } = entry
      try {
        const does = one.by === 'channel' ? this.#hearAgain(entry, one) : this.#watchAgain(entry, one)
        if (isLive(entry.state)) entryWrites({ ...entry }, entry.state)
        does()
      } catch {
        Object.assign(entry, { state, monitor, revoked })
        this.#takeBack(entry)
      }
    }
    this.stop(entry, cause)
  }

  /**
   * A mistake of ours: the channel says nothing any more and takes nothing up. What it must do all the same, it does from what
   * is written of it: it goes on chain by its deadlines, claims and punishes. The others go on.
   */
  stop(entry: Entry, cause: unknown): void {
    if (entry.stopped !== undefined) return
    entry.stopped = this.#tellStopped(entry, cause)
    this.#takeBack(entry)
    if (!isLive(entry.state)) return
    entry.state = disconnected(entry.state)
    this.draft.change(entry)
  }

  /** Of one whose records can't be read only the monitor hears. */
  #hears({ keyIndex, stopped, state }: Entry, { kind }: ChannelInput): boolean {
    if (stopped === undefined) return true
    if (this.defended.has(keyIndex)) return false
    // What has no first commitments goes with its connection.
    return OBLIGING.has(kind) || (kind === 'disconnected' && !isLive(state))
  }

  /** What the height or the time means to whoever decides about HTLCs. A mistake there costs no channel. */
  consult(ask: () => Consequence): void {
    let consequence: Consequence
    try {
      consequence = ask()
    } catch (cause) {
      const error = asError(cause, 'payments')
      return this.draft.effect({ kind: 'tell', event: { kind: 'payments', error } })
    }
    this.follow(consequence)
  }

  /** Whoever decides about HTLCs hears of one. A mistake there costs the channel that it is of. */
  #ask(entry: Entry, ask: () => Consequence): void {
    let consequence: Consequence
    try {
      consequence = ask()
    } catch (cause) {
      return this.stop(entry, cause)
    }
    this.follow(consequence)
  }

  #tellStopped({ keyIndex: channel }: Entry, cause: unknown): PerkunasError {
    const where = `channel ${channel}`
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new PerkunasError('INTERNAL', `${where} is stopped: ${reason}`, { where }, { cause })
    this.draft.effect({ kind: 'tell', event: { kind: 'stopped', channel, error } })
    return error
  }

  /** Nothing has left that was signed since the channel was as it is. */
  #takeBack({ state }: Entry): void {
    if (isLive(state)) signerOf(state.terms, this.env).takeBack(state.signer)
  }

  #hearAgain(entry: Entry, { input, env }: Heard & { readonly by: 'channel' }): () => void {
    const { next, monitor: updates, handoffs, effects } = step(entry.state, input, env)
    // Nobody would hear of them; blocks come again.
    if (handoffs.length > 0 && input.kind !== 'resolved') return () => undefined
    entry.state = next
    const result =
      updates.length === 0
        ? undefined
        : monitorStep(
            entry.monitor,
            { kind: 'updates', updates },
            { ...this.monitorEnv(entry), height: env.height },
          )
    if (result !== undefined) entry.monitor = result.next
    return () => {
      for (const effect of effects) if (isObliging(effect)) channelEffect(this, entry, effect)
      for (const effect of result?.effects ?? []) monitorEffect(this, entry, effect)
    }
  }

  #watchAgain(entry: Entry, { input, env }: Heard & { readonly by: 'monitor' }): () => void {
    const { record } = this.monitorEnv(entry)
    const { next, revoked, effects } = monitorStep(entry.monitor, input, { ...env, record })
    entry.monitor = next
    entry.revoked = [...entry.revoked, ...revoked]
    return () => {
      for (const effect of effects) monitorEffect(this, entry, effect)
    }
  }
}

/** What nobody says again: the blocks count as dealt with, wishes as made. */
const LASTING: ReadonlySet<ChannelInput['kind']> = new Set(['want', 'depth', 'block', 'spent', 'resolved'])
/** What a channel that stands still hears: all that its money may depend on, and nothing of its peer's. */
const OBLIGING: ReadonlySet<ChannelInput['kind']> = new Set([...LASTING, 'unwant', 'forceClose'])

function mayLeave({ stopped }: Entry, effect: Effect): boolean {
  return stopped === undefined || isObliging(effect)
}

/** Of a channel that stands still nothing is said to the peer but that it ends. */
function isObliging(effect: Effect): boolean {
  if (effect.kind === 'send') return effect.message.kind === 'error'
  return effect.kind !== 'ask' && effect.kind !== 'fund' && effect.kind !== 'disconnect'
}

/** Whether others are to hear of what became of HTLCs. */
function handsOn(result: MonitorStep | undefined): boolean {
  return result?.handoffs.some(({ kind }) => kind === 'learned' || kind === 'htlcResolved') === true
}
