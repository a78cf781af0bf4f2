// Who others are and how bytes reach them: identity, messages, connections, the bus.
export type { Bus, MessageHandler, PeerEvent, PeerHandler } from './bus.js'
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
export { isPeerID, type PeerID } from './identity.js'
export { type MemoryNetwork, type MemoryNetworkOptions, memoryNetwork } from './memory-bus.js'
export {
  amount,
  bool,
  bytes,
  converted,
  type Fields,
  hex,
  type Infer,
  list,
  literal,
  nullable,
  type ObjectOf,
  type ObjectSchema,
  type OptionalSchema,
  object,
  oneOf,
  optional,
  refined,
  type Schema,
  text,
  type UnionOf,
  u64,
  uint,
  union,
} from './schema.js'
