// What a node asks of its wallet: coins for channels and for what their monitors publish, each kept under a purpose by which
// it is found again after a restart.
import type { PerkunasError } from '../../../channel/errors.js'
import type { ChannelInput } from '../channel/index.js'
import type { NodeEffect } from './effects.js'
import type { Entry } from './entries.js'
import { asError } from './faults.js'
import type { LightningNodeOptions } from './options.js'
import type { Turns } from './turns.js'

/** What coins need of their node. */
export interface CoinsOptions {
  readonly wallet: LightningNodeOptions['wallet']
  readonly turns: Turns
  /** Of the node. */
  readonly id: string
  /** A channel of ours will end for want of money. */
  readonly unfunded: (channel: bigint, error: PerkunasError) => void
}

/** See above. */
export class Coins {
  readonly #options: CoinsOptions
  /** What the wallet is asked for, by purpose. */
  readonly #reserving = new Set<string>()

  constructor(options: CoinsOptions) {
    this.#options = options
  }

  /** Pays for a channel; nobody sees it yet. */
  async fund({ channel, amount, script, feerate }: NodeEffect & { kind: 'fund' }): Promise<void> {
    const { wallet, turns, unfunded } = this.#options
    try {
      const outputs = [{ amount, script }]
      const funded = await wallet.fund({ purpose: this.#purpose(channel), outputs, feerate })
      const transaction = await wallet.sign(funded.transaction, funded.coins)
      const reservation = funded.reservation.id
      turns.push({ kind: 'funded', channel, funding: { reservation, transaction }, index: 0 })
    } catch (cause) {
      unfunded(channel, asError(cause, 'funding'))
      const input: ChannelInput = { kind: 'fundingFailed', reason: 'the opener can not fund it' }
      turns.push({ kind: 'channel', channel, input })
    }
  }

  /** Keeps coins for an attempt of a monitor. What it can't have now that asks for again. */
  async reserve({ channel, attempt, amount, feerate }: NodeEffect & { kind: 'reserve' }): Promise<void> {
    const { wallet, turns } = this.#options
    const purpose = this.#purpose(channel, attempt)
    if (this.#reserving.has(purpose)) return
    this.#reserving.add(purpose)
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
    const { wallet, id: node } = this.#options
    const inUse = new Set<string>()
    for (const { keyIndex, monitor } of entries) {
      inUse.add(this.#purpose(keyIndex))
      for (const { id } of monitor?.attempts ?? []) inUse.add(this.#purpose(keyIndex, id))
    }
    for (const { id, purpose } of await wallet.reservations()) {
      if (purpose.startsWith(`${node} channel `) && !inUse.has(purpose)) await wallet.release(id)
    }
  }

  /** For which the wallet keeps coins: a channel's funding, or an attempt of its monitor. */
  #purpose(channel: bigint, attempt?: string): string {
    return `${this.#options.id} channel ${channel}${attempt === undefined ? '' : ` ${attempt}`}`
  }
}
