// The machines of a node's channels and of their monitors, and how one's step leads to another's within a turn: a channel
// tells its monitor, both hand HTLCs to whoever decides about them, and that wants something of channels.
import { absurd, PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { FeeTable } from '../chain/index.js'
import {
  type ChannelEnv,
  type ChannelInput,
  isFlushUrgent,
  isLive,
  type Step,
  step,
  wantsFlush,
} from '../channel/index.js'
import { FUNDING_DEADLINE } from '../channel/policy.js'
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
import { Draft } from './draft.js'
import { Entries, type Entry } from './entries.js'
import { entryWrites } from './entry-rows.js'
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

  /** An input that nobody waits for. A channel at which we make a mistake stands still; the others go on. */
  input(entry: Entry, input: ChannelInput): void {
    if (entry.stopped !== undefined) return
    let result: Step
    try {
      result = step(entry.state, input, this.env)
    } catch (cause) {
      return this.stop(entry, cause)
    }
    this.apply(entry, result)
  }

  /**
   * An input that our user waits for.
   *
   * @throws why it can't be done
   */
  command(entry: Entry, input: ChannelInput): void {
    if (entry.stopped !== undefined) throw entry.stopped
    const result = step(entry.state, input, this.env)
    this.apply(entry, result)
    const refused = result.effects.find((effect) => effect.kind === 'refuse')
    if (refused !== undefined) throw refused.error
  }

  /** Takes a step of a channel for what is true now, and does what follows from it. */
  apply(entry: Entry, { next, monitor, handoffs, effects }: Step): void {
    const wasLive = isLive(entry.state)
    if (next !== entry.state || monitor.length > 0) this.draft.change(entry)
    entry.state = next
    if (isLive(next) && next.link.kind === 'up') this.#doubted.delete(entry.keyIndex)
    // What it refuses is a mistake of ours that must not be committed.
    const result =
      monitor.length === 0
        ? undefined
        : monitorStep(entry.monitor, { kind: 'updates', updates: monitor }, this.monitorEnv(entry))
    if (result !== undefined) {
      entry.monitor = result.next
      entry.revoked.push(...result.revoked)
    }
    if (handoffs.length > 0 || handsOn(result)) this.draft.handsOn(entry)
    for (const effect of effects) channelEffect(this, entry, effect)
    if (isLive(next) && !wasLive) this.entries.forgetTemporary(entry)
    if (isLive(next) && wantsFlush(next)) this.#toFlush.add(entry)
    for (const handoff of handoffs) this.follow(this.htlcs.handed(entry.keyIndex, handoff, this.env.height))
    if (result !== undefined) this.#applyMonitor(entry, result)
  }

  /** What happens beside the channel. A mistake of ours stops both. */
  monitorInput(entry: Entry, input: MonitorInput): void {
    const { monitor } = entry
    if (monitor === undefined) return
    let result: MonitorStep
    try {
      result = monitorStep(monitor, input, this.monitorEnv(entry))
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
      const wish = { kind: 'want', intent } as const
      this.draft.wants(entry, wish)
      this.input(entry, wish)
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
          this.follow(this.htlcs.learned(entry.keyIndex, handoff.htlc, handoff.preimage))
          break
        case 'htlcResolved':
          this.follow(this.htlcs.resolved(entry.keyIndex, handoff.htlc, handoff.to))
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

  /** Steps of a channel from which nothing follows but what is written: those that can be. */
  keep(entry: Entry, inputs: readonly ChannelInput[]): void {
    for (const input of inputs) {
      const { state, monitor } = entry
      try {
        const { next, monitor: updates, handoffs } = step(state, input, this.env)
        if (handoffs.length > 0) continue
        entry.state = next
        if (updates.length > 0)
          entry.monitor = monitorStep(monitor, { kind: 'updates', updates }, this.monitorEnv(entry)).next
        if (isLive(next)) entryWrites({ ...entry }, next)
      } catch {
        entry.state = state
        entry.monitor = monitor
      }
    }
  }

  /** A mistake of ours: nothing happens to the channel any more, and the others go on. */
  stop(entry: Entry, cause: unknown): void {
    if (entry.stopped !== undefined) return
    const where = `channel ${entry.keyIndex}`
    const reason = cause instanceof Error ? cause.message : String(cause)
    const error = new PerkunasError('INTERNAL', `${where} is stopped: ${reason}`, { where }, { cause })
    entry.stopped = error
    this.draft.effect({ kind: 'tell', event: { kind: 'stopped', channel: entry.keyIndex, error } })
  }
}

/** Whether others are to hear of what became of HTLCs. */
function handsOn(result: MonitorStep | undefined): boolean {
  return result?.handoffs.some(({ kind }) => kind === 'learned' || kind === 'htlcResolved') === true
}
