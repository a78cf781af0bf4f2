// Our node in a process of its own, that can be killed: channels and payments over TCP, an LMDB store, a real chain.
import { filter, firstValueFrom, ReplaySubject, Subject } from 'rxjs'
import { BitcoindSource } from '../../../backend/bitcoin/chain/index.js'
import {
  type ChannelView,
  LightningNode,
  lightningInit,
  type NodeChain,
  sourceChain,
} from '../../../backend/bitcoin/node/index.js'
import type { PaymentEvent, PayRequest } from '../../../backend/bitcoin/payments/index.js'
import { transactionID } from '../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../backend/bitcoin/units.js'
import { BitcoindWallet } from '../../../backend/bitcoin/wallet/index.js'
import { fromHex, type Hex, toHex } from '../../../channel/index.js'
import { createIdentity, PeerBus } from '../../../peer/index.js'
import { tcpDialer, tcpListener } from '../../../peer/tcp.js'
import type { Store } from '../../../persistence/index.js'
import { LmdbStore } from '../../../persistence/lmdb.js'
import { serve } from '../../../scripts/remote.js'

/** Who a process is; the same after each restart. */
export interface PartyOptions {
  /** bitcoind. Its credentials are `user:password`. */
  readonly rpc: { readonly url: string; readonly credentials: string }
  /** Of its channels. */
  readonly seed: Hex
  /** Of its network identity. */
  readonly identity: Hex
  readonly directory: string
  /** bitcoind's name for our wallet. */
  readonly wallet: string
  /** Where LDK is. */
  readonly peer: { readonly id: Hex; readonly port: number }
  /** A backup, in place of a store that was lost. */
  readonly recover?: Hex
}

/** At which commit a process dies. */
export interface Doom {
  /** Commits that it has yet to live through. */
  readonly commits: number
  readonly when: 'before' | 'after'
}

/** What a channel is, as far as a test cares. Amounts in millisatoshis. */
export interface PartyChannel {
  readonly channel: bigint
  readonly id: Hex | undefined
  readonly phase: string
  readonly isConnected: boolean
  readonly local: bigint
  readonly remote: bigint
  readonly htlcs: number
  readonly wanted: number
  readonly reason: string | undefined
}

/** How a payment ended. */
export interface Ended {
  readonly kind: PaymentEvent['kind']
  readonly hash: Hex
  readonly amount: bigint
}

/** What a process tells unasked. */
export type Told =
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'payment'; readonly ended: Ended }

/** Milliseconds between two looks at the chain. */
const POLLING = 50

/** What a process can be asked. */
export type PartyCalls = Awaited<ReturnType<typeof begin>>['calls'] & {
  begin(options: PartyOptions): Promise<{ readonly id: Hex; readonly port: number }>
}

async function begin(options: PartyOptions, tell: (told: Told) => void) {
  const { rpc, seed, identity, directory, peer } = options
  const [user = '', password = ''] = rpc.credentials.split(':')
  const access = { url: rpc.url, credentials: { user, password } }
  const source = new BitcoindSource(access)
  const followed = sourceChain({
    source,
    network: 'regtest',
    pollingInterval: POLLING,
  })
  const published = new Subject<Hex>()
  const chain: NodeChain = {
    ...followed,
    async broadcast(transactions) {
      const result = await followed.broadcast(transactions)
      for (const one of transactions) published.next(toHex(transactionID(one)))
      return result
    },
  }
  const disk = new LmdbStore(directory)
  let doom = { commits: Number.POSITIVE_INFINITY, when: 'before' as Doom['when'] }
  const die = () => process.kill(process.pid, 'SIGKILL')
  const store: Store = {
    get: (key) => disk.get(key),
    scan: (prefix, scan) => disk.scan(prefix, scan),
    async commit(batch) {
      const isLast = --doom.commits < 0
      if (isLast && doom.when === 'before') die()
      await disk.commit(batch)
      if (isLast) die()
    },
    close: () => disk.close(),
  }
  const bus = new PeerBus({
    identity: createIdentity(fromHex(identity)),
    dialers: [tcpDialer()],
    addresses: { [peer.id]: `tcp://127.0.0.1:${peer.port}` },
    limits: { backoffMin: 5, backoffMax: 100 },
    ...lightningInit(chain.chainHash),
  })
  const address = await bus.listen(tcpListener())
  const wallet = await BitcoindWallet.open({ ...access, wallet: options.wallet, store })
  const all = {
    bus,
    store,
    chain,
    wallet,
    seed: fromHex(seed),
    policy: {
      minimumDepth: { min: 1, max: 1 },
      maxAcceptedHtlcs: 483,
      maxDustExposure: { fixed: msat(5_000_000_000n) },
    },
  }
  const node = await (options.recover === undefined
    ? LightningNode.start(all)
    : LightningNode.recover(all, fromHex(options.recover)))
  node.handleChannels(() => ({ accept: true }))
  node.errors$.subscribe((error) => tell({ kind: 'error', message: `${error.code}: ${error.message}` }))
  const chainEvents: string[] = []
  node.events$.subscribe((event) => {
    if (event.kind === 'chain')
      chainEvents.push(
        JSON.stringify(event.event, (_, value: unknown) =>
          typeof value === 'bigint' ? String(value) : value,
        ),
      )
  })
  const { payments } = node
  payments.events$.subscribe((event) => {
    const { kind, payment } = event
    tell({ kind: 'payment', ended: { kind, hash: payment.paymentHash, amount: amountOf(event) } })
    // It was told; if that is lost with this process, it is told again by the next one.
    if (kind !== 'held') void payments.acknowledge(event).catch(() => {})
  })

  const calls = {
    /**
     * Opens a channel with LDK.
     *
     * @returns its name here, once both have signed and the next block has its funding: what is told of a channel does not
     *   wait until the chain has answered
     */
    async open({ value, push }: { readonly value: bigint; readonly push: bigint }): Promise<bigint> {
      const seen = new ReplaySubject<Hex>()
      const arrivals = published.subscribe(seen)
      const { channel, live } = await node.open({ peer: peer.id, capacity: sat(value), push: msat(push) })
      // The funding is the first output of its transaction, whose ID is the channel's then.
      await firstValueFrom(seen.pipe(filter((txid) => txid === live?.channelID)))
      arrivals.unsubscribe()
      return channel
    },

    /** Resolves when a channel can be used. */
    async usable(channel: bigint): Promise<PartyChannel> {
      return shown(
        await node.until(channel, ({ phase, live }) => phase === 'normal' && live?.isConnected === true),
      )
    },

    /** Resolves when nothing is in flight or wanted. */
    async idle(channel: bigint): Promise<PartyChannel> {
      const view = await node.until(
        channel,
        ({ live }) => live?.isConnected === true && live.htlcs.length === 0 && live.wanted === 0,
      )
      return shown(view)
    },

    /** Resolves when a channel is in a phase. */
    async until({
      channel,
      phase,
    }: {
      readonly channel: bigint
      readonly phase: string
    }): Promise<PartyChannel> {
      return shown(await node.until(channel, (view) => view.phase === phase))
    },

    channels: (_: null): readonly PartyChannel[] => node.channels().map(shown),

    /** Pays; with the same ID once. @returns how it ended */
    async pay({
      id,
      request,
    }: {
      readonly id: Hex
      readonly request: PayRequest
    }): Promise<'succeeded' | 'failed'> {
      const { status } = await payments.pay({ id, request })
      return status.kind === 'succeeded' ? 'succeeded' : 'failed'
    },

    async invoice(amount: bigint): Promise<string> {
      const description = { kind: 'text', text: 'test' } as const
      const { invoice } = await payments.invoice({ amount: msat(amount), description })
      if (invoice === undefined) throw new Error('an invoice was asked for')
      return invoice.text
    },

    /** An invoice whose payment is held until it is released. @returns it, and its hash */
    async heldInvoice(amount: bigint): Promise<{ readonly invoice: string; readonly hash: Hex }> {
      const description = { kind: 'text', text: 'test' } as const
      const made = await payments.invoice({ amount: msat(amount), description, isHeld: true })
      return { invoice: made.invoice?.text ?? '', hash: made.paymentHash }
    },

    release: (hash: Hex) => payments.release(hash),

    cancel: (hash: Hex) => payments.cancel(hash),

    /** Where LDK is now. */
    connect: (port: number) => node.connect(peer.id, `tcp://127.0.0.1:${port}`),

    /** Where coins can be sent. */
    address: async (_: null): Promise<string> => (await wallet.newAddress()).address,

    /** All coins of the wallet, in satoshis. */
    async funds(_: null): Promise<bigint> {
      const { confirmed, unconfirmed, reserved } = await wallet.balance()
      return confirmed + unconfirmed + reserved
    },

    backup: (_: null): Hex => toHex(node.backup()),

    /** What became of channels on chain, for people. */
    chainEvents: (_: null): readonly string[] => chainEvents,

    /** Resolves when the node knows a block of a height. */
    async seen(height: number): Promise<void> {
      await node.eventually(() => (node.height >= height ? true : undefined))
    },

    close: (channel: bigint) => node.close(channel),

    forceClose: (channel: bigint) => node.forceClose(channel),

    /** Dies at a commit to come: before it, or when it is durable and nothing has followed from it yet. */
    doom(next: Doom): void {
      doom = { ...next }
    },
  }
  const end = async () => {
    await node.stop()
    await bus.close()
    await wallet.close()
    await source.close()
    await store.close()
  }
  return { calls, end, about: { id: bus.id, port: Number(new URL(address).port) } }
}

function shown({ channel, phase, live }: ChannelView): PartyChannel {
  return {
    channel,
    id: live?.channelID,
    phase,
    isConnected: live?.isConnected ?? false,
    local: live?.balances.local ?? 0n,
    remote: live?.balances.remote ?? 0n,
    htlcs: live?.htlcs.length ?? 0,
    wanted: live?.wanted ?? 0,
    reason: live?.failure?.reason,
  }
}

function amountOf({ payment }: PaymentEvent): bigint {
  if ('id' in payment) return payment.amount
  return payment.status.kind === 'claimed' ? payment.status.received : 0n
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
const tell: (told: Told) => void = serve(calls, () => end())
