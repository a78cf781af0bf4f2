// Keys and signatures: who an account is, what keeps it, how it signs, and the one secp256k1 underneath.
// The encrypted files of `KeystoreWallet` need Node.js and have an entry of their own, `perkunas/wallet/keystore`.
export { DEFAULT_PATH, HDWallet, type HDWalletOptions, newMnemonic } from './hd.js'
export { keccak256 } from './keccak.js'
export type { KeyAccount } from './keyring.js'
export { MemoryWallet, randomSecret } from './memory.js'
export {
  addressOf,
  personalDigest,
  recoverPersonal,
  signDigest,
  signPersonal,
  verifyPersonal,
} from './personal.js'
export {
  loadSecp256k1,
  type ProviderName,
  type RecoverableSignature,
  type Secp256k1,
  secp256k1,
} from './secp256k1.js'
export type { Account, Address, Wallet } from './wallet.js'
