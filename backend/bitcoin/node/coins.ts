// What a node asks of its wallet: coins for channels and for what their monitors publish, each kept under a purpose by which
// it is found again after a restart.
import type { Hex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { ChannelInput } from '../channel/index.js'
import type { Sat } from '../units.js'
import type { NodeEffect } from './effects.js'
import type { Entry, FundingChild } from './entries.js'
import { asError } from './faults.js'
import { amountFor, type ChildCoins, type ChildWish, childFor } from './funding-child.js'
import type { LightningNodeOptions } from './options.js'
import type { Quarantine } from './quarantine.js'
import type { Turns } from './turns.js'

/** What coins need of their node. */
export interface CoinsOptions {
  readonly wallet: LightningNodeOptions['wallet']
  readonly turns: Turns
  /** Of the node. */
  readonly id: string
  readonly quarantine: Pick<Quarantine, 'has'>
  /** What has to stay in the wallet if that channel is funded, too. */
  readonly keepFor: (channel: bigint) => Sat
  /** A channel of ours will end for want of money. */
  readonly unfunded: (channel: bigint, error: PerkunasError) => void
}

interface Waiting {
  readonly effect: NodeEffect & { readonly kind: 'reserve' }
  readonly resolve: () => void
  readonly reject: (cause: unknown) => void
}

/** See above. */
export class Coins {
  readonly #options: CoinsOptions
  /** What the wallet is asked for, by purpose. */
  readonly #reserving = new Set<string>()
  /** What it is to be asked for, in whatever order. */
  readonly #waiting: Waiting[] = []
  #isAsking = false

  constructor(options: CoinsOptions) {
    this.#options = options
  }

  /** Pays for a channel; nobody sees it yet. */
  async fund({ channel, amount, script, feerate }: NodeEffect & { kind: 'fund' }): Promise<void> {
    const { wallet, turns, unfunded } = this.#options
    try {
      const outputs = [{ amount, script }]
      const keep = this.#options.keepFor(channel)
      const funded = await wallet.fund({ purpose: this.#purpose(channel), outputs, feerate, keep })
      const transaction = await wallet.sign(funded.transaction, funded.coins)
      const reservation = funded.reservation.id
      const { fee } = funded
      turns.push({ kind: 'funded', channel, funding: { reservation, transaction, fee }, index: 0 })
    } catch (cause) {
      unfunded(channel, asError(cause, 'funding'))
      const input: ChannelInput = { kind: 'fundingFailed', reason: 'the opener can not fund it' }
      turns.push({ kind: 'channel', channel, input })
    }
  }

  /**
   * Signs a child of a channel's funding: with the coins of the one before it, which it replaces, or else with the change.
   *
   * @throws PerkunasError INSUFFICIENT_FUNDS if it had no change, or what there is does not reach
   */
  async bumpFunding({ channel, wish }: NodeEffect & { kind: 'bumpFunding' }): Promise<void> {
    const { wallet, turns } = this.#options
    const purpose = this.#purpose(channel, FUNDING)
    if (this.#reserving.has(purpose)) return
    this.#reserving.add(purpose)
    let fresh: Hex | undefined
    try {
      const { before } = wish
      const found = before === undefined ? await this.#childCoins(purpose, wish) : coinsOf(before)
      const { reservation, ...given } = found
      if (before === undefined) fresh = reservation
      const made = childFor(wish, given)
      if (made === undefined) throw tooDear(channel, wish)
      const transaction = await wallet.sign(made.transaction, given.coins)
      const coins = given.coins.map(({ amount, script }, i) => {
        return { amount, script, weight: given.weights[i] ?? 0 }
      })
      turns.push({ kind: 'fundingChild', channel, child: { reservation, transaction, fee: made.fee, coins } })
      fresh = undefined
    } finally {
      this.#reserving.delete(purpose)
      if (fresh !== undefined) await wallet.release(fresh)
    }
  }

  async #childCoins(purpose: string, wish: ChildWish): Promise<ChildCoins & { readonly reservation: Hex }> {
    const { feerate, parent } = wish
    const request = { purpose, amount: amountFor(wish), feerate, parent: parent.transaction }
    const { reservation, coins, weights, changeScript } = await this.#options.wallet.reserveInputs(request)
    return { reservation: reservation.id, coins, weights, script: changeScript }
  }

  /**
   * Keeps coins for an attempt of a monitor. What it can't have now that asks for again.
   *
   * When many channels close at once there may not be coins for all: of those that ask in one turn, what is due soonest goes
   * first, and of that what most is at stake for.
   */
  async reserve(effect: NodeEffect & { kind: 'reserve' }): Promise<void> {
    const purpose = this.#purpose(effect.channel, effect.attempt)
    if (this.#reserving.has(purpose)) return
    this.#reserving.add(purpose)
    const done = new Promise<void>((resolve, reject) => this.#waiting.push({ effect, resolve, reject }))
    void this.#askAll()
    return done
  }

  async #askAll(): Promise<void> {
    if (this.#isAsking) return
    this.#isAsking = true
    // The rest of the turn asks, too.
    await Promise.resolve()
    for (let next = this.#mostUrgent(); next !== undefined; next = this.#mostUrgent())
      await this.#ask(next.effect).then(next.resolve, next.reject)
    this.#isAsking = false
  }

  #mostUrgent(): Waiting | undefined {
    this.#waiting.sort((a, b) => byUrgency(a.effect, b.effect))
    return this.#waiting.shift()
  }

  async #ask({ channel, attempt, amount, feerate }: NodeEffect & { kind: 'reserve' }): Promise<void> {
    const { wallet, turns } = this.#options
    const purpose = this.#purpose(channel, attempt)
    try {
      const found = await wallet.reserveInputs({ purpose, amount, feerate })
      const coins = found.coins.map(({ outpoint, amount, script }, i) => {
        return { outpoint, amount, script, weight: found.weights[i] ?? 0 }
      })
      const change = found.changeScript
      turns.push({ kind: 'monitor', channel, input: { kind: 'coins', attempt, coins, change } })
    } finally {
      this.#reserving.delete(purpose)
    }
  }

  /** Keeps none for it any more. */
  async releaseAttempt({ channel, attempt }: NodeEffect & { kind: 'releaseCoins' }): Promise<void> {
    const { wallet } = this.#options
    for (const { id, purpose } of await wallet.reservations()) {
      if (purpose === this.#purpose(channel, attempt)) await wallet.release(id)
    }
  }

  /** Coins that are kept for nothing any more: the record of what they were for was never written, or is gone. */
  async releaseForgotten(entries: Iterable<Entry>): Promise<void> {
    const { wallet, id: node, quarantine } = this.#options
    const inUse = new Set<string>()
    for (const { keyIndex, monitor, funding } of entries) {
      inUse.add(this.#purpose(keyIndex))
      if (funding?.child !== undefined) inUse.add(this.#purpose(keyIndex, FUNDING))
      for (const { id } of monitor?.attempts ?? []) inUse.add(this.#purpose(keyIndex, id))
    }
    for (const { id, purpose } of await wallet.reservations()) {
      const prefix = `${node} channel `
      if (!purpose.startsWith(prefix) || inUse.has(purpose)) continue
      const [channel = ''] = purpose.slice(prefix.length).split(' ')
      if (!quarantine.has(BigInt(channel))) await wallet.release(id)
    }
  }

  /** For which the wallet keeps coins: a channel's funding, or an attempt of its monitor. */
  #purpose(channel: bigint, attempt?: string): string {
    return `${this.#options.id} channel ${channel}${attempt === undefined ? '' : ` ${attempt}`}`
  }
}

/** Of the child of a channel's funding, among attempts of its monitor. */
const FUNDING = 'funding'

/** Those of a child, to be spent again by the one that replaces it. */
function coinsOf({
  reservation,
  transaction,
  coins,
}: FundingChild): ChildCoins & { readonly reservation: Hex } {
  const outpoints = transaction.inputs.map(({ outpoint }) => outpoint)
  return {
    reservation,
    coins: coins.flatMap((coin, i) => {
      const outpoint = outpoints[i]
      return outpoint === undefined ? [] : [{ ...coin, outpoint }]
    }),
    weights: coins.map(({ weight }) => weight),
    script: transaction.outputs[0]?.script ?? new Uint8Array(),
  }
}

function tooDear(channel: bigint, wish: ChildWish): PerkunasError<'INSUFFICIENT_FUNDS'> {
  const needed = amountFor(wish)
  const message = `no block takes the funding of channel ${channel}, and no child of it can pay ${needed} sat more`
  return new PerkunasError('INSUFFICIENT_FUNDS', message, { needed, available: wish.most })
}

type Stakes = Pick<Waiting['effect'], 'due' | 'value'>

function byUrgency(a: Stakes, b: Stakes): number {
  const [first, second] = [a.due ?? Number.POSITIVE_INFINITY, b.due ?? Number.POSITIVE_INFINITY]
  if (first !== second) return first < second ? -1 : 1
  return a.value === b.value ? 0 : a.value > b.value ? -1 : 1
}
