// Who pays for transactions and signs them. An account of the wallet can, by the package's own secp256k1; so can any
// signer of ethers.
import { getBytes, type Signer, Transaction, type TransactionLike } from 'ethers'
import { type Address, fromHex, type Hex, isHex, PerkunasError } from '../../channel/index.js'
import { address } from './assets.js'

/** Signs transactions of one account. */
export interface TransactionSigner {
  readonly address: Address
  /** The signed transaction as it is broadcast. */
  sign(transaction: TransactionLike<string>): Promise<Hex>
}

/** What an account needs to sign transactions: the in-memory, keystore and HD wallets' accounts have it. */
export interface DigestSigner {
  readonly address: Address
  /** 65 bytes r ‖ s ‖ v over a 32-byte digest. */
  signDigest(digest: Uint8Array): Hex | Promise<Hex>
}

/** A signer over an account of the wallet. */
export function accountSigner(account: DigestSigner): TransactionSigner {
  return {
    address: account.address,
    async sign(like) {
      const transaction = Transaction.from(like)
      const signature = await account.signDigest(getBytes(transaction.unsignedHash))
      const bytes = fromHex(signature, 65)
      transaction.signature = {
        r: `0x${signature.slice(2, 66)}`,
        s: `0x${signature.slice(66, 130)}`,
        v: bytes[64] ?? 0,
      }
      return hex(transaction.serialized)
    },
  }
}

/** A signer over one of ethers: a wallet, a hardware device. It needs no provider: nonces and fees are set here. */
export async function ethersSigner(signer: Signer): Promise<TransactionSigner> {
  return {
    address: address(await signer.getAddress()),
    sign: async (transaction) => hex(await signer.signTransaction(transaction)),
  }
}

function hex(value: string): Hex {
  const lower = value.toLowerCase()
  if (isHex(lower)) return lower
  throw new PerkunasError('INVALID_ARGUMENT', 'the signer gave no hex', { argument: 'signer' })
}
