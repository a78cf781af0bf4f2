// Channels on Ethereum and its like: contracts that hold funds and settle disputes (Perun on Ethereum).
export { EthereumAdjudicator } from './adjudicator.js'
/** The compiled contracts: interface, creation and runtime code. */
export { Adjudicator, AssetHolderERC20, AssetHolderETH, TicTacToe } from './artifacts/index.js'
export { address, asset, ETHEREUM, type EthereumAsset, parseAsset } from './assets.js'
export { capabilitiesOf, EthereumBackend, type EthereumOptions } from './backend.js'
export { Chain, type ChainOptions, type Head, type Receipt } from './chain.js'
export { type ConnectOptions, connect, ether } from './connect.js'
export type { Deployment, Generation, Holder } from './contracts.js'
export { type Artifact, type DeployedContracts, deployContract, deployContracts } from './deploy.js'
export type { Deposit, Depositor } from './depositor.js'
export {
  channelIDOf,
  encodeParams,
  encodeState,
  encodeWithdrawalAuth,
  fundingID,
  stateHash,
  type WithdrawalAuth,
  withdrawalHash,
} from './encoding.js'
export { EthereumFunder, type FunderOptions } from './funder.js'
export {
  closeHash,
  type Domain,
  joinCloseAuthorization,
  payoutHash,
  splitCloseAuthorization,
} from './messages.js'
export { CHALLENGE_DURATION, EthereumRules, type RulesOptions } from './rules.js'
export { accountSigner, type DigestSigner, ethersSigner, type TransactionSigner } from './signer.js'
export { SENDER_DEFAULTS, type SenderOptions, TransactionSender } from './transactions.js'
export type { Call } from './trial.js'
export {
  type ContractAddresses,
  KNOWN_CONTRACTS,
  type KnownContract,
  type KnownContracts,
  type VerifiedContracts,
  verifyContracts,
} from './verify.js'
