// Where a reader of events stands: opaque text for whoever stores it.
import { type Hex, isHex, type LedgerEventBody } from '../../channel/index.js'

/** An event and the place where it was logged. */
export interface SeenEvent {
  readonly body: LedgerEventBody
  readonly blockNumber: number
  readonly blockHash: Hex
  readonly transactionHash: Hex
  readonly logIndex: number
}

/** Everything up to `done` was told and is final; beyond it, `pending` was told and is not final. */
export interface Position {
  readonly done: number
  readonly pending: readonly SeenEvent[]
}

/** What tells one log from all others, also from the same one in another block after a reorg. */
export function keyOf({ blockHash, transactionHash, logIndex }: SeenEvent): string {
  return `${blockHash}:${transactionHash}:${logIndex}`
}

/** Events in a cursor. More of one channel are never unfinal at once unless somebody pays for it; those are told again. */
const MAX_PENDING = 16

/** The text of a position. States and signatures stay out of it: they are only missed in a `reorged` event. */
export function encodeCursor({ done, pending }: Position): string {
  const events = pending.slice(-MAX_PENDING).map((event) => {
    const { body } = event
    const deadline = 'deadline' in body ? body.deadline.toString() : ''
    return [body.kind, body.version.toString(), deadline, event.blockNumber, keyOf(event)]
  })
  return JSON.stringify([1, done, events])
}

/** Reads {@link encodeCursor}; undefined if it is not such a text. */
export function decodeCursor(cursor: string): Position | undefined {
  try {
    const value: unknown = JSON.parse(cursor)
    if (!Array.isArray(value)) return undefined
    const [format, done, events] = value
    if (format !== 1 || !Number.isSafeInteger(done) || done < -1 || !Array.isArray(events)) return undefined
    const pending = events.map(decodeEvent)
    return pending.every((event) => event !== undefined) ? { done, pending } : undefined
  } catch {
    return undefined
  }
}

function decodeEvent(value: unknown): SeenEvent | undefined {
  if (!Array.isArray(value)) return undefined
  const [kind, version, deadline, blockNumber, key] = value
  const [blockHash, transactionHash, logIndex] = String(key).split(':')
  if (!isHex(blockHash, 32) || !isHex(transactionHash, 32) || !Number.isSafeInteger(blockNumber))
    return undefined
  const body = bodyOf(String(kind), BigInt(version), deadline === '' ? undefined : BigInt(deadline))
  return body && { body, blockNumber, blockHash, transactionHash, logIndex: Number(logIndex) }
}

function bodyOf(kind: string, version: bigint, deadline: bigint | undefined): LedgerEventBody | undefined {
  switch (kind) {
    case 'registered':
      return deadline === undefined
        ? undefined
        : { kind, version, deadline, state: undefined, signatures: undefined }
    case 'progressed':
      return deadline === undefined
        ? undefined
        : { kind, version, deadline, state: undefined, actor: undefined }
    case 'cleared':
    case 'concluded':
      return { kind, version }
    default:
      return undefined
  }
}
