// What is written of a channel: its terms once, its progress with every step.
import {
  AUX_LENGTH,
  type Hex,
  isHex,
  type Machine,
  NO_AUX,
  PerkunasError,
  PHASES,
  type State,
  type Transaction,
} from '../channel/index.js'
import {
  bool,
  defineMessage,
  hex,
  list,
  messageCodec,
  nullable,
  type ObjectOf,
  object,
  oneOf,
  schemaCodec,
  text,
  u64,
  uint,
} from '../peer/index.js'
import { defineRecord, type RecordType, sealEnvelope, type Write } from '../persistence/index.js'
import type { ChannelRecord } from './conversation.js'
import { addressMapSchema, balancesSchema, signatureSchema, stateSchema } from './messages.js'

/** All keys of channels start so. */
export const CHANNELS = 'channel/'

const transaction = object({
  state: stateSchema,
  signatures: list(nullable(signatureSchema), { max: 1024 }),
})

const params = {
  challengeDuration: u64(),
  participants: list(addressMapSchema, { max: 1024 }),
  app: hex({ max: 512 }),
  nonce: hex(32),
  ledgerChannel: bool,
  virtualChannel: bool,
}

/** Without the channel's ID, which is in the key. */
const termsFields = {
  index: uint(1023),
  // Nearly all channels have no aux, whose 256 bytes are half of a record; null stands for that.
  params: object({ ...params, aux: nullable(hex(AUX_LENGTH)) }),
  peers: list(hex(33), { max: 1024 }),
  agreement: balancesSchema,
}

const secondFields = {
  phase: oneOf(...PHASES),
  isFunded: bool,
  current: nullable(transaction),
  staging: nullable(transaction),
  signedVersion: u64(),
  stagedBy: uint(1023),
  ending: nullable(stateSchema),
  authorizations: list(nullable(hex({ max: 4096 })), { max: 1024 }),
  wanted: oneOf('nothing', 'settlement', 'refund', 'progress'),
  registered: nullable(object({ version: u64(), deadline: u64() })),
  before: list(transaction, { max: 1024 }),
  cursor: nullable(text(4096)),
}

const progressFields = {
  ...secondFields,
  reserved: nullable(u64()),
  forgotten: nullable(u64()),
  refused: nullable(u64()),
}

const limits = { maxBytes: 16 * 1024 * 1024 }
const termsCodec = schemaCodec(object(termsFields), limits)
const progressCodec = schemaCodec(object(progressFields), limits)
const secondProgress = schemaCodec(object(secondFields), limits)

/** The bare messages, without an envelope, that the records were at first. */
const first = messageCodec(
  [
    defineMessage({
      name: 'channelTerms',
      version: 1,
      fields: { channelID: hex(32), ...termsFields, params: object({ ...params, aux: hex(AUX_LENGTH) }) },
    }),
    defineMessage({ name: 'channelProgress', version: 1, fields: secondFields }),
  ],
  limits,
)

const terms = defineRecord<TermsRecord>({
  name: 'channel/terms',
  version: 2,
  encode: termsCodec.encode,
  decode: termsCodec.decode,
  migrations: {
    1: (payload) => {
      const old = first.decode(payload)
      if (old.kind !== 'channelTerms') throw new Error(`${old.kind} is there`)
      const { kind: _, channelID: __, ...fixed } = old
      return termsCodec.encode({ ...fixed, params: { ...old.params, aux: orNull(old.params.aux) } })
    },
  },
})

const progress = defineRecord<ProgressRecord>({
  name: 'channel/progress',
  version: 3,
  encode: progressCodec.encode,
  decode: progressCodec.decode,
  migrations: {
    1: (payload) => {
      const old = first.decode(payload)
      if (old.kind !== 'channelProgress') throw new Error(`${old.kind} is there`)
      const { kind: _, ...moving } = old
      return secondProgress.encode(moving)
    },
    // What was written so far was written before it left.
    2: (payload) =>
      progressCodec.encode({
        ...secondProgress.decode(payload),
        reserved: null,
        forgotten: null,
        refused: null,
      }),
  },
})

type TermsRecord = ObjectOf<typeof termsFields>
type ProgressRecord = ObjectOf<typeof progressFields>

/** The writes that store a channel for the first time. */
export function created(record: ChannelRecord): Write[] {
  const { machine, peers, agreement } = record
  const { channelID, index, params } = machine
  const nonce = `0x${params.nonce.toString(16).padStart(64, '0')}` as const
  const fixed = {
    index,
    params: { ...params, nonce, aux: orNull(params.aux) },
    peers,
    agreement,
  }
  return [terms.put(keyOf(channelID, 'terms'), fixed), progressed(record)]
}

/** The write that stores a channel's newest step. */
export function progressed(record: ChannelRecord): Write {
  const { machine, stagedBy, wanted } = record
  return progress.put(keyOf(machine.channelID, 'progress'), {
    phase: machine.phase,
    isFunded: machine.isFunded,
    current: stored(machine.current),
    staging: stored(machine.staging),
    signedVersion: machine.signedVersion,
    stagedBy,
    ending: record.ending ?? null,
    authorizations: record.authorizations.map((authorization) => authorization ?? null),
    wanted,
    registered: record.registered ?? null,
    before: record.before.map(complete),
    cursor: record.cursor ?? null,
    reserved: record.reserved ?? null,
    forgotten: record.forgotten ?? null,
    refused: record.refused ?? null,
  })
}

/** The writes that remove a channel. */
export function removed(channelID: string): Write[] {
  return PARTS.map((part) => ({ kind: 'delete', key: keyOf(channelID, part) }))
}

/**
 * A channel from its two records, of this version or an older one, as the process that wrote them has it. Another one
 * must take it by `afterRestart`.
 *
 * @throws PerkunasError INVALID_RECORD if either is damaged, missing or of a newer version
 */
export function restored(channelID: string, parts: ReadonlyMap<string, Uint8Array>): ChannelRecord {
  const invalid = (reason: string) =>
    new PerkunasError('INVALID_RECORD', `channel ${channelID} can't be read: ${reason}`, {
      key: `${CHANNELS}${channelID}`,
      reason,
    })
  const read = <T>(type: RecordType<T>, part: Part): T => {
    const bytes = parts.get(part)
    if (bytes === undefined) throw invalid(`${part} is missing`)
    const key = keyOf(channelID, part)
    return type.open(key, enveloped(type, key, bytes))
  }
  if (!isHex(channelID, 32)) throw invalid('its key is not that of a channel')
  const fixed = read(terms, 'terms')
  const moving = read(progress, 'progress')
  const { index, peers, agreement } = fixed
  const { phase, isFunded, signedVersion, stagedBy, wanted } = moving
  const current = loaded(moving.current)
  const staging = loaded(moving.staging)
  const machine: Machine = {
    phase,
    isFunded,
    channelID,
    params: { ...fixed.params, nonce: BigInt(fixed.params.nonce), aux: fixed.params.aux ?? NO_AUX },
    index,
    signedVersion,
    ...(current && { current }),
    ...(staging && { staging }),
  }
  return {
    machine,
    peers,
    agreement,
    stagedBy,
    ending: moving.ending ?? undefined,
    authorizations: moving.authorizations.map((authorization) => authorization ?? undefined),
    wanted,
    registered: moving.registered ?? undefined,
    before: moving.before.map(incomplete),
    cursor: moving.cursor ?? undefined,
    reserved: moving.reserved ?? undefined,
    forgotten: moving.forgotten ?? undefined,
    refused: moving.refused ?? undefined,
  }
}

/** What a channel is written in. */
export const PARTS = ['terms', 'progress'] as const
/** One of a channel's records. */
export type Part = (typeof PARTS)[number]

/** Where a part of a channel is written. */
export function keyOf(channelID: string, part: Part): string {
  return `${CHANNELS}${channelID}/${part}`
}

/** Gives a bare message the envelope of version 1. No envelope begins as a msgpack list of names and fields does. */
function enveloped<T>({ name }: RecordType<T>, key: string, bytes: Uint8Array): Uint8Array {
  const [begin = 0] = bytes
  const isBare = (begin & 0xf0) === 0x90 || begin === 0xdc
  return isBare ? sealEnvelope(key, { name, version: 1, payload: bytes }) : bytes
}

function orNull(aux: Hex): Hex | null {
  return aux === NO_AUX ? null : aux
}

function stored(transaction: Transaction | undefined) {
  return transaction === undefined ? null : complete(transaction)
}

function complete({ state, signatures }: Transaction) {
  return { state, signatures: signatures.map((signature) => signature ?? null) }
}

interface Stored {
  readonly state: State
  readonly signatures: readonly (Hex | null)[]
}

function loaded(stored: Stored | null): Transaction | undefined {
  return stored === null ? undefined : incomplete(stored)
}

function incomplete({ state, signatures }: Stored): Transaction {
  return { state, signatures: signatures.map((signature) => signature ?? undefined) }
}
