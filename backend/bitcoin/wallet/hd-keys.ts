// The keys of a wallet from one seed (BIP 32): P2WPKH by BIP 84, P2TR by BIP 86, both with a branch for who pays us and one
// for change.
import { HDKey } from '@scure/bip32'
import { p2tr, p2wpkh } from '@scure/btc-signer'
import { PerkunasError } from '../../../channel/errors.js'
import { NETWORKS, type Network } from '../chain/index.js'
import type { CoinKind } from './wallet.js'

/** Where a key lies. */
export interface KeyPath {
  readonly kind: CoinKind
  /** 0 for who pays us, 1 for change. */
  readonly branch: 0 | 1
  readonly index: number
}

const PURPOSE: Readonly<Record<CoinKind, number>> = { p2wpkh: 84, p2tr: 86 }
const HARDENED = 0x8000_0000

/** The four branches of the first account. */
export const BRANCHES: readonly Omit<KeyPath, 'index'>[] = [
  { kind: 'p2wpkh', branch: 0 },
  { kind: 'p2wpkh', branch: 1 },
  { kind: 'p2tr', branch: 0 },
  { kind: 'p2tr', branch: 1 },
]

/** The name of a branch. */
export function branchName({ kind, branch }: Omit<KeyPath, 'index'>): string {
  return `${kind}/${branch}`
}

/** Holds the secrets; gives one key at a time. */
export class HdKeys {
  readonly #fingerprint: number
  readonly #coinType: number
  readonly #branches = new Map<string, HDKey>()

  /** @throws PerkunasError INVALID_KEY_MATERIAL if the seed has not 16 to 64 bytes */
  constructor(seed: Uint8Array, network: Network) {
    if (seed.length < 16 || seed.length > 64) {
      const reason = `a seed of 16 to 64 bytes expected, got ${seed.length}`
      throw new PerkunasError('INVALID_KEY_MATERIAL', reason, { reason })
    }
    const root = HDKey.fromMasterSeed(seed)
    this.#fingerprint = root.fingerprint
    this.#coinType = NETWORKS[network].coinType
    for (const path of BRANCHES) {
      const branch = root.derive(`m/${PURPOSE[path.kind]}'/${this.#coinType}'/0'/${path.branch}`)
      this.#branches.set(branchName(path), branch)
    }
    root.wipePrivateData()
  }

  /** What is paid to the key. */
  scriptOf(path: KeyPath): Uint8Array {
    const publicKey = this.#publicKey(path)
    return path.kind === 'p2wpkh' ? p2wpkh(publicKey).script : p2tr(publicKey.subarray(1)).script
  }

  /** What a PSBT says of an input or output of the key (BIP 174, BIP 371). */
  hintsOf(path: KeyPath) {
    const publicKey = this.#publicKey(path)
    const { kind, branch, index } = path
    const steps = [PURPOSE[kind] + HARDENED, this.#coinType + HARDENED, HARDENED, branch, index]
    const source = { fingerprint: this.#fingerprint, path: steps }
    if (kind === 'p2wpkh') return { bip32Derivation: [[publicKey, source] as [Uint8Array, typeof source]] }
    const internal = publicKey.slice(1)
    const derivation: [Uint8Array, { hashes: Uint8Array[]; der: typeof source }] = [
      internal,
      { hashes: [], der: source },
    ]
    return { tapInternalKey: internal, tapBip32Derivation: [derivation] }
  }

  /** Lends a key's secret to `use`, and wipes it. */
  withSecret<T>(path: KeyPath, use: (secret: Uint8Array) => T): T {
    const key = this.#branch(path).deriveChild(path.index)
    const secret = key.privateKey
    key.wipePrivateData()
    if (secret === null) throw new PerkunasError('CLOSED', 'the wallet is closed', { what: 'wallet' })
    try {
      return use(secret)
    } finally {
      secret.fill(0)
    }
  }

  /** Forgets all secrets. */
  wipe(): void {
    for (const branch of this.#branches.values()) branch.wipePrivateData()
  }

  #publicKey(path: KeyPath): Uint8Array {
    const { publicKey } = this.#branch(path).deriveChild(path.index)
    if (publicKey === null) throw new PerkunasError('INTERNAL', 'a key without point', { where: 'hd-keys' })
    return publicKey
  }

  #branch(path: KeyPath): HDKey {
    const branch = this.#branches.get(branchName(path))
    if (branch === undefined) throw new PerkunasError('INTERNAL', 'no such branch', { where: 'hd-keys' })
    return branch
  }
}
