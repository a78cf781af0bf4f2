// Accounts from a mnemonic (BIP 39) by hierarchical derivation (BIP 32, BIP 44).
import { HDKey } from '@scure/bip32'
import { generateMnemonic, mnemonicToSeed, mnemonicToSeedWebcrypto, validateMnemonic } from '@scure/bip39'
import { wordlist as english } from '@scure/bip39/wordlists/english.js'
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { PerkunasError } from '../channel/errors.js'
import { type KeyAccount, Keyring, unknownAccount } from './keyring.js'
import type { Address, Wallet } from './wallet.js'

/** Where Ethereum's wallets keep their accounts: account i is at `m/44'/60'/0'/0/i` (BIP 44). */
export const DEFAULT_PATH = "m/44'/60'/0'/0"

/** What an {@link HDWallet} is made from. */
export interface HDWalletOptions {
  /** 12 to 24 words (BIP 39). */
  readonly mnemonic: string
  /** The words' language; English if not given. */
  readonly wordlist?: readonly string[]
  /** BIP 39's optional passphrase. */
  readonly passphrase?: string
  /**
   * The accounts' parent; account i is its child i. {@link DEFAULT_PATH} if not given. The Go client of the Perun
   * framework keeps its accounts one level higher, under `m/44'/60'/0'`.
   */
  readonly path?: string
  /** How many accounts have been handed out before: `newAccount` goes on after them. 0 if not given. */
  readonly accounts?: number
}

const OPTION_NAMES: NamesOf<HDWalletOptions> = {
  mnemonic: true,
  wordlist: true,
  passphrase: true,
  path: true,
  accounts: true,
}

// How far an address is looked for beyond the accounts that are known (BIP 44's gap limit).
const GAP = 20
const MAX_ACCOUNTS = 100_000

/** A mnemonic for a new wallet: 24 English words from 256 random bits, or 12 from 128. */
export function newMnemonic(bits: 128 | 256 = 256): string {
  return generateMnemonic(english, bits)
}

/**
 * Accounts from a mnemonic, in order. Whoever has the words has all accounts: nothing else need be kept but their
 * number, `size`.
 */
export class HDWallet implements Wallet {
  readonly #keyring = new Keyring()
  readonly #parent: HDKey
  #size = 0

  private constructor(parent: HDKey) {
    this.#parent = parent
  }

  /**
   * @throws PerkunasError INVALID_KEY_MATERIAL if the mnemonic's words or checksum are wrong; INVALID_ARGUMENT if the
   *   path or the number of accounts is, or an option is unknown
   */
  static async open(options: HDWalletOptions): Promise<HDWallet> {
    demandNames(options, OPTION_NAMES)
    const { passphrase = '', path = DEFAULT_PATH, accounts = 0 } = options
    const mnemonic = String(options.mnemonic)
      .trim()
      .replace(/\s+/gu, options.wordlist ? '$&' : ' ')
    if (!Number.isSafeInteger(accounts) || accounts < 0 || accounts > MAX_ACCOUNTS) {
      throw new PerkunasError(
        'INVALID_ARGUMENT',
        `accounts: 0 to ${MAX_ACCOUNTS} expected, got ${accounts}`,
        {
          argument: 'accounts',
        },
      )
    }
    const words = [...(options.wordlist ?? english)]
    if (!validateMnemonic(mnemonic, words)) {
      const reason = `not a BIP 39 mnemonic: ${faultOfWords(mnemonic.normalize('NFKD').split(/\s/u), words)}`
      throw new PerkunasError('INVALID_KEY_MATERIAL', reason, { reason })
    }
    // The platform's key derivation is several times faster; pages that are not served over TLS don't have it.
    const derive = globalThis.crypto?.subtle === undefined ? mnemonicToSeed : mnemonicToSeedWebcrypto
    const seed = await derive(mnemonic, passphrase)
    const wallet = new HDWallet(parentOf(seed, path))
    seed.fill(0)
    while (wallet.#size < accounts) wallet.#next()
    return wallet
  }

  /** How many accounts have been derived: pass it as `accounts` when the wallet is opened the next time. */
  get size(): number {
    return this.#size
  }

  /** Looks up to 20 accounts beyond the known ones, and takes in what lies before the one that it finds. */
  async account(address: Address): Promise<KeyAccount> {
    const known = this.#keyring.get(address)
    if (known) return known
    const ahead = new Keyring()
    try {
      for (let found = this.#size; found < this.#size + GAP; found++) {
        if (this.#derive(found, ahead).address === address) {
          while (this.#size < found) this.#next()
          return this.#next()
        }
      }
    } finally {
      ahead.lock()
    }
    return unknownAccount(address)
  }

  async addresses(): Promise<readonly Address[]> {
    return this.#keyring.addresses()
  }

  async newAccount(): Promise<KeyAccount> {
    return this.#next()
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
    this.#parent.wipePrivateData()
  }

  #next(): KeyAccount {
    this.#keyring.demandUnlocked()
    const account = this.#derive(this.#size, this.#keyring)
    this.#size++
    return account
  }

  #derive(index: number, into: Keyring): KeyAccount {
    const child = this.#parent.deriveChild(index)
    const secret = child.privateKey
    child.wipePrivateData()
    if (secret === null) throw new Error(`no private key at ${index}`)
    try {
      return into.add(secret)
    } finally {
      secret.fill(0)
    }
  }
}

/** What is wrong with a mnemonic, without telling any of it. */
function faultOfWords(given: readonly string[], known: readonly string[]): string {
  if (![12, 15, 18, 21, 24].includes(given.length)) return `12 to 24 words expected, got ${given.length}`
  const unknown = given.flatMap((word, i) => (known.includes(word) ? [] : [i + 1]))
  return unknown.length > 0 ? `not on the list: word ${unknown.join(', ')}` : 'the checksum is wrong'
}

function parentOf(seed: Uint8Array, path: string): HDKey {
  const root = HDKey.fromMasterSeed(seed)
  try {
    const parent = root.derive(path)
    if (parent !== root) root.wipePrivateData()
    return parent
  } catch (cause) {
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `path: one like ${DEFAULT_PATH} expected, got ${path.slice(0, 80)}`,
      {
        argument: 'path',
      },
      { cause },
    )
  }
}
