// Whether the contracts at some addresses are ones to trust with money: their code is known, and they are bound to
// each other. What is not known may keep every deposit.
import {
  type Address,
  type CallOptions,
  fromHex,
  type Hex,
  PerkunasError,
  toHex,
} from '../../channel/index.js'
import { keccak256 } from '../../wallet/index.js'
import { HOLDER } from './abi.js'
import * as artifacts from './artifacts/index.js'
import { address } from './assets.js'
import type { Chain } from './chain.js'
import { type Generation, type Holder, read } from './contracts.js'

/** A contract whose code is known. */
export interface KnownContract {
  readonly kind: 'adjudicator' | 'ETH holder' | 'ERC20 holder'
  readonly generation: Generation
}

/** Known contracts by keccak256 of their code on chain, with zeros in the place of immutables. */
export type KnownContracts = Readonly<Record<Hex, KnownContract>>

/** Perkunas' own contracts as compiled with this package, and those of Perun's Go bindings (0.6.0). */
export const KNOWN_CONTRACTS: KnownContracts = Object.freeze({
  [artifacts.Adjudicator.codeHash]: { kind: 'adjudicator', generation: 'perkunas' },
  [artifacts.AssetHolderETH.codeHash]: { kind: 'ETH holder', generation: 'perkunas' },
  [artifacts.AssetHolderERC20.codeHash]: { kind: 'ERC20 holder', generation: 'perkunas' },
  '0x860c552012d5cafcdd90e17d1a7aa4e3089c90f43b742a916224f81ba8a8d303': {
    kind: 'adjudicator',
    generation: 'reference',
  },
  '0x215f83ad2c07deb83492f518d99ab045c9fd182e5151d099dbafa8d7eb8dc67f': {
    kind: 'ETH holder',
    generation: 'reference',
  },
  '0x758197eb3e2bd25cd9ab3743de04bb3909ad080c2cd1f5ff997dbedc5e57a34f': {
    kind: 'ERC20 holder',
    generation: 'reference',
  },
})

/** What to verify. */
export interface ContractAddresses {
  readonly adjudicator: Address
  readonly holders: readonly Address[]
}

/** What was found. */
export interface VerifiedContracts {
  readonly generation: Generation
  readonly holders: ReadonlyMap<Address, Holder>
}

/**
 * Checks an adjudicator and its asset holders.
 *
 * @throws PerkunasError INVALID_CONTRACT if a code is unknown, of another kind or generation than expected, or a
 *   holder obeys another adjudicator
 */
export async function verifyContracts(
  chain: Chain,
  addresses: ContractAddresses,
  known: KnownContracts = KNOWN_CONTRACTS,
  options: CallOptions = {},
): Promise<VerifiedContracts> {
  const { adjudicator } = addresses
  const { kind, generation } = await identify(chain, adjudicator, [], known, options)
  if (kind !== 'adjudicator') throw invalid(adjudicator, `an adjudicator expected, got an ${kind}`)
  const holders = new Map<Address, Holder>()
  for (const at of addresses.holders) {
    const holder = await verifyHolder(chain, at, { adjudicator, generation }, known, options)
    holders.set(holder.address, holder)
  }
  return { generation, holders }
}

async function verifyHolder(
  chain: Chain,
  at: Address,
  expected: { readonly adjudicator: Address; readonly generation: Generation },
  known: KnownContracts,
  options: CallOptions,
): Promise<Holder> {
  const view = async (method: string) =>
    address(String((await read(chain, { at, abi: HOLDER, method, values: [] }, options))[0]))
  if ((await chain.code(at, options)) === '0x') throw invalid(at, 'no contract there')
  const bound = await view('adjudicator')
  if (bound !== expected.adjudicator) {
    throw invalid(at, `a holder of adjudicator ${expected.adjudicator} expected, got one of ${bound}`)
  }
  // Only a token's holder has the second view.
  const token = await view('token').catch((error: unknown) => {
    if (error instanceof PerkunasError && error.code === 'INVALID_CONTRACT') return undefined
    throw error
  })
  const immutables = token === undefined ? [bound] : [bound, token]
  const { kind, generation } = await identify(chain, at, immutables, known, options)
  if (generation !== expected.generation) {
    throw invalid(at, `a holder of the ${expected.generation} contracts expected, got ${generation}`)
  }
  if (kind !== (token === undefined ? 'ETH holder' : 'ERC20 holder')) {
    throw invalid(at, `an asset holder expected, got an ${kind}`)
  }
  return { address: at, token }
}

/** The known contract whose code stands at an address, when immutables of those values are taken out of it. */
async function identify(
  chain: Chain,
  at: Address,
  immutables: readonly Address[],
  known: KnownContracts,
  options: CallOptions,
): Promise<KnownContract> {
  const code = await chain.code(at, options)
  if (code === '0x') throw invalid(at, 'no contract there')
  // The compiler pushes an immutable as a whole word (PUSH32, 0x7f). Some generations have the adjudicator in storage.
  let bare: string = code
  for (const value of immutables) {
    bare = bare.replaceAll(`7f${'00'.repeat(12)}${value.slice(2)}`, `7f${'00'.repeat(32)}`)
  }
  for (const candidate of [bare, code]) {
    const found = known[toHex(keccak256(fromHex(`0x${candidate.slice(2)}`)))]
    if (found !== undefined) return found
  }
  throw invalid(at, 'its code is not that of a known contract of this kind')
}

function invalid(at: Address, reason: string): PerkunasError<'INVALID_CONTRACT'> {
  return new PerkunasError('INVALID_CONTRACT', `the contract at ${at} is not acceptable: ${reason}`, {
    address: at,
    reason,
  })
}
