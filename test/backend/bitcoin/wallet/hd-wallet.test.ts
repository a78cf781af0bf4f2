// The wallet of our own against what its blocks add up to, counted anew from the first block each time.
import { readFileSync } from 'node:fs'
import { HDKey } from '@scure/bip32'
import { expect } from 'chai'
import fc from 'fast-check'
import { decodeBlock } from '../../../../backend/bitcoin/chain/block.js'
import {
  type Block,
  ChainTracker,
  encodeOutpoint,
  type TrackedEvent,
} from '../../../../backend/bitcoin/chain/index.js'
import { type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { blockHeight, feeratePerKw, sat } from '../../../../backend/bitcoin/units.js'
import { type Balance, HdWallet } from '../../../../backend/bitcoin/wallet/index.js'
import { fromHex, type Hex, toHex } from '../../../../channel/bytes.js'
import { isError } from '../../../../channel/errors.js'
import { MemoryStore, type Store } from '../../../../persistence/index.js'
import { failure } from '../../../client/parties.js'
import { MadeChain } from '../chain/made.js'

const FOREIGN = new Uint8Array([0x00, 0x20, ...new Uint8Array(32).fill(5)])
const SEED = new Uint8Array(32).fill(3)

/** A wallet that reads a chain when it is told to. */
class Scene {
  readonly chain = new MadeChain()
  /** Waits for a block. */
  readonly pool = new Map<string, Transaction>()
  readonly scripts = new Set<string>()
  /** Not coinbases: in a block, or published, unless something else that spends the same is in a block. */
  readonly seen = new Map<string, Transaction>()
  /** That paid us at any time. */
  readonly paying = new Set<string>()
  readonly reserved = new Set<string>()
  #foreign = 0
  #events: AsyncGenerator<TrackedEvent, void, undefined> | undefined
  #tracker: ChainTracker | undefined

  private constructor(
    readonly store: Store,
    public wallet: HdWallet,
  ) {}

  static async open(store: Store = new MemoryStore()): Promise<Scene> {
    return new Scene(store, await openWallet(store))
  }

  async restart(): Promise<void> {
    await this.close()
    this.wallet = await openWallet(this.store)
  }

  async close(): Promise<void> {
    this.#tracker?.close()
    await this.#events?.return()
    this.#events = undefined
    await this.wallet.close()
  }

  /** The wallet reads all that there is. */
  async sync(): Promise<void> {
    if (this.#events === undefined) {
      const tracker = new ChainTracker({
        source: this.chain,
        network: 'regtest',
        from: this.wallet.from,
        pollingInterval: 1,
      })
      this.#tracker = tracker
      this.#events = tracker.follow()
    }
    const tip = this.chain.header().hash
    const from = this.wallet.from
    let at = typeof from === 'object' ? toHex(from.headers.at(-1) ?? new Uint8Array()) : ''
    while (at !== toHex((this.chain.blocks.at(-1) ?? new Uint8Array()).slice(0, 80))) {
      const { value } = await this.#events.next()
      if (value === undefined) throw new Error(`ended before ${tip}`)
      await this.wallet.apply(value)
      at = toHex(value.cursor.headers.at(-1) ?? new Uint8Array())
    }
  }

  async script(kind: 'p2wpkh' | 'p2tr'): Promise<Uint8Array> {
    const { script } = await this.wallet.newAddress(kind)
    this.scripts.add(toHex(script))
    return script
  }

  /** A payment by somebody else. */
  pay(script: Uint8Array, amount: bigint): Transaction {
    const txid = new Uint8Array(32).fill(0xee)
    new DataView(txid.buffer).setUint32(0, ++this.#foreign)
    const tx: Transaction = {
      version: 2,
      inputs: [{ outpoint: { txid, index: 0 }, sequence: 0, witness: [] }],
      outputs: [
        { amount: sat(1n), script: FOREIGN },
        { amount: sat(amount), script },
      ],
      locktime: 0,
    }
    this.pool.set(idOf(tx), tx)
    return tx
  }

  /** Counts what the chain has, from its first block. */
  expected(): Record<keyof Balance, bigint> {
    const blocks = this.chain.blocks.map(decoded)
    const inChain = new Map<
      string,
      { readonly tx: Transaction; readonly height: number; readonly isCoinbase: boolean }
    >()
    const spentBy = new Map<string, string>()
    for (const { height, transactions } of blocks) {
      for (const one of transactions) {
        const tx = one.decode()
        inChain.set(idOf(tx), { tx, height, isCoinbase: one.isCoinbase })
        if (one.isCoinbase) continue
        for (const outpoint of outpointsOf(tx)) spentBy.set(outpoint, idOf(tx))
      }
    }
    const isOurs = ({ script }: { script: Uint8Array }) => this.scripts.has(toHex(script))
    const concerns = (tx: Transaction) =>
      tx.outputs.some(isOurs) || tx.inputs.some(({ outpoint }) => this.paying.has(toHex(outpoint.txid)))
    for (const [id, { tx, isCoinbase }] of inChain) {
      if (concerns(tx) && !isCoinbase) this.seen.set(id, tx)
      if (tx.outputs.some(isOurs)) this.paying.add(id)
    }
    for (let changed = true; changed; ) {
      changed = false
      for (const [id, tx] of this.seen) {
        const isLost = tx.inputs.some(({ outpoint }) => {
          const spender = spentBy.get(toHex(encodeOutpoint(outpoint)))
          const parent = toHex(outpoint.txid)
          const orphan = this.paying.has(parent) && !inChain.has(parent) && !this.seen.has(parent)
          return (spender !== undefined && spender !== id) || orphan
        })
        if (!inChain.has(id) && isLost) changed = this.seen.delete(id)
      }
    }
    const unconfirmed = [...this.seen].filter(([id]) => !inChain.has(id))
    for (const [id, tx] of unconfirmed) for (const outpoint of outpointsOf(tx)) spentBy.set(outpoint, id)
    const sum: Record<keyof Balance, bigint> = { confirmed: 0n, unconfirmed: 0n, immature: 0n, reserved: 0n }
    const all = [
      ...inChain.values(),
      ...unconfirmed.map(([, tx]) => ({ tx, height: undefined, isCoinbase: false })),
    ]
    for (const { tx, height, isCoinbase } of all) {
      for (const [index, output] of tx.outputs.entries()) {
        const outpoint = toHex(encodeOutpoint({ txid: transactionID(tx), index }))
        if (!isOurs(output) || spentBy.has(outpoint)) continue
        const isYoung = isCoinbase && this.chain.height + 1 - (height ?? 0) < 100
        const bucket =
          height === undefined
            ? 'unconfirmed'
            : isYoung
              ? 'immature'
              : this.reserved.has(outpoint)
                ? 'reserved'
                : 'confirmed'
        sum[bucket] += output.amount
      }
    }
    return sum
  }
}

const known = new WeakMap<Uint8Array, Block>()

/** Decoded once. */
function decoded(bytes: Uint8Array, height: number): Block {
  const block = known.get(bytes) ?? decodeBlock(bytes, { height: blockHeight(height), network: 'regtest' })
  known.set(bytes, block)
  return block
}

function openWallet(store: Store, birthday = 1): Promise<HdWallet> {
  return HdWallet.open({ seed: SEED, network: 'regtest', store, birthday: blockHeight(birthday) })
}

function idOf(tx: Transaction): string {
  return toHex(transactionID(tx))
}

function outpointsOf(tx: Transaction): readonly string[] {
  return tx.inputs.map(({ outpoint }) => toHex(encodeOutpoint(outpoint)))
}

type Happening = { readonly kind: string; readonly count: number; readonly choice: number }

async function happen(scene: Scene, { kind, count, choice }: Happening): Promise<void> {
  const { chain, pool, wallet } = scene
  const minePool = (keep: (i: number) => boolean = () => true) => {
    const chosen = [...pool].filter((_, i) => keep(i))
    for (const [id] of chosen) pool.delete(id)
    // What somebody pays comes before what is made of it: the pool is in that order, since reorgs give it back in order.
    chain.mine(chosen.map(([, tx]) => tx))
  }
  if (kind === 'pay') {
    const script = await scene.script(choice % 2 === 0 ? 'p2wpkh' : 'p2tr')
    scene.pay(script, 10_000n * BigInt(count) + BigInt(choice))
    if (choice % 3 === 0) scene.pay(script, 1000n * BigInt(count))
  } else if (kind === 'coinbase') {
    chain.mine([], [{ amount: sat(50_000n + BigInt(choice)), script: await scene.script('p2wpkh') }])
  } else if (kind === 'mine') {
    minePool()
    for (let i = 1; i < count; i++) chain.mine()
  } else if (kind === 'age') {
    for (let i = 0; i < 100; i++) chain.mine()
  } else if (kind === 'spend') {
    const outputs = [{ amount: sat(3000n * BigInt(count)), script: FOREIGN }]
    const request = { purpose: 'test', outputs, feerate: feeratePerKw(253 + choice) }
    try {
      const funded = await wallet.fund(request)
      const change = funded.transaction.outputs.at(-1)
      if (funded.changeIndex !== undefined && change !== undefined) scene.scripts.add(toHex(change.script))
      const total = funded.coins.reduce((sum, { amount }) => sum + amount, 0n)
      const paid = funded.transaction.outputs.reduce((sum, { amount }) => sum + amount, 0n)
      expect(total - paid).to.equal(funded.fee)
      for (const { outpoint } of funded.coins) scene.reserved.add(toHex(encodeOutpoint(outpoint)))
      if (choice % 4 === 0) {
        await wallet.release(funded.reservation.id)
        for (const { outpoint } of funded.coins) scene.reserved.delete(toHex(encodeOutpoint(outpoint)))
      } else if (choice % 4 !== 1) {
        const signed = await wallet.sign(funded.transaction, funded.coins)
        await wallet.published(signed)
        scene.seen.set(idOf(signed), signed)
        if (funded.changeIndex !== undefined) scene.paying.add(idOf(signed))
        pool.set(idOf(signed), signed)
      }
    } catch (error) {
      if (!isError(error, 'INSUFFICIENT_FUNDS')) throw error
    }
  } else if (kind === 'reorg') {
    const before = chain.height
    const gone = chain.blocks.slice(-Math.min(count, before))
    chain.drop(gone.length)
    const later = [...pool]
    pool.clear()
    for (const bytes of gone) {
      const block = decodeBlock(bytes, { height: blockHeight(1), network: 'regtest' })
      for (const one of block.transactions) if (!one.isCoinbase) pool.set(toHex(one.txid), one.decode())
    }
    for (const [id, tx] of later) pool.set(id, tx)
    const [rival] = pool.values()
    if (rival !== undefined && choice % 2 === 0) {
      // Somebody spends the same otherwise, so whatever depends on it will never be.
      const other = { ...rival, outputs: [{ amount: sat(7n), script: FOREIGN }] }
      pool.clear()
      pool.set(idOf(other), other)
    }
    minePool()
    while (chain.height <= before) chain.mine()
  } else await scene.restart()
}

describe('bitcoin/wallet: of our own, on any chain', () => {
  it('payments, spending, reorgs, rivals, restarts -> the balance is what the blocks add up to, each time', async function () {
    this.timeout(60_000)
    const weights = { pay: 4, spend: 4, mine: 4, reorg: 3, restart: 1, coinbase: 1, age: 1 }
    const happening: fc.Arbitrary<Happening> = fc.record({
      kind: fc.oneof(
        ...Object.entries(weights).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) })),
      ),
      count: fc.integer({ min: 1, max: 5 }),
      choice: fc.nat(100),
    })
    const run = async (happenings: readonly Happening[]) => {
      const scene = await Scene.open()
      scene.chain.mine()
      for (const one of happenings) {
        await happen(scene, one)
        await scene.sync()
        expect(await scene.wallet.balance(), JSON.stringify(one)).to.deep.equal(scene.expected())
        const coins = await scene.wallet.coins()
        const { confirmed, unconfirmed, reserved } = await scene.wallet.balance()
        expect(coins.reduce((sum, { amount }) => sum + amount, 0n)).to.equal(
          confirmed + unconfirmed + reserved,
        )
      }
      await scene.close()
      // Whoever has only the seed finds what is in blocks.
      const { confirmed, immature, reserved } = scene.expected()
      const fresh = await Scene.open()
      fresh.chain.blocks.splice(0, fresh.chain.blocks.length, ...scene.chain.blocks)
      await fresh.sync()
      const found = await fresh.wallet.balance()
      if (scene.expected().unconfirmed === 0n && scene.pool.size === 0) {
        expect([found.confirmed, found.immature]).to.deep.equal([confirmed + reserved, immature])
      }
      await fresh.close()
    }
    await fc.assert(fc.asyncProperty(fc.array(happening, { minLength: 4, maxLength: 16 }), run), {
      numRuns: 12,
    })
  })

  it('the keys are those of BIP 84 and BIP 86 -> other wallets find the same coins', async () => {
    // The test mnemonic of both documents, "abandon … about", as a seed.
    const seed = Buffer.from(
      '5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc19a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4',
      'hex',
    )
    const wallet = await HdWallet.open({ seed, network: 'main', store: new MemoryStore(), birthday: 'tip' })
    const addresses = [
      await wallet.newAddress(),
      await wallet.newAddress(),
      await wallet.newAddress('p2tr'),
      await wallet.newAddress('p2tr'),
    ]
    expect(addresses.map(({ address }) => address)).to.deep.equal([
      'bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu',
      'bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g',
      'bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr',
      'bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh',
    ])
    const change = HDKey.fromMasterSeed(seed).derive("m/84'/0'/0'/1/0").publicKey ?? new Uint8Array()
    expect(toHex(change)).to.equal('0x03025324888e429ab8e3dbaf1f7802648b9cd01e9b418485c5fa4c1b9b5700e1a6')
    await wallet.close()
  })

  it('payments to keys far apart, in one block and out of order -> found as long as no gap is above 20', async () => {
    const scene = await Scene.open()
    const scripts: Uint8Array[] = []
    for (let i = 0; i < 62; i++) scripts.push(await scene.script('p2wpkh'))
    const at = (index: number) => scripts[index] ?? new Uint8Array()
    for (const index of [59, 39, 19]) scene.pay(at(index), 1000n + BigInt(index))
    scene.chain.mine([...scene.pool.values()])
    const fresh = await Scene.open()
    fresh.chain.blocks.splice(0, fresh.chain.blocks.length, ...scene.chain.blocks)
    await fresh.sync()
    expect((await fresh.wallet.balance()).confirmed).to.equal(3117n)
    expect(toHex((await fresh.wallet.newAddress()).script)).to.equal(toHex(at(60)))
    const far = await Scene.open()
    far.pay(at(20), 1000n)
    far.chain.mine([...far.pool.values()])
    await far.sync()
    expect((await far.wallet.balance()).confirmed).to.equal(0n)
    for (const one of [scene, fresh, far]) await one.close()
  })

  it('what a block makes and spends again -> counted as spent', async () => {
    const scene = await Scene.open()
    const tx = scene.pay(await scene.script('p2tr'), 5000n)
    const spend: Transaction = {
      version: 2,
      inputs: [{ outpoint: { txid: transactionID(tx), index: 1 }, sequence: 0, witness: [] }],
      outputs: [{ amount: sat(4000n), script: FOREIGN }],
      locktime: 0,
    }
    scene.chain.mine([tx, spend])
    await scene.sync()
    expect(await scene.wallet.balance()).to.deep.equal({
      confirmed: 0n,
      unconfirmed: 0n,
      immature: 0n,
      reserved: 0n,
    })
    await scene.close()
  })

  it('a commit that fails -> the wallet says so and tells of nothing that is not on disk', async () => {
    const store = new MemoryStore()
    const scene = await Scene.open(store)
    const script = await scene.script('p2wpkh')
    scene.pay(script, 5000n)
    scene.chain.mine([...scene.pool.values()])
    await scene.sync()
    await store.close()
    const request = {
      purpose: 'x',
      outputs: [{ amount: sat(1000n), script: FOREIGN }],
      feerate: feeratePerKw(253),
    }
    expect(await failure(scene.wallet.fund(request))).to.include({ code: 'CLOSED' })
    expect(await scene.wallet.reservations()).to.deep.equal([])
    await scene.close()
  })

  it('a seed that is too short, a record that is damaged -> refused', async () => {
    const options = { network: 'regtest', birthday: 'tip' } as const
    const short = HdWallet.open({ ...options, seed: new Uint8Array(15), store: new MemoryStore() })
    expect(await failure(short)).to.include({ code: 'INVALID_KEY_MATERIAL' })
    for (const key of [
      'hd-wallet/tx/0x00',
      'hd-wallet/keys',
      'hd-wallet/cursor',
      'hd-wallet/reservation/0x00',
    ]) {
      const store = new MemoryStore()
      await store.commit([{ kind: 'put', key, value: new Uint8Array(20) }])
      const error = await failure(HdWallet.open({ ...options, seed: SEED, store }))
      expect(error, key).to.include({ code: 'INVALID_RECORD' })
    }
  })

  it('rows of version 1, as they were first written, are read for ever', async () => {
    const rows = JSON.parse(readFileSync(new URL('rows-1.json', SOURCE), 'utf8')) as Readonly<
      Record<string, Hex>
    >
    const store = new MemoryStore()
    await store.commit(
      Object.entries(rows).map(([key, value]) => ({ kind: 'put', key, value: fromHex(value) }) as const),
    )
    const wallet = await openWallet(store)
    expect(wallet.height).to.equal(3)
    expect(await wallet.balance()).to.deep.equal({
      confirmed: 50_000n,
      unconfirmed: 59_695n,
      immature: 70_000n,
      reserved: 0n,
    })
    const [reservation] = await wallet.reservations()
    expect([reservation?.purpose, reservation?.outpoints.length]).to.deep.equal(['a channel', 1])
    expect((await wallet.newAddress()).address).to.equal('bcrt1qq3vk63xscvhqc34tf4s6znfaaxcctttkwpul5f')
    await wallet.close()
  })
})

const SOURCE = new URL('../../../../../test/backend/bitcoin/wallet/', import.meta.url)
