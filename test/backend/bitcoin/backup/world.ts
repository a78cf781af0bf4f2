// Two nodes on a chain that keeps Bitcoin's rules, of which one will lose its store.
import {
  LightningNode,
  type LightningNodeOptions,
  lightningInit,
  type NodeChain,
} from '../../../../backend/bitcoin/node/index.js'
import { sha256, type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { msat, sat } from '../../../../backend/bitcoin/units.js'
import { toHex } from '../../../../channel/bytes.js'
import type { PerkunasError } from '../../../../channel/errors.js'
import { createIdentity, type MemoryTransport, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore } from '../../../../persistence/index.js'
import { BitcoinLedger } from '../../../simulation/bitcoin/ledger.js'
import { SimWallet } from '../../../simulation/bitcoin/wallet.js'
import { LedgerChain } from '../node/ledger-chain.js'

/** Satoshis that each owns at the start. */
const WEALTH = 10_000_000n

/** A person with a seed, a wallet and a disk. */
export class Person {
  readonly seed: Uint8Array
  readonly wallet: SimWallet
  readonly errors: PerkunasError[] = []
  /** What `onBackup` got, oldest first. */
  readonly backups: Uint8Array[] = []
  /** What was given to the chain. */
  readonly published: Transaction[] = []
  store = new MemoryStore()
  bus: PeerBus | undefined
  #node: LightningNode | undefined

  constructor(
    readonly name: string,
    readonly world: LossyWorld,
  ) {
    this.seed = bytesOf(`seed ${name}`)
    this.wallet = new SimWallet(world.ledger, bytesOf(`wallet ${name}`))
    world.ledger.mint(WEALTH, this.wallet.script)
  }

  get id() {
    return this.identity.id
  }

  get identity() {
    return createIdentity(bytesOf(`identity ${this.name}`))
  }

  get node(): LightningNode {
    if (this.#node === undefined) throw new Error(`${this.name} does not run`)
    return this.#node
  }

  async start(changes: Partial<LightningNodeOptions> = {}): Promise<LightningNode> {
    return this.#run(LightningNode.start(await this.options(changes)))
  }

  /** The disk is gone. */
  async lose(): Promise<void> {
    await this.stop()
    this.store = new MemoryStore()
  }

  async recover(backup: Uint8Array, changes: Partial<LightningNodeOptions> = {}): Promise<LightningNode> {
    return this.#run(LightningNode.recover(await this.options(changes), backup))
  }

  async stop(): Promise<void> {
    await this.#node?.stop()
    await this.bus?.close()
    this.#node = undefined
    this.bus = undefined
  }

  /** @param changes beside the usual */
  async options(changes: Partial<LightningNodeOptions> = {}): Promise<LightningNodeOptions> {
    const { chain, transport } = this.world
    await this.bus?.close()
    this.bus = new PeerBus({
      identity: this.identity,
      dialers: [transport.dialer],
      limits: { backoffMin: 1, backoffMax: 5 },
      ...lightningInit(chain.chainHash),
    })
    await this.bus.listen(transport.listener(this.name))
    const own: NodeChain = {
      chainHash: chain.chainHash,
      follow: (from, handler) => chain.follow(from, handler),
      feeTable: () => chain.feeTable(),
      broadcast: (transactions) => {
        this.published.push(...transactions)
        return chain.broadcast(transactions)
      },
    }
    return {
      bus: this.bus,
      store: this.store,
      chain: own,
      wallet: this.wallet,
      seed: this.seed,
      policy: { toSelfDelay: { min: 10, max: 20 } },
      payments: { unknown: 'hold' },
      onBackup: (backup) => void this.backups.push(backup),
      ...changes,
    }
  }

  async #run(starting: Promise<LightningNode>): Promise<LightningNode> {
    const node = await starting
    this.#node = node
    node.handleChannels(() => ({ accept: true }))
    node.errors$.subscribe((error) => this.errors.push(error))
    return node
  }
}

/** See above. */
export class LossyWorld {
  readonly ledger = new BitcoinLedger(200)
  readonly chain = new LedgerChain(this.ledger)
  readonly transport: MemoryTransport = memoryTransport()
  readonly alice = new Person('alice', this)
  readonly bob = new Person('bob', this)
  /** In blocks, by ID. */
  readonly mined = new Map<string, Transaction>()

  static async begin(): Promise<LossyWorld> {
    const world = new LossyWorld()
    world.ledger.onMined = (tx) => void world.mined.set(toHex(transactionID(tx)), tx)
    world.ledger.mine()
    await world.alice.start()
    await world.bob.start()
    return world
  }

  /** A channel of 1 000 000 sat that is used, by either; the other side has 400 000 of it. */
  async open(opener: Person): Promise<bigint> {
    const other = opener === this.alice ? this.bob : this.alice
    const opened = await opener.node.open({
      peer: other.id,
      address: `memory://${other.name}`,
      capacity: sat(1_000_000n),
      push: msat(400_000_000n),
    })
    const { temporaryID } = opened
    await this.mine(6)
    for (const { node } of [this.alice, this.bob]) {
      await node.eventually(
        () =>
          node.channels().find((one) => one.temporaryID === temporaryID && one.phase === 'normal') ??
          undefined,
      )
    }
    return opened.channel
  }

  async mine(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.chain.mine()
  }

  /** Blocks until a person has no channels, at most so many. */
  async mineUntilOver(person: Person, most: number): Promise<void> {
    for (let i = 0; i < most && person.node.channels().length > 0; i++) {
      await this.chain.mine()
      await turns(20)
    }
  }

  /** What spent the funding output of a channel in a block, and what spent that. */
  closing(funding: { readonly txid: Uint8Array; readonly index: number }): Transaction | undefined {
    return [...this.mined.values()].find((tx) =>
      tx.inputs.some(
        ({ outpoint }) => outpoint.index === funding.index && toHex(outpoint.txid) === toHex(funding.txid),
      ),
    )
  }

  async stop(): Promise<void> {
    await this.alice.stop()
    await this.bob.stop()
  }
}

/** Other tasks have their chance. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

/** 32 bytes. */
export function bytesOf(words: string): Uint8Array {
  return sha256(new TextEncoder().encode(words))
}
