// A wallet that lives and dies with the process: for tests, and for keys that somebody else keeps.
import { randomBytes } from '@noble/hashes/utils.js'
import { type KeyAccount, Keyring, unknownAccount } from './keyring.js'
import { secp256k1 } from './secp256k1.js'
import type { Address, Wallet } from './wallet.js'

/** Accounts in memory. What `newAccount` makes is lost with the process. */
export class MemoryWallet implements Wallet {
  readonly #keyring = new Keyring()

  /**
   * @param secrets of the first accounts, 32 bytes each; copied
   * @throws PerkunasError INVALID_ARGUMENT if one is no secret
   */
  constructor(secrets: Iterable<Uint8Array> = []) {
    for (const secret of secrets) this.#keyring.add(secret)
  }

  async account(address: Address): Promise<KeyAccount> {
    return this.#keyring.get(address) ?? unknownAccount(address)
  }

  async addresses(): Promise<readonly Address[]> {
    return this.#keyring.addresses()
  }

  async newAccount(): Promise<KeyAccount> {
    const secret = randomSecret()
    const account = this.#keyring.add(secret)
    secret.fill(0)
    return account
  }

  async incrementUsage(address: Address): Promise<void> {
    this.#keyring.increment(address)
  }

  async decrementUsage(address: Address): Promise<void> {
    this.#keyring.decrement(address)
  }

  /** How many channels need the account. @throws PerkunasError CLOSED, UNKNOWN_ACCOUNT */
  usage(address: Address): number {
    return this.#keyring.usage(address)
  }

  async lock(): Promise<void> {
    this.#keyring.lock()
  }
}

/** A fresh secret from the platform's source of randomness, 32 bytes. */
export function randomSecret(): Uint8Array {
  for (;;) {
    const secret = randomBytes(32)
    // All but one of 2^128 are.
    if (secp256k1.isSecret(secret)) return secret
  }
}
