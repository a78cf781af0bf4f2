// The chains that there are, and what distinguishes them.
import type { Hex } from '../../../channel/bytes.js'
import { PerkunasError } from '../../../channel/errors.js'

/** The names of Bitcoin Core's RPC. */
export type Network = 'main' | 'test' | 'testnet4' | 'signet' | 'regtest'

/** What is the same for all of a network. */
export interface NetworkRules {
  /** Of its first block: as hashed, which is BOLT 7's `chain_hash`. */
  readonly genesis: Hex
  /** The human-readable part of its segwit addresses (BIP 173). */
  readonly addressPrefix: string
  /** BIP 44: 0 for money, 1 for tests. */
  readonly coinType: 0 | 1
  /** The easiest target that a block may have, in a header's compact form. */
  readonly easiestBits: number
  /**
   * How targets change: every 2016 blocks by a factor of at most 4; the same, but now and then a block may have the
   * easiest one; or never.
   */
  readonly difficulty: 'adjusted' | 'adjustedWithGaps' | 'constant'
  /** The first height at which blocks commit to witnesses (BIP 141). */
  readonly segwitFrom: number
}

/** Each network's rules. Of signets it is the public one. */
export const NETWORKS: Readonly<Record<Network, NetworkRules>> = {
  main: {
    genesis: '0x6fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000',
    addressPrefix: 'bc',
    coinType: 0,
    easiestBits: 0x1d00ffff,
    difficulty: 'adjusted',
    segwitFrom: 481_824,
  },
  test: {
    genesis: '0x43497fd7f826957108f4a30fd9cec3aeba79972084e90ead01ea330900000000',
    addressPrefix: 'tb',
    coinType: 1,
    easiestBits: 0x1d00ffff,
    difficulty: 'adjustedWithGaps',
    segwitFrom: 834_624,
  },
  testnet4: {
    genesis: '0x43f08bdab050e35b567c864b91f47f50ae725ae2de53bcfbbaf284da00000000',
    addressPrefix: 'tb',
    coinType: 1,
    easiestBits: 0x1d00ffff,
    difficulty: 'adjustedWithGaps',
    segwitFrom: 1,
  },
  signet: {
    genesis: '0xf61eee3b63a380a477a063af32b2bbc97c9ff9f01f2c4225e973988108000000',
    addressPrefix: 'tb',
    coinType: 1,
    easiestBits: 0x1e0377ae,
    difficulty: 'adjusted',
    segwitFrom: 1,
  },
  regtest: {
    genesis: '0x06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f',
    addressPrefix: 'bcrt',
    coinType: 1,
    easiestBits: 0x207fffff,
    difficulty: 'constant',
    segwitFrom: 1,
  },
}

/** Whether there is a network of that name. */
export function isNetwork(name: string): name is Network {
  return Object.hasOwn(NETWORKS, name)
}

/** @throws PerkunasError INVALID_ARGUMENT if there is none: whoever calls need not have been compiled against our types */
export function demandNetwork(name: string): void {
  if (typeof name === 'string' && isNetwork(name)) return
  const expected = Object.keys(NETWORKS).join(', ')
  const message = `network: one of ${expected} expected, got ${String(name)}`
  throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'network' })
}
