// Who others are and how bytes reach them: identity, messages, connections, the bus.
export type { Bus, MessageHandler, PeerEvent, PeerHandler } from './bus.js'
export { BUS_LIMITS, type BusLimits, type PeerBusOptions } from './bus-options.js'
export { type Clock, systemClock } from './clock.js'
export {
  type Codec,
  type CodecOptions,
  defineMessage,
  MAX_ENCODED_BYTES,
  type MessageDefinition,
  type MessageOf,
  messageCodec,
  messageHeader,
  schemaCodec,
} from './codec.js'
export {
  CONNECTION_LIMITS,
  Connection,
  type ConnectionHandlers,
  type ConnectionLimits,
  type ConnectionOptions,
} from './connection.js'
export type { RawHandler } from './dispatch.js'
export { type Init, type Link, MAX_PAYLOAD, MESSAGE_TYPE } from './framing.js'
export { createIdentity, faultOfPeerID, type Identity, isPeerID, type PeerID } from './identity.js'
export {
  type MemoryStream,
  type MemoryStreamOptions,
  type MemoryTransport,
  memoryStreams,
  memoryTransport,
} from './memory.js'
export { type MemoryNetwork, type MemoryNetworkOptions, memoryNetwork } from './memory-bus.js'
export { PeerBus } from './peer-bus.js'
export {
  converted,
  type Fields,
  type Infer,
  kept,
  list,
  nullable,
  type ObjectOf,
  type ObjectSchema,
  type OptionalSchema,
  object,
  optional,
  refined,
  type Schema,
  type UnionOf,
  union,
} from './schema.js'
export { amount, bool, bytes, hex, literal, oneOf, text, u64, uint } from './schema-values.js'
export type { Dialer, Listener, Stream, StreamReceiver } from './stream.js'
