// A wallet in memory that mints its own coins.
import { p2wpkh, sha256, type Transaction, transactionID } from '../../../../backend/bitcoin/script/index.js'
import { type Sat, sat } from '../../../../backend/bitcoin/units.js'
import type {
  Balance,
  Coin,
  Funded,
  FundRequest,
  InputsRequest,
  Reservation,
  ReservedInputs,
} from '../../../../backend/bitcoin/wallet/index.js'
import { toHex } from '../../../../channel/bytes.js'
import { PerkunasError } from '../../../../channel/errors.js'

/** A wallet whose coins are from nowhere. It is durable, as a wallet must be. */
export class TestWallet {
  readonly reserved = new Map<string, Reservation>()
  readonly scripts: Uint8Array[] = []
  isPoor = false
  /** What is left over from fundings, and what these pay. */
  change: { readonly amount: Sat; readonly fee: Sat } | undefined
  /** What it says to have, confirmed and free. */
  confirmed = sat(100_000_000n)
  /** And what no block has. */
  unconfirmed = sat(0n)
  #count = 0
  /** Fundings with change that is not spent. */
  readonly #left = new Set<string>()

  constructor(readonly name: string) {}

  async balance(): Promise<Balance> {
    const nothing = sat(0n)
    return { confirmed: this.confirmed, unconfirmed: this.unconfirmed, immature: nothing, reserved: nothing }
  }

  async changeScript(): Promise<Uint8Array> {
    const script = p2wpkh(sha256(this.#bytes(`script ${this.#count++}`)).subarray(0, 33))
    this.scripts.push(script)
    return script
  }

  async fund({ purpose, outputs }: FundRequest): Promise<Funded> {
    if (this.isPoor) throw new Error('no coins')
    const { change } = this
    const outpoint = { txid: sha256(this.#bytes(`coin ${this.#count++}`)), index: 0 }
    const transaction: Transaction = {
      version: 2,
      inputs: [{ outpoint, sequence: 0xffff_fffd, witness: [] }],
      outputs:
        change === undefined
          ? outputs
          : [...outputs, { amount: change.amount, script: await this.changeScript() }],
      locktime: 0,
    }
    const id = toHex(outpoint.txid.subarray(0, 16))
    const reservation: Reservation = { id, purpose, outpoints: [outpoint] }
    this.reserved.set(id, reservation)
    if (change !== undefined) this.#left.add(toHex(transactionID(transaction)))
    return { reservation, transaction, coins: [], fee: change?.fee ?? sat(0n), psbt: new Uint8Array() }
  }

  async reserveInputs({ purpose, amount, feerate, parent }: InputsRequest): Promise<ReservedInputs> {
    const weight = 272
    if (parent !== undefined) return this.#leftBy(parent, purpose)
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

  /** Its change, once. */
  async #leftBy(transaction: Transaction, purpose: string): Promise<ReservedInputs> {
    const parent = transactionID(transaction)
    const index = transaction.outputs.length - 1
    const output = transaction.outputs[index]
    if (output === undefined || !this.#left.delete(toHex(parent)))
      throw new PerkunasError('INSUFFICIENT_FUNDS', 'no change', { needed: 1n, available: 0n })
    const coin: Coin = { ...output, outpoint: { txid: parent, index }, kind: 'p2wpkh', isReserved: true }
    const id = toHex(parent.subarray(16))
    const reservation: Reservation = { id, purpose, outpoints: [coin.outpoint] }
    this.reserved.set(id, reservation)
    return { reservation, coins: [coin], changeScript: await this.changeScript(), weights: [272] }
  }

  #bytes(what: string): Uint8Array {
    return new TextEncoder().encode(`${this.name} ${what}`)
  }
}
