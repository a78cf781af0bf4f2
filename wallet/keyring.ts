// Secrets in memory: what the three wallets have in common.
import type { Hex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import { addressOf, signDigest, signPersonal } from './personal.js'
import { secp256k1 } from './secp256k1.js'
import type { Account, Address } from './wallet.js'

/** An account whose secret is in this process: it signs at once, and digests too. */
export interface KeyAccount extends Account {
  /** Signs a message as a personal one (EIP-191), 65 bytes r ‖ s ‖ v. */
  sign(message: Uint8Array): Hex
  /**
   * Signs a 32-byte digest as it stands, 65 bytes r ‖ s ‖ v with v 27 or 28: for transactions of our own making.
   * Never for a digest that came from somebody else: it may be a state or a payment.
   */
  signDigest(digest: Uint8Array): Hex
}

interface Entry {
  readonly account: KeyAccount
  readonly secret: Uint8Array
  uses: number
}

/** Accounts by address with their use counts, until it is locked. */
export class Keyring {
  readonly #entries = new Map<Address, Entry>()
  #locked = false

  /**
   * Takes a secret in (a copy of it) and gives its account; the same one if it was there already.
   *
   * @throws PerkunasError CLOSED, or INVALID_ARGUMENT if it is no secret
   */
  add(secret: Uint8Array): KeyAccount {
    this.demandUnlocked()
    const address = addressOf(secp256k1.publicKey(secret))
    const known = this.#entries.get(address)
    if (known) return known.account
    const own = secret.slice()
    const account: KeyAccount = Object.freeze({
      address,
      sign: (message: Uint8Array) => {
        this.demandUnlocked()
        return signPersonal(message, own)
      },
      signDigest: (digest: Uint8Array) => {
        this.demandUnlocked()
        return signDigest(digest, own)
      },
    })
    this.#entries.set(address, { account, secret: own, uses: 0 })
    return account
  }

  /** The account of an address, if it is here. @throws PerkunasError CLOSED */
  get(address: Address): KeyAccount | undefined {
    this.demandUnlocked()
    return this.#entries.get(address)?.account
  }

  /** All addresses in the order in which they came; none once it is locked. */
  addresses(): readonly Address[] {
    return [...this.#entries.keys()]
  }

  /** Counts a use. @throws PerkunasError CLOSED, UNKNOWN_ACCOUNT */
  increment(address: Address): void {
    this.#entry(address).uses++
  }

  /** Takes a use back. @throws PerkunasError CLOSED, UNKNOWN_ACCOUNT, or INVALID_ARGUMENT if there is none */
  decrement(address: Address): void {
    const entry = this.#entry(address)
    if (entry.uses === 0) {
      throw new PerkunasError('INVALID_ARGUMENT', `account ${address} is not in use`, { argument: 'address' })
    }
    entry.uses--
  }

  /** How many channels need the account. @throws PerkunasError CLOSED, UNKNOWN_ACCOUNT */
  usage(address: Address): number {
    return this.#entry(address).uses
  }

  /** Overwrites the secrets and forgets the accounts; those that were handed out sign no more. */
  lock(): void {
    this.#locked = true
    for (const { secret } of this.#entries.values()) secret.fill(0)
    this.#entries.clear()
  }

  /** @throws PerkunasError CLOSED if it is locked */
  demandUnlocked(): void {
    if (this.#locked) throw new PerkunasError('CLOSED', 'the wallet is locked', { what: 'wallet' })
  }

  #entry(address: Address): Entry {
    this.demandUnlocked()
    return this.#entries.get(address) ?? unknownAccount(address)
  }
}

/** @throws PerkunasError UNKNOWN_ACCOUNT, always */
export function unknownAccount(address: Address): never {
  const shown = String(address).slice(0, 80)
  const hint = shown === shown.toLowerCase() ? '' : ' (addresses are in lower case here)'
  throw new PerkunasError('UNKNOWN_ACCOUNT', `the wallet has no account ${shown}${hint}`, { address: shown })
}
