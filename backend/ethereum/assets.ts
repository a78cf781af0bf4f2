// How assets and addresses of Ethereum look in the generic types.
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
  if (chainID <= 0n || chainID >= 2n ** 256n) {
    throw new PerkunasError('INVALID_ARGUMENT', `a chain ID from 1 to 2^256 - 1 expected, got ${chainID}`, {
      argument: 'chainID',
    })
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
 * The canonical (lower-case) form of an address, however its letters are cased.
 *
 * @throws PerkunasError INVALID_ARGUMENT if it is not 20 bytes of hex
 */
export function address(value: string): Address {
  const lower = value.toLowerCase()
  if (!isHex(lower, ADDRESS_LENGTH)) {
    throw new PerkunasError(
      'INVALID_ARGUMENT',
      `an address of 20 bytes expected, got ${value.slice(0, 80)}`,
      {
        argument: 'address',
      },
    )
  }
  return lower
}

/** Whether `value` is an address in canonical form and not zero. */
export function isAddress(value: Hex | undefined): value is Address {
  return isHex(value, ADDRESS_LENGTH) && value !== ZERO_ADDRESS
}
