// A party's coins on the simulated chain: one key, and reservations that outlive its processes.
import {
  p2wpkh,
  p2wpkhScriptCode,
  SEQUENCE_REPLACEABLE,
  SIGHASH_ALL,
  type Transaction,
  type TransactionOutput,
  transactionID,
  weightOf,
  withWitness,
  witnessDigest,
  witnessSignature,
} from '../../../backend/bitcoin/script/index.js'
import { sat } from '../../../backend/bitcoin/units.js'
import type {
  Balance,
  Coin,
  Funded,
  FundRequest,
  InputsRequest,
  OnchainWallet,
  Reservation,
  ReservedInputs,
  WalletAddress,
} from '../../../backend/bitcoin/wallet/index.js'
import { equalBytes, fromHex, toHex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'
import { secp256k1 } from '../../../wallet/secp256k1.js'
import { type BitcoinLedger, keyOf } from './ledger.js'

/** Of an input that spends P2WPKH, with its witness. */
const INPUT_WEIGHT = 272
/** Of an output that pays P2WPKH. */
const OUTPUT_WEIGHT = 124
/** Change below that is left to the fee. */
const DUST = 330n

/** One party's. Whatever process uses it, promises are kept: the calls of a dead one have no effect by its own doing. */
export class SimWallet implements OnchainWallet {
  readonly script: Uint8Array
  readonly #ledger: BitcoinLedger
  readonly #secret: Uint8Array
  readonly #publicKey: Uint8Array
  readonly #reservations = new Map<string, Reservation>()
  #count = 0

  constructor(ledger: BitcoinLedger, secret: Uint8Array) {
    this.#ledger = ledger
    this.#secret = secret
    this.#publicKey = secp256k1.publicKey(secret)
    this.script = p2wpkh(this.#publicKey)
  }

  /** What it owns in blocks, reserved or not. */
  get wealth(): bigint {
    let sum = 0n
    for (const { amount } of this.#own()) sum += amount
    return sum
  }

  async newAddress(): Promise<WalletAddress> {
    return { address: toHex(this.script), script: this.script, kind: 'p2wpkh' }
  }

  async changeScript(): Promise<Uint8Array> {
    return this.script
  }

  async balance(): Promise<Balance> {
    const coins = this.#own()
    const sum = (isReserved: boolean) =>
      sat(coins.reduce((total, coin) => (coin.isReserved === isReserved ? total + coin.amount : total), 0n))
    return { confirmed: sum(false), unconfirmed: sat(0n), immature: sat(0n), reserved: sum(true) }
  }

  async coins(): Promise<readonly Coin[]> {
    return this.#own()
  }

  async fund({
    purpose,
    outputs,
    feerate,
    keep = sat(0n),
    locktime = 0,
    sequence,
  }: FundRequest): Promise<Funded> {
    const wanted = outputs.reduce((sum, { amount }) => sum + amount, 0n)
    const skeleton = weightOf({ version: 2, inputs: [], outputs, locktime }) + 2
    const feeOf = (inputs: number, withChange: boolean) =>
      (BigInt(feerate) * BigInt(skeleton + inputs * INPUT_WEIGHT + (withChange ? OUTPUT_WEIGHT : 0)) + 999n) /
      1000n
    const coins = this.#choose(wanted, keep, (count) => feeOf(count, false))
    const inputs = coins.reduce((sum, { amount }) => sum + amount, 0n)
    const change = inputs - wanted - feeOf(coins.length, true)
    const hasChange = change >= DUST
    const transaction: Transaction = {
      version: 2,
      inputs: coins.map(({ outpoint }) => ({
        outpoint,
        sequence: sequence ?? SEQUENCE_REPLACEABLE,
        witness: [],
      })),
      outputs: hasChange ? [...outputs, { amount: sat(change), script: this.script }] : outputs,
      locktime,
    }
    return {
      reservation: this.#reserve(purpose, coins),
      transaction,
      coins,
      fee: sat(inputs - wanted - (hasChange ? change : 0n)),
      ...(hasChange && { changeIndex: outputs.length }),
      psbt: new Uint8Array(),
    }
  }

  async reserveInputs({
    purpose,
    amount,
    feerate,
    keep = sat(0n),
    parent,
  }: InputsRequest): Promise<ReservedInputs> {
    if (parent !== undefined) return this.#leftBy(parent, purpose)
    const coins = this.#choose(
      amount,
      keep,
      (count) => (BigInt(feerate) * BigInt(count * INPUT_WEIGHT) + 999n) / 1000n,
    )
    return {
      reservation: this.#reserve(purpose, coins),
      coins,
      changeScript: this.script,
      weights: coins.map(() => INPUT_WEIGHT),
    }
  }

  async reservations(): Promise<readonly Reservation[]> {
    return [...this.#reservations.values()]
  }

  async release(id: Reservation['id']): Promise<void> {
    this.#reservations.delete(id)
  }

  async sign(transaction: Transaction, spent: readonly TransactionOutput[]): Promise<Transaction> {
    let signed = transaction
    for (const [i, { amount, script }] of spent.entries()) {
      if (!equalBytes(script, this.script)) continue
      const scriptCode = p2wpkhScriptCode(this.#publicKey)
      const digest = witnessDigest(transaction, i, { amount, scriptCode }, SIGHASH_ALL)
      const { signature } = secp256k1.sign(digest, this.#secret)
      signed = withWitness(signed, i, [witnessSignature(signature, SIGHASH_ALL), this.#publicKey])
    }
    return signed
  }

  async signPsbt(): Promise<never> {
    throw new PerkunasError('UNSUPPORTED', 'no PSBT here', { what: 'PSBT' })
  }

  async published(): Promise<void> {}

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}

  /** The change of a transaction that no block has. */
  #leftBy(parent: Transaction, purpose: string): ReservedInputs {
    const txid = transactionID(parent)
    const coins = parent.outputs.flatMap((output, index): Coin[] =>
      equalBytes(output.script, this.script)
        ? [{ ...output, outpoint: { txid, index }, kind: 'p2wpkh', isReserved: true }]
        : [],
    )
    if (coins.length === 0)
      throw new PerkunasError('INSUFFICIENT_FUNDS', 'no change', { needed: 1n, available: 0n })
    return {
      reservation: this.#reserve(purpose, coins),
      coins,
      changeScript: this.script,
      weights: coins.map(() => INPUT_WEIGHT),
    }
  }

  #own(): Coin[] {
    const held = new Set([...this.#reservations.values()].flatMap(({ outpoints }) => outpoints.map(keyOf)))
    const coins: Coin[] = []
    for (const [key, output] of this.#ledger.outputs) {
      if (!equalBytes(output.script, this.script)) continue
      const [txid = '', index] = key.split(':')
      const outpoint = { txid: fromHex(`0x${txid.slice(2)}`), index: Number(index) }
      coins.push({ ...output, outpoint, kind: 'p2wpkh', isReserved: held.has(key) })
    }
    return coins
  }

  /** Free coins that no waiting transaction spends, the largest first. */
  #choose(amount: bigint, keep: bigint, feeOf: (count: number) => bigint): Coin[] {
    const spent = new Set(this.#ledger.pool.flatMap(({ outpoints }) => outpoints))
    const free = this.#own()
      .filter(({ isReserved, outpoint }) => !isReserved && !spent.has(keyOf(outpoint)))
      .sort((a, b) => (a.amount === b.amount ? 0 : a.amount > b.amount ? -1 : 1))
    const all = free.reduce((sum, coin) => sum + coin.amount, 0n)
    let sum = 0n
    for (const [i, coin] of free.entries()) {
      sum += coin.amount
      if (sum >= amount + feeOf(i + 1) && all - amount - feeOf(i + 1) >= keep) return free.slice(0, i + 1)
    }
    const facts = { needed: amount, available: all }
    throw new PerkunasError('INSUFFICIENT_FUNDS', `${amount} sat wanted, ${all} sat are free`, facts)
  }

  #reserve(purpose: string, coins: readonly Coin[]): Reservation {
    const id = `0x${(++this.#count).toString(16).padStart(32, '0')}` as const
    const reservation = { id, purpose, outpoints: coins.map(({ outpoint }) => outpoint) }
    this.#reservations.set(id, reservation)
    return reservation
  }
}
