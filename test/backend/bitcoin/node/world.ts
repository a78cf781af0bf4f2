// A world in memory for nodes: one chain, and for each node a wallet, a store and connections to the others.
import {
  LightningNode,
  type LightningNodeOptions,
  lightningInit,
} from '../../../../backend/bitcoin/node/index.js'
import { sha256 } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, type Msat } from '../../../../backend/bitcoin/units.js'
import { createIdentity, type MemoryTransport, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { Fuse } from './fuse.js'
import { CHAIN_HASH, TestChain } from './test-chain.js'
import { TestSwitch } from './test-switch.js'
import { TestWallet } from './test-wallet.js'

/** A node that may be stopped and started again with what was durable. */
export class TestNode {
  readonly wallet: TestWallet
  readonly htlcs = new TestSwitch()
  store: MemoryStore
  /** The node's own payments instead of those without onions. */
  hasPayments = false
  node: LightningNode | undefined
  bus: PeerBus | undefined
  fuse = new Fuse()
  readonly #seed: Uint8Array
  readonly #secret: Uint8Array

  constructor(
    readonly name: string,
    readonly world: TestWorld,
    store = new MemoryStore(),
    /** Where it listens. */
    readonly place = name,
  ) {
    this.wallet = new TestWallet(name)
    this.#seed = sha256(new TextEncoder().encode(`seed of ${name}`))
    this.#secret = sha256(new TextEncoder().encode(`identity of ${name}`))
    this.store = store
  }

  get id() {
    return createIdentity(this.#secret).id
  }

  get running(): LightningNode {
    if (this.node === undefined) throw new Error(`${this.name} does not run`)
    return this.node
  }

  async start(options: Partial<LightningNodeOptions> = {}): Promise<LightningNode> {
    const bus = new PeerBus({
      identity: createIdentity(this.#secret),
      dialers: [this.world.transport.dialer],
      addresses: Object.fromEntries(this.world.nodes.map(({ id, name }) => [id, `memory://${name}`])),
      limits: { backoffMin: 1, backoffMax: 5 },
      ...lightningInit(CHAIN_HASH),
    })
    this.bus = bus
    const fuse = new Fuse()
    this.fuse = fuse
    await this.htlcs.restore(this.store)
    await bus.listen(this.world.transport.listener(this.place))
    this.node = await LightningNode.start({
      bus: fuse.bus(bus),
      store: fuse.store(this.store),
      chain: fuse.chain(this.world.chain),
      wallet: this.wallet,
      seed: this.#seed,
      ...(this.hasPayments ? {} : { htlcs: this.htlcs }),
      ...options,
    })
    this.node.handleChannels(() => ({ accept: true }))
    return this.node
  }

  async stop(): Promise<void> {
    const { node, bus } = this
    this.node = undefined
    this.bus = undefined
    if (!this.fuse.isBlown) await node?.stop()
    await bus?.close()
  }

  /** The process ends, and another one begins with what is on disk. */
  async crash(): Promise<LightningNode> {
    this.fuse.blow()
    // Its promises never come to an end: it is left to the garbage collector.
    void this.node?.stop()
    await this.stop()
    return this.start()
  }

  /** Offers an HTLC, for the preimage of that number. */
  async offer(channel: bigint, amount: Msat, number: number, cltvExpiry = 0): Promise<void> {
    const height = cltvExpiry || this.world.chain.tip.height + 60
    await this.running.want(channel, {
      kind: 'want',
      intent: {
        kind: 'add',
        reference: `${this.name} ${number}`,
        amount,
        paymentHash: sha256(preimageOf(number)),
        cltvExpiry: blockHeight(height),
        onion: new Uint8Array(1366).fill(number & 0xff),
      },
    })
  }
}

/** See above. */
export class TestWorld {
  readonly chain = new TestChain()
  readonly transport: MemoryTransport = memoryTransport()
  readonly nodes: TestNode[] = []

  node(name: string, store?: MemoryStore): TestNode {
    const node = new TestNode(name, this, store)
    this.nodes.push(node)
    return node
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()))
  }
}

/** Of the payment with that number. */
export function preimageOf(number: number): Uint8Array {
  const bytes = new Uint8Array(32)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}
