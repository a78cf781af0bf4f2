// A watchtower on a simulated ledger, with clients that publish to it over a network of their own.
import { SimBackend, SimLedger, SimNode } from '../../../backend/sim/index.js'
import type { ChannelID, SignedState } from '../../../channel/index.js'
import type { Channel, ChannelEvent } from '../../../client/index.js'
import {
  RemoteWatcher,
  type RemoteWatcherOptions,
  Tower,
  type TowerEvent,
  type TowerOptions,
} from '../../../client/tower/index.js'
import { towerMessages } from '../../../client/tower/messages.js'
import { type MemoryNetwork, memoryNetwork, type PeerID } from '../../../peer/index.js'
import { MemoryStore, type Store } from '../../../persistence/index.js'
import { MemoryWallet } from '../../../wallet/index.js'
import { type Group, group, open, type Party, restarted, who } from '../parties.js'

export const TOWER: PeerID = `0x02${'70'.repeat(32)}`

/** A tower while it runs. */
export interface Running {
  readonly tower: Tower
  /** Pays its transactions. */
  readonly account: `0x${string}`
  readonly events: TowerEvent[]
  kinds(): string[]
  /** Ends it without a word; the store is left as it is. */
  kill(): Promise<void>
}

/** Starts a tower for these clients. */
export async function startTower(
  world: { readonly ledger?: Group['ledger'] },
  network: MemoryNetwork,
  clients: readonly PeerID[],
  store: Store,
  options: Partial<TowerOptions> = {},
): Promise<Running> {
  const wallet = new MemoryWallet([new Uint8Array(32).fill(9)])
  const [account] = await wallet.addresses()
  if (account === undefined) throw new Error('a wallet has an address')
  const ledger = new SimNode(world.ledger ?? new SimLedger())
  const backend = new SimBackend({ ledger, account, wallet: new MemoryWallet() })
  const bus = network.bus(TOWER)
  const events: TowerEvent[] = []
  const onEvent = (event: TowerEvent) => events.push(event)
  const tower = await Tower.open({ bus, store, backend, clients, onEvent, ...options })
  return {
    tower,
    account,
    events,
    kinds: () => events.map(({ kind }) => kind),
    async kill() {
      tower.close()
      await bus.close()
      await backend.close()
    },
  }
}

/** Alice, who publishes to a tower, and Bob, who does not, with a channel between them. */
export interface Watched {
  readonly world: Group
  readonly network: MemoryNetwork
  readonly store: MemoryStore
  readonly alice: Party
  readonly bob: Party
  readonly remote: RemoteWatcher
  readonly a: Channel
  readonly b: Channel
  readonly events: ChannelEvent[]
}

/** Opens a channel; the tower need not be there. */
export async function watched(options: Partial<RemoteWatcherOptions> = {}): Promise<Watched> {
  const world = await group(2)
  const network = memoryNetwork()
  const first = who(world, 0)
  let remote: RemoteWatcher | undefined
  const bus = network.bus(first.peer)
  // The backend is made with the client, so the watcher comes when the first channel does.
  const lazy = {
    watch: (...args: Parameters<RemoteWatcher['watch']>) => {
      remote ??= made()
      return remote.watch(...args)
    },
    enabled: (id: ChannelID) => remote?.enabled(id),
    over: (id: ChannelID) => remote?.over(id),
  }
  const alice = await restarted(first, world, { watcher: lazy })
  const made = () =>
    new RemoteWatcher({
      bus,
      tower: TOWER,
      adjudicator: alice.backend.adjudicator,
      ...options,
    })
  const bob = who(world, 1)
  const [a, b] = await open({ ...world, parties: [alice, bob] })
  if (a === undefined || b === undefined || remote === undefined) throw new Error('two channels')
  const events: ChannelEvent[] = []
  a.events$.subscribe((event) => events.push(event))
  return { world, network, store: new MemoryStore(), alice, bob, remote, a, b, events }
}

/** The newest state with all signatures. */
export function signedOf(channel: Channel): SignedState {
  const signed = channel.signedState
  if (signed === undefined) throw new Error('signatures expected')
  return signed
}

/** A peer that speaks for itself to a tower, and hears the versions that it answers with. */
export function speaker(network: MemoryNetwork, id: PeerID) {
  const bus = network.bus(id)
  const heard: string[] = []
  bus.onMessage((_, payload) => {
    const message = towerMessages.decode(payload)
    if (message.kind !== 'watching' && message.kind !== 'notWatching') return void heard.push(message.kind)
    const children = message.subChannels.map(({ version }) => ` ${version}`)
    heard.push(`${message.kind} ${message.version}${children.join('')}`)
  })
  bus.onPeer(({ kind }) => heard.push(kind))
  bus.connect(TOWER)
  const watch = (
    signed: SignedState,
    subChannels: readonly SignedState[] = [],
    cursor: string | null = null,
  ) => bus.send(TOWER, towerMessages.encode({ kind: 'watch', signed, subChannels, cursor }))
  return { bus, heard, watch }
}
