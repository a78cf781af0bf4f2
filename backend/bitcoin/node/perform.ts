// What a turn of a node leads to is done here, after its commit.
import { isError, type PerkunasError } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import type { Store } from '../../../persistence/index.js'
import { openRevoked, revokedKey } from '../monitor/index.js'
import type { Coins } from './coins.js'
import type { Connections } from './connections.js'
import type { NodeEffect, NodeEvent } from './effects.js'
import { asError } from './faults.js'
import type { Inbound } from './inbound.js'
import type { LightningNodeOptions } from './options.js'
import type { Turns } from './turns.js'

/** Where effects go. */
export interface PerformerOptions extends Pick<LightningNodeOptions, 'store' | 'chain' | 'wallet'> {
  readonly turns: Turns
  readonly connections: Connections
  readonly coins: Coins
  readonly inbound: Inbound
  /** Has a peer keep our backup, if it does that for others. */
  readonly entrust: (peer: PeerID) => void
  /** Looks whether that backup of ours has more than we. */
  readonly returned: (effect: NodeEffect & { kind: 'returned' }) => void
  readonly tell: (event: NodeEvent) => void
  readonly report: (error: PerkunasError) => void
}

/** See above. */
export class Performer {
  readonly #options: PerformerOptions
  /** Rows that were told of. */
  readonly #unreadable = new Set<string>()

  constructor(options: PerformerOptions) {
    this.#options = options
  }

  /** Begins it; what takes its time goes on beside the turns, and its outcome is an input of a later one. */
  perform(effect: NodeEffect): void {
    const { connections, coins, inbound, store, wallet, tell, report } = this.#options
    switch (effect.kind) {
      case 'send':
        return this.#send(effect)
      case 'disconnect':
        return connections.disconnect(effect)
      case 'entrust':
        return this.#options.entrust(effect.peer)
      case 'returned':
        return this.#options.returned(effect)
      case 'ask':
        return void inbound.ask(effect.channel)
      case 'fund':
        return void coins.fund(effect)
      case 'bumpFunding':
        return this.#background('wallet', coins.bumpFunding(effect))
      case 'release':
        return this.#background('wallet', wallet.release(effect.reservation))
      case 'publish':
        return this.#background('chain', this.#publish(effect))
      case 'lookup':
        return this.#background('store', this.#lookUp(effect))
      case 'reserve':
        return this.#background('wallet', coins.reserve(effect))
      case 'releaseCoins':
        return this.#background('wallet', coins.releaseAttempt(effect))
      case 'sweepRows':
        return this.#background('store', sweepRows(store, effect.prefix))
      case 'tell':
        if ('error' in effect.event) report(effect.event.error)
        return tell(effect.event)
      case 'call':
        return effect.call()
    }
  }

  /** What has no encoding is a mistake of ours, and stops the channel that it is about. */
  #send(effect: NodeEffect & { kind: 'send' }): void {
    const { connections, turns, report } = this.#options
    try {
      connections.send(effect)
    } catch (cause) {
      const { peer, message } = effect
      report(asError(cause, message.kind))
      turns.push({ kind: 'unsaid', peer, message, cause })
    }
  }

  async #publish(effect: NodeEffect & { kind: 'publish' }): Promise<void> {
    const { what, channel, attempt, transactions, spent } = effect
    const { chain, wallet, turns } = this.#options
    const last = transactions.at(-1)
    if (last === undefined) return
    const signed = spent === undefined ? last : await wallet.sign(last, spent)
    const result = await chain.broadcast([...transactions.slice(0, -1), signed])
    const isRefused =
      result.kind === 'feeTooLow' || result.kind === 'missingInputs' || result.kind === 'rejected'
    if (!isRefused && what === 'funding') for (const one of transactions) await wallet.published(one)
    else if (!isRefused && spent !== undefined) await wallet.published(signed)
    if (!isRefused || attempt === undefined) return
    turns.push({ kind: 'monitor', channel, input: { kind: 'refused', attempt, why: result.kind } })
  }

  async #lookUp({ channel, number }: NodeEffect & { kind: 'lookup' }): Promise<void> {
    const { store, turns } = this.#options
    const key = revokedKey(channel, number)
    const row = await store.get(key)
    const htlcs = row === undefined ? [] : this.#revokedIn(key, row)
    turns.push({ kind: 'monitor', channel, input: { kind: 'revokedHtlcs', number, htlcs } })
  }

  /** What can't be read is as good as lost: balances, and what the peer makes of HTLCs, are punished without it. */
  #revokedIn(key: string, row: Uint8Array): ReturnType<typeof openRevoked> {
    try {
      return openRevoked(key, row)
    } catch (cause) {
      if (!isError(cause, 'INVALID_RECORD')) throw cause
      if (!this.#unreadable.has(key)) this.#options.report(cause)
      this.#unreadable.add(key)
      return []
    }
  }

  /** What may fail without harm: it is done again. */
  #background(what: string, work: Promise<unknown>): void {
    const { turns, report } = this.#options
    work.catch((cause: unknown) => {
      if (turns.stopped === undefined) report(asError(cause, what))
    })
  }
}

/** In pages, since nobody counted them. */
async function sweepRows(store: Store, prefix: string): Promise<void> {
  const keys: string[] = []
  for await (const [key] of store.scan(prefix, { limit: 1000 })) keys.push(key)
  if (keys.length === 0) return
  await store.commit(keys.map((key) => ({ kind: 'delete', key })))
  await sweepRows(store, prefix)
}
