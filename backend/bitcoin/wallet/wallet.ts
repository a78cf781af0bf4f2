// What channels need of a wallet of coins on chain: to fund them, to pay fees for what can't pay its own, and to be paid.
//
// Coins are promised before they are signed for: a reservation is durable when the call that made it returns, survives
// restarts, and keeps its coins from all other calls until it is released: by whoever asked, once it is given up or final.
import type { Hex } from '../../../channel/bytes.js'
import type { Outpoint, Transaction, TransactionOutput } from '../script/index.js'
import type { BlockHeight, FeeratePerKw, Sat } from '../units.js'

/** How a coin can be spent. All native segwit, so that signing does not change a transaction's ID. */
export type CoinKind = 'p2wpkh' | 'p2tr'

/** An address of the wallet. */
export interface WalletAddress {
  /** BIP 173 or BIP 350. */
  readonly address: string
  /** The same as scriptPubKey. */
  readonly script: Uint8Array
  readonly kind: CoinKind
}

/** An output that the wallet can spend. */
export interface Coin extends TransactionOutput {
  readonly outpoint: Outpoint
  readonly kind: CoinKind
  /** Of its block; absent while it is not confirmed. */
  readonly height?: BlockHeight
  /** Whether a reservation holds it. */
  readonly isReserved: boolean
}

/** What there is. Each satoshi is in exactly one. */
export interface Balance {
  /** Confirmed and free to be spent. */
  readonly confirmed: Sat
  /** In transactions that no block has yet. Not spent by this wallet. */
  readonly unconfirmed: Sat
  /** New money that is not 100 blocks old. */
  readonly immature: Sat
  /** Confirmed and held by reservations. */
  readonly reserved: Sat
}

/** What keeps coins from others: 16 random bytes. */
export type ReservationID = Hex

/** Coins that are kept for somebody. */
export interface Reservation {
  readonly id: ReservationID
  /** What for, in the words of whoever asked; to be recognized after a restart. */
  readonly purpose: string
  readonly outpoints: readonly Outpoint[]
}

/** A transaction to be paid for. */
export interface FundRequest {
  /** See {@link Reservation.purpose}; at most 200 characters. */
  readonly purpose: string
  readonly outputs: readonly TransactionOutput[]
  readonly feerate: FeeratePerKw
  /** What must stay free in the wallet afterwards, its change included, say for the fees of channels that close; 0 if absent. */
  readonly keep?: Sat
  /** How many blocks deep coins must be, counting their own; 1 if absent. 0 is not possible. */
  readonly confirmations?: number
  /** 0 if absent. */
  readonly locktime?: number
  /** Of all inputs; `SEQUENCE_REPLACEABLE` if absent. */
  readonly sequence?: number
}

/** A transaction that is paid for and not signed. */
export interface Funded {
  readonly reservation: Reservation
  /** Without witnesses. Its ID is final. The outputs asked for come first, in their order; change, if any, is the last. */
  readonly transaction: Transaction
  /** Of each input, in order. */
  readonly coins: readonly Coin[]
  readonly fee: Sat
  readonly changeIndex?: number
  /** The same as PSBT (BIP 174, version 0), with what signers need. */
  readonly psbt: Uint8Array
}

/** Inputs that are to bring in an amount beyond what they cost themselves, as for the child of a commitment (CPFP). */
export interface InputsRequest {
  readonly purpose: string
  /** After each input's own fee at `feerate` is taken off, so much is left. */
  readonly amount: Sat
  readonly feerate: FeeratePerKw
  readonly keep?: Sat
  /**
   * A transaction that no block has, nor need a mempool: all that it leaves to the wallet must be among the coins, which pay for
   * it, too.
   */
  readonly parent?: Transaction
}

/** Coins for a transaction that the caller builds. */
export interface ReservedInputs {
  readonly reservation: Reservation
  readonly coins: readonly Coin[]
  /** A new script of the wallet, for what is left. */
  readonly changeScript: Uint8Array
  /** Of an input with a coin of that kind, its witness included, at most. */
  readonly weights: readonly number[]
}

/** A wallet on chain. Calls may overlap; each takes effect at once. */
export interface OnchainWallet extends AsyncDisposable {
  /** An address that was not handed out before, for whoever is to pay. P2WPKH if not said. */
  newAddress(kind?: CoinKind): Promise<WalletAddress>
  /** A script that was not handed out before, for what comes back from channels and is left over. */
  changeScript(): Promise<Uint8Array>

  balance(): Promise<Balance>
  /** All that is not spent, reserved and unconfirmed coins included, new money that is too young not. */
  coins(): Promise<readonly Coin[]>

  /**
   * Chooses coins for a transaction and reserves them.
   *
   * @throws PerkunasError INSUFFICIENT_FUNDS; INVALID_ARGUMENT if an output is dust or nothing is asked for
   */
  fund(request: FundRequest): Promise<Funded>
  /**
   * Chooses confirmed coins for a transaction of the caller's, beside those of a `parent`, and reserves them.
   *
   * @throws PerkunasError INSUFFICIENT_FUNDS, also if the parent has left none that are free
   */
  reserveInputs(request: InputsRequest): Promise<ReservedInputs>
  /** What is reserved: after a restart, whoever knows a purpose no more releases it. */
  reservations(): Promise<readonly Reservation[]>
  /** Frees the coins of a reservation. Must not be called while one of its transactions may still be published. Idempotent. */
  release(id: ReservationID): Promise<void>

  /**
   * Adds the witnesses of all inputs that spend coins of the wallet, each over the whole transaction; the others stay as
   * they are.
   *
   * @param spent of each input, what it spends; for the wallet's own it must be what the wallet knows
   * @throws PerkunasError INVALID_ARGUMENT if it is not, or a coin of the wallet is not reserved
   */
  sign(transaction: Transaction, spent: readonly TransactionOutput[]): Promise<Transaction>
  /** The same for a PSBT of version 0: gives it back with final witnesses in the wallet's inputs. */
  signPsbt(psbt: Uint8Array): Promise<Uint8Array>

  /**
   * Tells that a transaction was handed to the network: until it is mined, or another one that spends the same, its inputs
   * count as spent, and its outputs to the wallet as unconfirmed. A wallet that watches a mempool knows without.
   */
  published(transaction: Transaction): Promise<void>

  /** Ends it; open calls fail with CLOSED. Idempotent. */
  close(): Promise<void>
}
