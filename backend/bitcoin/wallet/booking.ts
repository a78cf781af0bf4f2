// What all wallets do alike: choose coins, keep them for who asked, hand transactions to be signed. Where coins come from and
// who signs is each wallet's own.
import { demandNames, type NamesOf } from '../../../channel/arguments.js'
import { isError, PerkunasError } from '../../../channel/errors.js'
import { outpointKey } from '../chain/outpoint.js'
import {
  dustLimitOf,
  SEQUENCE_REPLACEABLE,
  type Transaction,
  type TransactionOutput,
  transactionID,
} from '../script/index.js'
import { type Sat, sat } from '../units.js'
import { buildPsbt, type InputHints, ownInputs, readPsbt, takeWitnesses } from './psbt.js'
import type { Reservations, ReservedCoin } from './reservations.js'
import { feeFor, INPUT_WEIGHT, insufficient, selectCoins } from './selection.js'
import type {
  Balance,
  Coin,
  CoinKind,
  Funded,
  FundRequest,
  InputsRequest,
  OnchainWallet,
  Reservation,
  ReservationID,
  ReservedInputs,
  WalletAddress,
} from './wallet.js'

const FUND_NAMES: NamesOf<FundRequest> = {
  purpose: true,
  outputs: true,
  feerate: true,
  keep: true,
  confirmations: true,
  locktime: true,
  sequence: true,
}
const INPUTS_NAMES: NamesOf<InputsRequest> = {
  purpose: true,
  amount: true,
  feerate: true,
  keep: true,
  parent: true,
}

/** A wallet that lacks its coins and its keys. */
export abstract class BookingWallet implements OnchainWallet {
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  protected constructor(protected readonly reserved: Reservations) {}

  abstract newAddress(kind?: CoinKind): Promise<WalletAddress>
  abstract changeScript(): Promise<Uint8Array>
  abstract balance(): Promise<Balance>
  abstract coins(): Promise<readonly Coin[]>
  abstract signPsbt(psbt: Uint8Array): Promise<Uint8Array>
  abstract published(transaction: Transaction): Promise<void>

  /** Mature coins that are so many blocks deep. */
  protected abstract deepCoins(confirmations: number): Promise<readonly Coin[]>
  /** How each script is spent that is the wallet's own; undefined for others. */
  protected abstract kindsOf(scripts: readonly Uint8Array[]): Promise<readonly (CoinKind | undefined)[]>
  /** What signers may want to know of a coin. */
  protected abstract hintsOf(coin: ReservedCoin): InputHints
  /** Called when a reservation was made, before anybody knows of it. */
  protected abstract onReserved(coins: readonly Coin[]): Promise<void>
  /** Called before a reservation ends. */
  protected abstract onRelease(coins: readonly ReservedCoin[]): Promise<void>
  /** Called once. */
  protected abstract onClose(): Promise<void>

  fund(request: FundRequest): Promise<Funded> {
    return this.inTurn(async () => {
      demandNames(request, FUND_NAMES, 'request')
      checkOutputs(request.outputs)
      const { outputs, feerate, keep = sat(0n), confirmations = 1 } = request
      const coins = await this.#free(confirmations)
      const changeScript = await this.changeScript()
      const selection = { coins, outputs, feerate, changeScript, keep }
      const selected = await this.#explained(coins, () => selectCoins(selection))
      const { sequence = SEQUENCE_REPLACEABLE, locktime = 0 } = request
      const change: TransactionOutput[] =
        selected.change === undefined ? [] : [{ amount: selected.change, script: changeScript }]
      const transaction: Transaction = {
        version: 2,
        inputs: selected.coins.map(({ outpoint }) => ({ outpoint, sequence, witness: [] })),
        outputs: [...outputs, ...change],
        locktime,
      }
      const reservation = await this.#reserve(request.purpose, selected.coins)
      return {
        reservation,
        transaction,
        coins: selected.coins.map(asReserved),
        fee: selected.fee,
        ...(change.length > 0 ? { changeIndex: outputs.length } : {}),
        psbt: this.#psbt(transaction, selected.coins),
      }
    })
  }

  reserveInputs(request: InputsRequest): Promise<ReservedInputs> {
    return this.inTurn(async () => {
      demandNames(request, INPUTS_NAMES, 'request')
      const { amount, feerate, keep = sat(0n), parent } = request
      const free = await this.#free(1)
      const worth = ({ amount: value, kind }: Coin) => value - feeFor(feerate, INPUT_WEIGHT[kind])
      const left = parent === undefined ? [] : await this.#leftBy(parent)
      const coins = await this.#explained([...free, ...left], () => {
        if (parent !== undefined && left.length === 0)
          throw insufficient({ needed: amount + keep, available: 0n, keep })
        const missing = left.reduce((rest: bigint, coin) => rest - worth(coin), amount)
        const more = missing > 0n ? cheapest(free, sat(missing), worth) : []
        const available = [...free, ...left].reduce((sum, coin) => sum + coin.amount, 0n)
        // What a child does not need comes back as change.
        if (more === undefined || available - amount < keep)
          throw insufficient({ needed: amount + keep, available, keep })
        return [...left, ...more]
      })
      const changeScript = await this.changeScript()
      const reservation = await this.#reserve(request.purpose, coins)
      const weights = coins.map(({ kind }) => INPUT_WEIGHT[kind])
      return { reservation, coins: coins.map(asReserved), changeScript, weights }
    })
  }

  async reservations(): Promise<readonly Reservation[]> {
    this.demandOpen()
    return this.reserved.all()
  }

  release(id: ReservationID): Promise<void> {
    return this.inTurn(async () => {
      await this.onRelease(this.reserved.coinsOf(id))
      await this.reserved.release(id)
    })
  }

  async sign(transaction: Transaction, spent: readonly TransactionOutput[]): Promise<Transaction> {
    this.demandOpen()
    const psbt = this.#psbt(transaction, spent)
    const own = new Set(ownInputs(readPsbt(psbt), this.reserved).map(({ input }) => input))
    return takeWitnesses(transaction, await this.signPsbt(psbt), own)
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // First: a node that hangs must not keep us.
    await this.onClose()
    await this.#last
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** One after the other, in the order of the calls. */
  protected async inTurn<T>(act: () => Promise<T>): Promise<T> {
    this.demandOpen()
    const turn = this.#last.then(act, act)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  /** @throws PerkunasError CLOSED */
  protected demandOpen(): void {
    if (this.#closed) throw new PerkunasError('CLOSED', 'the wallet is closed', { what: 'wallet' })
  }

  async #free(confirmations: number): Promise<readonly Coin[]> {
    if (!Number.isInteger(confirmations) || confirmations < 1) {
      throw new PerkunasError('INVALID_ARGUMENT', `at least 1 confirmation expected, got ${confirmations}`, {
        argument: 'confirmations',
      })
    }
    return (await this.deepCoins(confirmations)).filter(
      ({ outpoint }) => this.reserved.at(outpoint) === undefined,
    )
  }

  /** What a transaction that no block has leaves to us. A mempool that threw it out, or a wallet over it, does not list it. */
  async #leftBy({ outputs, ...rest }: Transaction): Promise<readonly Coin[]> {
    const txid = transactionID({ outputs, ...rest })
    const kinds = await this.kindsOf(outputs.map(({ script }) => script))
    return outputs.flatMap(({ amount, script }, index): Coin[] => {
      const kind = kinds[index]
      const outpoint = { txid, index }
      if (kind === undefined || this.reserved.at(outpoint) !== undefined) return []
      return [{ outpoint, amount, script, kind, isReserved: false }]
    })
  }

  /** What is chosen, or what there is that can't be. @param usable among which the choice is */
  async #explained<T>(usable: readonly Coin[], choose: () => T): Promise<T> {
    try {
      return choose()
    } catch (error) {
      if (!isError(error, 'INSUFFICIENT_FUNDS')) throw error
      const [all, { immature }] = await Promise.all([this.coins(), this.balance()])
      const known = new Set(usable.map(({ outpoint }) => outpointKey(outpoint)))
      let [unconfirmed, reserved] = [0n, 0n]
      for (const { outpoint, amount, height, isReserved } of all) {
        if (known.has(outpointKey(outpoint))) continue
        if (height !== undefined && isReserved) reserved += amount
        else unconfirmed += amount
      }
      throw insufficient({ ...error.facts, unconfirmed, immature, reserved })
    }
  }

  async #reserve(purpose: string, coins: readonly Coin[]): Promise<Reservation> {
    const reservation = await this.reserved.reserve(purpose, coins)
    try {
      await this.onReserved(coins)
    } catch (error) {
      // Nobody would know of it.
      await this.reserved.release(reservation.id)
      throw error
    }
    return reservation
  }

  #psbt(transaction: Transaction, spent: readonly TransactionOutput[]): Uint8Array {
    return buildPsbt(transaction, spent, (input) => {
      const outpoint = transaction.inputs[input]?.outpoint
      const coin = outpoint && this.reserved.at(outpoint)
      return coin === undefined ? {} : this.hintsOf(coin)
    })
  }
}

/** The smallest coin that brings in the amount alone, or else the largest ones. */
function cheapest(
  coins: readonly Coin[],
  amount: Sat,
  worth: (coin: Coin) => bigint,
): readonly Coin[] | undefined {
  const falling = coins
    .filter((coin) => worth(coin) > 0n)
    .sort((a, b) => (worth(a) > worth(b) ? -1 : worth(a) < worth(b) ? 1 : 0))
  const single = falling.findLast((coin) => worth(coin) >= amount)
  if (single !== undefined) return [single]
  const chosen: Coin[] = []
  let sum = 0n
  for (const coin of falling) {
    chosen.push(coin)
    sum += worth(coin)
    if (sum >= amount) return chosen
  }
  return undefined
}

/** @throws PerkunasError INVALID_ARGUMENT if it is none: whoever calls need not have been compiled against our types */
export function demandKind(kind: CoinKind): void {
  if (Object.hasOwn(INPUT_WEIGHT, kind)) return
  const message = `kind: one of ${Object.keys(INPUT_WEIGHT).join(', ')} expected, got ${String(kind)}`
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'kind' })
}

function checkOutputs(outputs: readonly TransactionOutput[]): void {
  const fault = (message: string) => new PerkunasError('INVALID_ARGUMENT', message, { argument: 'outputs' })
  if (!Array.isArray(outputs)) throw fault('outputs: a list expected')
  for (const [i, { amount, script }] of outputs.entries()) {
    if (typeof amount !== 'bigint') throw fault(`outputs.${i}.amount: bigint expected, got ${typeof amount}`)
    if (!(script instanceof Uint8Array)) throw fault(`outputs.${i}.script: bytes expected`)
  }
  const dust = outputs.findIndex(({ amount, script }) => amount < dustLimitOf(script))
  if (outputs.length > 0 && dust === -1) return
  const message = dust === -1 ? 'at least one output expected' : `output ${dust} is dust: nobody relays it`
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'outputs' })
}

function asReserved(coin: Coin): Coin {
  return { ...coin, isReserved: true }
}
