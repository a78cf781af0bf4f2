// The keys of Lightning channels (BOLT 3): from seed to commitment, and the secrets of both sides.
export {
  type Basepoints,
  basepointsOf,
  type ChannelSecrets,
  channelSecrets,
  commitmentKeys,
  nodeSecret,
} from './channel-keys.js'
export {
  commitmentPoint,
  derivePublicKey,
  deriveRevocationKey,
  deriveRevocationSecret,
  deriveSecret,
} from './derive.js'
export {
  type Balance,
  newSignerState,
  revokedCount,
  type SignedCommitment,
  type SignerState,
} from './policy.js'
export {
  commitmentSecret,
  commitmentSecrets,
  EMPTY_SECRETS,
  FIRST_SECRET_INDEX,
  findCommitmentSecret,
  findSecret,
  generateSecret,
  insertSecret,
  type SecretEntry,
  type SecretStore,
  secretIndexOf,
} from './secrets.js'
export {
  type ChannelSetup,
  type ClosingToSign,
  type CommitmentOnChain,
  type CommitmentState,
  createSigner,
  type Signer,
} from './signer.js'
export { memoryCounter, type StepCounter, type StepMark } from './step-memory.js'
