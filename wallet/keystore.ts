// Accounts in a directory of encrypted files, in the format that Ethereum's own tools read and write
// ("Web3 Secret Storage", version 3). For Node.js.
import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { decryptKeystoreJson, encryptKeystoreJson } from 'ethers/wallet'
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { fromHex, isHex, toHex } from '../channel/bytes.js'
import { PerkunasError } from '../channel/errors.js'
import { type KeyAccount, Keyring, unknownAccount } from './keyring.js'
import { randomSecret } from './memory.js'
import type { Address, Wallet } from './wallet.js'

/** Cost of turning the password into a key (scrypt): memory is 128 · N · r bytes. */
export interface ScryptCost {
  /** A power of two. */
  readonly N: number
  readonly r: number
  readonly p: number
}

/** What the tools of Ethereum take: 256 MiB and about a second. */
export const STANDARD_COST: ScryptCost = { N: 2 ** 18, r: 8, p: 1 }

/** What a {@link KeystoreWallet} is opened with. */
export interface KeystoreOptions {
  /** Where the files are. Made, for its owner only, if it is not there. */
  readonly directory: string
  /** One for all files. */
  readonly password: string
  /** For files that are written; {@link STANDARD_COST} if not given. Those that are read say their own. */
  readonly scrypt?: ScryptCost
}

const OPTION_NAMES: NamesOf<KeystoreOptions> = { directory: true, password: true, scrypt: true }

// A file is a few hundred bytes. What says more, or wants a gigabyte of memory, would only stop the process.
const MAX_FILE = 65_536
const MAX_SCRYPT_MEMORY = 2 ** 30
const MAX_SCRYPT_PARALLEL = 16
const MAX_PBKDF2_ROUNDS = 10_000_000

interface KeyFile {
  readonly address: Address
  readonly name: string
  readonly json: string
}

/**
 * Accounts in encrypted files. An account is decrypted when it is first asked for and stays in memory until `lock`.
 *
 * `newAccount` returns when its file is on disk. Files appear whole or not at all, readable by their owner only, and
 * are never changed or deleted.
 */
export class KeystoreWallet implements Wallet {
  readonly #keyring = new Keyring()
  readonly #files: Map<Address, KeyFile>
  readonly #opening = new Map<Address, Promise<KeyAccount>>()
  readonly #directory: string
  readonly #cost: ScryptCost
  #password: string

  /** Names of the files that look like keys and can't be read as such; they are left alone. */
  readonly unreadable: readonly string[]

  private constructor(options: KeystoreOptions, files: Map<Address, KeyFile>, unreadable: readonly string[]) {
    this.#directory = options.directory
    this.#password = options.password
    this.#cost = options.scrypt ?? STANDARD_COST
    this.#files = files
    this.unreadable = unreadable
  }

  /**
   * Reads the directory and tries the password, so that no account is made with a mistyped one.
   *
   * @throws PerkunasError INVALID_KEY_MATERIAL if the password opens none of the three oldest files; INVALID_ARGUMENT if the scrypt cost is, or an option is unknown
   */
  static async open(options: KeystoreOptions): Promise<KeystoreWallet> {
    demandNames(options, OPTION_NAMES)
    demandNames(options.scrypt ?? {}, STANDARD_COST, 'options.scrypt')
    for (const name of ['directory', 'password'] as const) {
      if (typeof options[name] === 'string' && (name === 'password' || options[name] !== '')) continue
      throw new PerkunasError('INVALID_ARGUMENT', `a keystore needs a ${name}`, { argument: name })
    }
    const { N, r, p } = options.scrypt ?? STANDARD_COST
    if (!isCost(N, r, p)) {
      throw new PerkunasError(
        'INVALID_ARGUMENT',
        `scrypt: N a power of two, at most 1 GiB of memory and p up to ${MAX_SCRYPT_PARALLEL} expected, got N ${N}, r ${r}, p ${p}`,
        { argument: 'scrypt' },
      )
    }
    await mkdir(options.directory, { recursive: true, mode: 0o700 })
    const files = new Map<Address, KeyFile>()
    const unreadable: string[] = []
    // The names begin with the time, so this is by age.
    for (const name of (await readdir(options.directory)).filter(isKeyName).sort()) {
      const file = await readKeyFile(options.directory, name)
      if (file === undefined) unreadable.push(name)
      else if (!files.has(file.address)) files.set(file.address, file)
    }
    const wallet = new KeystoreWallet(options, files, unreadable)
    await wallet.#tryPassword()
    return wallet
  }

  async account(address: Address): Promise<KeyAccount> {
    const known = this.#keyring.get(address)
    if (known) return known
    const file = this.#files.get(address)
    if (file === undefined) return unknownAccount(address)
    // Deriving the key takes a second and much memory: once for all who ask meanwhile.
    const opening = this.#opening.get(address) ?? this.#decrypt(file)
    this.#opening.set(address, opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(address)
    }
  }

  async addresses(): Promise<readonly Address[]> {
    return [...this.#files.keys()]
  }

  async newAccount(): Promise<KeyAccount> {
    const secret = randomSecret()
    try {
      return await this.importSecret(secret)
    } finally {
      secret.fill(0)
    }
  }

  /**
   * Keeps a secret from elsewhere. Gives the account that is there if it is known already.
   *
   * @throws PerkunasError INVALID_ARGUMENT if it is no secret
   */
  async importSecret(secret: Uint8Array): Promise<KeyAccount> {
    this.#keyring.demandUnlocked()
    // Not into the keyring before it is on disk.
    const fresh = new Keyring()
    const { address } = fresh.add(secret)
    fresh.lock()
    if (!this.#files.has(address)) {
      const copy = secret.slice()
      try {
        await this.#write(address, copy)
        return this.#keyring.add(copy)
      } finally {
        copy.fill(0)
      }
    }
    return this.#keyring.add(secret)
  }

  async incrementUsage(address: Address): Promise<void> {
    await this.account(address)
    this.#keyring.increment(address)
  }

  async decrementUsage(address: Address): Promise<void> {
    await this.account(address)
    this.#keyring.decrement(address)
  }

  /** How many channels need the account; 0 for one that was not asked for yet. @throws PerkunasError CLOSED, UNKNOWN_ACCOUNT */
  usage(address: Address): number {
    if (this.#keyring.get(address) === undefined && this.#files.has(address)) return 0
    return this.#keyring.usage(address)
  }

  /** The password is forgotten too. Strings can't be overwritten: their memory is the garbage collector's. */
  async lock(): Promise<void> {
    this.#keyring.lock()
    this.#password = ''
  }

  // Not on the oldest file alone: were it damaged, it would keep all the other accounts locked.
  async #tryPassword(): Promise<void> {
    let first: unknown
    for (const address of [...this.#files.keys()].slice(0, 3)) {
      try {
        await this.account(address)
        return
      } catch (error) {
        first ??= error
      }
    }
    if (first !== undefined) throw first
  }

  async #decrypt(file: KeyFile): Promise<KeyAccount> {
    let secret: Uint8Array
    try {
      const { privateKey } = await decryptKeystoreJson(file.json, this.#password)
      secret = fromHex(toCanonical(privateKey), 32)
    } catch (cause) {
      // A file whose address is not that of its key ends here too.
      const reason = `${file.name}: wrong password, or the file is damaged`
      throw new PerkunasError('INVALID_KEY_MATERIAL', reason, { reason }, { cause })
    }
    try {
      return this.#keyring.add(secret)
    } finally {
      secret.fill(0)
    }
  }

  async #write(address: Address, secret: Uint8Array): Promise<void> {
    const json = await encryptKeystoreJson({ address, privateKey: toHex(secret) }, this.#password, {
      scrypt: this.#cost,
    })
    // Locked meanwhile: nobody would get to know of the account.
    this.#keyring.demandUnlocked()
    const name = `UTC--${new Date().toISOString().replaceAll(':', '-')}--${address.slice(2)}`
    await writeWhole(this.#directory, name, json)
    this.#files.set(address, { address, name, json })
  }
}

/** The names that go-ethereum and other tools give to keys. Temporary files begin with a dot. */
function isKeyName(name: string): boolean {
  return name.startsWith('UTC--') || (name.endsWith('.json') && !name.startsWith('.'))
}

async function readKeyFile(directory: string, name: string): Promise<KeyFile | undefined> {
  try {
    const path = join(directory, name)
    const { size } = await stat(path)
    if (size > MAX_FILE) return undefined
    const json = await readFile(path, 'utf8')
    const address = addressInside(JSON.parse(json))
    return address && { address, name, json }
  } catch {
    return undefined
  }
}

/** The address in a key file that can be opened with bearable effort. */
function addressInside(file: unknown): Address | undefined {
  const crypto = field(file, 'crypto')
  const parameters = field(crypto, 'kdfparams')
  const kdf = field(crypto, 'kdf')
  const bearable =
    kdf === 'scrypt'
      ? isCost(field(parameters, 'n'), field(parameters, 'r'), field(parameters, 'p'))
      : kdf === 'pbkdf2' && isCount(field(parameters, 'c'), MAX_PBKDF2_ROUNDS)
  const address = field(file, 'address')
  if (field(file, 'version') !== 3 || !bearable || typeof address !== 'string') return undefined
  const canonical = toCanonical(address)
  return isHex(canonical, 20) ? canonical : undefined
}

// Tools differ in the case of the names ("Crypto").
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key.toLowerCase() === name)?.[1]
}

function isCost(N: unknown, r: unknown, p: unknown): boolean {
  return (
    isCount(N, 2 ** 24) &&
    N > 1 &&
    (N & (N - 1)) === 0 &&
    isCount(r, 1024) &&
    128 * N * r <= MAX_SCRYPT_MEMORY &&
    isCount(p, MAX_SCRYPT_PARALLEL)
  )
}

function isCount(value: unknown, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= most
}

function toCanonical(hex: string): `0x${string}` {
  return `0x${hex.toLowerCase().replace(/^0x/, '')}`
}

/** Writes a file so that a crash leaves it whole or absent. No other file has its name: that holds the time and the address. */
async function writeWhole(directory: string, name: string, content: string): Promise<void> {
  const temporary = join(directory, `.${randomUUID()}.tmp`)
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, join(directory, name))
  } finally {
    await rm(temporary, { force: true })
  }
  // The name is durable when the directory is; Windows has no such call and needs none.
  if (process.platform !== 'win32') {
    const parent = await open(directory, 'r')
    try {
      await parent.sync()
    } finally {
      await parent.close()
    }
  }
}
