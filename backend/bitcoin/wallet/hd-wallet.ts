// A wallet of our own: keys from a seed, coins from the chain's blocks, everything else in the store. A block's changes and the
// place where the chain was read up to are one commit, so a crash loses nothing and counts nothing twice.
import { demandMethods, demandNames, type NamesOf } from '../../../channel/arguments.js'
import { fromHex, toHex } from '../../../channel/bytes.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { object, schemaCodec, uint } from '../../../peer/index.js'
import { defineRecord, type Store, type Write } from '../../../persistence/index.js'
import {
  type Block,
  type BlockTransaction,
  type ChainCursor,
  ChainFilter,
  type ChainSource,
  ChainTracker,
  cursorRecord,
  decodeOutpoint,
  encodeOutpoint,
  type Network,
  type TrackedEvent,
  type TrackerOptions,
} from '../chain/index.js'
import { demandNetwork } from '../chain/network.js'
import { type Transaction, transactionID } from '../script/index.js'
import { type BlockHeight, type Sat, sat } from '../units.js'
import { addressOf } from './address.js'
import { BookingWallet, demandKind } from './booking.js'
import { BRANCHES, branchName, HdKeys, type KeyPath } from './hd-keys.js'
import {
  History,
  type HistoryChanges,
  type OwnCoin,
  transactionRecord,
  type WalletTransaction,
} from './history.js'
import { type InputHints, ownInputs, readPsbt } from './psbt.js'
import { Reservations, type ReservedCoin } from './reservations.js'
import type { Balance, Coin, CoinKind, WalletAddress } from './wallet.js'

/** What a wallet is made from. */
export interface HdWalletOptions {
  /** 16 to 64 bytes, as BIP 39 makes of a mnemonic. Whoever has it has all coins. */
  readonly seed: Uint8Array
  readonly network: Network
  readonly store: Store
  /** Of the keys in the store; default `hd-wallet/`. */
  readonly prefix?: string
  /** Where to look for coins from, the first time: a height before the seed's first use, or from now on if it is new. */
  readonly birthday: BlockHeight | 'tip'
}

const OPTION_NAMES: NamesOf<HdWalletOptions> = {
  seed: true,
  network: true,
  store: true,
  prefix: true,
  birthday: true,
}
const FOLLOW_NAMES: NamesOf<Pick<TrackerOptions, 'pollingInterval' | 'onStatus'>> = {
  pollingInterval: true,
  onStatus: true,
}

/** So many keys beyond the last one that was used or handed out are looked for (BIP 44's gap limit). */
const GAP = 20
/** New money may be spent in the block that is so much higher. */
const MATURITY = 100
/** While nothing happens, the cursor is written so often. */
const BLOCKS_PER_COMMIT = 100

const indices = schemaCodec(
  object({ 'p2wpkh/0': uint(), 'p2wpkh/1': uint(), 'p2tr/0': uint(), 'p2tr/1': uint() }),
)
/** By branch, the first index that was never used nor handed out. */
const nextRecord = defineRecord<Readonly<Record<string, number>>>({
  name: 'bitcoin-wallet-keys',
  version: 1,
  encode: indices.encode,
  decode: indices.decode,
})

interface Waiter {
  readonly height: number
  resolve(): void
}

/** An `OnchainWallet` over a chain source. It knows no mempool: what we publish, it is told by `published`. */
export class HdWallet extends BookingWallet {
  readonly #options: HdWalletOptions
  readonly #prefix: string
  readonly #keys: HdKeys
  readonly #history: History
  readonly #filter = new ChainFilter()
  /** By script. */
  readonly #paths = new Map<string, KeyPath>()
  /** By branch and index: those of {@link #paths} the other way round. */
  readonly #scripts = new Map<string, Uint8Array>()
  readonly #next: Map<string, number>
  readonly #waiters = new Set<Waiter>()
  readonly #trackers = new Set<ChainTracker>()
  #cursor: ChainCursor | undefined

  private constructor(
    options: HdWalletOptions,
    stored: {
      readonly reservations: Reservations
      readonly transactions: readonly WalletTransaction[]
      readonly next: Readonly<Record<string, number>>
      readonly cursor: ChainCursor | undefined
    },
  ) {
    super(stored.reservations)
    this.#options = options
    this.#prefix = prefixOf(options)
    this.#keys = new HdKeys(options.seed, options.network)
    this.#history = new History(stored.transactions)
    this.#next = new Map(Object.entries(stored.next))
    this.#cursor = stored.cursor
    for (const branch of BRANCHES) this.#watchBranch(branch, 0)
    for (const one of this.#history.transactions()) this.#watchTransaction(one)
  }

  /**
   * Reads what the store has. Nothing is asked of the chain before {@link follow}.
   *
   * @throws PerkunasError INVALID_ARGUMENT, INVALID_KEY_MATERIAL; INVALID_RECORD, STORE_FAILED
   */
  static async open(options: HdWalletOptions): Promise<HdWallet> {
    demandNames(options, OPTION_NAMES)
    const { store, network, birthday } = options
    demandNetwork(network)
    demandMethods(store, 'options.store', ['get', 'scan', 'commit'])
    if (birthday !== 'tip' && !(Number.isSafeInteger(birthday) && birthday >= 0)) {
      const message = `birthday: a height or 'tip' expected, got ${String(birthday)}`
      throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'birthday' })
    }
    const prefix = prefixOf(options)
    const transactions: WalletTransaction[] = []
    for await (const [, one] of transactionRecord.scan(store, `${prefix}tx/`)) transactions.push(one)
    return new HdWallet(options, {
      reservations: await Reservations.open(store, prefix),
      transactions,
      next: (await nextRecord.get(store, `${prefix}keys`)) ?? {},
      cursor: await cursorRecord.get(store, `${prefix}cursor`),
    })
  }

  /** Where to go on. */
  get from(): ChainCursor | BlockHeight | 'tip' {
    return this.#cursor ?? this.#options.birthday
  }

  /** Of the newest block that it knows; undefined before the first. */
  get height(): BlockHeight | undefined {
    return this.#cursor?.height
  }

  /**
   * Follows the chain until the wallet is closed. To be called once; until then it knows nothing new.
   *
   * @throws PerkunasError as `ChainTracker.follow`; STORE_FAILED
   */
  async follow(
    source: ChainSource,
    options: Pick<TrackerOptions, 'pollingInterval' | 'onStatus'> = {},
  ): Promise<void> {
    demandNames(options, FOLLOW_NAMES)
    this.demandOpen()
    const tracker = new ChainTracker({ ...options, source, network: this.#options.network, from: this.from })
    this.#trackers.add(tracker)
    try {
      for await (const event of tracker.follow()) await this.apply(event)
    } catch (error) {
      if (!isError(error, 'CLOSED') || this.#trackers.has(tracker)) throw error
    }
  }

  /** Resolves once it knows a block of that height or above. Never, if nobody follows a chain that has one. */
  async reached(height: number): Promise<void> {
    if ((this.height ?? -1) >= height) return
    await new Promise<void>((resolve) => this.#waiters.add({ height, resolve }))
  }

  /** Takes in one event; for who follows the chain for many. Those that were told before may come again. */
  apply(event: TrackedEvent): Promise<void> {
    return this.inTurn(async () => {
      const writes: Write[] = []
      const { height } = event.block
      writes.push(...this.#writesOf(this.#history.rollBack(height)))
      if (event.kind === 'connected') {
        for (const transaction of this.#relevant(event.block)) {
          const one = this.#describe(transaction)
          if (one !== undefined) writes.push(...this.#writesOf(this.#history.add({ ...one, height })))
        }
      }
      this.#cursor = event.cursor
      const mayWait = event.kind === 'connected' && !event.isTip && height % BLOCKS_PER_COMMIT !== 0
      if (writes.length > 0 || !mayWait) {
        const cursor = cursorRecord.put(`${this.#prefix}cursor`, event.cursor)
        await this.#options.store.commit([...writes, this.#nextWrite(), cursor])
      }
      for (const waiter of this.#waiters) {
        if (waiter.height > event.cursor.height) continue
        this.#waiters.delete(waiter)
        waiter.resolve()
      }
    })
  }

  async newAddress(kind: CoinKind = 'p2wpkh'): Promise<WalletAddress> {
    demandKind(kind)
    const script = await this.#newScript({ kind, branch: 0 })
    return { address: addressOf(script, this.#options.network), script, kind }
  }

  changeScript(): Promise<Uint8Array> {
    return this.#newScript({ kind: 'p2wpkh', branch: 1 })
  }

  async balance(): Promise<Balance> {
    this.demandOpen()
    const coins = this.#history.coins()
    const sum = (of: (coin: OwnCoin) => boolean): Sat =>
      sat(coins.filter(of).reduce((total, { amount }) => total + amount, 0n))
    const isReserved = ({ outpoint }: OwnCoin) => this.reserved.at(outpoint) !== undefined
    const isConfirmed = (coin: OwnCoin) => coin.height !== undefined && this.#isMature(coin)
    return {
      confirmed: sum((coin) => isConfirmed(coin) && !isReserved(coin)),
      unconfirmed: sum((coin) => coin.height === undefined),
      immature: sum((coin) => !this.#isMature(coin)),
      reserved: sum((coin) => isConfirmed(coin) && isReserved(coin)),
    }
  }

  async coins(): Promise<readonly Coin[]> {
    this.demandOpen()
    return this.#history
      .coins()
      .filter((coin) => this.#isMature(coin))
      .map((coin) => this.#asCoin(coin))
  }

  async signPsbt(psbt: Uint8Array): Promise<Uint8Array> {
    this.demandOpen()
    const signing = readPsbt(psbt)
    for (const { input, coin } of ownInputs(signing, this.reserved)) {
      const path = this.#pathOf(coin)
      const { amount, script } = coin
      signing.updateInput(input, { witnessUtxo: { amount, script }, ...this.#keys.hintsOf(path) }, true)
      this.#keys.withSecret(path, (secret) => signing.signIdx(secret, input))
      signing.finalizeIdx(input)
    }
    return signing.toPSBT(0)
  }

  published(transaction: Transaction): Promise<void> {
    return this.inTurn(async () => {
      const one = this.#describe({
        txid: transactionID(transaction),
        spends: transaction.inputs.map(({ outpoint }) => encodeOutpoint(outpoint)),
        isCoinbase: false,
        decode: () => transaction,
      })
      // What a block has, or can't have any more, is not changed by being published.
      if (one === undefined || this.#history.get(one.txid)?.height !== undefined) return
      if (this.#history.isSpentInBlock(one.spends, one.txid)) return
      await this.#options.store.commit([...this.#writesOf(this.#history.add(one)), this.#nextWrite()])
    })
  }

  protected async deepCoins(confirmations: number): Promise<readonly Coin[]> {
    const highest = (this.height ?? -1) + 1 - confirmations
    return (await this.coins()).filter(({ height }) => height !== undefined && height <= highest)
  }

  protected async kindsOf(scripts: readonly Uint8Array[]): Promise<readonly (CoinKind | undefined)[]> {
    return scripts.map((script) => this.#paths.get(toHex(script))?.kind)
  }

  protected hintsOf(coin: ReservedCoin): InputHints {
    return this.#keys.hintsOf(this.#pathOf(coin))
  }

  protected async onReserved(): Promise<void> {}

  protected async onRelease(): Promise<void> {}

  protected async onClose(): Promise<void> {
    for (const tracker of this.#trackers) tracker.close()
    this.#trackers.clear()
    this.#keys.wipe()
  }

  /** What of a block may concern the wallet. A key that is used makes later ones looked for, also in the same block. */
  #relevant(block: Pick<Block, 'transactions'>): readonly BlockTransaction[] {
    for (;;) {
      const known = this.#paths.size
      const found = this.#filter.relevant(block).map(({ transaction }) => transaction)
      for (const { pays } of found) {
        for (const script of pays) this.#use(this.#paths.get(toHex(script)))
      }
      if (this.#paths.size === known) return found
    }
  }

  /** Undefined if it does not concern the wallet. Marks the keys that it pays as used. */
  #describe(
    transaction: Pick<BlockTransaction, 'txid' | 'spends' | 'isCoinbase' | 'decode'>,
  ): WalletTransaction | undefined {
    const { txid, spends, isCoinbase } = transaction
    const outputs = transaction.decode().outputs.flatMap(({ amount, script }, output) => {
      const path = this.#paths.get(toHex(script))
      return path === undefined ? [] : [{ ...path, output, amount, script }]
    })
    for (const { kind, branch, index } of outputs) this.#use({ kind, branch, index })
    if (outputs.length === 0 && !this.#history.concerns(spends)) return undefined
    return { txid: toHex(txid), isCoinbase, spends, outputs }
  }

  #use(path: KeyPath | undefined): void {
    if (path === undefined) return
    const from = this.#nextOf(path)
    if (path.index < from) return
    this.#next.set(branchName(path), path.index + 1)
    this.#watchBranch(path, from + GAP)
  }

  #newScript(branch: Omit<KeyPath, 'index'>): Promise<Uint8Array> {
    // Not in turn: whoever chooses coins needs a script for change within its turn. There is no await before the index is
    // taken.
    this.demandOpen()
    const path = { ...branch, index: this.#nextOf(branch) }
    // Watched already, and derived: keys are looked for ahead.
    const script = this.#scripts.get(`${branchName(path)}/${path.index}`) ?? this.#keys.scriptOf(path)
    this.#use(path)
    return this.#options.store.commit([this.#nextWrite()]).then(() => script)
  }

  #nextOf(branch: Omit<KeyPath, 'index'>): number {
    return this.#next.get(branchName(branch)) ?? 0
  }

  #nextWrite(): Write {
    const next = BRANCHES.map((branch) => [branchName(branch), this.#nextOf(branch)])
    return nextRecord.put(`${this.#prefix}keys`, Object.fromEntries(next))
  }

  #watchBranch(branch: Omit<KeyPath, 'index'>, from: number): void {
    const { kind, branch: number } = branch
    for (let index = from; index < this.#nextOf(branch) + GAP; index++) {
      const path = { kind, branch: number, index }
      const script = this.#keys.scriptOf(path)
      this.#scripts.set(`${branchName(path)}/${index}`, script)
      this.#paths.set(toHex(script), path)
      this.#filter.watchScript(script)
    }
  }

  /** What it makes, and what else it depends on: another one that spends the same is the end of it. */
  #watchTransaction({ txid, spends, outputs }: WalletTransaction): void {
    for (const { output } of outputs) this.#filter.watchOutpoint({ txid: fromHex(txid), index: output })
    for (const outpoint of spends) this.#filter.watchOutpoint(decodeOutpoint(outpoint))
  }

  #writesOf({ put, deleted }: HistoryChanges): readonly Write[] {
    for (const one of put) this.#watchTransaction(one)
    return [
      ...deleted.map((txid): Write => ({ kind: 'delete', key: `${this.#prefix}tx/${txid}` })),
      ...put.map((one) => transactionRecord.put(`${this.#prefix}tx/${one.txid}`, one)),
    ]
  }

  #isMature({ isCoinbase, height }: OwnCoin): boolean {
    return !isCoinbase || height === undefined || (this.height ?? 0) + 1 - height >= MATURITY
  }

  #asCoin({ outpoint, amount, script, kind, height }: OwnCoin): Coin {
    const isReserved = this.reserved.at(outpoint) !== undefined
    return { outpoint, amount, script, kind, isReserved, ...(height === undefined ? {} : { height }) }
  }

  /** Keys of reserved coins were used, so they are known, even if a reorg took their transaction away. */
  #pathOf({ script }: ReservedCoin): KeyPath {
    const path = this.#paths.get(toHex(script))
    if (path !== undefined) return path
    throw new PerkunasError('INVALID_ARGUMENT', 'a coin of another wallet is reserved here', {
      argument: 'seed',
    })
  }
}

function prefixOf({ prefix = 'hd-wallet/' }: HdWalletOptions): string {
  return prefix
}
