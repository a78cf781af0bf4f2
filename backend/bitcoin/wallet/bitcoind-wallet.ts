// The descriptor wallet of a bitcoind of one's own: its keys, its coins, our reservations.
//
// Coins are chosen here and not by `walletcreatefundedpsbt`: that may take coins whose spending changes the transaction's ID,
// and its locks are gone if either of us dies before we know of them. What is reserved is locked in the node as well, so that
// nobody else who uses the wallet spends it.
import { base64 } from '@scure/base'
import { demandMethods, demandNames, type NamesOf } from '../../../channel/arguments.js'
import { toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import type { Store } from '../../../persistence/index.js'
import type { RpcOptions } from '../chain/index.js'
import { bitcoins, flag, hexBytes, isObject, list, object, text, whole } from '../chain/json.js'
import { BitcoinRpc, RPC_NAMES, RpcError, unexpected } from '../chain/json-rpc.js'
import { outpointKey } from '../chain/outpoint.js'
import { displayID, type Outpoint } from '../script/index.js'
import { blockHeight, type Sat, sat } from '../units.js'
import { kindOf } from './address.js'
import { BookingWallet, demandKind } from './booking.js'
import { type InputHints, ownInputs, readPsbt } from './psbt.js'
import { Reservations, type ReservedCoin } from './reservations.js'
import type { Balance, Coin, CoinKind, WalletAddress } from './wallet.js'

/** Which wallet, and where its reservations are kept. */
export interface BitcoindWalletOptions extends RpcOptions {
  /** The node's name for it. It is made if the node has none of that name. */
  readonly wallet: string
  readonly store: Store
  /** Of the keys in the store; default `bitcoin-wallet/`. */
  readonly prefix?: string
}

const OPTION_NAMES: NamesOf<BitcoindWalletOptions> = { ...RPC_NAMES, wallet: true, store: true, prefix: true }

const WALLET_NOT_FOUND = -18
const ALREADY_LOADED = -35
const ADDRESS_TYPE: Readonly<Record<CoinKind, string>> = { p2wpkh: 'bech32', p2tr: 'bech32m' }

/** An `OnchainWallet` in a node. It watches the node's mempool, so `published` has nothing to tell it. */
export class BitcoindWallet extends BookingWallet {
  readonly #rpc: BitcoinRpc
  readonly #name: string
  #loading: Promise<void> | undefined

  private constructor(rpc: BitcoinRpc, name: string, reservations: Reservations) {
    super(reservations)
    this.#rpc = rpc
    this.#name = name
  }

  /**
   * Opens a wallet, or makes one.
   *
   * @throws PerkunasError INVALID_ARGUMENT; LEDGER_UNREACHABLE; INVALID_RECORD, STORE_FAILED; UNSUPPORTED if the node has no wallets, or it is
   *   one without private keys
   */
  static async open(options: BitcoindWalletOptions): Promise<BitcoindWallet> {
    demandNames(options, OPTION_NAMES)
    demandMethods(options.store, 'options.store', ['get', 'scan', 'commit'])
    const rpc = new BitcoinRpc(options)
    const reservations = await Reservations.open(options.store, options.prefix ?? 'bitcoin-wallet/')
    const wallet = new BitcoindWallet(rpc, options.wallet, reservations)
    await wallet.#load()
    const info = object(await wallet.#call('getwalletinfo'), 'getwalletinfo')
    if (info['descriptors'] !== true || info['private_keys_enabled'] !== true) {
      throw unsupported(`${options.wallet} is not a descriptor wallet with private keys`)
    }
    await wallet.#relock()
    return wallet
  }

  async newAddress(kind: CoinKind = 'p2wpkh'): Promise<WalletAddress> {
    demandKind(kind)
    return this.#address('getnewaddress', ['', ADDRESS_TYPE[kind]], kind)
  }

  async changeScript(): Promise<Uint8Array> {
    return (await this.#address('getrawchangeaddress', ['bech32'], 'p2wpkh')).script
  }

  async balance(): Promise<Balance> {
    const [coins, balances] = await Promise.all([this.coins(), this.#call('getbalances')])
    const sum = (of: (coin: Coin) => boolean): Sat =>
      sat(coins.filter(of).reduce((total, { amount }) => total + amount, 0n))
    return {
      confirmed: sum((coin) => coin.height !== undefined && !coin.isReserved),
      unconfirmed: sum((coin) => coin.height === undefined),
      immature: bitcoins(object(object(balances, 'getbalances')['mine'], 'mine')['immature'], 'immature'),
      reserved: sum((coin) => coin.height !== undefined && coin.isReserved),
    }
  }

  async coins(): Promise<readonly Coin[]> {
    const reserved = this.reserved.coins()
    const answers = await this.#batch([
      { method: 'getblockcount' },
      { method: 'listunspent', params: [0, 9_999_999, [], true] },
      // Locked coins are not listed. Here what is spent in the mempool is spent.
      ...reserved.map(({ outpoint }) => ({
        method: 'gettxout',
        params: [displayID(outpoint.txid), outpoint.index, true],
      })),
    ])
    const [tip, listed, ...outputs] = answers
    const height = whole(tip, 'getblockcount')
    const free = list(listed, 'listunspent').flatMap((one) => coinOf(object(one, 'listunspent'), height))
    const kept = reserved.flatMap((coin, i): Coin[] => {
      const output = outputs[i]
      if (!isObject(output)) return []
      const depth = whole(output['confirmations'], 'confirmations')
      return [{ ...coin, ...heightOf(height, depth), isReserved: true }]
    })
    // One that was locked after its reservation only, because we died in between, is in both.
    const known = new Set(kept.map(({ outpoint }) => outpointKey(outpoint)))
    return [...free.filter(({ outpoint }) => !known.has(outpointKey(outpoint))), ...kept]
  }

  async signPsbt(psbt: Uint8Array): Promise<Uint8Array> {
    this.demandOpen()
    const own = ownInputs(readPsbt(psbt), this.reserved)
    const params = [base64.encode(psbt), true]
    const answer = object(await this.#call('walletprocesspsbt', params), 'walletprocesspsbt')
    const signed = base64.decode(text(answer['psbt'], 'psbt'))
    const read = readPsbt(signed)
    const missing = own.find(({ input }) => read.getInput(input).finalScriptWitness === undefined)
    if (missing === undefined) return signed
    throw new PerkunasError('INVALID_ARGUMENT', `the node does not sign input ${missing.input}`, {
      argument: 'psbt',
    })
  }

  async published(): Promise<void> {
    this.demandOpen()
  }

  protected async deepCoins(confirmations: number): Promise<readonly Coin[]> {
    const [tip, coins] = await Promise.all([this.#call('getblockcount'), this.coins()])
    const highest = whole(tip, 'getblockcount') + 1 - confirmations
    return coins.filter(({ height }) => height !== undefined && height <= highest)
  }

  protected async kindsOf(scripts: readonly Uint8Array[]): Promise<readonly (CoinKind | undefined)[]> {
    return Promise.all(scripts.map((script) => this.#ownKind(script)))
  }

  async #ownKind(script: Uint8Array): Promise<CoinKind | undefined> {
    const kind = kindOf(script)
    if (kind === undefined) return undefined
    const decoded = object(await this.#call('decodescript', [toHex(script).slice(2)]), 'decodescript')
    const info = object(
      await this.#call('getaddressinfo', [text(decoded['address'], 'address')]),
      'getaddressinfo',
    )
    return flag(info['ismine'], 'ismine') ? kind : undefined
  }

  /** The node adds what it knows. */
  protected hintsOf(): InputHints {
    return {}
  }

  protected async onReserved(coins: readonly Coin[]): Promise<void> {
    await this.#lock(coins)
  }

  protected async onRelease(coins: readonly ReservedCoin[]): Promise<void> {
    // One that is spent is not locked any more, and one alone must not keep the others.
    for (const { outpoint } of coins) await this.#answer('lockunspent', [true, [asParameter(outpoint)]])
  }

  protected async onClose(): Promise<void> {
    this.#rpc.http.close()
  }

  /** Two who find it unloaded load it once. */
  #load(): Promise<void> {
    this.#loading ??= this.#loadNow().finally(() => {
      this.#loading = undefined
    })
    return this.#loading
  }

  async #loadNow(): Promise<void> {
    const loaded = await this.#rpc.call('loadwallet', [this.#name, true]).catch(answered)
    if (!(loaded instanceof RpcError) || loaded.code === ALREADY_LOADED) return
    if (loaded.code !== WALLET_NOT_FOUND) throw unsupported(`wallet ${this.#name}: ${loaded.message}`)
    const params = [this.#name, false, false, '', false, true, true]
    const made = await this.#rpc.call('createwallet', params).catch(answered)
    if (made instanceof RpcError) throw unsupported(`wallet ${this.#name}: ${made.message}`)
  }

  /** Locks what is reserved and not locked: the node lost the lock, or we died before we set it. */
  async #relock(): Promise<void> {
    const locked = new Set(
      list(await this.#call('listlockunspent'), 'listlockunspent').map((one) => {
        const { txid, vout } = object(one, 'listlockunspent')
        return `${text(txid, 'txid')}:${whole(vout, 'vout')}`
      }),
    )
    for (const { outpoint } of this.reserved.coins()) {
      // Refused if it is spent, which is no harm.
      if (!locked.has(`${displayID(outpoint.txid)}:${outpoint.index}`)) {
        await this.#answer('lockunspent', [false, [asParameter(outpoint)], true])
      }
    }
  }

  async #lock(coins: readonly Coin[]): Promise<void> {
    const params = [false, coins.map(({ outpoint }) => asParameter(outpoint)), true]
    const answer = await this.#answer('lockunspent', params)
    if (!(answer instanceof RpcError)) return
    // Our own lock of before, or somebody spent the coin meanwhile: then the transaction can't be published.
    for (const { outpoint } of coins)
      await this.#answer('lockunspent', [false, [asParameter(outpoint)], true])
  }

  async #address(method: string, params: readonly unknown[], kind: CoinKind): Promise<WalletAddress> {
    this.demandOpen()
    const address = text(await this.#call(method, params), method)
    const info = object(await this.#call('getaddressinfo', [address]), 'getaddressinfo')
    return { address, script: hexBytes(info['scriptPubKey'], 'scriptPubKey'), kind }
  }

  /** A result, or the error with which the node answered. */
  async #answer(method: string, params: readonly unknown[] = []): Promise<unknown> {
    const ask = () => this.#rpc.call(method, params, { wallet: this.#name }).catch(answered)
    const answer = await ask()
    if (!(answer instanceof RpcError) || answer.code !== WALLET_NOT_FOUND) return answer
    // Somebody unloaded it.
    await this.#load()
    return ask()
  }

  async #call(method: string, params: readonly unknown[] = []): Promise<unknown> {
    const answer = await this.#answer(method, params)
    if (answer instanceof RpcError) throw unexpected(method, answer)
    return answer
  }

  async #batch(calls: readonly { readonly method: string; readonly params?: readonly unknown[] }[]) {
    this.demandOpen()
    const ask = () => this.#rpc.batch(calls, { wallet: this.#name })
    let answers = await ask()
    if (answers.some((one) => one instanceof RpcError && one.code === WALLET_NOT_FOUND)) {
      await this.#load()
      answers = await ask()
    }
    for (const [i, answer] of answers.entries()) {
      if (answer instanceof RpcError) throw unexpected(calls[i]?.method ?? 'batch', answer)
    }
    return answers
  }
}

function coinOf(listed: Readonly<Record<string, unknown>>, tip: number): readonly Coin[] {
  const script = hexBytes(listed['scriptPubKey'], 'scriptPubKey')
  const kind = kindOf(script)
  if (kind === undefined || !flag(listed['spendable'], 'spendable')) return []
  return [
    {
      outpoint: {
        txid: hexBytes(listed['txid'], 'txid', 32).reverse(),
        index: whole(listed['vout'], 'vout'),
      },
      amount: bitcoins(listed['amount'], 'amount'),
      script,
      kind,
      ...heightOf(tip, whole(listed['confirmations'], 'confirmations')),
      isReserved: false,
    },
  ]
}

function heightOf(tip: number, confirmations: number): Pick<Coin, 'height'> {
  return confirmations === 0 ? {} : { height: blockHeight(Math.max(0, tip + 1 - confirmations)) }
}

function asParameter({ txid, index }: Outpoint): unknown {
  return { txid: displayID(txid), vout: index }
}

function answered(error: unknown): RpcError {
  if (error instanceof RpcError) return error
  throw error
}

function unsupported(what: string): PerkunasError<'UNSUPPORTED'> {
  return new PerkunasError('UNSUPPORTED', what, { what })
}
