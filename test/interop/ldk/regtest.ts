// A chain for tests with a peer: bitcoind with a wallet that has coins, and LDK nodes over it.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Address, OutScript, TEST_NETWORK } from '@scure/btc-signer'
import { toHex } from '../../../channel/index.js'
import { type Bitcoind, bitcoindCall, startBitcoind } from '../../../scripts/bitcoind.js'
import { record } from '../../../scripts/ldk/chain.js'
import { Ldk, type NodeOptions } from '../../../scripts/ldk/ldk.js'
import { invalidate, mineEmpty } from '../../backend/bitcoin/chain/node.js'

/** bitcoind's name for the wallet that pays for LDK and for the machine on its own. */
const WALLET = 'tests'
const ADDRESSES = Address({ ...TEST_NETWORK, bech32: 'bcrt' })

/** bitcoind with coins, and everything that was started over it. */
export class Regtest implements AsyncDisposable {
  readonly #address: string
  readonly #directories: string[] = []
  readonly #nodes: Ldk[] = []

  private constructor(
    readonly bitcoind: Bitcoind,
    address: string,
  ) {
    this.#address = address
  }

  static async start(): Promise<Regtest> {
    const bitcoind = await startBitcoind()
    await bitcoind.rpc('createwallet', [WALLET])
    const rpc = walletOf(bitcoind)
    const address = String(await rpc('getnewaddress', ['', 'bech32']))
    await bitcoind.rpc('generatetoaddress', [110, address])
    // Many coins, for many channels that are opened at a time.
    const addresses = await Promise.all(
      Array.from({ length: 60 }, () => rpc('getnewaddress', ['', 'bech32'])),
    )
    const coins = Object.fromEntries(addresses.map((one) => [String(one), 1]))
    await rpc('sendmany', ['', coins, 1, '', [], true, null, 'unset', 5])
    await bitcoind.rpc('generatetoaddress', [1, address])
    return new Regtest(bitcoind, address)
  }

  /** An LDK node over this chain, which ends with it. */
  async ldk(options: Partial<NodeOptions> = {}): Promise<Ldk> {
    const { url, credentials } = this.bitcoind
    const rpc = { url: `${url}/wallet/${WALLET}`, credentials }
    const node = await Ldk.start({ rpc, seed: toHex(randomBytes(32)), ...options })
    this.#nodes.push(node)
    return node
  }

  /** An empty directory that goes with this chain. */
  directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'perkunas-ldk-'))
    this.#directories.push(path)
    return path
  }

  /** Makes blocks of whatever waits; every LDK node that runs has read them afterwards. */
  async mine(count = 1): Promise<void> {
    await this.bitcoind.rpc('generatetoaddress', [count, this.#address])
    await this.sync()
  }

  /** The newest blocks are gone, and as many and one more are there in their place, with nothing in them. */
  async undo(depth: number): Promise<void> {
    await invalidate(this.bitcoind, depth)
    await mineEmpty(this.bitcoind, depth + 1)
    await this.sync()
  }

  /** Every LDK node that runs has read the chain, and what they had to publish is published. */
  async sync(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.isRunning && node.call('sync', null)))
  }

  /** Confirmed coins for an address, so many of them. */
  async give(address: string, bitcoins: number, count = 1): Promise<void> {
    for (let i = 0; i < count; i++) await this.#pay(address, bitcoins)
    await this.mine()
  }

  async #pay(address: string, bitcoins: number): Promise<void> {
    await walletOf(this.bitcoind)('sendtoaddress', [
      address,
      bitcoins,
      '',
      '',
      false,
      false,
      null,
      'unset',
      false,
      5,
    ])
  }

  /** IDs of the transactions that wait to be mined. */
  async mempool(): Promise<readonly string[]> {
    const ids = await this.bitcoind.rpc('getrawmempool')
    if (!Array.isArray(ids)) throw new Error('getrawmempool: a list expected')
    return ids.map(String)
  }

  /** A signed transaction that pays such an output, which is its first; not published. */
  async fundingOf(wanted: { readonly amount: bigint; readonly script: Uint8Array }): Promise<{
    readonly transaction: string
    readonly txid: string
    readonly index: number
  }> {
    const { bitcoind } = this
    const address = ADDRESSES.encode(OutScript.decode(wanted.script))
    const amount = (Number(wanted.amount) / 1e8).toFixed(8)
    const rpc = walletOf(bitcoind)
    const empty = await bitcoind.rpc('createrawtransaction', [[], [{ [address]: amount }]])
    const options = { changePosition: 1, fee_rate: 5, lockUnspents: true }
    const { hex } = record(await rpc('fundrawtransaction', [empty, options]))
    const { hex: transaction } = record(await rpc('signrawtransactionwithwallet', [hex]))
    const { txid } = record(await bitcoind.rpc('decoderawtransaction', [transaction]))
    return { transaction: String(transaction), txid: String(txid), index: 0 }
  }

  /** Publishes a transaction that may be there already. @throws Error if the chain does not take it */
  async publish(transaction: string): Promise<void> {
    try {
      await this.bitcoind.rpc('sendrawtransaction', [transaction])
    } catch (error) {
      if (!/already in|outputs already/.test(String(error))) throw error
    }
  }

  /** What the chain says of an output; undefined if it does not know the transaction. */
  async output(
    txid: string,
    index: number,
  ): Promise<
    | {
        readonly confirmations: number
        /** Of the block, and of the transaction in it. */
        readonly block: number
        readonly position: number
        /** In satoshis. */
        readonly amount: bigint
        readonly script: Uint8Array
        /** Of a confirmed transaction. */
        readonly isSpent: boolean
      }
    | undefined
  > {
    const { bitcoind } = this
    const found = await bitcoind.rpc('getrawtransaction', [txid, true]).catch(() => undefined)
    if (found === undefined) return undefined
    const { confirmations = 0, blockhash, vout } = record(found)
    const { value, scriptPubKey } = record(Array.isArray(vout) ? vout[index] : undefined)
    const { height, tx } =
      blockhash === undefined ? { height: 0, tx: [] } : record(await bitcoind.rpc('getblock', [blockhash, 1]))
    const isSpent =
      Number(confirmations) > 0 && (await bitcoind.rpc('gettxout', [txid, index, false])) === null
    return {
      confirmations: Number(confirmations),
      block: Number(height),
      position: Array.isArray(tx) ? tx.indexOf(txid) : 0,
      amount: BigInt(Math.round(Number(value) * 1e8)),
      script: Uint8Array.from(Buffer.from(String(record(scriptPubKey)['hex']), 'hex')),
      isSpent,
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.stop()))
    await this.bitcoind.stop()
    for (const path of this.#directories) rmSync(path, { recursive: true, force: true })
  }
}

/** Calls of the wallet: there may be others. */
function walletOf({
  url,
  credentials,
}: Bitcoind): (method: string, params?: readonly unknown[]) => Promise<unknown> {
  return (method, params = []) =>
    bitcoindCall({ url: `${url}/wallet/${WALLET}`, credentials, method, params })
}
