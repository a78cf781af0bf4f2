// What a channel is: params, state, allocation, app, validity, transitions, phases; and what it needs of a ledger.
export {
  type ActionMachine,
  type ActionOperation,
  type ActionRules,
  acted,
  applyAction,
  newActionMachine,
} from './action.js'
export {
  type Allocation,
  type Amount,
  type Asset,
  type Balances,
  faultOfAllocation,
  type SubAllocation,
  sameAssets,
  sameLocked,
  sameSums,
  sum,
  totals,
  width,
} from './allocation.js'
export {
  type ActionApp,
  type App,
  type AppResolver,
  appResolver,
  noApp,
  paymentApp,
  type StateApp,
} from './app.js'
export { byteLength, concat, EMPTY, equalBytes, fromHex, type Hex, isHex, toHex } from './bytes.js'
export {
  absurd,
  type ErrorCode,
  type Facts,
  isError,
  PerkunasError,
  type UnreachableReason,
} from './errors.js'
export type {
  Adjudicator,
  Backend,
  CallOptions,
  Capabilities,
  CloseRequest,
  EventStatus,
  Funder,
  FundingRequest,
  LedgerEvent,
  LedgerEventBody,
  LedgerRules,
  ProgressRequest,
  RegisterRequest,
  Subscription,
  WithdrawRequest,
} from './ledger.js'
export {
  AUX_LENGTH,
  MAX_AMOUNT,
  MAX_ASSETS,
  MAX_DATA_LENGTH,
  MAX_ID_LENGTH,
  MAX_NONCE,
  MAX_PARTICIPANTS,
  MAX_SUB_ALLOCATIONS,
  MAX_UINT64,
  MIN_PARTICIPANTS,
} from './limits.js'
export type { Liquidity, Underway } from './liquidity.js'
export type { HashTimeLock, LockRequest, Obligation } from './lock.js'
export {
  apply,
  faultOfSignature,
  LEGAL,
  type Machine,
  missingSignatures,
  newMachine,
  nextVersion,
  type Operation,
  PHASES,
  type Phase,
  type Rules,
  type Transaction,
} from './machine.js'
export {
  type Address,
  type AddressMap,
  type AppID,
  type BackendID,
  type ChannelID,
  faultOfParams,
  faultOfSubChannelParams,
  type Index,
  NO_APP,
  NO_AUX,
  type Params,
  type SessionID,
} from './params.js'
export {
  type Draft,
  draftOf,
  faultOfState,
  freezeState,
  initialState,
  type Signatures,
  type SignedState,
  type State,
  sameAllocation,
  sameBalances,
  sameState,
  stateOf,
  transfer,
} from './state.js'
export {
  faultByApp,
  faultByAppAtInit,
  faultOfAgreement,
  faultOfTransition,
  faultOfUpdate,
  type Transition,
} from './transition.js'
