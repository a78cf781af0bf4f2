// Coins on chain: wallets that pay for channels and for what channels leave behind, and are paid by them.
export { BitcoindWallet, type BitcoindWalletOptions } from './bitcoind-wallet.js'
export { HdWallet, type HdWalletOptions } from './hd-wallet.js'
export { INPUT_WEIGHT } from './selection.js'
export type {
  Balance,
  Coin,
  CoinKind,
  Funded,
  FundRequest,
  InputsRequest,
  OnchainWallet,
  Reservation,
  ReservationID,
  ReservedInputs,
  WalletAddress,
} from './wallet.js'
