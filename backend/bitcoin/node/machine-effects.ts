// What the effects of a channel and of its monitor come to in the node around them.
import { absurd } from '../../../channel/errors.js'
import type { PeerID } from '../../../peer/index.js'
import { type Effect, isLive } from '../channel/index.js'
import type { MonitorEffect } from '../monitor/index.js'
import type { LightningMessage } from '../wire/index.js'
import type { ChainWatch } from './chain-watch.js'
import type { Draft } from './draft.js'
import type { Entries, Entry } from './entries.js'

/** What effects of machines touch in their node. */
export interface AroundMachines {
  readonly draft: Draft
  readonly entries: Entries
  readonly chain: ChainWatch
  readonly peers: ReadonlyMap<PeerID, { readonly connection: number }>
  send(peer: PeerID, message: LightningMessage): void
  publishFunding(entry: Entry): void
}

/** Of a channel. */
export function channelEffect(around: AroundMachines, entry: Entry, effect: Effect): void {
  const { draft } = around
  const { keyIndex: channel, peer, state } = entry
  switch (effect.kind) {
    case 'send':
      return around.send(peer, effect.message)
    case 'disconnect': {
      const connection = around.peers.get(peer)?.connection
      const { reason } = effect
      if (connection !== undefined) draft.effect({ kind: 'disconnect', peer, connection, reason })
      return
    }
    case 'ask':
      return draft.effect({ kind: 'ask', channel })
    case 'fund': {
      const { amount, script, feerate } = effect
      return draft.effect({ kind: 'fund', channel, amount, script, feerate })
    }
    case 'publishFunding':
      return around.publishFunding(entry)
    case 'abortFunding':
      if (entry.funding !== undefined) {
        draft.effect({ kind: 'release', reservation: entry.funding.reservation })
        entry.funding = undefined
      }
      return
    case 'watch':
      if (isLive(state)) around.chain.awaitFunding(entry, state)
      return
    case 'publish': {
      const { what, transaction } = effect
      return draft.effect({ kind: 'publish', what, channel, transactions: [transaction] })
    }
    case 'tell':
      if (effect.event.kind === 'named') around.entries.name(entry, effect.event.channelID)
      // From now on it keeps things for us.
      if (effect.event.kind === 'ready') draft.effect({ kind: 'entrust', peer })
      return draft.effect({ kind: 'tell', event: { kind: 'channel', channel, peer, event: effect.event } })
    case 'refuse':
      // Whoever commanded it is told where the command was given.
      return
    default:
      return absurd(effect)
  }
}

/** Of a monitor. */
export function monitorEffect(around: AroundMachines, entry: Entry, effect: MonitorEffect): void {
  const { draft } = around
  const { keyIndex: channel, peer } = entry
  switch (effect.kind) {
    case 'watch':
      return around.chain.watch(entry, effect.outpoint)
    case 'unwatch':
      for (const outpoint of effect.outpoints) around.chain.unwatch(entry, outpoint)
      return
    case 'lookup':
      return draft.effect({ kind: 'lookup', channel, number: effect.number })
    case 'broadcast': {
      const { kind: _, ...given } = effect
      return draft.effect({ kind: 'publish', channel, ...given })
    }
    case 'reserve': {
      const { kind: _, ...given } = effect
      return draft.effect({ kind: 'reserve', channel, ...given })
    }
    case 'release':
      return draft.effect({ kind: 'releaseCoins', channel, attempt: effect.attempt })
    case 'tell':
      return draft.effect({ kind: 'tell', event: { kind: 'chain', channel, peer, event: effect.event } })
    default:
      return absurd(effect)
  }
}
