// What a client asks of whoever keeps its keys.
import type { Hex } from '../channel/bytes.js'
import type { Address } from '../channel/params.js'

export type { Address } from '../channel/params.js'

/** A key that is ready to sign. Kept by reference for as long as a channel lives. */
export interface Account {
  /** The address that others check its signatures against. */
  readonly address: Address
  /**
   * Signs a message in the ledger's manner: on Ethereum as a personal message (EIP-191), 65 bytes r ‖ s ‖ v.
   *
   * Signing the same message twice may give two different signatures, both valid. May take a while where a person or
   * a device is asked; fails with CLOSED once the wallet is locked.
   */
  sign(message: Uint8Array): Hex | Promise<Hex>
}

/**
 * A keeper of accounts on one kind of ledger (Perun core protocol, "Wallet").
 *
 * The client asks for the account of its address in each channel that it creates or restores, and counts its use:
 * one increment per channel created or restored, one decrement per channel settled, so that at any time the count is
 * the number of channels that need the account. Accounts are never handed out to peers.
 *
 * All methods may be called at once and repeatedly. After `lock`, all but `addresses` and `lock` fail with CLOSED.
 */
export interface Wallet {
  /**
   * The account of an address, unlocked.
   *
   * @throws PerkunasError UNKNOWN_ACCOUNT if the wallet has none; INVALID_KEY_MATERIAL if it can't be opened
   */
  account(address: Address): Promise<Account>

  /** The addresses of all accounts, oldest first. */
  addresses(): Promise<readonly Address[]>

  /**
   * Makes a fresh account. When it returns, the account is as durable as the wallet is: an address that went out
   * and whose key is lost **can lose funds**.
   */
  newAccount(): Promise<Account>

  /**
   * One more channel needs the account.
   *
   * @throws PerkunasError UNKNOWN_ACCOUNT
   */
  incrementUsage(address: Address): Promise<void>

  /**
   * One channel less needs the account. At zero a wallet may delete it; ours keep it, since withdrawn funds may lie
   * on its address.
   *
   * @throws PerkunasError UNKNOWN_ACCOUNT, or INVALID_ARGUMENT if there was no increment to match
   */
  decrementUsage(address: Address): Promise<void>

  /** Forgets all secrets, for good: the client calls it when it closes. Idempotent. */
  lock(): Promise<void>
}
