// A world in memory for nodes: one chain whose transactions spend what there is and are not looked at further, wallets that
// mint their own coins, and payments without onions.
import type {
  BlockID,
  BroadcastResult,
  ChainCursor,
  FeeTable,
  TrackedEvent,
} from '../../../../backend/bitcoin/chain/index.js'
import type { Handoff } from '../../../../backend/bitcoin/channel/index.js'
import type { HtlcKey } from '../../../../backend/bitcoin/monitor/index.js'
import {
  type ChainStatus,
  type Followed,
  LightningNode,
  type LightningNodeOptions,
  lightningInit,
  type NodeBus,
  type NodeChain,
} from '../../../../backend/bitcoin/node/index.js'
import type { Consequence, HtlcSwitch, Wish } from '../../../../backend/bitcoin/node/switch.js'
import {
  encodeTransaction,
  type Outpoint,
  p2wpkh,
  sha256,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/index.js'
import type {
  Coin,
  Funded,
  FundRequest,
  InputsRequest,
  Reservation,
  ReservedInputs,
} from '../../../../backend/bitcoin/wallet/index.js'
import { concat, toHex } from '../../../../channel/bytes.js'
import { blockHeight, feeratePerKw, type Msat, sat } from '../../../../channel/units.js'
import { createIdentity, type MemoryTransport, memoryTransport, PeerBus } from '../../../../peer/index.js'
import { MemoryStore, type Store, type Write } from '../../../../persistence/index.js'
import { blocksOf, cursorOf } from './cursor.js'

export const CHAIN_HASH = toHex(new Uint8Array(32).fill(6))

const FEES: FeeTable = {
  floor: feeratePerKw(253),
  estimates: [{ blocks: 6, feerate: feeratePerKw(1000) }],
}

/** Blocks that a cursor names. */
const KEPT = 10

interface Mined extends BlockID {
  readonly previous: BlockID['hash']
  readonly transactions: readonly Transaction[]
}

type Handler = (event: TrackedEvent) => Promise<void>

/** One chain for all. */
export class TestChain implements NodeChain {
  readonly chainHash = CHAIN_HASH
  readonly #blocks: Mined[] = []
  readonly mempool = new Map<string, Transaction>()
  fees = FEES
  readonly #handlers = new Set<Handler>()
  readonly #tellers = new Set<(status: ChainStatus) => void>()
  readonly #enders = new Set<(cause: unknown) => void>()
  /** Each output by what has spent it in a block. */
  readonly #spent = new Map<string, string>()
  #count = 0

  constructor() {
    for (let i = 0; i < 100; i++) this.#append([])
  }

  get tip(): Mined {
    const tip = this.#blocks.at(-1)
    if (tip === undefined) throw new Error('an empty chain')
    return tip
  }

  async follow(
    from: ChainCursor | undefined,
    handler: Handler,
    tell: (status: ChainStatus) => void = () => {},
  ): Promise<Followed> {
    const known = from === undefined ? [] : blocksOf(from)
    for (
      let at = known.at(-1);
      at !== undefined && this.#at(at.height)?.hash !== at.hash;
      at = known.at(-1)
    ) {
      known.pop()
      const cursor = cursorOf(known)
      await handler({ kind: 'disconnected', block: at, isTip: false, cursor })
    }
    const seen = known.at(-1)?.height ?? this.tip.height - 1
    for (const block of this.#blocks.filter(({ height }) => height > seen)) await handler(this.#told(block))
    this.#handlers.add(handler)
    this.#tellers.add(tell)
    const ended = new Promise<void>((_, reject) => this.#enders.add(reject))
    return {
      ended,
      stop: async () => {
        this.#handlers.delete(handler)
        this.#tellers.delete(tell)
      },
    }
  }

  /** How far it can be relied on from now on. */
  status(isSynced: boolean): void {
    for (const tell of this.#tellers) tell({ isSynced })
  }

  /** Nobody is told of anything any more. */
  end(cause: unknown): void {
    this.#handlers.clear()
    for (const end of this.#enders) end(cause)
  }

  async broadcast(transactions: readonly Transaction[]): Promise<BroadcastResult> {
    for (const transaction of transactions) {
      const inputs = transaction.inputs.map(({ outpoint }) => keyOf(outpoint))
      const id = toHex(transactionID(transaction))
      const spenders = inputs.flatMap((key) => this.#spent.get(key) ?? [])
      if (spenders.length > 0 && spenders.every((one) => one === id)) continue
      if (spenders.length > 0) return { kind: 'missingInputs', reason: 'spent' }
      const rivals = [...this.mempool].filter(([, one]) =>
        one.inputs.some(({ outpoint }) => inputs.includes(keyOf(outpoint))),
      )
      for (const [rival] of rivals) this.mempool.delete(rival)
      this.mempool.set(id, transaction)
    }
    return { kind: 'accepted' }
  }

  async feeTable(): Promise<FeeTable> {
    return this.fees
  }

  async mempoolSpends(outpoints: readonly Outpoint[]): Promise<readonly Transaction[]> {
    const asked = new Set(outpoints.map(keyOf))
    return [...this.mempool.values()].filter(({ inputs }) =>
      inputs.some(({ outpoint }) => asked.has(keyOf(outpoint))),
    )
  }

  /** Blocks, the first with what is in the mempool. All that follow the chain have seen them when it resolves. */
  async mine(count = 1): Promise<void> {
    for (let i = 0; i < count; i++) {
      const transactions = i === 0 ? [...this.mempool.values()] : []
      if (i === 0) this.mempool.clear()
      const block = this.#append(transactions)
      await Promise.all([...this.#handlers].map((handler) => handler(this.#told(block))))
    }
  }

  /** Undoes the newest blocks; their transactions are in the mempool again. */
  async undo(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const block = this.#blocks.pop()
      if (block === undefined) throw new Error('no more blocks')
      for (const transaction of block.transactions) {
        for (const { outpoint } of transaction.inputs) this.#spent.delete(keyOf(outpoint))
        this.mempool.set(toHex(transactionID(transaction)), transaction)
      }
      const { height, hash } = block
      const cursor = cursorOf(this.#blocks.slice(-KEPT))
      const event: TrackedEvent = { kind: 'disconnected', block: { height, hash }, isTip: false, cursor }
      await Promise.all([...this.#handlers].map((handler) => handler(event)))
    }
  }

  /** What a script was paid in blocks. */
  paid(script: Uint8Array): bigint {
    const outputs = this.#blocks.flatMap(({ transactions }) => transactions.flatMap((one) => one.outputs))
    return outputs
      .filter((one) => toHex(one.script) === toHex(script))
      .reduce((sum, { amount }) => sum + amount, 0n)
  }

  #at(height: number): Mined | undefined {
    return this.#blocks.find((one) => one.height === height)
  }

  #append(transactions: readonly Transaction[]): Mined {
    const height = blockHeight((this.#blocks.at(-1)?.height ?? 0) + 1)
    const hash = toHex(sha256(new TextEncoder().encode(`block ${this.#count++}`)))
    const block = { height, hash, previous: this.#blocks.at(-1)?.hash ?? hash, transactions }
    this.#blocks.push(block)
    for (const transaction of transactions) {
      for (const { outpoint } of transaction.inputs)
        this.#spent.set(keyOf(outpoint), toHex(transactionID(transaction)))
    }
    return block
  }

  #told({ transactions, ...block }: Mined): TrackedEvent {
    const upTo = this.#blocks.filter(({ height }) => height <= block.height)
    return {
      kind: 'connected',
      isTip: block.hash === this.tip.hash,
      cursor: cursorOf(upTo.slice(-KEPT)),
      block: {
        ...block,
        time: 0,
        transactions: transactions.map((transaction, i) => ({
          txid: transactionID(transaction),
          position: i + 1,
          bytes: encodeTransaction(transaction),
          spends: transaction.inputs.map(({ outpoint }) => outpointBytes(outpoint)),
          pays: transaction.outputs.map(({ script }) => script),
          isCoinbase: false,
          decode: () => transaction,
        })),
      },
    }
  }
}

/** A wallet whose coins are from nowhere. It is durable, as a wallet must be. */
export class TestWallet {
  readonly reserved = new Map<string, Reservation>()
  readonly scripts: Uint8Array[] = []
  isPoor = false
  #count = 0

  constructor(readonly name: string) {}

  async changeScript(): Promise<Uint8Array> {
    const script = p2wpkh(sha256(this.#bytes(`script ${this.#count++}`)).subarray(0, 33))
    this.scripts.push(script)
    return script
  }

  async fund({ purpose, outputs }: FundRequest): Promise<Funded> {
    if (this.isPoor) throw new Error('no coins')
    const outpoint = { txid: sha256(this.#bytes(`coin ${this.#count++}`)), index: 0 }
    const transaction: Transaction = {
      version: 2,
      inputs: [{ outpoint, sequence: 0xffff_fffd, witness: [] }],
      outputs,
      locktime: 0,
    }
    const id = toHex(outpoint.txid.subarray(0, 16))
    const reservation: Reservation = { id, purpose, outpoints: [outpoint] }
    this.reserved.set(id, reservation)
    return { reservation, transaction, coins: [], fee: sat(0n), psbt: new Uint8Array() }
  }

  async reserveInputs({ purpose, amount, feerate }: InputsRequest): Promise<ReservedInputs> {
    const weight = 272
    const outpoint = { txid: sha256(this.#bytes(`coin ${this.#count++}`)), index: 0 }
    const cost = BigInt(Math.ceil((feerate * weight) / 1000))
    const script = await this.changeScript()
    const coin: Coin = {
      outpoint,
      amount: sat(amount + cost),
      script,
      kind: 'p2wpkh',
      isReserved: true,
    }
    const id = toHex(outpoint.txid.subarray(0, 16))
    const reservation: Reservation = { id, purpose, outpoints: [outpoint] }
    this.reserved.set(id, reservation)
    return { reservation, coins: [coin], changeScript: await this.changeScript(), weights: [weight] }
  }

  async sign(transaction: Transaction): Promise<Transaction> {
    return transaction
  }

  async published(): Promise<void> {}

  async reservations(): Promise<readonly Reservation[]> {
    return [...this.reserved.values()]
  }

  async release(id: string): Promise<void> {
    this.reserved.delete(id)
  }

  #bytes(what: string): Uint8Array {
    return new TextEncoder().encode(`${this.name} ${what}`)
  }
}

/** Payments without onions: whoever knows the preimage of what is locked takes it, everybody else fails it. */
export class TestSwitch implements HtlcSwitch {
  readonly preimages = new Map<string, Uint8Array>()
  /** What was handed on, each once, as the store has it: by HTLC or reference. */
  readonly seen = new Map<string, string>()
  #writes: Write[] = []

  /** Takes what the store has in place of what it knew. */
  async restore(store: Store): Promise<void> {
    this.seen.clear()
    this.#writes = []
    for await (const [key, value] of store.scan(SWITCH_ROWS))
      this.seen.set(key.slice(SWITCH_ROWS.length), new TextDecoder().decode(value))
  }

  /** What became of what we sent, by reference. */
  get ends(): ReadonlyMap<string, string> {
    const ends = [...this.seen].filter(([name]) => name.startsWith('sent '))
    return new Map(ends.map(([name, how]) => [name.slice(5), how]))
  }

  /** The sum of what we took. */
  get received(): bigint {
    const taken = [...this.seen].filter(([, what]) => what.startsWith('taken '))
    return taken.reduce((sum, [, what]) => sum + BigInt(what.slice(6)), 0n)
  }

  handed(channel: bigint, handoff: Handoff): Consequence {
    const wishes: Wish[] = []
    switch (handoff.kind) {
      case 'refused':
        this.#see(`sent ${handoff.reference}`, 'refused')
        break
      case 'locked': {
        const { htlc } = handoff
        const { offerer, id, amount, paymentHash } = htlc
        const preimage = offerer === 'remote' ? this.preimages.get(toHex(paymentHash)) : undefined
        this.#see(`locked ${channel} ${offerer} ${id}`, preimage === undefined ? 'seen' : `taken ${amount}`)
        if (offerer === 'local') break
        const removal =
          preimage === undefined
            ? ({ kind: 'fail', reason: new Uint8Array(10) } as const)
            : ({ kind: 'fulfill', preimage } as const)
        wishes.push({ channel, intent: { kind: 'remove', id, removal } })
        break
      }
      case 'fulfilled':
      case 'failed': {
        const { reference, amount } = handoff.htlc
        this.#see(`sent ${reference}`, `${handoff.kind} ${amount}`)
        break
      }
      case 'removed':
        this.#see(`removed ${channel} ${handoff.htlc.offerer} ${handoff.htlc.id}`, 'seen')
        break
      case 'added':
        break
    }
    return { wishes, effects: [] }
  }

  learned(channel: bigint, { id }: HtlcKey): Consequence {
    this.#see(`learned ${channel} local ${id}`, 'seen')
    return { wishes: [], effects: [] }
  }

  resolved(channel: bigint, { offerer, id }: HtlcKey, to: 'offerer' | 'receiver'): Consequence {
    this.#see(`resolved ${channel} ${offerer} ${id}`, to)
    return { wishes: [], effects: [] }
  }

  reached(): Consequence {
    return { wishes: [], effects: [] }
  }

  ticked(): Consequence {
    return { wishes: [], effects: [] }
  }

  attach(): void {}

  resumed(): Consequence {
    return { wishes: [], effects: [] }
  }

  takeWrites(): readonly Write[] {
    const writes = this.#writes
    this.#writes = []
    return writes
  }

  #see(what: string, how: string): void {
    if (this.seen.has(what)) throw new Error(`${what}: ${how} after ${this.seen.get(what)}`)
    this.seen.set(what, how)
    this.#writes.push({ kind: 'put', key: `${SWITCH_ROWS}${what}`, value: new TextEncoder().encode(how) })
  }
}

const SWITCH_ROWS = 'test-switch/'

/** What stands between a node and its world: once it has blown, nothing of the node gets through any more. */
export class Fuse {
  isBlown = false
  /** Counts down with every commit and every effect; what it comes to zero at is where the process ends. */
  left: number | undefined
  /** Whether a commit at which it blows is on disk. */
  isWritten = false
  readonly blown: Promise<void>
  #blow: () => void = () => {}

  constructor() {
    this.blown = new Promise((resolve) => {
      this.#blow = resolve
    })
  }

  /** Whether it gets through. */
  pass(): boolean {
    if (!this.isBlown && this.left !== undefined && --this.left <= 0) this.blow()
    return !this.isBlown
  }

  blow(): void {
    this.isBlown = true
    this.#blow()
  }

  store(store: Store): Store {
    const never = new Promise<never>(() => {})
    return {
      get: (key) => store.get(key),
      scan: (prefix, options) => store.scan(prefix, options),
      close: () => store.close(),
      commit: async (batch) => {
        const wasBlown = this.isBlown
        const isPassed = this.pass()
        if (isPassed || (!wasBlown && this.isWritten)) await store.commit(batch)
        if (!isPassed) await never
      },
    }
  }

  bus(bus: PeerBus): NodeBus {
    return {
      id: bus.id,
      identity: bus.identity,
      sendRaw: (to, type, payload) => {
        if (this.pass()) bus.sendRaw(to, type, payload)
      },
      onRaw: (types, handler) =>
        bus.onRaw(types, (from, type, payload) => {
          if (!this.isBlown) return handler(from, type, payload)
        }),
      onPeer: (handler) => bus.onPeer((event) => this.isBlown || handler(event)),
      connect: (peer, address) => bus.connect(peer, address),
      release: (peer) => bus.release(peer),
      isConnected: (peer) => bus.isConnected(peer),
      disconnect: (peer, reason) => {
        if (this.pass()) bus.disconnect(peer, reason)
      },
      initsOf: (peer) => bus.initsOf(peer),
      addressOf: (peer) => bus.addressOf(peer),
    }
  }

  chain(chain: NodeChain): NodeChain {
    return {
      chainHash: chain.chainHash,
      feeTable: () => chain.feeTable(),
      mempoolSpends: async (outpoints) => (await chain.mempoolSpends?.(outpoints)) ?? [],
      follow: (known, handler, tell) => {
        const guarded = async (event: TrackedEvent) => {
          if (!this.isBlown) await Promise.race([handler(event), this.blown])
        }
        return chain.follow(known, guarded, tell)
      },
      broadcast: async (transactions) =>
        this.pass() ? await chain.broadcast(transactions) : new Promise<never>(() => {}),
    }
  }
}

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

function keyOf(outpoint: Outpoint): string {
  return toHex(outpointBytes(outpoint))
}

function outpointBytes({ txid, index }: Outpoint): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, index, true)
  return concat(txid, bytes)
}
