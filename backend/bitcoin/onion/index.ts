// BOLT 4 as pure functions: packets that hide a route from those on it, what is in them, and what comes back.
export {
  ATTRIBUTION_BYTES,
  type AttributionRecord,
  attribute,
  attributionOf,
  attributionRecord,
  type HoldTimes,
  readFulfilAttribution,
} from './attribution.js'
export {
  type BlindedPath,
  type BlindedPayInfo,
  blindedPath,
  blindedPaths,
  blindedPayInfo,
  type Introduction,
} from './blinded-path.js'
export { type BlindedPayment, type OfferedHTLC, resolveBlinded } from './blinded-payment.js'
export {
  type BlindedHop,
  type BlindedRoute,
  blindRoute,
  type CreatedRoute,
  type HopToBlind,
  type Unblinding,
  unblind,
} from './blinding.js'
export {
  createFailure,
  type FailurePacket,
  MAX_HOPS,
  type OpenedFailure,
  openFailure,
  type ReturnHop,
  wrapFailure,
} from './failure-packet.js'
export {
  BADONION,
  type DecodedFailure,
  decodeFailure,
  encodeFailure,
  type Failure,
  type FailureKind,
  failureCode,
  NODE,
  PERM,
  type UnknownFailure,
  UPDATE,
} from './failures.js'
export { type SharedSecret, sharedSecretWith } from './keys.js'
export {
  createOnionMessage,
  joinRoutes,
  type OnionMessageContent,
  type OnionMessagePacket,
  type PeeledMessage,
  peelOnionMessage,
} from './message.js'
export {
  type BlindedInstruction,
  decodePayload,
  encodePayload,
  type ForwardInstruction,
  type Instruction,
  type InvalidPayload,
  type Payload,
  type PayloadPlace,
  type ReceiveInstruction,
  readInstruction,
} from './payload.js'
export {
  type AggregatedRelay,
  aggregateRelays,
  amountToForward,
  decodeRecipientData,
  encodeRecipientData,
  type NextNode,
  type PaymentConstraints,
  type PaymentRelay,
  padRecipientData,
  type RecipientData,
} from './recipient-data.js'
export {
  type Agreement,
  agree,
  buildOnion,
  hopBytes,
  type Malformed,
  type Onion,
  type OnionHop,
  type OnionRequest,
  PAYMENT_PACKET_BYTES,
  PAYMENT_PAYLOADS_BYTES,
  type Peeled,
  type PeelRequest,
  peelOnion,
  routeSecrets,
} from './sphinx.js'
