// What a hop of a payment is told (BOLT 4, "payload format"), and what it has to make of it.
import { isError, type PerkunasError } from '../../../channel/errors.js'
import { byteArray, point, restBytes, struct, tu32 } from '../../../peer/wire/fields.js'
import { Reader } from '../../../peer/wire/reader.js'
import { decodeStream, encodeStream, record, type StreamOf, stream } from '../../../peer/wire/tlv.js'
import { type BlockHeight, blockHeight, type Msat } from '../units.js'
import { shortID, truncatedAmount } from '../wire/fields.js'

const paymentData = struct('payment_data', {
  paymentSecret: byteArray(32),
  totalMsat: truncatedAmount<Msat>(),
})

/** `payload`. */
export const payloadStream = stream({
  amtToForward: record(2, truncatedAmount<Msat>()),
  outgoingCltvValue: record(4, {
    ...tu32,
    read: (from: Parameters<typeof tu32.read>[0]) => blockHeight(tu32.read(from)),
    write: (to: Parameters<typeof tu32.write>[0], value: BlockHeight) => tu32.write(to, value),
  }),
  shortChannelID: record(6, shortID),
  paymentData: record(8, paymentData),
  encryptedRecipientData: record(10, restBytes),
  currentPathKey: record(12, point),
  paymentMetadata: record(16, restBytes),
  totalAmountMsat: record(18, truncatedAmount<Msat>()),
  // A payment without an invoice, whose sender chose the preimage. No BOLT has it; everybody does.
  keysendPreimage: record(5_482_373_484n, byteArray(32)),
})

/** The records of a payload. Which there must be depends on the hop's place: see {@link readInstruction}. */
export type Payload = StreamOf<typeof payloadStream.records>

/**
 * Writes a payload, without the length that the packet puts before it.
 *
 * @throws PerkunasError INVALID_ARGUMENT, INVALID_AMOUNT, TOO_LARGE
 */
export function encodePayload(payload: Payload): Uint8Array {
  return encodeStream(payloadStream, payload, 'payload')
}

/** Reads a payload. @throws PerkunasError INVALID_MESSAGE, also for an unknown even record */
export function decodePayload(bytes: Uint8Array): Payload {
  return decodeStream(payloadStream, bytes, 'payload')
}

/** What is wrong with a payload: what `invalid_onion_payload` says. */
export interface InvalidPayload {
  readonly kind: 'invalid'
  /** The record that is wrong or missing; 0 if it is none in particular. */
  readonly type: bigint
  /** Where that record is, or would be, in the payload. */
  readonly offset: number
  readonly reason: string
}

/** Forward an HTLC, as the sender says. */
export interface ForwardInstruction {
  readonly kind: 'forward'
  readonly amtToForward: Msat
  readonly outgoingCltvValue: BlockHeight
  readonly shortChannelID: NonNullable<Payload['shortChannelID']>
}

/** The payment is for this node. */
export interface ReceiveInstruction {
  readonly kind: 'receive'
  readonly amtToForward: Msat
  readonly outgoingCltvValue: BlockHeight
  /** What all parts together are to be; `amtToForward` if the sender does not say. */
  readonly totalMsat: Msat
  readonly paymentSecret?: Uint8Array
  readonly paymentMetadata?: Uint8Array
  readonly keysendPreimage?: Uint8Array
}

/** This node is on a blinded route: what to do is in the encrypted data. */
export interface BlindedInstruction {
  readonly kind: 'blinded'
  readonly encryptedRecipientData: Uint8Array
  /** Whether the node is the introduction point: the path key came in the payload. */
  readonly introduction: boolean
  /** To decrypt with: from the payload, or from `update_add_htlc`. */
  readonly pathKey: Uint8Array
  /** For the last node of the route only. */
  readonly final?: {
    readonly amtToForward: Msat
    readonly outgoingCltvValue: BlockHeight
    readonly totalMsat: Msat
  }
}

/** What a payload tells a hop. */
export type Instruction = ForwardInstruction | ReceiveInstruction | BlindedInstruction

/** Where a payload was found. */
export interface PayloadPlace {
  /** Whether the packet ended with this hop. */
  readonly final: boolean
  /** The path key of `update_add_htlc`, if there was one. */
  readonly pathKey?: Uint8Array
}

/**
 * Reads a payload and checks that it has the records of its place and no others. The amounts and heights that it
 * names are to be compared with the HTLC's by the caller.
 */
export function readInstruction(bytes: Uint8Array, place: PayloadPlace): Instruction | InvalidPayload {
  try {
    const payload = decodePayload(bytes)
    const found =
      payload.encryptedRecipientData === undefined ? plain(payload, place) : blinded(payload, place)
    if (typeof found === 'object') return found
    const type = typeof found === 'bigint' ? found : payloadStream.records[found].type
    return { kind: 'invalid', type, offset: offsetOf(bytes, type), reason: 'missing or not allowed' }
  } catch (error) {
    if (!isError(error, 'INVALID_MESSAGE')) throw error
    return refusalOf(bytes, error)
  }
}

// The name of the record that is missing, or the type of one that must not be there.
type Wrong = keyof typeof payloadStream.records | bigint

function plain(payload: Payload, { final, pathKey }: PayloadPlace): Instruction | Wrong {
  const { amtToForward, outgoingCltvValue, shortChannelID, paymentData, paymentMetadata, keysendPreimage } =
    payload
  if (pathKey !== undefined) return 'encryptedRecipientData'
  if (payload.currentPathKey !== undefined) return 'currentPathKey'
  if (amtToForward === undefined) return 'amtToForward'
  if (outgoingCltvValue === undefined) return 'outgoingCltvValue'
  if (!final) {
    if (shortChannelID === undefined) return 'shortChannelID'
    return { kind: 'forward', amtToForward, outgoingCltvValue, shortChannelID }
  }
  return {
    kind: 'receive',
    amtToForward,
    outgoingCltvValue,
    totalMsat: paymentData?.totalMsat ?? amtToForward,
    ...(paymentData && { paymentSecret: paymentData.paymentSecret }),
    ...(paymentMetadata && { paymentMetadata }),
    ...(keysendPreimage && { keysendPreimage }),
  }
}

const ALWAYS: readonly string[] = ['encryptedRecipientData', 'currentPathKey']
const AT_THE_END: readonly string[] = [...ALWAYS, 'amtToForward', 'outgoingCltvValue', 'totalAmountMsat']

function blinded(payload: Payload, { final, pathKey: given }: PayloadPlace): Instruction | Wrong {
  const { amtToForward, outgoingCltvValue, totalAmountMsat, encryptedRecipientData, currentPathKey } = payload
  const pathKey = given ?? currentPathKey
  if (encryptedRecipientData === undefined) return 'encryptedRecipientData'
  if (pathKey === undefined || (given !== undefined && currentPathKey !== undefined)) return 'currentPathKey'
  const allowed = final ? AT_THE_END : ALWAYS
  const extra = Object.entries(payloadStream.records).find(
    ([name]) => name in payload && !allowed.includes(name),
  )
  if (extra !== undefined) return extra[1].type
  const [unknown] = payload.unknown ?? []
  if (unknown !== undefined) return unknown.type
  const base = {
    kind: 'blinded',
    encryptedRecipientData,
    introduction: given === undefined,
    pathKey,
  } as const
  if (!final) return base
  if (amtToForward === undefined) return 'amtToForward'
  if (outgoingCltvValue === undefined) return 'outgoingCltvValue'
  if (totalAmountMsat === undefined) return 'totalAmountMsat'
  return { ...base, final: { amtToForward, outgoingCltvValue, totalMsat: totalAmountMsat } }
}

// The error names the record: `payload.<name>`, `payload.<type>`, or just `payload` where no record could be read.
function refusalOf(bytes: Uint8Array, error: PerkunasError<'INVALID_MESSAGE'>): InvalidPayload {
  const { path, reason } = error.facts
  const name = path.split('.')[1] ?? '0'
  const known: Readonly<Record<string, { readonly type: bigint }>> = payloadStream.records
  const type = known[name]?.type ?? (/^\d+$/.test(name) ? BigInt(name) : 0n)
  return { kind: 'invalid', type, offset: type === 0n ? 0 : offsetOf(bytes, type), reason }
}

/** Where a record is; if there is none, where the first of a higher type or the end is. */
function offsetOf(bytes: Uint8Array, wanted: bigint): number {
  const from = new Reader(bytes, 'payload')
  try {
    while (from.left > 0) {
      const offset = bytes.length - from.left
      if (from.bigSize('type') >= wanted) return offset
      from.bytes(Number(from.bigSize('length')))
    }
  } catch (error) {
    if (!isError(error, 'INVALID_MESSAGE')) throw error
  }
  return bytes.length - from.left
}
