// One of the processes that serve one client together: its store is PostgreSQL, its channels those that it holds.
import { type ChannelID, fromHex, type Hex, isError } from '../../channel/index.js'
import { createIdentity, PeerBus } from '../../peer/index.js'
import { tcpListener } from '../../peer/tcp.js'
import { PostgresStore } from '../../persistence/postgres.js'
import { serve } from '../../scripts/remote.js'
import { type Keys, keepPaying, type Ledger, makeClient } from './party.js'

/** Who it is, and where its store is. */
export interface ServerOptions {
  readonly ledger: Ledger
  readonly keys: Keys
  /** Of its network identity. */
  readonly identity: Hex
  readonly database: string
  /** Milliseconds of a lease. */
  readonly ttl: number
}

/** What a server tells unasked. */
export type ServerTold =
  /** A state that is agreed and durable; also the one that a channel was brought back with. */
  | {
      readonly kind: 'state'
      readonly channel: ChannelID
      readonly version: bigint
      readonly balances: readonly bigint[]
      readonly isNew: boolean
    }
  | { readonly kind: 'error'; readonly message: string }

/** What a server can be asked. */
export type ServerCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: ServerOptions): Promise<{ readonly peer: Hex; readonly address: string }>
}

async function begin(options: ServerOptions, tell: (told: ServerTold) => void) {
  const { ledger, keys, identity, database, ttl } = options
  const bus = new PeerBus({ identity: createIdentity(fromHex(identity)) })
  const address = await bus.listen(tcpListener())
  const store = await PostgresStore.open(database, { share: { ttl } })
  if (store.leases === undefined) throw new Error('a shared store has leases')
  const { client, backend, asset } = await makeClient(ledger, keys, { bus, store, leases: store.leases })
  client.errors$.subscribe(({ code, message }) => tell({ kind: 'error', message: `${code}: ${message}` }))
  let isOver = false
  client.newChannels$.subscribe((channel) => {
    const tellState = (isNew: boolean) => {
      const { version, allocation } = channel.state
      tell({ kind: 'state', channel: channel.id, version, balances: allocation.balances[0] ?? [], isNew })
    }
    tellState(false)
    channel.updates$.subscribe(() => tellState(true))
    // Both sides propose, and cross now and then.
    void keepPaying(
      channel,
      150,
      () => isOver,
      () => undefined,
    )
  })
  const calls = {
    async restore(_: null): Promise<number> {
      return (await client.restore()).length
    },
    channels: (_: null) =>
      client.channels().map(({ id, state, phase }) => ({
        id,
        version: state.version,
        balances: state.allocation.balances[0] ?? [],
        phase,
      })),
    rest(_: null): void {
      isOver = true
    },
    /** The code of what a proposal to that peer fails with. */
    async refusal(peer: Hex): Promise<string> {
      const allocation = { assets: [asset], balances: [[1n, 1n]] }
      try {
        await client.proposeChannel({ peers: [peer], allocation, challengeDuration: 3_600n })
        return 'opened'
      } catch (error) {
        return isError(error, 'SERVED_ELSEWHERE') ? error.code : String(error)
      }
    },
  }
  const end = async () => {
    isOver = true
    await client.close()
    await bus.close()
    await backend.close()
    await store.close()
  }
  return { calls, end, about: { peer: bus.id, address } }
}

let end = async () => {}
const calls: Record<string, (argument: never) => unknown> = {
  async begin(options: ServerOptions) {
    const server = await begin(options, tell)
    Object.assign(calls, server.calls)
    end = server.end
    return server.about
  },
}
const tell = serve(calls, () => end())
