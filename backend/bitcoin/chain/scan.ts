// Finds where each transaction of a block begins and ends, and its ID, without making values of what nobody asks for.
//
// Written by hand so that nothing in a block can stop it that consensus allows: whatever lies in scripts and witnesses is
// stepped over by its length alone. (Nodes that parsed more than they had to went blind on valid blocks: CVE-2022-44797,
// CVE-2022-39389.)
import { PerkunasError } from '../../../channel/errors.js'
import { sha256d } from '../script/index.js'

/** The parts of a transaction's bytes; all are views. */
export interface Scanned {
  readonly bytes: Uint8Array
  readonly txid: Uint8Array
  /** The hash of the whole, which the block's coinbase commits to. */
  readonly witnessID: Uint8Array
  readonly hasWitness: boolean
  readonly spends: readonly Uint8Array[]
  readonly pays: readonly Uint8Array[]
  /** Of the first input. */
  readonly firstWitness: readonly Uint8Array[]
}

/** A place in bytes that moves on as they are read. */
export class Reader {
  at = 0
  readonly #view: DataView

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  /** A view of the next bytes. @throws PerkunasError INVALID_MESSAGE if there are not so many */
  take(length: number): Uint8Array {
    if (length > this.bytes.length - this.at) throw invalid('it ends too early')
    const start = this.at
    this.at += length
    return this.bytes.subarray(start, this.at)
  }

  /** A compact size. @throws PerkunasError INVALID_MESSAGE if it is longer than need be, which consensus forbids */
  count(): number {
    const first = this.#uint8()
    if (first < 0xfd) return first
    const [size, least] = first === 0xfd ? [2, 0xfd] : first === 0xfe ? [4, 0x1_0000] : [8, 0x1_0000_0000]
    const at = this.at
    this.take(size)
    const value =
      size === 2
        ? this.#view.getUint16(at, true)
        : size === 4
          ? this.#view.getUint32(at, true)
          : Number(this.#view.getBigUint64(at, true))
    if (value < least) throw invalid('a length is not in its shortest form')
    return value
  }

  /** What comes next, which stays to be read. */
  peek(offset: number): number {
    return this.bytes[this.at + offset] ?? -1
  }

  #uint8(): number {
    return this.take(1)[0] ?? 0
  }
}

/** Reads one transaction. @throws PerkunasError INVALID_MESSAGE if there is none */
export function scanTransaction(reader: Reader): Scanned {
  const start = reader.at
  const version = reader.take(4)
  // No transaction in a block has no inputs, so a count of zero means that witnesses follow.
  const hasWitness = reader.peek(0) === 0
  if (hasWitness && reader.peek(1) !== 1) throw invalid('a transaction without inputs')
  if (hasWitness) reader.take(2)

  const bodyAt = reader.at
  const spends = times(reader, 41, () => {
    const outpoint = reader.take(36)
    reader.take(reader.count())
    reader.take(4)
    return outpoint
  })
  const pays = times(reader, 9, () => {
    reader.take(8)
    return reader.take(reader.count())
  })
  const bodyEnd = reader.at
  let firstWitness: readonly Uint8Array[] = []
  let witnesses = 0
  if (hasWitness) {
    for (let i = 0; i < spends.length; i++) {
      const items = times(reader, 1, () => reader.take(reader.count()))
      if (i === 0) firstWitness = items
      witnesses += items.length
    }
    if (witnesses === 0) throw invalid('marked as segwit without any witness')
  }
  const locktime = reader.take(4)

  const bytes = reader.bytes.subarray(start, reader.at)
  const witnessID = sha256d(bytes)
  const txid = hasWitness
    ? sha256d(joined(version, reader.bytes.subarray(bodyAt, bodyEnd), locktime))
    : witnessID
  return { bytes, txid, witnessID, hasWitness, spends, pays, firstWitness }
}

/** So many as the count says that comes first. Before anything is kept it is held against the bytes that are left. */
function times<T>(reader: Reader, leastBytes: number, read: () => T): readonly T[] {
  const count = reader.count()
  if (count * leastBytes > reader.bytes.length - reader.at) throw invalid('it ends too early')
  const values: T[] = []
  for (let i = 0; i < count; i++) values.push(read())
  return values
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** A block that is none. */
export function invalid(reason: string): PerkunasError<'INVALID_MESSAGE'> {
  return new PerkunasError('INVALID_MESSAGE', `a block expected: ${reason}`, { path: 'block', reason })
}
