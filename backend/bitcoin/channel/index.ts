// The Lightning channel as a pure machine (BOLT 2): opened, paid through, reestablished and closed by step(state, input, env).
export {
  ADMISSION_LIMITS,
  type AdmissionLimits,
  faultOfAdmission,
  type Occupant,
} from './admission.js'
export {
  ANSWERS,
  type Answer,
  answerTo,
  type ChannelMessageKind,
  isChannelMessage,
  SITUATIONS,
  type Situation,
  situationOf,
} from './answers.js'
export { asWritten } from './batch-rows.js'
export {
  type Attribution,
  type Book,
  eventualView,
  type FeeChange,
  type OpenHtlc,
  type Removal,
  type View,
  viewOf,
} from './book.js'
export { step } from './channel.js'
export { prepare } from './commitments.js'
export { type Obligation, obligations } from './expiry.js'
export { wireID } from './failure.js'
export type { ChannelInput, Intent, UpdateMessage } from './input.js'
export { isFlushUrgent, wantsFlush } from './intents.js'
export { faultOfChannel, faultOfStep } from './invariants.js'
export { receivable, spendable } from './limits.js'
export { fundingScriptOf, type OpenRequest, openChannel, receivedOpen } from './open.js'
export { CHANNEL_POLICY, type ChannelPolicy, type FeeEstimates } from './policy.js'
export { isConfirmed, isReliable } from './ready.js'
export { CHANNEL_ROWS, channelRemoval, channelWrites, restoredChannels } from './record.js'
export {
  type Age,
  advanceStage,
  type Fact,
  isIn,
  type Membership,
  STAGE_NAMES,
  STAGES,
  type Stage,
  type StageRow,
} from './stages.js'
export {
  type Accepted,
  type Asked,
  type AwaitingFunding,
  type AwaitingFundingSigned,
  type Batch,
  type ChannelState,
  type Closed,
  type ClosingProgress,
  type Failure,
  type FeeRange,
  isLive,
  type Link,
  type Live,
  type LivePhase,
  type Opening,
  type Phase,
  type Ready,
  type Shutdowns,
  type Young,
} from './state.js'
export type {
  ChannelEnv,
  ChannelEvent,
  ChannelKeys,
  Effect,
  Handoff,
  MustFail,
  Step,
} from './step.js'
export type { ProposedTerms, SideTerms, Terms } from './terms.js'
