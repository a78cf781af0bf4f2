// Records: values of a store that say what they are, in which version, and whether they are whole.
//
// Layout: format (1 byte, now 1) · length of name (1) · name (ASCII) · version (2, big-endian) · payload ·
// CRC-32 (4, big-endian) of the key's UTF-8 bytes and of everything before it.
//
// No store of ours checks what the disk gives back: LMDB has no checksums, PostgreSQL has them only if its
// cluster was made with them. A damaged state that still decodes could be signed or registered, so damage
// stops the restore instead. The key is part of it because a page at the wrong place is whole in itself.
// CRC-32 rather than a hash: 2 us for 1 kB against 7 us, and damage is not an attacker: who can write to
// the disk can write a right hash too.
import { demandNames, type NamesOf } from '../channel/arguments.js'
import { isError, PerkunasError } from '../channel/errors.js'
import { crc32 } from './checksum.js'
import type { ScanOptions, Store, Write } from './store.js'

/** What a kind of record is made of. `encode` and `decode` fit the codecs of messages. */
export interface RecordSpec<T> {
  /** Tells kinds apart, also to people who look into a store: 1 to 64 of a-z, 0-9, '.', '/' and '-'. */
  readonly name: string
  /** Of the payload's form, 1 to 65 535. Raise it with every change of form, and add a migration. */
  readonly version: number
  /** Value to payload, in the form of `version`; it is copied before anything else is encoded. */
  encode(value: T): Uint8Array
  /** Payload in the form of `version` to value; throws if it is not one. */
  decode(payload: Uint8Array): T
  /** How a payload of each older version that is still read becomes one of the next version. Without gaps. */
  readonly migrations?: Readonly<Record<number, (payload: Uint8Array) => Uint8Array>>
}

/** A kind of record, ready for use. See {@link defineRecord}. */
export interface RecordType<T> {
  readonly name: string
  readonly version: number
  /** The write that stores a value under a key, for a batch. */
  put(key: string, value: T): Write
  /**
   * Opens what a store gave for `key`; an older version is migrated (in memory: the store keeps the old one
   * until the record is written again).
   *
   * @throws PerkunasError INVALID_RECORD if it is damaged, of another name, or of a version that is newer than
   * this one or older than all migrations
   */
  open(key: string, bytes: Uint8Array): T
  /** Reads one. @throws PerkunasError like {@link RecordType.open} and `Store.get` */
  get(store: Store, key: string): Promise<T | undefined>
  /** Reads all with a prefix. @throws PerkunasError like {@link RecordType.open} and `Store.scan` */
  scan(store: Store, prefix: string, options?: ScanOptions): AsyncGenerator<readonly [key: string, value: T]>
}

/** What an envelope says of itself. */
export interface Envelope {
  readonly name: string
  readonly version: number
  /** A view of the bytes that were opened. */
  readonly payload: Uint8Array
}

const FORMAT = 1
/** Bytes besides name and payload. */
const OVERHEAD = 1 + 1 + 2 + 4
const NAME = /^[a-z0-9./-]{1,64}$/

/**
 * Defines a kind of record.
 *
 * @throws PerkunasError INVALID_ARGUMENT if name, version or migrations are not as {@link RecordSpec} demands, or it has more
 */
export function defineRecord<T>(spec: RecordSpec<T>): RecordType<T> {
  checkSpec(spec)
  const { name, version } = spec
  const open = (key: string, bytes: Uint8Array) => spec.decode(migrate(spec, key, openEnvelope(key, bytes)))
  const checked = (key: string, bytes: Uint8Array) => {
    try {
      return open(key, bytes)
    } catch (error) {
      if (isError(error, 'INVALID_RECORD')) throw error
      throw invalid(key, `${name} does not decode: ${error instanceof Error ? error.message : error}`, error)
    }
  }
  return {
    name,
    version,
    put: (key, value) => ({
      kind: 'put',
      key,
      value: sealEnvelope(key, { name, version, payload: spec.encode(value) }),
    }),
    open: checked,
    async get(store, key) {
      const bytes = await store.get(key)
      return bytes === undefined ? undefined : checked(key, bytes)
    },
    async *scan(store, prefix, options) {
      for await (const [key, bytes] of store.scan(prefix, options)) yield [key, checked(key, bytes)]
    },
  }
}

/** Packs a payload for a key. */
export function sealEnvelope(key: string, { name, version, payload }: Envelope): Uint8Array {
  const sealed = new Uint8Array(OVERHEAD + name.length + payload.length)
  const view = new DataView(sealed.buffer)
  sealed[0] = FORMAT
  sealed[1] = name.length
  for (let i = 0; i < name.length; i++) sealed[2 + i] = name.charCodeAt(i)
  view.setUint16(2 + name.length, version)
  sealed.set(payload, 4 + name.length)
  const end = sealed.length - 4
  view.setUint32(end, crc32(key, sealed.subarray(0, end)))
  return sealed
}

/**
 * Unpacks any record, for those who want to know what is in a store.
 *
 * @throws PerkunasError INVALID_RECORD if it is not a whole record of that key
 */
export function openEnvelope(key: string, bytes: Uint8Array): Envelope {
  const [format, nameLength = 0] = bytes
  // The format comes before the checksum, which another format may not have.
  if (format !== undefined && format > FORMAT) {
    throw invalid(key, `written in format ${format} ${NEWER}, this one reads format ${FORMAT}`)
  }
  const end = bytes.length - 4
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (
    format !== FORMAT ||
    bytes.length < OVERHEAD + nameLength ||
    view.getUint32(end) !== crc32(key, bytes.subarray(0, end))
  ) {
    throw invalid(key, 'damaged: the checksum is not that of its key and content')
  }
  const name = String.fromCharCode(...bytes.subarray(2, 2 + nameLength))
  return { name, version: view.getUint16(2 + nameLength), payload: bytes.subarray(4 + nameLength, end) }
}

/** Whether a record can't be read since a newer release wrote it: then nothing is wrong with it. */
export function isNewerRecord(error: unknown): boolean {
  return isError(error, 'INVALID_RECORD') && error.facts.reason.includes(NEWER)
}

/** In the reasons of what is refused for that. */
const NEWER = 'by a newer release'

/** The payload in the form of the newest version. */
function migrate<T>(spec: RecordSpec<T>, key: string, { name, version, payload }: Envelope): Uint8Array {
  if (name !== spec.name) throw invalid(key, `${spec.name} expected, got ${name}`)
  if (version > spec.version) {
    throw invalid(
      key,
      `${name} version ${version} was written ${NEWER}, this one reads up to ${spec.version}: install that release again`,
    )
  }
  let migrated = payload
  for (let from = version; from < spec.version; from++) {
    const migration = spec.migrations?.[from]
    if (migration === undefined) {
      throw invalid(key, `${name} version ${version} is too old; go through a release that still reads it`)
    }
    migrated = migration(migrated)
  }
  return migrated
}

const SPEC_NAMES: NamesOf<RecordSpec<unknown>> = {
  name: true,
  version: true,
  encode: true,
  decode: true,
  migrations: true,
}

function checkSpec<T>(spec: RecordSpec<T>): void {
  demandNames(spec, SPEC_NAMES, 'spec')
  const { name, version, migrations = {} } = spec
  if (!NAME.test(name)) refuse('name', `1 to 64 of a-z, 0-9, '.', '/', '-' expected, got ${name}`)
  if (!(Number.isInteger(version) && version >= 1 && version <= 0xffff)) {
    refuse('version', `1 to 65 535 expected, got ${version}`)
  }
  const from = Object.keys(migrations).map(Number)
  const first = Math.min(...from, version)
  if (
    first < 1 ||
    from.length !== version - first ||
    from.some((v) => !Number.isInteger(v) || v >= version)
  ) {
    refuse('migrations', `one for each version from the oldest read to ${version - 1} expected, got ${from}`)
  }
}

function refuse(argument: string, message: string): never {
  throw new PerkunasError('INVALID_ARGUMENT', `${argument}: ${message}`, { argument })
}

function invalid(key: string, reason: string, cause?: unknown): PerkunasError<'INVALID_RECORD'> {
  return new PerkunasError('INVALID_RECORD', `record ${key}: ${reason}`, { key, reason }, { cause })
}
