// What is written of a channel: its terms once, its progress with every step.
import {
  type Hex,
  type Machine,
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
  object,
  oneOf,
  text,
  u64,
  uint,
} from '../peer/index.js'
import type { Write } from '../persistence/index.js'
import type { ChannelRecord } from './conversation.js'
import { addressMapSchema, balancesSchema, signatureSchema, stateSchema } from './messages.js'

/** All keys of channels start so. */
export const CHANNELS = 'channel/'

const transaction = object({
  state: stateSchema,
  signatures: list(nullable(signatureSchema), { max: 1024 }),
})

const terms = defineMessage({
  name: 'channelTerms',
  version: 1,
  fields: {
    channelID: hex(32),
    index: uint(1023),
    params: object({
      challengeDuration: u64(),
      participants: list(addressMapSchema, { max: 1024 }),
      app: hex({ max: 512 }),
      nonce: hex(32),
      ledgerChannel: bool,
      virtualChannel: bool,
      aux: hex(256),
    }),
    peers: list(hex(33), { max: 1024 }),
    agreement: balancesSchema,
  },
})

const progress = defineMessage({
  name: 'channelProgress',
  version: 1,
  fields: {
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
  },
})

const codec = messageCodec([terms, progress], { maxBytes: 16 * 1024 * 1024 })

/** The writes that store a channel for the first time. */
export function created(record: ChannelRecord): Write[] {
  const { machine, peers, agreement } = record
  const { channelID, index, params } = machine
  const nonce = `0x${params.nonce.toString(16).padStart(64, '0')}` as const
  const value = codec.encode({
    kind: 'channelTerms',
    channelID,
    index,
    params: { ...params, nonce },
    peers,
    agreement,
  })
  return [{ kind: 'put', key: `${CHANNELS}${channelID}/terms`, value }, progressed(record)]
}

/** The write that stores a channel's newest step. */
export function progressed(record: ChannelRecord): Write {
  const { machine, stagedBy, wanted } = record
  const value = codec.encode({
    kind: 'channelProgress',
    phase: machine.phase,
    isFunded: machine.isFunded,
    current: packed(machine.current),
    staging: packed(machine.staging),
    signedVersion: machine.signedVersion,
    stagedBy,
    ending: record.ending ?? null,
    authorizations: record.authorizations.map((authorization) => authorization ?? null),
    wanted,
    registered: record.registered ?? null,
    before: record.before.map(complete),
    cursor: record.cursor ?? null,
  })
  return { kind: 'put', key: `${CHANNELS}${machine.channelID}/progress`, value }
}

/** The writes that remove a channel. */
export function removed(channelID: string): Write[] {
  return ['terms', 'progress'].map((part) => ({ kind: 'delete', key: `${CHANNELS}${channelID}/${part}` }))
}

/**
 * A channel from its two records.
 *
 * @throws PerkunasError INVALID_RECORD if either is damaged, missing or of a newer version
 */
export function restored(channelID: string, parts: ReadonlyMap<string, Uint8Array>): ChannelRecord {
  const invalid = (reason: string, cause?: unknown) =>
    new PerkunasError(
      'INVALID_RECORD',
      `channel ${channelID} can't be read: ${reason}`,
      { key: channelID, reason },
      { cause },
    )
  const read = (part: string) => {
    const bytes = parts.get(part)
    if (bytes === undefined) throw invalid(`${part} is missing`)
    try {
      return codec.decode(bytes)
    } catch (cause) {
      throw invalid(cause instanceof Error ? cause.message : String(cause), cause)
    }
  }
  const fixed = read('terms')
  const moving = read('progress')
  if (fixed.kind !== 'channelTerms' || moving.kind !== 'channelProgress')
    throw invalid('other records are there')
  const { index, peers, agreement } = fixed
  if (fixed.channelID !== channelID) throw invalid(`it says ${fixed.channelID}`)
  const { phase, isFunded, signedVersion, stagedBy, wanted } = moving
  const current = unpacked(moving.current)
  const staging = unpacked(moving.staging)
  const machine: Machine = {
    phase,
    isFunded,
    channelID: fixed.channelID,
    params: { ...fixed.params, nonce: BigInt(fixed.params.nonce) },
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
  }
}

function packed(transaction: Transaction | undefined) {
  return transaction === undefined ? null : complete(transaction)
}

function complete({ state, signatures }: Transaction) {
  return { state, signatures: signatures.map((signature) => signature ?? null) }
}

interface Stored {
  readonly state: State
  readonly signatures: readonly (Hex | null)[]
}

function unpacked(stored: Stored | null): Transaction | undefined {
  return stored === null ? undefined : incomplete(stored)
}

function incomplete({ state, signatures }: Stored): Transaction {
  return { state, signatures: signatures.map((signature) => signature ?? undefined) }
}
