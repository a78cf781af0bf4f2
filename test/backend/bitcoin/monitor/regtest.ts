// The same as a real node sees it.
import type { FeeTable } from '../../../../backend/bitcoin/chain/index.js'
import type { Claim, Outpoint } from '../../../../backend/bitcoin/script/index.js'
import {
  decodeTransaction,
  encodeTransaction,
  type Transaction,
  transactionID,
} from '../../../../backend/bitcoin/script/transaction.js'
import { feeratePerKw, type Sat, sat, sub } from '../../../../backend/bitcoin/units.js'
import { fromHex, type Hex, toHex } from '../../../../channel/bytes.js'
import type { Bitcoind } from '../../../../scripts/bitcoind.js'
import { type Chain, signCoin, WALLET_SCRIPT } from '../chain.js'
import type { Ledger, LedgerBlock, Verdict } from './ledger.js'

const FUNDING_FEE = sat(100_000n)
/** Outputs of 31 bytes that make a transaction large. */
const JUNK = Array.from({ length: 2900 }, () => ({ amount: sat(300n), script: WALLET_SCRIPT }))

/** See above. One a test, on a chain that others used before. */
export class RegtestLedger implements Ledger {
  height = 0
  reason = ''
  /** Another one is mined to each time: no block that was undone comes again. */
  static #blocks = 0
  #coin: Claim
  #isFull = false
  #fees: FeeTable = { floor: feeratePerKw(253), estimates: [] }

  private constructor(
    readonly node: Bitcoind,
    coin: Claim,
  ) {
    this.#coin = coin
  }

  /** @param chain gives one coin */
  static async on(node: Bitcoind, chain: Chain): Promise<RegtestLedger> {
    const ledger = new RegtestLedger(node, chain.coin())
    // Nothing that an earlier test left gets into a later one's blocks by surprise.
    await ledger.mine()
    return ledger
  }

  fees(): FeeTable {
    return this.#fees
  }

  async submit(transactions: readonly Transaction[]): Promise<Verdict> {
    const hex = transactions.map(hexOf)
    const [only] = hex
    try {
      if (only !== undefined && hex.length === 1) {
        await this.node.rpc('sendrawtransaction', [only, 0])
        return 'accepted'
      }
      const answer = await this.node.rpc('submitpackage', [hex, 0])
      const { package_msg: said, 'tx-results': results } = answer as PackageAnswer
      const errors = Object.values(results).flatMap(({ error }) => error ?? [])
      if (said === 'success' || errors.length === 0) return 'accepted'
      throw new Error(errors.join('; '))
    } catch (error) {
      this.reason = error instanceof Error ? error.message : String(error)
      if (/already in/.test(this.reason)) return 'accepted'
      if (/missingorspent|missing-inputs/.test(this.reason)) return 'missingInputs'
      return /fee|replacement/.test(this.reason) ? 'feeTooLow' : 'rejected'
    }
  }

  async mine(leaves?: (tx: Transaction) => boolean): Promise<LedgerBlock> {
    RegtestLedger.#blocks++
    const script = toHex(Uint8Array.of(0x6a, 0x04, ...counted(RegtestLedger.#blocks))).slice(2)
    const info = await this.node.rpc('getdescriptorinfo', [`raw(${script})`])
    const { descriptor } = info as { readonly descriptor: string }
    const isChosen = leaves !== undefined || this.#isFull
    const taken = isChosen ? await this.#mempool(leaves ?? (() => false)) : undefined
    const mined =
      taken === undefined
        ? ((await this.node.rpc('generatetodescriptor', [1, descriptor])) as readonly string[])[0]
        : ((await this.node.rpc('generateblock', [descriptor, taken])) as { readonly hash: string }).hash
    const block = await this.#block(mined)
    this.height = block.height
    await this.refresh()
    return block
  }

  async undo(): Promise<LedgerBlock> {
    const hash = String(await this.node.rpc('getbestblockhash'))
    const block = await this.#block(hash)
    await this.node.rpc('invalidateblock', [hash])
    this.height = block.height - 1
    return block
  }

  async fund(script: Uint8Array, amount: Sat): Promise<Outpoint> {
    const coin = this.#coin
    const change = sub(sub(coin.amount, amount), FUNDING_FEE)
    const tx = signCoin(
      {
        version: 2,
        inputs: [{ outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
        outputs: [
          { amount, script },
          { amount: change, script: WALLET_SCRIPT },
        ],
        locktime: 0,
      },
      0,
      coin,
    )
    const verdict = await this.submit([tx])
    if (verdict !== 'accepted') throw new Error(this.reason)
    const txid = transactionID(tx)
    this.#coin = { ...coin, outpoint: { txid, index: 1 }, amount: change }
    await this.mine()
    return { txid, index: 0 }
  }

  /**
   * Fills the mempool with so many transactions of 90 kB, each at a rate in sat/vB, so that it asks for more from then on.
   * They stay there: the miner leaves them.
   */
  async fill(count: number, rate: (i: number) => number): Promise<void> {
    this.#isFull = true
    const coin = this.#coin
    const share = sat(7_000_000n)
    const rest = sat(coin.amount - share * BigInt(count) - 1_000_000n)
    const plain = {
      version: 2,
      inputs: [{ outpoint: coin.outpoint, sequence: 0xffff_fffd, witness: [] }],
      outputs: Array.from({ length: count + 1 }, (_, i) => ({
        amount: i === count ? rest : share,
        script: WALLET_SCRIPT,
      })),
      locktime: 0,
    }
    const split = signCoin(plain, 0, coin)
    if ((await this.submit([split])) !== 'accepted') throw new Error(this.reason)
    const txid = transactionID(split)
    await this.mine((tx) => toHex(transactionID(tx)) !== toHex(txid))
    for (let i = 0; i < count; i++) {
      const one = { ...coin, outpoint: { txid, index: i }, amount: share }
      const junk = signCoin(
        {
          version: 2,
          inputs: [{ outpoint: one.outpoint, sequence: 0xffff_fffd, witness: [] }],
          outputs: [
            ...JUNK,
            {
              amount: sub(share, sat(870_000n + BigInt(Math.ceil(rate(i) * 90_100)))),
              script: WALLET_SCRIPT,
            },
          ],
          locktime: 0,
        },
        0,
        one,
      )
      if ((await this.submit([junk])) !== 'accepted' && !/min fee|full/.test(this.reason))
        throw new Error(this.reason)
    }
    this.#coin = { ...coin, outpoint: { txid, index: count }, amount: rest }
    await this.refresh()
  }

  /** Whether the node has it in its mempool. */
  async has(tx: Transaction): Promise<boolean> {
    const txid = toHex(transactionID(tx).slice().reverse()).slice(2)
    return ((await this.node.rpc('getrawmempool')) as readonly string[]).includes(txid)
  }

  /** What the node asks for now. */
  async refresh(): Promise<void> {
    const info = await this.node.rpc('getmempoolinfo')
    const { mempoolminfee } = info as { readonly mempoolminfee: number }
    // In bitcoins for 1000 vbytes.
    const floor = Math.max(253, Math.ceil((mempoolminfee * 100_000_000) / 4) + 1)
    const estimates = [
      { blocks: 2, feerate: feeratePerKw(2500) },
      { blocks: 144, feerate: feeratePerKw(300) },
    ]
    this.#fees = { floor: feeratePerKw(floor), estimates }
  }

  async #mempool(leaves: (tx: Transaction) => boolean): Promise<readonly string[]> {
    const all = await this.node.rpc('getrawmempool', [true])
    const entries = Object.entries(all as Record<string, Entry>).filter(
      ([, { vsize }]) => vsize < JUNK.length,
    )
    const sorted = entries.sort(([, a], [, b]) => a.ancestorcount - b.ancestorcount)
    const taken: string[] = []
    for (const [txid] of sorted) {
      const tx = decode(String(await this.node.rpc('getrawtransaction', [txid])))
      if (!leaves(tx)) taken.push(txid)
    }
    return taken
  }

  async #block(hash: string | undefined): Promise<LedgerBlock> {
    const found = await this.node.rpc('getblock', [hash, 2])
    const { height, tx } = found as {
      readonly height: number
      readonly tx: readonly { readonly hex: string }[]
    }
    const own: Hex = `0x${hash}`
    return { height, hash: own, transactions: tx.slice(1).map((one) => decode(one.hex)) }
  }
}

interface Entry {
  readonly ancestorcount: number
  readonly vsize: number
}

interface PackageAnswer {
  readonly package_msg: string
  readonly 'tx-results': Readonly<Record<string, { readonly error?: string }>>
}

function hexOf(tx: Transaction): string {
  return toHex(encodeTransaction(tx)).slice(2)
}

function decode(hex: string): Transaction {
  return decodeTransaction(fromHex(`0x${hex}`))
}

function counted(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}
