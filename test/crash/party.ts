// One of the processes that are killed: a client over TCP with an LMDB store and a real node.
import { EthereumBackend } from '../../backend/ethereum/index.js'
import {
  type Asset,
  type ChannelID,
  fromHex,
  type Hex,
  isError,
  type Phase,
  transfer,
} from '../../channel/index.js'
import { accept, type Channel, Client } from '../../client/index.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpDialer, tcpListener } from '../../peer/tcp.js'
import type { Store } from '../../persistence/index.js'
import { LmdbStore } from '../../persistence/lmdb.js'
import { serve } from '../../scripts/remote.js'
import { MemoryWallet } from '../../wallet/index.js'

/** Who a process is; the same after each restart. */
export interface PartyOptions {
  /** Of the account that takes part and pays. */
  readonly secret: Hex
  /** Of its network identity. */
  readonly identity: Hex
  readonly directory: string
  readonly rpc: string
  readonly adjudicator: Hex
  readonly holder: Hex
  readonly firstBlock: number
  readonly finalityDepth: number
}

/** What a process tells unasked. */
export type Told =
  /** A state of a channel that is agreed and durable; right after a restart the one that was found. */
  | {
      readonly kind: 'state'
      readonly channel: ChannelID
      /** Which participant the process is. */
      readonly index: number
      readonly version: bigint
      readonly balances: readonly bigint[]
      readonly phase: Phase
    }
  | { readonly kind: 'phase'; readonly channel: ChannelID; readonly phase: Phase }
  | { readonly kind: 'error'; readonly message: string }

/** What a process says of one of its channels. */
export interface View {
  readonly id: ChannelID
  readonly phase: Phase
  readonly version: bigint
}

/** At which commit a process dies. */
export interface Doom {
  /** Commits that it has yet to live through. */
  commits: number
  readonly when: 'before' | 'after'
}

/** What a process can be asked. */
export type PartyCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: PartyOptions): Promise<{ readonly peer: Hex; readonly address: string }>
}

/** Short: whoever waits for a peer that is dead goes on soon. Milliseconds. */
const TIMEOUTS = { proposal: 2_000, update: 1_000, settlement: 700 }

async function begin(options: PartyOptions, tell: (told: Told) => void) {
  const { rpc, adjudicator, holder, firstBlock, finalityDepth } = options
  const wallet = new MemoryWallet([fromHex(options.secret)])
  const [own] = await wallet.addresses()
  if (own === undefined) throw new Error('a wallet with a key has an address')
  const backend = await EthereumBackend.connect({
    provider: rpc,
    signer: await wallet.account(own),
    wallet,
    adjudicator,
    holders: [holder],
    firstBlock,
    finalityDepth,
    pollingInterval: 20,
  })
  const asset: Asset = backend.asset(holder)
  const bus = new PeerBus({
    identity: createIdentity(fromHex(options.identity)),
    dialers: [tcpDialer()],
    limits: { backoffMin: 20, backoffMax: 200 },
  })
  const address = await bus.listen(tcpListener())
  const disk = new LmdbStore(options.directory)
  let doom: Doom | undefined
  const store: Store = {
    get: (key) => disk.get(key),
    scan: (prefix, scan) => disk.scan(prefix, scan),
    async commit(batch) {
      const isLast = doom !== undefined && --doom.commits < 0
      if (isLast && doom?.when === 'before') process.kill(process.pid, 'SIGKILL')
      await disk.commit(batch)
      if (isLast) process.kill(process.pid, 'SIGKILL')
    },
    close: () => disk.close(),
  }
  const client = new Client({ bus, store, wallet, backend, timeouts: TIMEOUTS })
  client.handleProposals(() => accept())
  client.handleUpdates(() => accept())
  client.errors$.subscribe((error) => tell({ kind: 'error', message: `${error.code}: ${error.message}` }))

  const tellState = (channel: Channel) => {
    const { id, index, state, phase } = channel
    const [balances = []] = state.allocation.balances
    tell({ kind: 'state', channel: id, index, version: state.version, balances, phase })
  }
  /** The first state that this process had of each channel: what a cheat registers. */
  const first = new Map<string, Channel['signedState']>()
  client.newChannels$.subscribe((channel) => {
    first.set(channel.id, channel.signedState)
    tellState(channel)
    channel.updates$.subscribe(() => tellState(channel))
    channel.phases$.subscribe((phase) => tell({ kind: 'phase', channel: channel.id, phase }))
  })
  const channelOf = (id: ChannelID): Channel => {
    const channel = client.channel(id)
    if (channel === undefined) throw new Error(`there is no channel ${id}`)
    return channel
  }

  const calls = {
    /** Learns where the other one is. */
    connect: (peer: { readonly peer: Hex; readonly address: string }) => bus.connect(peer.peer, peer.address),

    /** Brings back what is in the store. */
    async restore(_: null): Promise<void> {
      await client.restore()
    },

    async open(terms: {
      readonly peer: Hex
      readonly balances: readonly bigint[]
      readonly challengeDuration: bigint
    }): Promise<ChannelID> {
      const { peer, balances, challengeDuration } = terms
      const allocation = { assets: [asset], balances: [balances] }
      const { id } = await client.proposeChannel({ peers: [peer], allocation, challengeDuration })
      return id
    },

    /** Pays, one update after another, also against those of the other side; returns how many were agreed on. */
    async pay({
      channel: id,
      count,
    }: {
      readonly channel: ChannelID
      readonly count: number
    }): Promise<number> {
      const channel = channelOf(id)
      const { index } = channel
      for (let i = 0; i < count; i++) {
        try {
          await channel.update((draft) => transfer(draft, { from: index, to: 1 - index, amount: 1n }))
        } catch (error) {
          if (isError(error, 'UPDATE_TIMEOUT')) continue
          return i
        }
      }
      return count
    },

    settle: (id: ChannelID) => channelOf(id).settle(),

    /** Registers an old state, as who would like to have it back. */
    async cheat(id: ChannelID): Promise<void> {
      const signed = first.get(id)
      if (signed !== undefined) await backend.adjudicator.register({ signed, subChannels: [] })
    },

    /** Dies at a commit to come: before it, or when it is durable and nothing has followed from it yet. */
    doom(next: Doom): void {
      doom = next
    },

    channels: (_: null): readonly View[] =>
      client.channels().map(({ id, phase, state: { version } }) => ({ id, phase, version })),
  }
  const end = async () => {
    await client.close()
    await bus.close()
    await backend.close()
    await store.close()
  }
  return { calls, end, about: { peer: bus.id, address } }
}

let end = async () => {}
const calls: Record<string, (argument: never) => unknown> = {
  async begin(options: PartyOptions) {
    const party = await begin(options, tell)
    Object.assign(calls, party.calls)
    end = party.end
    return party.about
  },
}
const tell = serve(calls, () => end())
