// Coins on chain: wallets that pay for channels and for what channels leave behind, and are paid by them.
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
