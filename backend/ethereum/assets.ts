// How assets and addresses of Ethereum look in the generic types.
import { getAddress } from 'ethers'
import {
  type Address,
  type Asset,
  type BackendID,
  type Hex,
  isHex,
  PerkunasError,
} from '../../channel/index.js'

/** Ethereum's number among the kinds of ledgers (Perun core protocol, "Backends"). */
export const ETHEREUM: BackendID = 1

/** Length of an address in bytes. */
export const ADDRESS_LENGTH = 20

/** The zero address. */
export const ZERO_ADDRESS: Address = `0x${'00'.repeat(ADDRESS_LENGTH)}`

/** What an asset on Ethereum is: a contract that holds deposits, on one chain. */
export interface EthereumAsset {
  /** EIP-155, 0 … 2^256 - 1. */
  readonly chainID: bigint
  /** The asset holder's address, 20 bytes. */
  readonly holder: Address
}

/**
 * The generic form of an asset. Its canonical bytes are the chain ID (32 bytes, big-endian), then the holder's
 * address (20 bytes).
 *
 * @throws PerkunasError INVALID_ARGUMENT if the holder is not 20 bytes or the chain ID not 1 … 2^256 - 1
 */
export function asset({ chainID, holder }: EthereumAsset): Asset {
  if (typeof chainID !== 'bigint' || chainID <= 0n || chainID >= 2n ** 256n) {
    const message = `a chain ID as bigint from 1 to 2^256 - 1 expected, got ${typeof chainID} ${chainID}`
    throw new PerkunasError('INVALID_ARGUMENT', message, { argument: 'chainID' })
  }
  return Object.freeze({
    backend: ETHEREUM,
    id: `0x${chainID.toString(16).padStart(64, '0')}${address(holder).slice(2)}`,
  } as const)
}

/** Reads {@link asset}'s bytes; undefined if the asset is not of Ethereum or its bytes are not those. */
export function parseAsset(value: Asset): EthereumAsset | undefined {
  if (value.backend !== ETHEREUM || !isHex(value.id, 32 + ADDRESS_LENGTH)) return undefined
  return { chainID: BigInt(value.id.slice(0, 66)), holder: `0x${value.id.slice(66)}` }
}

/**
 * The canonical (lower-case) form of an address. Letters of both cases carry a checksum (EIP-55), which is checked.
 *
 * @throws PerkunasError INVALID_ARGUMENT if it is not 20 bytes of hex, or mistyped
 */
export function address(value: string): Address {
  const given = String(value)
  const lower = given.toLowerCase()
  const invalid = (message: string) => new PerkunasError('INVALID_ARGUMENT', message, { argument: 'address' })
  if (!isHex(lower, ADDRESS_LENGTH))
    throw invalid(`an address of 20 bytes expected, got ${given.slice(0, 80)}`)
  const digits = given.slice(2)
  const isMixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase()
  if (isMixed && getAddress(lower).slice(2) !== digits) {
    throw invalid(`the checksum of address ${given} is wrong: it may be mistyped`)
  }
  return lower
}

/** Whether `value` is an address in canonical form and not zero. */
export function isAddress(value: Hex | undefined): value is Address {
  return isHex(value, ADDRESS_LENGTH) && value !== ZERO_ADDRESS
}
