// Records and the stores that keep them: bytes and keys, no protocols. Stores that need more than the
// language itself (LMDB, IndexedDB, PostgreSQL) are entries of their own.
export { type Engine, EngineStore, type Gather } from './engine.js'
export type { Leases } from './leases.js'
export { MemoryStore, type Snapshot } from './memory.js'
export {
  defineRecord,
  type Envelope,
  openEnvelope,
  type RecordSpec,
  type RecordType,
  sealEnvelope,
} from './record.js'
export {
  type Entry,
  MAX_KEY_BYTES,
  MAX_VALUE_BYTES,
  type ScanOptions,
  type Store,
  type Write,
} from './store.js'
