// Whole nodes of ours over a real chain: who they are, what they have, and how blocks come and go.
import { expect } from 'chai'
import { filter, firstValueFrom, ReplaySubject } from 'rxjs'
import { BitcoindSource, type BroadcastResult } from '../../../../backend/bitcoin/chain/index.js'
import type { ChannelPolicy } from '../../../../backend/bitcoin/channel/index.js'
import {
  LightningNode,
  lightningInit,
  type NodeChain,
  sourceChain,
} from '../../../../backend/bitcoin/node/index.js'
import type { PaymentEvent } from '../../../../backend/bitcoin/payments/index.js'
import {
  displayID,
  sha256,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import { type Msat, msat, type Sat, sat } from '../../../../backend/bitcoin/units.js'
import { BitcoindWallet } from '../../../../backend/bitcoin/wallet/index.js'
import { type Hex, toHex } from '../../../../channel/bytes.js'
import { createIdentity, type MemoryTransport, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import type { Bitcoind } from '../../../../scripts/bitcoind.js'
import { mineNew } from '../chain/node.js'

/** Short, so that no test mines for a day. */
const DELAY = 6
/** Of an anchor, which nobody spends without need. */
const ANCHOR = 330n
/** What a channel is worth, in satoshis, and what of it is the peer's at first. */
export const CAPACITY: Sat = sat(1_000_000n)
export const PUSH: Msat = msat(300_000_000n)

/** How a node is started otherwise. */
export interface Start {
  readonly transport?: MemoryTransport
  /** In place of the chain's. */
  readonly broadcast?: NodeChain['broadcast']
}

/** A node with all that it stands on, but the connections, which come and go. */
export class Party {
  readonly seed: Uint8Array
  node: LightningNode | undefined
  bus: PeerBus | undefined
  readonly events: PaymentEvent[] = []
  /** Each transaction that it published, and what the chain said. */
  readonly published = new ReplaySubject<{
    readonly transaction: Transaction
    readonly result: BroadcastResult
  }>()

  constructor(
    readonly name: string,
    readonly world: World,
    readonly wallet: BitcoindWallet,
    readonly store: MemoryStore = new MemoryStore(),
  ) {
    this.seed = sha256(new TextEncoder().encode(`seed of ${name} ${world.since}`))
  }

  get id(): Hex {
    return createIdentity(this.seed).id
  }

  get running(): LightningNode {
    if (this.node === undefined) throw new Error(`${this.name} does not run`)
    return this.node
  }

  async start({ transport = this.world.transport, broadcast }: Start = {}): Promise<LightningNode> {
    const { source, policy } = this.world
    const followed = sourceChain({ source, network: 'regtest', pollingInterval: 10 })
    const chain: NodeChain = {
      ...followed,
      broadcast: async (transactions) => {
        const result = await (broadcast ?? followed.broadcast)(transactions)
        for (const transaction of transactions) this.published.next({ transaction, result })
        return result
      },
    }
    const bus = new PeerBus({
      identity: createIdentity(this.seed),
      dialers: [transport.dialer],
      limits: { backoffMin: 5, backoffMax: 20 },
      ...lightningInit(chain.chainHash),
    })
    await bus.listen(transport.listener(this.name))
    this.bus = bus
    this.node = await LightningNode.start({
      bus,
      store: this.store,
      chain,
      wallet: this.wallet,
      seed: this.seed,
      policy: { toSelfDelay: { min: DELAY, max: DELAY }, ...policy },
      payments: { spontaneous: 'hold' },
    })
    this.node.handleChannels(() => ({ accept: true }))
    this.node.payments.events$.subscribe((event) => this.events.push(event))
    this.node.errors$.subscribe((error) => this.world.errors.push(`${this.name}: ${error.message}`))
    return this.node
  }

  async stop(): Promise<void> {
    await this.node?.stop()
    await this.bus?.close()
    this.node = undefined
    this.bus = undefined
  }

  /** All that the wallet has or is about to have, in satoshis. */
  async coins(): Promise<bigint> {
    const { confirmed, unconfirmed, immature, reserved } = await this.wallet.balance()
    return confirmed + unconfirmed + immature + reserved
  }

  /** Resolves when it has published such a transaction, and the chain has it. */
  async publishes(isIt: (transaction: Transaction) => boolean): Promise<Transaction> {
    const isThere = ({ kind }: BroadcastResult) => ['accepted', 'known', 'confirmed'].includes(kind)
    const wanted = filter((one: { transaction: Transaction; result: BroadcastResult }) => {
      return isIt(one.transaction) && isThere(one.result)
    })
    return (await firstValueFrom(this.published.pipe(wanted))).transaction
  }

  /** Pays what the peer gets without having asked, and returns when the peer holds it. */
  async send(to: Party, number: number, amount: bigint): Promise<Hex> {
    const request = { kind: 'spontaneous', peer: to.id, amount: msat(amount) } as const
    this.running.payments.pay({ id: toHex(sha256(Uint8Array.of(number))), request }).catch(() => undefined)
    const isThere = ({ kind, payment }: PaymentEvent) =>
      kind === 'held' && payment.since >= this.world.since && !this.world.held.has(payment.paymentHash)
    const event = await to.running.eventually(() => to.events.find(isThere))
    this.world.held.add(event.payment.paymentHash)
    return event.payment.paymentHash
  }

  /** Resolves when nothing is in flight. */
  async idle(): Promise<void> {
    const { running } = this
    await running.eventually(
      () =>
        running.channels().every(({ live }) => live?.htlcs.length === 0 && live.wanted === 0) || undefined,
    )
  }
}

/** What both had before a channel was opened. */
export interface Begun {
  readonly alice: bigint
  readonly bob: bigint
  readonly height: number
}

/** Two nodes over one chain. */
export class World {
  readonly transport = memoryTransport()
  readonly parties: Party[] = []
  readonly errors: string[] = []
  /** Payments that were seen to be held. */
  readonly held = new Set<Hex>()
  readonly since = Date.now()
  /** What is left of `policy` is as ever. */
  readonly policy: Partial<ChannelPolicy>
  readonly source: BitcoindSource
  /** Makes a block of what waits. */
  readonly #mineOne: () => Promise<unknown>

  constructor(
    public bitcoind: Bitcoind,
    policy: Partial<ChannelPolicy> = {},
    mineOne: () => Promise<unknown> = () => mineNew(this.bitcoind, 1),
  ) {
    this.policy = policy
    this.#mineOne = mineOne
    this.source = new BitcoindSource({ url: bitcoind.url, credentials: { cookieFile: bitcoind.cookieFile } })
  }

  async party(name: string): Promise<Party> {
    const wallet = await BitcoindWallet.open({
      url: this.bitcoind.url,
      credentials: { cookieFile: this.bitcoind.cookieFile },
      wallet: `${name} ${this.since}`,
      store: new MemoryStore(),
    })
    const party = new Party(name, this, wallet)
    const { address } = await wallet.newAddress()
    await this.bitcoind.rpc('generatetoaddress', [3, address])
    this.parties.push(party)
    return party
  }

  /** Two nodes that have coins. */
  async met(): Promise<readonly [Party, Party]> {
    const [alice, bob] = [await this.party('alice'), await this.party('bob')]
    // What blocks make can be spent a hundred blocks later.
    await mineNew(this.bitcoind, 100)
    await alice.start()
    await bob.start()
    await this.synced()
    return [alice, bob]
  }

  /** The same, and a channel of hers with him that both can use. */
  async opened(): Promise<{
    readonly alice: Party
    readonly bob: Party
    readonly channel: bigint
    readonly begun: Begun
    /** ID of the funding transaction, as it is shown. */
    readonly funding: string
  }> {
    const [alice, bob] = await this.met()
    const height = await this.height()
    const begun = { alice: await alice.coins(), bob: await bob.coins(), height }
    const opening = { peer: bob.id, address: 'memory://bob', capacity: CAPACITY, push: PUSH }
    const { channel, live } = await alice.running.open(opening)
    // Of a funding that is the first output of its transaction.
    const funding = await alice.publishes((one) => toHex(transactionID(one)) === live?.channelID)
    await this.mine(live?.minimumDepth ?? 0)
    for (const { running } of [alice, bob]) await running.until(0n, ({ phase }) => phase === 'normal')
    return { alice, bob, channel, begun, funding: displayID(transactionID(funding)) }
  }

  async height(): Promise<number> {
    return Number(await this.bitcoind.rpc('getblockcount'))
  }

  /** Blocks, one by one, each of which all have dealt with. */
  async mine(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      await this.#mineOne()
      await this.synced()
    }
  }

  /** Until all channels are over, and no more blocks than so many. */
  async mineOut(most: number): Promise<void> {
    const isOver = () => this.parties.every(({ node }) => node?.channels().length === 0)
    for (let i = 0; i < most && !isOver(); i++) await this.mine(1)
    const left = this.parties.map(({ node }) => node?.channels().map(({ phase }) => phase))
    expect(left, this.errors.join()).to.deep.equal(this.parties.map(() => []))
  }

  async synced(): Promise<void> {
    const height = await this.height()
    for (const { node } of this.parties) {
      await node?.eventually(() => node.height === height || undefined)
    }
    // What follows from the block has had its time to get into the mempool.
    for (let i = 0; i < 3; i++) await this.bitcoind.rpc('getblockcount')
  }

  /** Fees of all transactions in blocks above a height. */
  async feesAbove(height: number): Promise<bigint> {
    const top = await this.height()
    let fees = 0n
    for (let at = height + 1; at <= top; at++) {
      const stats = await this.bitcoind.rpc('getblockstats', [at, ['totalfee']])
      fees += BigInt((stats as { totalfee: number }).totalfee)
    }
    return fees
  }

  /**
   * Whatever is not in a wallet went to miners, or is an anchor.
   *
   * @param but `fees` of others in the same blocks; what is `left` on the chain
   */
  async expectExact(
    alice: Party,
    bob: Party,
    begun: Begun,
    but: { readonly fees?: bigint; readonly left?: readonly bigint[] } = {},
  ): Promise<void> {
    const { fees: others = 0n, left = [0n, ANCHOR, 2n * ANCHOR] } = but
    const fees = (await this.feesAbove(begun.height)) - others
    const missing = begun.alice + begun.bob - (await alice.coins()) - (await bob.coins()) - fees
    expect(left, `${missing} sat are missing`).to.include(missing)
  }

  async stop(): Promise<void> {
    for (const party of this.parties) {
      await party.stop()
      await party.wallet.close()
    }
    await this.source.close()
  }
}
