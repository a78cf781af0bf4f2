// The transactions and scripts of BOLT 3: funding, commitment, HTLC, closing, and every claim on them. Pure.
export {
  buildClaimTransaction,
  type Claim,
  type ClaimKey,
  claimOfDelayed,
  claimOfHtlcTransaction,
  claimOfOldAnchor,
  claimOfPayment,
  claimsOfCounterparty,
  claimsOfHolder,
  claimsOfPunisher,
  claimTransactionWeight,
  claimWeight,
  signClaim,
  signClaims,
} from './claims.js'
export {
  buildClosing,
  buildLegacyClosing,
  type Closing,
  type ClosingFunding,
  type ClosingShare,
  type ClosingVariant,
  closingVariants,
  completeClosing,
  isOpReturn,
  isShutdownScript,
  signClosing,
  verifyClosing,
} from './closing.js'
export {
  buildCommitment,
  type Commitment,
  type CommitmentOutput,
  type CommitmentParams,
  type Funding,
  type Htlc,
  type HtlcOutput,
  htlcTransactionAmount,
  type PublishedCommitment,
  type PublishedOutput,
} from './commitment.js'
export type { CommitmentKeys } from './commitment-scripts.js'
export {
  ANCHOR_AMOUNT,
  commitmentFee,
  commitmentWeight,
  dustLimitOf,
  feeOf,
  type HtlcDirection,
  htlcFee,
  isTrimmed,
  SHARED_ANCHOR_MAX,
  trimThreshold,
} from './fees.js'
export { type CommitmentFormat, FORMATS, type FormatRules, HTLC_OUTPUT_WEIGHT } from './format.js'
export {
  buildFunding,
  buildShared,
  contributionFee,
  contributionWeight,
  type FundingInput,
  type FundingTransaction,
  fundingOutput,
  minimumNextFeerate,
  type SharedInput,
  type SharedOutput,
  sharedChange,
} from './funding.js'
export { hash160, ripemd160, sha256, sha256d } from './hash.js'
export { type HtlcSigner, htlcDigests, htlcSighash, htlcTransaction, htlcWitness } from './htlc.js'
export { commitmentNumberOf, MAX_COMMITMENT_NUMBER, obscure, obscuringFactor } from './number.js'
export {
  anchorScript,
  compareBytes,
  delayedScript,
  fundingScript,
  htlcScripts,
  P2A_SCRIPT,
  p2wpkh,
  p2wpkhScriptCode,
  p2wsh,
  toRemoteScript,
} from './scripts.js'
export { type SpentOutput, witnessDigest } from './sighash.js'
export {
  readWitnessSignature,
  SIGHASH_ALL,
  SIGHASH_SINGLE_ANYONECANPAY,
  type SighashType,
  witnessSignature,
} from './signature.js'
export {
  type CommitmentSignatures,
  commitmentDigest,
  completeCommitment,
  completeHtlcTransaction,
  faultOfSignatures,
  fundingWitness,
  type HtlcCompletion,
  type SignatureFault,
  signCommitment,
  signOwnCommitment,
} from './signing.js'
export {
  leafHash,
  type TaprootKeys,
  type TaprootOutput,
  taprootAnchor,
  taprootFunding,
  taprootOffered,
  taprootReceived,
  taprootSecondLevel,
  taprootToLocal,
  taprootToRemote,
  UNSPENDABLE_KEY,
} from './taproot.js'
export {
  decodeTransaction,
  displayID,
  encodeTransaction,
  encodeWithoutWitness,
  MAX_TRANSACTION_BYTES,
  type Outpoint,
  SEQUENCE_FINAL,
  SEQUENCE_REPLACEABLE,
  type Transaction,
  type TransactionInput,
  type TransactionOutput,
  transactionID,
  weightOf,
  withWitness,
} from './transaction.js'
