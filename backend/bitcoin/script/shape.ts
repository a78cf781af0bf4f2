// What a transaction is, as a value.
import type { Sat } from '../units.js'

/** An output of a transaction: what an input spends. */
export interface Outpoint {
  /** 32 bytes as hashed and as on the wire; explorers and RPC show them reversed, see `displayID`. */
  readonly txid: Uint8Array
  readonly index: number
}

/** Spends an output. */
export interface TransactionInput {
  readonly outpoint: Outpoint
  /** Relative lock time (BIP 68) and signal of replaceability (BIP 125). */
  readonly sequence: number
  /** Of legacy inputs; empty for native segwit. */
  readonly scriptSig?: Uint8Array
  /** Empty until signed. */
  readonly witness: readonly Uint8Array[]
}

/** An amount and who may spend it. */
export interface TransactionOutput {
  readonly amount: Sat
  /** scriptPubKey. */
  readonly script: Uint8Array
}

/** A transaction, signed or not. */
export interface Transaction {
  readonly version: number
  readonly inputs: readonly TransactionInput[]
  readonly outputs: readonly TransactionOutput[]
  readonly locktime: number
}
