// The process on the other side: several clients with stores of their own, who pay the shared one all the time, and
// who look closely at all that it signs.
import { type ChannelID, fromHex, type Hex, type State } from '../../channel/index.js'
import type { Channel } from '../../client/index.js'
import { messages } from '../../client/messages.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpDialer } from '../../peer/tcp.js'
import { MemoryStore } from '../../persistence/index.js'
import { serve } from '../../scripts/remote.js'
import { type Keys, keepPaying, type Ledger, makeClient } from './party.js'

/** One user, and whom it knows. */
export interface UserOptions {
  readonly ledger: Ledger
  readonly keys: Keys
  /** Of its network identity. */
  readonly identity: Hex
  /** The client that several processes serve. */
  readonly peer: Hex
  /** Where those processes are; dialled in turn. */
  readonly addresses: readonly string[]
  readonly channels: number
  /** Whether it keeps its connection with a process that says nothing for as long as this test may take. */
  readonly isPatient: boolean
}

/** Milliseconds. Whoever stands still without hanging up is noticed soon, be it at a new connection's first word. */
const WATCHFUL = { handshakeTimeout: 1_500, pingInterval: 1_500, pingTimeout: 1_500 }

/** What the users tell unasked. */
export type UsersTold =
  /** A payment of a user was agreed on by both. */
  | { readonly kind: 'paid'; readonly channel: ChannelID; readonly at: number }
  /** The shared client signed two contents of one version. */
  | { readonly kind: 'signedTwice'; readonly channel: ChannelID; readonly version: bigint }

/** What is had of a channel. */
export interface Had {
  readonly id: ChannelID
  readonly version: bigint
  readonly balances: readonly bigint[]
}

/** A bus whose user knows what the peer has signed: by channel and version, what it says. */
class WatchfulBus extends PeerBus {
  readonly #proposed = new Map<string, string>()
  readonly #signed = new Map<string, string>()

  /** Looks at all that comes from now on. */
  watch(twice: (channel: ChannelID, version: bigint) => void): void {
    const signed = (channel: ChannelID, version: bigint, content: string) => {
      const key = `${channel} ${version}`
      if ((this.#signed.get(key) ?? content) !== content) twice(channel, version)
      this.#signed.set(key, content)
    }
    this.onMessage((_, payload) => {
      const message = messages.decode(payload)
      if (message.kind === 'channelUpdate' || message.kind === 'signedState') {
        signed(message.state.channelID, message.state.version, content(message.state))
      } else if (message.kind === 'channelUpdateAcc' && message.actor === 0) {
        const { channelID, version } = message
        signed(channelID, version, this.#proposed.get(`${channelID} ${version}`) ?? 'what we never proposed')
      }
    })
  }

  override send(to: Hex, payload: Uint8Array): Promise<void> {
    const message = messages.decode(payload)
    if (message.kind === 'channelUpdate') {
      const { state } = message
      this.#proposed.set(`${state.channelID} ${state.version}`, content(state))
    }
    return super.send(to, payload)
  }
}

function content({ allocation, isFinal }: State): string {
  return `${allocation.balances.join()} ${isFinal}`
}

/** What the users can be asked. */
export type UsersCalls = typeof calls

const ends: (() => Promise<void>)[] = []
const open: Channel[] = []
let isOver = false

const calls = {
  /** A user comes, opens its channels, and pays from then on. */
  async begin(
    options: UserOptions,
  ): Promise<{ readonly peer: Hex; readonly channels: readonly ChannelID[] }> {
    const { ledger, keys, identity, peer, addresses } = options
    const bus = new WatchfulBus({
      identity: createIdentity(fromHex(identity)),
      dialers: [tcpDialer()],
      addresses: { [peer]: addresses.join() },
      limits: { backoffMin: 50, backoffMax: 1_000, ...(options.isPatient ? {} : WATCHFUL) },
    })
    bus.watch((channel, version) => tell({ kind: 'signedTwice', channel, version }))
    const { client, backend, asset } = await makeClient(ledger, keys, { bus, store: new MemoryStore() })
    const allocation = { assets: [asset], balances: [[1_000_000n, 1_000_000n]] }
    const channels = await Promise.all(
      Array.from({ length: options.channels }, () =>
        client.proposeChannel({ peers: [peer], allocation, challengeDuration: 3_600n }),
      ),
    )
    for (const channel of channels) {
      const paid = () => tell({ kind: 'paid', channel: channel.id, at: Date.now() })
      void keepPaying(channel, 30, () => isOver, paid)
    }
    open.push(...channels)
    ends.push(async () => {
      await client.close()
      await bus.close()
      await backend.close()
    })
    return { peer: bus.id, channels: channels.map(({ id }) => id) }
  },

  rest(_: null): void {
    isOver = true
  },

  channels: (_: null): readonly Had[] =>
    open.map(({ id, state }) => ({
      id,
      version: state.version,
      balances: state.allocation.balances[0] ?? [],
    })),

  /** Settles a channel together. */
  async settle(id: ChannelID): Promise<void> {
    await open.find((channel) => channel.id === id)?.settle()
  },
}

const report = serve(calls, async () => {
  isOver = true
  await Promise.all(ends.map((end) => end()))
})

function tell(told: UsersTold): void {
  report(told)
}
