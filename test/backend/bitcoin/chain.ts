// A real regtest chain for tests: coins of our own keys, transactions that the node judges.
import { expect } from 'chai'
import { type Claim, signClaim } from '../../../backend/bitcoin/script/claims.js'
import { sha256 } from '../../../backend/bitcoin/script/hash.js'
import { buildFunding, type ClosingFunding, fundingOutput } from '../../../backend/bitcoin/script/index.js'
import { p2wpkh, p2wpkhScriptCode } from '../../../backend/bitcoin/script/scripts.js'
import {
  decodeTransaction,
  displayID,
  encodeTransaction,
  type Transaction,
  transactionID,
  withWitness,
} from '../../../backend/bitcoin/script/transaction.js'
import { feeratePerKw, type Sat, sat } from '../../../backend/bitcoin/units.js'
import { fromHex, toHex } from '../../../channel/bytes.js'
import type { Bitcoind } from '../../../scripts/bitcoind.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'

const SECRET = sha256(new TextEncoder().encode('the miner'))
const KEY = secp256k1.publicKey(SECRET)

/** Where all coins come from and go to. */
export const WALLET_SCRIPT = p2wpkh(KEY)
/** 4 sat/vB. */
export const FEERATE = feeratePerKw(1000)
/** Of P2WPKH, with its witness. */
const INPUT_WEIGHT = 4 * 41 + 108

/** A chain with mature coins, each of 50 bitcoins. */
export class Chain {
  readonly #coins: Claim[] = []
  height = 0

  private constructor(readonly node: Bitcoind) {}

  /** @param coins how many there will be to spend */
  static async start(node: Bitcoind, coins: number): Promise<Chain> {
    const chain = new Chain(node)
    const blocks = await chain.mine(coins + 100)
    for (const block of blocks.slice(0, coins)) {
      const found = await node.rpc('getblock', [block, 1])
      const [txid] = (found as { tx: readonly string[] }).tx
      const coinbase = decodeTransaction(bytes(String(await node.rpc('getrawtransaction', [txid]))))
      chain.#coins.push(coinAt(coinbase, 0))
    }
    return chain
  }

  /** Blocks with whatever is in the mempool. */
  async mine(blocks: number): Promise<readonly string[]> {
    const descriptor = `raw(${toHex(WALLET_SCRIPT).slice(2)})`
    const info = await this.node.rpc('getdescriptorinfo', [descriptor])
    const mined = await this.node.rpc('generatetodescriptor', [
      blocks,
      (info as { descriptor: string }).descriptor,
    ])
    this.height += blocks
    return mined as readonly string[]
  }

  /** The next block will have that height or a later one. */
  async mineBelow(height: number): Promise<void> {
    if (this.height + 1 < height) await this.mine(height - this.height - 1)
  }

  /** One of the wallet's coins, as something to claim; nobody gets it twice. */
  coin(): Claim {
    const coin = this.#coins.pop()
    if (coin === undefined) throw new Error('no coins left')
    return coin
  }

  /** Funds a channel by a transaction of ours, and confirms it. */
  async fund(amount: Sat, keys: readonly [Uint8Array, Uint8Array]): Promise<ClosingFunding> {
    const coin = this.coin()
    const { transaction, fundingIndex } = buildFunding({
      inputs: [{ outpoint: coin.outpoint, amount: coin.amount, weight: INPUT_WEIGHT }],
      output: fundingOutput(amount, keys),
      changeScript: WALLET_SCRIPT,
      feerate: FEERATE,
    })
    const signed = signCoin(transaction, 0, coin)
    await this.confirm(signed)
    this.#coins.push(coinAt(signed, 1 - fundingIndex))
    return { outpoint: { txid: transactionID(signed), index: fundingIndex }, amount, keys }
  }

  /** What the node says to a transaction: undefined if it would take it. */
  async refusal(tx: Transaction): Promise<string | undefined> {
    const answer = await this.node.rpc('testmempoolaccept', [[hex(tx)]])
    const [result] = answer as readonly { allowed: boolean; 'reject-reason'?: string }[]
    return result?.allowed === true ? undefined : (result?.['reject-reason'] ?? 'refused')
  }

  /** The node takes the transaction into its mempool. */
  async accept(tx: Transaction): Promise<void> {
    expect(await this.refusal(tx)).to.equal(undefined)
    expect(await this.node.rpc('sendrawtransaction', [hex(tx)])).to.equal(displayID(transactionID(tx)))
  }

  /** The node takes the transactions only together. */
  async acceptPackage(txs: readonly Transaction[]): Promise<void> {
    const answer = await this.node.rpc('submitpackage', [txs.map(hex)])
    expect((answer as { package_msg: string }).package_msg, JSON.stringify(answer)).to.equal('success')
  }

  /** The node takes the transaction, and it gets into the next block. */
  async confirm(tx: Transaction): Promise<void> {
    await this.accept(tx)
    await this.mine(1)
    const found = await this.node.rpc('getrawtransaction', [displayID(transactionID(tx)), true])
    expect((found as { confirmations?: number }).confirmations).to.equal(1)
  }
}

/** Signs an input that spends one of the wallet's coins. */
export function signCoin(tx: Transaction, input: number, coin: Claim): Transaction {
  return withWitness(tx, input, signClaim(tx, input, coin, SECRET))
}

/** A signed payment of a coin to the wallet it comes from. @param fee in satoshis */
export function payment(coin: Claim, fee = 1000n): Transaction {
  const transaction: Transaction = {
    version: 2,
    inputs: [{ outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
    outputs: [{ amount: sat(coin.amount - fee), script: WALLET_SCRIPT }],
    locktime: 0,
  }
  return signCoin(transaction, 0, coin)
}

function coinAt(tx: Transaction, index: number): Claim {
  return {
    kind: 'payment',
    outpoint: { txid: transactionID(tx), index },
    amount: tx.outputs[index]?.amount ?? sat(0n),
    sequence: 0xffff_fffd,
    locktime: 0,
    key: 'remotePayment',
    scriptCode: p2wpkhScriptCode(KEY),
    witness: ['signature', KEY],
  }
}

function hex(tx: Transaction): string {
  return toHex(encodeTransaction(tx)).slice(2)
}

function bytes(digits: string): Uint8Array {
  return fromHex(`0x${digits}`)
}
